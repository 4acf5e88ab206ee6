"""What the provider keeps for one account: a line for each kind of token, and what both share.

An account is a bot, or a user on whose behalf a bot's extension app calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from symphony_auth_proxy.auth import OnBehalfOfLogin
from symphony_auth_proxy.auth.key_delivery import AgentVersion
from symphony_auth_proxy.core.freshness import Life, State
from symphony_auth_proxy.core.slot import Slot
from symphony_auth_proxy.model import Bot, LoginMethod, Pod, TokenKind
from symphony_auth_proxy.tokens.keyring import Keyring


class Wants(StrEnum):
    """Which tokens a request cannot do without."""

    SESSION = "session"
    """A call to the pod. The key manager token comes along when it is at hand; the request
    never waits or fails for it."""
    BOTH = "both"
    """A call to the agent: both, unless Simplified Key Delivery spares the second."""


@dataclass(slots=True, eq=False)
class Line:
    """One account's token of one kind, and the one login for it that may be under way."""

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

    @property
    def busy(self) -> bool:
        """Whether a login runs, be it one whose result does not count any more."""
        return self.flight is not None or self.lock.locked()

    def started(self, epoch: int, flight: asyncio.Task[None]) -> None:
        self._flight = (epoch, flight)

    def supersede(self) -> None:
        """End the login under way after the epoch has moved."""
        if self._flight is not None:
            self._flight[1].cancel()


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom an account logs in, where, and how."""

    pod: Pod
    method: LoginMethod

    @classmethod
    def of(cls, bot: Bot | None, user: str | None) -> Identity | None:
        """What the configuration says about an account; None: nothing."""
        if bot is None:
            return None
        if user is None:
            return cls(bot.pod, bot.method)
        if bot.app is None:
            return None
        return cls(bot.pod, OnBehalfOfLogin(bot.app.app_id, user, bot.app.credentials))


@dataclass(slots=True, eq=False)
class Account:
    """Everything known about one account, but for its tokens' values."""

    bot: str
    user: str | None
    session: Line
    key_manager: Line
    identity: Identity | None = None
    """None: the configuration does not name the account any more."""
    keyring: Keyring | None = None
    """Of the identity; users of one app share one."""
    simplified: bool | None = None
    """What the last session token says about Simplified Key Delivery; None: no token yet."""
    agent: tuple[AgentVersion, float] | None = None
    """The agent's version, and the monotonic instant at which it was told."""
    _waiting: int = 0

    @classmethod
    def of(cls, bot: str, user: str | None = None, *, generation: int = 0) -> Account:
        """An account without identity. `generation`: the last that is not its own any more."""
        spared = None if user is None else Life()
        return cls(
            bot,
            user,
            Line(Slot(bot, TokenKind.SESSION, user, generation)),
            Line(Slot(bot, TokenKind.KEY_MANAGER, user, exemption=spared)),
        )

    @property
    def lines(self) -> tuple[Line, Line]:
        return (self.session, self.key_manager)

    def line(self, kind: TokenKind) -> Line:
        return self.session if kind is TokenKind.SESSION else self.key_manager

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Keep the account while a request waits for its tokens."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @property
    def waiters(self) -> int:
        """How many requests wait for its tokens now."""
        return self._waiting

    @property
    def idle(self) -> bool:
        """Whether nobody would notice if the account were forgotten, but for a login more."""
        return not self._waiting and not any(line.busy for line in self.lines)

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
    diagnosis: str | None = None
    """What the trouble is, out of `diagnoses.Diagnosis`."""
    hint: str | None = None
    """What to do about the trouble."""
    obtained: float | None = None
    """Wall clock when the login that brought it ended, seconds since the epoch."""
    renew_in: float | None = None
    """When it is to be replaced: by the first request after that, which does not wait for it."""

    @classmethod
    def of(cls, line: Line, now: float, wall: float) -> TokenStatus:
        """`now`, `wall`: the same instant by the monotonic and by the wall clock."""
        slot = line.slot
        held, setback = slot.held, slot.setback
        known_end = held is not None and held.life.end != inf
        to_be_renewed = held is not None and held.life.advisory != inf
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
            diagnosis=setback.error.diagnosis if setback else None,
            hint=(setback.error.hint() or None) if setback else None,
            obtained=wall - (now - held.obtained) if held else None,
            renew_in=max(held.life.advisory - now, 0.0) if held and to_be_renewed else None,
        )


@dataclass(frozen=True, slots=True)
class BotStatus:
    """One account as people may see it."""

    bot: str
    session: TokenStatus
    key_manager: TokenStatus
    user: str | None = None
    """On whose behalf; None: the bot itself."""
    users: int = 0
    """Of how many users the bot's app keeps sessions."""
    waiting: int = 0
    """How many requests wait for tokens of the bot or of these users now."""
    pod: str | None = None
    """Host and port of the pod that it belongs to."""
