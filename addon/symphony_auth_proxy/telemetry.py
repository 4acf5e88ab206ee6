"""What happens, told in a closed vocabulary: audit lines, counters, and the latest news.

Everything that the proxy does with a token leaves one audit record: an event and facts out
of two closed sets, on one line of the logger `symphony_auth_proxy.audit`. A secret cannot
get into one (it is refused by its type), and nothing that a client or a server sent can
break a line or colour a terminal. Records at WARNING are the worst there is: mitmproxy ends
itself over an ERROR that is logged while it starts.

The last few logins, and the last refusal of each kind, are kept for whoever asks how it goes.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypedDict, Unpack

from symphony_auth_proxy.clock import Clock, SystemClock
from symphony_auth_proxy.core.spans import LONGEST_TEXT, harmless


class Event(StrEnum):
    """Everything that is worth a record. Names are part of the contract."""

    STARTED = "started"
    STOPPED = "stopped"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    KEY_RELOADED = "key_reloaded"
    KEY_RELOAD_FAILED = "key_reload_failed"
    TOKEN_MARKED_BAD = "token_marked_bad"  # noqa: S105 (a name, not a password)
    STALE_USED = "stale_used"
    CLOCK_DRIFT = "clock_drift"
    FLUSHED = "flushed"
    RELOADED = "reloaded"
    LOGIN_ANSWERED = "login_answered"
    INJECTED = "injected"
    PASSED = "passed"
    REFUSED = "refused"
    RESENT = "resent"
    PASSTHROUGH = "passthrough"


type Fact = str | int | float


class Whose(TypedDict, total=False):
    """The facts that name an account."""

    bot: str
    user: str
    """On whose behalf, when it is not for the bot itself."""


class Facts(Whose, total=False):
    """What a record may tell. Free text (`path`, `host`, `client`) comes without queries,
    user names of proxies and the like: who records, cuts them off."""

    kind: str
    component: str
    reason: str
    diagnosis: str
    """What is the matter, out of `diagnoses.Diagnosis`."""
    result: str
    generation: int
    fingerprint: str
    seconds: float
    client: str
    method: str
    host: str
    path: str
    status: int
    error: str
    """An error's sentence, which by rule holds no secret."""
    version: str


def whose(bot: str, user: str | None) -> Whose:
    """Name a bot, or a user on whose behalf its app calls."""
    return {"bot": bot} if user is None else {"bot": bot, "user": user}


LABELS: Final = frozenset({"bot", "kind", "component", "reason", "result"})
"""The facts that counters keep apart: those with few values."""

LOGIN_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the histogram of logins. A request waits up to 10 s, a login may take 30."""

_EACH_REQUEST: Final = {Event.INJECTED, Event.PASSED, Event.PASSTHROUGH, Event.LOGIN_ANSWERED}
_LEVELS: Final = {
    Event.STALE_USED: logging.DEBUG,
    Event.LOGIN_FAILED: logging.WARNING,
    Event.KEY_RELOAD_FAILED: logging.WARNING,
    Event.CLOCK_DRIFT: logging.WARNING,
    Event.REFUSED: logging.WARNING,
}

_GOOD_NEWS: Final = {Event.LOGIN_SUCCEEDED}
_BAD_NEWS: Final = {Event.LOGIN_FAILED, Event.TOKEN_MARKED_BAD, Event.KEY_RELOAD_FAILED}
NEWS_KEPT: Final = 20
"""Of the good and of the bad each: the start of fifty bots does not drown what failed."""

_log = logging.getLogger("symphony_auth_proxy.audit")


@dataclass(slots=True)
class Durations:
    """How long something took: a histogram over `LOGIN_SECONDS`."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LOGIN_SECONDS) + 1))
    """One for each bound, of what took longer than the bound before; the last is the rest."""
    total: float = 0.0
    """Seconds."""

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(LOGIN_SECONDS, seconds)] += 1
        self.total += seconds


@dataclass(frozen=True, slots=True)
class News:
    """A record as it is remembered."""

    at: float
    """Wall clock, seconds since the epoch."""
    event: Event
    facts: Mapping[str, Fact]
    """Texts are harmless to show."""


