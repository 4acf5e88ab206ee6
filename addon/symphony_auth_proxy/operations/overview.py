"""The status as people read it: what is well, what is not, and in which words.

The status page and `symphony-auth-proxy status` show this and nothing else, so they cannot
tell two stories. It is read from the status as JSON, because `status` gets it from another
process, perhaps of an older version; whatever others wrote is made harmless on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from symphony_auth_proxy.core.spans import harmless, span
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis, Meaning


class Level(StrEnum):
    """How well something is. Always shown together with a word: not everybody sees colours."""

    GOOD = "good"
    BUSY = "busy"
    IDLE = "idle"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Mark:
    level: Level
    word: str


@dataclass(frozen=True, slots=True)
class TokenView:
    name: str
    mark: Mark
    sign: str | None
    """Fingerprint and generation, as wherever else the token is shown."""
    facts: tuple[str, ...]
    obtained: float | None
    trouble: str | None
    hint: str | None


@dataclass(frozen=True, slots=True)
class BotView:
    name: str
    mark: Mark
    notes: tuple[str, ...]
    tokens: tuple[TokenView, ...]
    requests: int
    """That got tokens."""
    by_component: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LoginView:
    """A login, or what went wrong with a token or a key."""

    at: float
    ago: str
    mark: Mark
    bot: str
    what: str
    facts: tuple[str, ...]
    trouble: str | None
    hint: str | None


@dataclass(frozen=True, slots=True)
class RefusalView:
    reason: str
    meaning: str
    count: int
    at: float
    ago: str
    facts: tuple[str, ...]
    """About the last one."""


@dataclass(frozen=True, slots=True)
class Figure:
    number: int
    label: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """The proxy at one moment."""

    version: str
    now: float
    since: float
    mark: Mark
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    bots: tuple[BotView, ...]
    logins: tuple[LoginView, ...]
    refusals: tuple[RefusalView, ...]

    @property
    def troubled(self) -> tuple[BotView, ...]:
        """The bots that somebody should look at."""
        return tuple(bot for bot in self.bots if bot.mark.level in {Level.BAD, Level.WARN})


def overview(told: Mapping[str, Any]) -> Overview:
    """Put a status, as `Status.as_json` tells it, into words."""
    now = told["since"] + told["uptime"]
    requests = told.get("requests", {})
    bots = tuple(_bot(bot, requests.get(bot["bot"], {})) for bot in told["bots"])
    return Overview(
        version=harmless(told["version"]),
        now=now,
        since=told["since"],
        mark=_mark_of_all(told, bots),
        reasons=tuple(map(harmless, told["reasons"])),
        facts=_facts(told),
        figures=_figures(told),
        bots=bots,
        logins=tuple(_login(one, now) for one in told.get("logins", ())),
        refusals=tuple(_refusals(one, now) for one in told.get("refusals", ())),
    )


def _mark_of_all(told: Mapping[str, Any], bots: Sequence[BotView]) -> Mark:
    if told["draining"]:
        return Mark(Level.WARN, "stopping")
    if not told["ready"]:
        only_waiting = told["trouble"] is None and told["listeners"]
        return Mark(Level.BUSY, "starting") if only_waiting else Mark(Level.BAD, "not ready")
    failing = sum(bot.mark.level is Level.BAD for bot in bots)
    if failing:
        noun = "bot" if failing == 1 else "bots"
        return Mark(Level.WARN, f"ready, but {failing} {noun} cannot log in")
    return Mark(Level.GOOD, "ready")


def _facts(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = {
        "listens on": ", ".join(told["listeners"]) or "nothing",
        "clients": ", ".join(told["clients"]) or "whoever reaches it",
        "configuration": told["config"] or "none",
        "clients trust": told["ca_certificate"],
    }
    return tuple((name, harmless(text)) for name, text in facts.items())


_FIGURES = (
    ("injected", "got tokens"),
    ("answered", "logins answered here"),
    ("passed", "left as they were"),
    ("refused", "refused"),
    ("passthrough", "tunnels to others"),
)


def _figures(told: Mapping[str, Any]) -> tuple[Figure, ...]:
    resends = told.get("resends", {})
    details = {
        "injected": [f"{sum(resends.values())} sent again after a 401"] if resends else [],
        "passed": [
            f"{number} {harmless(name).replace('_', ' ')}"
            for name, number in told.get("passed", {}).items()
        ],
    }
    decisions = told["decisions"]
    return tuple(
        Figure(decisions.get(name, 0), label, tuple(details.get(name, ())))
        for name, label in _FIGURES
    )


_KINDS = {"session": "session token", "key_manager": "key manager token"}
_GOOD = frozenset({"fresh", "stale"})
_LEVELS = {
    "fresh": Level.GOOD,
    "stale": Level.GOOD,
    "expired": Level.WARN,
    "bad": Level.WARN,
}
_WORDS = {"empty": "none", "bad": "refused by Symphony", "not_required": "not needed"}


def _bot(told: Mapping[str, Any], requests: Mapping[str, int]) -> BotView:
    pod = harmless(told.get("pod") or "").removesuffix(":443")
    notes = [pod] if pod else []
    if told["users"]:
        notes.append(f"on behalf of {_number(told['users'], 'user')}")
    if told.get("waiting"):
        notes.append(f"{_number(told['waiting'], 'request')} waiting")
    return BotView(
        name=harmless(told["bot"]),
        mark=_mark_of_bot(told),
        notes=tuple(notes),
        tokens=tuple(_token(told[kind], name) for kind, name in _KINDS.items()),
        requests=sum(requests.values()),
        by_component=tuple((harmless(name), number) for name, number in requests.items()),
    )


def _mark_of_bot(told: Mapping[str, Any]) -> Mark:
    tokens = [told[kind] for kind in _KINDS]
    if any(token["trouble"] and token["state"] not in _GOOD for token in tokens):
        return Mark(Level.BAD, "cannot log in")
    if any(token["trouble"] for token in tokens):
        return Mark(Level.WARN, "cannot renew")
    if any(token["logging_in"] for token in tokens):
        return Mark(Level.BUSY, "logging in")
    if told["session"]["state"] in _GOOD:
        return Mark(Level.GOOD, "logged in")
    return Mark(Level.IDLE, "not logged in")


def _token(told: Mapping[str, Any], name: str) -> TokenView:
    state, facts = told["state"], []
    if told["age"] is not None:
        facts.append(f"{span(told['age'])} old")
    if told["expires_in"] is not None and told["expires_in"] > 0:
        facts.append(f"expires in {span(told['expires_in'])}")
    if told.get("renew_in") and not told["trouble"]:
        facts.append(f"renewed in {span(told['renew_in'])}")
    if told["logging_in"]:
        facts.append("logging in now")
    elif told["retry_in"]:
        facts.append(f"next login in {span(told['retry_in'])}")
    level, known = _LEVELS.get(state, Level.IDLE), _known(told.get("diagnosis"))
    return TokenView(
        name=name,
        mark=Mark(Level.BAD if told["trouble"] and state not in _GOOD else level, _word(state)),
        sign=_sign(told),
        facts=tuple(facts),
        obtained=told.get("obtained"),
        trouble=_named(told),
        hint=_text(told.get("hint")) or (known.way_out if known else None) or None,
    )


def _named(told: Mapping[str, Any]) -> str | None:
    """A token's trouble, by the name that flows and `doctor` have for it."""
    trouble, diagnosis = _text(told["trouble"]), _text(told.get("diagnosis"))
    if trouble is None or diagnosis is None:
        return trouble
    return f"{diagnosis}: {trouble.partition(': ')[2]}"


