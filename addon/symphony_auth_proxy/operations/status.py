"""What is true about the running proxy, as data.

Health, readiness, the status page, metrics and `symphony-auth-proxy status` all tell from
this one value. It is made anew for each question, holds no secret, and knows nothing of
how it is asked for or shown.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.model import Origin, Settings, TokenKind
from symphony_auth_proxy.telemetry import Event, Fact, News, Telemetry
from symphony_auth_proxy.tokens.account import BotStatus
from symphony_auth_proxy.tokens.provider import TokenProvider

DECISIONS = {
    Event.INJECTED: "injected",
    Event.PASSED: "passed",
    Event.LOGIN_ANSWERED: "answered",
    Event.REFUSED: "refused",
    Event.PASSTHROUGH: "passthrough",
}
"""What is decided about a request (the last: about a connection), by the event it leaves."""


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """A login, or what went wrong with a token or a key."""

    at: float
    """Wall clock, seconds since the epoch."""
    event: str
    """As in the audit."""
    result: str
    """`ok` or `failed`."""
    bot: str | None = None
    user: str | None = None
    kind: str | None = None
    component: str | None = None
    """Which refused the token."""
    reason: str | None = None
    diagnosis: str | None = None
    error: str | None = None
    seconds: float | None = None
    fingerprint: str | None = None
    generation: int | None = None

    @classmethod
    def of(cls, news: News) -> LoginRecord:
        names = {field.name for field in dataclasses.fields(cls)} & news.facts.keys()
        told: dict[str, Any] = {name: news.facts[name] for name in names}
        result = "ok" if news.event is Event.LOGIN_SUCCEEDED else "failed"
        return cls(**(told | {"at": news.at, "event": news.event, "result": result}))


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often requests were refused for one reason, and what is known of the last one."""

    reason: str
    count: int
    at: float
    """Wall clock of the last one, seconds since the epoch."""
    host: str | None = None
    client: str | None = None
    bot: str | None = None
    diagnosis: str | None = None

    @classmethod
    def of(cls, news: News, telemetry: Telemetry) -> Refusals:
        reason = str(news.facts["reason"])
        names = ("host", "client", "bot", "diagnosis")
        told = {name: str(news.facts[name]) for name in names if name in news.facts}
        return cls(reason, telemetry.count(Event.REFUSED, reason=reason), news.at, **told)


@dataclass(frozen=True, slots=True)
class Status:
    """The proxy at one moment."""

    version: str
    since: float
    """Wall clock when it was started, seconds since the epoch."""
    uptime: float
    """Seconds."""
    ca_certificate: Path
    """What clients must trust, PEM."""
    config: Path | None = None
    listeners: tuple[Origin, ...] = ()
    clients: tuple[str, ...] = ()
    """The names of those who may use it; empty: whoever reaches it."""
    bots: tuple[BotStatus, ...] = ()
    awaited: tuple[str, ...] = ()
    """Bots whose first login has not ended yet, one way or the other."""
    decisions: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """That got tokens: by bot, then by component."""
    passed: Mapping[str, int] = field(default_factory=dict)
    """That passed without any: by the reason."""
    resends: Mapping[str, int] = field(default_factory=dict)
    """By the status that the second attempt got, or `failed`."""
    logins: tuple[LoginRecord, ...] = ()
    """The last ones, and what went wrong with tokens and keys, the newest first."""
    refusals: tuple[Refusals, ...] = ()
    """The latest first."""
    draining: bool = False
    trouble: str | None = None
    """Why no Symphony request is served."""

    @classmethod
    def of(
        cls,
        settings: Settings | None,
        provider: TokenProvider | None,
        telemetry: Telemetry,
        *,
        version: str,
        since: float,
        now: float,
        ca_certificate: Path,
        listeners: Sequence[Origin],
        draining: bool,
        trouble: SymphonyAuthProxyError | None,
    ) -> Status:
        """Look at the parts. `settings` and `provider`: those in force, None without any;
        `since` and `now`: wall clock."""
        names = [bot.username for bot in settings.bots] if settings else []
        return cls(
            version=version,
            since=since,
            uptime=max(now - since, 0.0),
            ca_certificate=ca_certificate,
            config=settings.source if settings else None,
            listeners=tuple(listeners),
            clients=tuple(client.name for client in settings.clients) if settings else (),
            bots=tuple(provider.snapshot(name) for name in names) if provider else (),
            awaited=tuple(name for name in names if not _has_tried(telemetry, name)),
            decisions={name: telemetry.count(event) for event, name in DECISIONS.items()},
            requests=_requests(telemetry),
            passed=_sums(telemetry, Event.PASSED, "reason"),
            resends=_sums(telemetry, Event.RESENT, "result"),
            logins=tuple(map(LoginRecord.of, telemetry.logins())),
            refusals=tuple(Refusals.of(news, telemetry) for news in telemetry.refusals()),
            draining=draining,
            trouble=_in_short(trouble),
        )

    @property
    def users(self) -> int:
        """Of how many users sessions are kept."""
        return sum(bot.users for bot in self.bots)

    def obstacles(self) -> tuple[str, ...]:
        """Why no new requests should be sent here; empty: it is ready.

        A bot whose login was refused is none of the reasons: the others still work, and
        whoever asks for that one is told.
        """
        found = []
        if self.draining:
            found.append("the proxy is stopping")
        elif not self.listeners:
            found.append("no listener is open")
        if self.trouble is not None:
            found.append(self.trouble)
        found += [f"the first login of {bot} has not ended yet" for bot in self.awaited]
        return tuple(found)

    def as_json(self) -> dict[str, object]:
        """The same as what JSON knows. Times in seconds."""
        found = dataclasses.asdict(self)
        found["ca_certificate"] = str(self.ca_certificate)
        found["config"] = None if self.config is None else str(self.config)
        found["listeners"] = [str(place) for place in self.listeners]
        found["users"] = self.users
        found["reasons"] = self.obstacles()
        found["ready"] = not self.obstacles()
        return found


def _requests(telemetry: Telemetry) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for event, labels, number in telemetry.counts():
        if event is Event.INJECTED:
            of_bot = found.setdefault(str(labels.get("bot", "")), {})
            component = str(labels.get("component", ""))
            of_bot[component] = of_bot.get(component, 0) + number
    return found


def _sums(telemetry: Telemetry, wanted: Event, label: str) -> dict[str, int]:
    """How often something happened, by one of its labels, the most frequent first."""
    sums: Counter[Fact] = Counter()
    for event, labels, number in telemetry.counts():
        if event is wanted:
            sums[labels.get(label, "")] += number
    return {str(name): number for name, number in sums.most_common()}


def _has_tried(telemetry: Telemetry, bot: str) -> bool:
    """Counters, not the tokens: a flush does not make a proxy unready that was ready."""
    return any(
        telemetry.count(event, bot=bot, kind=TokenKind.SESSION)
        for event in (Event.LOGIN_SUCCEEDED, Event.LOGIN_FAILED)
    )


def _in_short(trouble: SymphonyAuthProxyError | None) -> str | None:
    """One line: the whole list of a file's problems is for the log and for `reload`."""
    if trouble is None:
        return None
    return f"{trouble.reason}: {str(trouble).partition('\n')[0].removesuffix(':')}"