class Telemetry:
    """Writes the audit records of one proxy, counts them, and remembers the last ones."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock`: says when something happened."""
        self._clock = clock or SystemClock()
        self._good: deque[News] = deque(maxlen=NEWS_KEPT)
        self._bad: deque[News] = deque(maxlen=NEWS_KEPT)
        self._refusals: dict[Fact, News] = {}
        self.request_level = logging.DEBUG
        """Of the records that there is one of for each request: for whoever turns debugging on,
        unless clients are told apart and it must be provable who used what."""
        self._counts: Counter[tuple[Event, frozenset[tuple[str, Fact]]]] = Counter()
        self._logins: dict[frozenset[tuple[str, Fact]], Durations] = {}

    def record(self, event: Event, **facts: Unpack[Facts]) -> None:
        """Write one audit record and count it.

        Raises TypeError for a fact that is not in `Facts` and for a value that is neither a
        text nor a number, above all for a Secret.
        """
        told: dict[str, Fact] = {}
        for name, value in facts.items():
            if name not in Facts.__annotations__:
                raise TypeError(f"{name!r} is not a fact that audit records tell")
            if not isinstance(value, str | int | float):
                raise TypeError(f"{name} is of type {type(value).__name__}, which is not told")
            told[name] = value
        labels = frozenset((name, value) for name, value in told.items() if name in LABELS)
        self._counts[event, labels] += 1
        if event is Event.LOGIN_SUCCEEDED and "seconds" in told:
            self._logins.setdefault(labels, Durations()).add(float(told["seconds"]))
        self._remember(event, told)
        level = self.request_level if event in _EACH_REQUEST else _LEVELS.get(event, logging.INFO)
        if _log.isEnabledFor(level):
            _log.log(level, "%s", _line(event, told))

    def _remember(self, event: Event, told: Mapping[str, Fact]) -> None:
        if event in _GOOD_NEWS:
            self._good.append(self._news(event, told))
        elif event in _BAD_NEWS:
            self._bad.append(self._news(event, told))
        elif event is Event.REFUSED and "reason" in told:
            self._refusals[told["reason"]] = self._news(event, told)

    def _news(self, event: Event, told: Mapping[str, Fact]) -> News:
        facts = {
            name: harmless(value) if isinstance(value, str) else value
            for name, value in told.items()
        }
        return News(self._clock.wall(), event, facts)

    def logins(self) -> list[News]:
        """The last logins, and what went wrong with tokens and keys, the newest first."""
        return _newest_first((*self._good, *self._bad))

    def refusals(self) -> list[News]:
        """The last refusal for each reason, the newest first."""
        return _newest_first(self._refusals.values())

    def count(self, event: Event, **labels: Unpack[Facts]) -> int:
        """How often `event` happened with these labels; those left out may be anything."""
        wanted = set(labels.items())
        return sum(
            number
            for (counted, having), number in self._counts.items()
            if counted is event and wanted <= having
        )

    def counts(self) -> Iterator[tuple[Event, Mapping[str, Fact], int]]:
        """Everything that was counted: event, labels, how often."""
        for (event, labels), number in self._counts.items():
            yield event, dict(labels), number

    def login_seconds(self) -> Iterator[tuple[Mapping[str, Fact], Durations]]:
        """How long the logins took that brought a token, by their labels."""
        for labels, durations in self._logins.items():
            yield dict(labels), durations


def _newest_first(news: Iterable[News]) -> list[News]:
    return sorted(news, key=lambda one: one.at)[::-1]


def _line(event: Event, facts: dict[str, Fact]) -> str:
    return " ".join([f"event={event}", *(f"{name}={_tame(v)}" for name, v in facts.items())])


def _tame(value: Fact) -> str:
    """One word of an audit line: as it is when that is harmless, else quoted and escaped."""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    if text and all("!" <= c <= "~" and c not in '"\\=' for c in text):
        return text
    # JSON escapes line ends, control characters and everything beyond ASCII but DEL.
    return json.dumps(text).replace("\x7f", "\\u007f")