def _word(state: str) -> str:
    return _WORDS.get(state, harmless(state))


def _sign(told: Mapping[str, Any]) -> str | None:
    if told.get("fingerprint") is None:
        return None
    generation = told.get("generation")
    sign = f"#{harmless(told['fingerprint'])}"
    return sign if generation is None else f"{sign} gen {generation}"


_EVENTS = {
    "login_succeeded": Mark(Level.GOOD, "logged in"),
    "login_failed": Mark(Level.BAD, "login failed"),
    "token_marked_bad": Mark(Level.WARN, "token refused"),
    "key_reload_failed": Mark(Level.WARN, "new key unusable"),
}


def _login(told: Mapping[str, Any], now: float) -> LoginView:
    facts = []
    if told["event"] == "key_reload_failed":
        facts.append("the key before it stays in use")
    elif sign := _sign(told):
        facts.append(sign)
    if told["event"] == "token_marked_bad":
        facts.append(f"gen {told['generation']}, by the {harmless(told['component'] or 'pod')}")
    if told["seconds"] is not None:
        facts.append(f"in {told['seconds']:.2f} s")
    name = _text(told.get("diagnosis") or told["reason"])
    error, known = _text(told["error"]), _known(name)
    return LoginView(
        at=told["at"],
        ago=_ago(told["at"], now),
        mark=_EVENTS.get(told["event"], Mark(Level.IDLE, harmless(told["event"]))),
        bot=harmless(told["bot"] or ""),
        what=_what(told),
        facts=tuple(facts),
        trouble=": ".join(text for text in (name, error) if text) or None,
        hint=known.way_out if known and error else None,
    )


def _what(told: Mapping[str, Any]) -> str:
    if told["user"] is not None:
        return f"session for {harmless(told['user'])}"
    return _KINDS.get(told["kind"] or "", "")


def _refusals(told: Mapping[str, Any], now: float) -> RefusalView:
    facts = []
    if told.get("host"):
        facts.append(f"for {harmless(told['host'])}")
    if told.get("client"):
        facts.append(f"by {harmless(told['client'])}")
    reason = harmless(told["reason"])
    known = _known(told.get("diagnosis") or told["reason"])
    meaning = known.sentence if known else ""
    return RefusalView(
        reason, meaning, told["count"], told["at"], _ago(told["at"], now), tuple(facts)
    )


def _known(diagnosis: str | None) -> Meaning | None:
    """What is said about all of its kind; None for what only a newer version knows."""
    try:
        return MEANINGS.get(Diagnosis(diagnosis or ""))
    except ValueError:
        return None


def _ago(at: float, now: float) -> str:
    return f"{span(now - at)} ago"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(text: str | None) -> str | None:
    return harmless(text) if text else None
