"""What the provider keeps for one bot: a line for each kind of token, and what both share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from symphony_auth_proxy.auth.key_delivery import AgentVersion
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.core.slot import Slot
from symphony_auth_proxy.keyring import Keyring
from symphony_auth_proxy.model import Bot, TokenKind
from symphony_auth_proxy.telemetry import Telemetry


class Wants(StrEnum):
    """Which tokens a request cannot do without."""

    SESSION = "session"
    """A call to the pod. The key manager token comes along when it is at hand; the request
    never waits or fails for it."""
    BOTH = "both"
    """A call to the agent: both, unless Simplified Key Delivery spares the second."""


@dataclass(slots=True, eq=False)
class Line:
    """One bot's token of one kind, and the one login for it that may be under way."""

    slot: Slot
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a login: a superseded one has really ended before the next one begins."""
    _flight: tuple[int, asyncio.Task[None]] | None = None

    @property
    def flight(self) -> asyncio.Task[None] | None:
        """The login under way whose result still counts."""
        if self._flight is None:
            return None
        epoch, task = self._flight
        return None if task.done() or epoch != self.slot.epoch else task

    def started(self, epoch: int, flight: asyncio.Task[None]) -> None:
        self._flight = (epoch, flight)

    def supersede(self) -> None:
        """End the login under way after the epoch has moved."""
        if self._flight is not None:
            self._flight[1].cancel()


@dataclass(slots=True, eq=False)
class Account:
    """Everything known about one bot, but for its tokens' values."""

    bot: Bot
    keyring: Keyring
    session: Line
    key_manager: Line
    simplified: bool | None = None
    """What the last session token says about Simplified Key Delivery; None: no token yet."""
    agent: tuple[AgentVersion, float] | None = None
    """The agent's version, and the monotonic instant at which it was told."""

    @classmethod
    def of(cls, bot: Bot, telemetry: Telemetry) -> Account:
        return cls(
            bot,
            Keyring(bot, telemetry),
            Line(Slot(bot.username, TokenKind.SESSION)),
            Line(Slot(bot.username, TokenKind.KEY_MANAGER)),
        )

    @property
    def lines(self) -> tuple[Line, Line]:
        return (self.session, self.key_manager)

    def line(self, kind: TokenKind) -> Line:
        return self.session if kind is TokenKind.SESSION else self.key_manager

    def needed(self, wants: Wants, now: float) -> tuple[Line, ...]:
        """The lines to have ready next.

        Both logins run at the same time only when the last session token told that the bot
        is not on Simplified Key Delivery: such a pod may have no key manager at all.
        """
        if wants is Wants.SESSION:
            return (self.session,)
        if self.simplified is False or self.session.slot.ready(now):
            return self.lines
        return (self.session,)


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """One token as people may see it. Times in seconds."""

    kind: TokenKind
    state: State
    generation: int
    logging_in: bool
    age: float | None = None
    expires_in: float | None = None
    """None: there is no token, or its life is unknown."""
    fingerprint: str | None = None
    trouble: str | None = None
    """Why the last login failed, while that has not been healed."""
    retry_in: float | None = None

    @classmethod
    def of(cls, line: Line, now: float) -> TokenStatus:
        slot = line.slot
        held, setback = slot.held, slot.setback
        known_end = held is not None and held.life.end != float("inf")
        return cls(
            kind=slot.kind,
            state=slot.state(now),
            generation=slot.generation,
            logging_in=line.flight is not None,
            age=now - held.obtained if held else None,
            expires_in=held.life.end - now if held and known_end else None,
            fingerprint=held.fingerprint if held else None,
            trouble=f"{setback.error.reason}: {setback.error}" if setback else None,
            retry_in=max(setback.request_at - now, 0.0) if setback else None,
        )


@dataclass(frozen=True, slots=True)
class BotStatus:
    """One bot as people may see it."""

    bot: str
    session: TokenStatus
    key_manager: TokenStatus
