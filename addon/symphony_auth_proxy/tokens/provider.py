"""The token provider: gets tokens, keeps them, and hands them out.

Requests ask for a pair and get one at once while there are good tokens; they wait, never
longer than their own patience, while there are none. However many ask, one login runs per
account and kind, in a task of its own that no caller can take down. What may be handed out and
when to log in is decided by `core.slot`; what is sent, by the login methods in `auth`;
sending is the transport's. Nothing here knows about HTTP proxies.

A login never reports to those who wait for it. It changes the slot, and they look again:
so a login that was superseded, cancelled or failed cannot hand anybody its exception, and
whoever waits gets what is true when it wakes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from symphony_auth_proxy.clock import Clock, SystemClock
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.core.names import key_of
from symphony_auth_proxy.errors import LoginUnavailable, Reason
from symphony_auth_proxy.model import Bot, Component, Token, TokenPair
from symphony_auth_proxy.stores import MemoryStore, TokenStore
from symphony_auth_proxy.telemetry import Event, Telemetry, whose
from symphony_auth_proxy.tokens.account import Account, BotStatus, Line, TokenStatus, Wants
from symphony_auth_proxy.tokens.accounts import Accounts, too_late
from symphony_auth_proxy.tokens.logins import ATTEMPT_BUDGET, Logins, Transport
from symphony_auth_proxy.tokens.tasks import Tasks

__all__ = ["BotStatus", "TokenProvider", "TokenStatus", "Transport", "Wants"]

PATIENCE = 10.0
"""Seconds that a request waits for its tokens, counted from its arrival: less than the
read time-out of every Symphony SDK, so that they get an answer they can retry."""

STAGGER = 0.25
"""Seconds between the start-up logins of two bots."""

DRIFT = 300.0
"""Seconds by which wall clock and monotonic clock may part before tokens are distrusted:
the machine slept, or its clock was set."""


class TokenProvider:
    """The tokens of all configured bots, and of the users on whose behalf their apps call.
    Belongs to one event loop."""

    def __init__(
        self,
        bots: Sequence[Bot],
        transport: Transport,
        *,
        telemetry: Telemetry,
        clock: Clock | None = None,
        store: TokenStore | None = None,
        lifetime: float | None = None,
        random: Random | None = None,
    ) -> None:
        """`lifetime`: seconds that tokens live when they do not tell it themselves; None:
        they are kept until a 401."""
        self._telemetry = telemetry
        self._clock = clock or SystemClock()
        self._store = store or MemoryStore(self._clock)
        self._accounts = Accounts(bots, telemetry, self._forget)
        self._tasks = Tasks(self._clock)
        self._logins = Logins(
            transport,
            self._store,
            self._tasks,
            clock=self._clock,
            telemetry=telemetry,
            lifetime=lifetime,
            random=random or Random(),  # noqa: S311 (jitter, not cryptography)
        )
        self._offset = self._clock.wall() - self._clock.monotonic()
        self._starting: asyncio.Task[None] | None = None
        self._closed = False

    # For requests.

    async def get(
        self, bot: str, wants: Wants, *, arrived: float, user: str | None = None
    ) -> TokenPair:
        """Return the tokens for one request, which `arrived` at that monotonic instant.

        `user`: on whose behalf, a username or an id; there is a session token only, then,
        which the bot's app gets.
        Waits for a login until 10 s after the arrival. Raises LoginError, with
        `retry_after`, and KeyMaterialError.
        """
        account = self._accounts.obtain(bot, user)
        with account.waiting():
            return await self._get(account, wants, arrived + PATIENCE)

    async def _get(self, account: Account, wants: Wants, deadline: float) -> TokenPair:
        identity = account.identity
        while True:
            # A token of another identity may be for other hosts than this request.
            if self._closed or account.identity is not identity:
                raise too_late()
            now = self._now()
            needed = account.needed(wants, now)
            for line in needed:
                self._logins.launch(account, line)
            patient = now < deadline
            missing = [line for line in needed if not line.slot.ready(now, patient=patient)]
            if missing:
                await self._wait(missing[0], deadline)
                continue
            pair = await self._pair(account, wants)
            if pair is not None:
                self._count_stale(account.needed(wants, now), now)
                return pair

    def accepted(self, pair: TokenPair, component: Component) -> None:
        """An upstream answered 2xx to a request with this pair."""
        account = self._accounts.find(pair.bot, pair.user)
        if account is None:
            return
        for token in _judged(pair, component):
            account.line(token.kind).slot.accept(token.generation)

    async def renew(
        self, pair: TokenPair, component: Component, *, arrived: float
    ) -> TokenPair | None:
        """An upstream answered 401 to a request with this pair: return another to resend
        with, or None when the answer must stand: new tokens were refused a moment ago.

        `arrived`: when the 401 arrived, monotonic; waits until 10 s after that. (The
        request itself may have been a long poll, with its own patience long gone.)
        Raises LoginError and KeyMaterialError when the login fails.
        """
        self._refuse(pair, component)
        try:
            return await self.get(pair.bot, _wants(component), arrived=arrived, user=pair.user)
        except LoginUnavailable as error:
            if error.reason is Reason.TOKENS_REFUSED:
                return None
            raise

    def refused(self, pair: TokenPair, component: Component) -> None:
        """The same news as in `renew`, for a request that cannot be resent: new tokens are
        fetched in the background."""
        account = self._refuse(pair, component)
        if account is None or account.identity is None:
            return
        for line in account.needed(_wants(component), self._now()):
            self._logins.launch(account, line)

    # For those who run the proxy.

    def start(self) -> None:
        """Log in all bots in the background, one after the other."""
        if self._starting is not None:
            self._starting.cancel()
        self._starting = self._tasks.start(self._log_in_all())

    def reconfigure(
        self, bots: Sequence[Bot], transport: Transport, lifetime: float | None
    ) -> None:
        """Follow another configuration, while requests wait and others are on their way.

        A bot with the same pod and login method as before keeps its tokens, and so do the
        users of an app that is the same. What failed or was refused is forgotten: it may have
        been mended. No login that is under way counts any more; where one is needed, another
        begins, at once for requests that wait for it. `lifetime`: as at the beginning; for
        new tokens.
        """
        self._logins.transport, self._logins.lifetime = transport, lifetime
        for account in self._accounts.configure(bots):
            self._forget(account)
        for account in self._accounts:
            for line in account.lines:
                line.slot.forgive()
                line.supersede()
        if self._starting is not None:
            self.start()

    def flush(self, bot: str | None = None) -> None:
        """Forget the tokens, failures and refusals of one bot and its app's users, or of all."""
        for account in self._accounts if bot is None else self._accounts.of(bot):
            self._forget(account)
            if account.user is None:
                self._telemetry.record(Event.FLUSHED, bot=account.bot)

    def snapshot(self, bot: str, user: str | None = None) -> BotStatus:
        """What is known about the tokens of a bot, or of a user of its app, without any
        secret. Raises KeyError for whom there are none."""
        account = self._accounts.find(bot, user)
        if account is None:
            raise KeyError(bot, user)
        now, wall = self._clock.monotonic(), self._clock.wall()
        session, key_manager = (TokenStatus.of(line, now, wall) for line in account.lines)
        together = [account] if user is not None else self._accounts.of(bot)
        waiting = sum(one.waiters for one in together)
        pod = str(account.identity.pod.pod.origin) if account.identity else None
        return BotStatus(bot, session, key_manager, user, len(together) - 1, waiting, pod)

    async def aclose(self) -> None:
        """End all logins; whoever waits gets LoginUnavailable."""
        self._closed = True
        for account in self._accounts:
            for line in account.lines:
                line.slot.clear()  # what is cancelled now is no failed login
        await self._tasks.aclose()

    # Handing out.

    async def _pair(self, account: Account, wants: Wants) -> TokenPair | None:
        """Both tokens of one moment, or None when they changed while the store was asked."""
        session = await self._load(account.session)
        key_manager = await self._load(account.key_manager)
        now = self._clock.monotonic()
        if session is None or not account.session.slot.vouches_for(session, now):
            return None
        if key_manager is not None and not account.key_manager.slot.vouches_for(key_manager, now):
            key_manager = None
        spared = account.key_manager.slot.state(now) is State.NOT_REQUIRED
        if wants is Wants.BOTH and key_manager is None and not spared:
            return None
        return TokenPair(account.bot, session, key_manager, account.user)

    async def _log_in_all(self) -> None:
        for account in self._accounts.bots():
            self._logins.launch(account, account.session)
            await self._clock.sleep(STAGGER)

    async def _load(self, line: Line) -> Token | None:
        slot, held = line.slot, line.slot.held
        if held is None or not slot.at_hand(self._clock.monotonic()):
            return None
        token = await self._store.load(key_of(slot.bot, slot.user), slot.kind)
        if token is not None and token.generation == held.generation:
            return token
        if slot.held is held:
            slot.lose()
        return None

    async def _wait(self, line: Line, deadline: float) -> None:
        """Wait for what `line` lacks: the login under way, or the end of a pause.

        Raises what clients are to be told when that would take too long.
        """
        now = self._clock.monotonic()
        flight = line.flight
        obstacle = line.slot.obstacle(now)
        if flight is not None and now < deadline:
            await self._tasks.wait(flight, deadline)
        elif obstacle is None:
            if now >= deadline:
                raise LoginUnavailable(
                    f"the login of {line.slot.owner} has taken more than {PATIENCE:.0f} seconds",
                    hint="see if the pod and the key manager can be reached from here",
                    retry_after=ATTEMPT_BUDGET - PATIENCE,
                )
        elif obstacle.worth_waiting and obstacle.until < deadline:
            await self._tasks.wait(None, obstacle.until)
        else:
            raise obstacle.telling(now)

    def _count_stale(self, handed_out: tuple[Line, ...], now: float) -> None:
        for line in handed_out:
            if line.slot.overdue(now):
                slot = line.slot
                self._telemetry.record(
                    Event.STALE_USED, **whose(slot.bot, slot.user), kind=slot.kind
                )

    def _refuse(self, pair: TokenPair, component: Component) -> Account | None:
        """Take over a 401. Returns the account, if there is still one."""
        account = self._accounts.find(pair.bot, pair.user)
        if account is None:
            return None
        news = [token for token in _judged(pair, component) if self._mark_bad(account, token)]
        if news and component is Component.AGENT and pair.key_manager is None:
            # Perhaps the agent wants a key manager token after all: it was downgraded, say.
            account.agent = None
            account.key_manager.slot.unwaive()
        for token in news:
            self._telemetry.record(
                Event.TOKEN_MARKED_BAD,
                **whose(pair.bot, pair.user),
                kind=token.kind,
                component=component,
                generation=token.generation,
            )
        return account

    def _mark_bad(self, account: Account, token: Token) -> bool:
        line = account.line(token.kind)
        if not line.slot.refuse(token.generation):
            return False
        line.supersede()
        self._discard(line)
        return True

    def _forget(self, account: Account) -> None:
        """Forget all but how far generations have counted; end the logins under way."""
        account.simplified = account.agent = None
        for line in account.lines:
            line.slot.clear()
            line.supersede()
            self._discard(line)

    def _discard(self, line: Line) -> None:
        slot = line.slot
        key = key_of(slot.bot, slot.user)
        self._tasks.start(self._store.discard(key, slot.kind, slot.generation))

    def _now(self) -> float:
        """The monotonic clock, after a look whether it and the wall clock still agree."""
        now = self._clock.monotonic()
        offset = self._clock.wall() - now
        if abs(offset - self._offset) > DRIFT:
            self._telemetry.record(Event.CLOCK_DRIFT, seconds=offset - self._offset)
            self._offset = offset
            for account in self._accounts:
                for line in account.lines:
                    line.slot.distrust_clocks(now)
        return now


def _wants(component: Component) -> Wants:
    return Wants.BOTH if component is Component.AGENT else Wants.SESSION


def _judged(pair: TokenPair, component: Component) -> tuple[Token, ...]:
    """The tokens that an answer of `component` speaks about.

    The pod looks at the session token alone. The agent looks at both, and its 401 does not
    say which of them it means.
    """
    if component is Component.AGENT and pair.key_manager is not None:
        return (pair.session, pair.key_manager)
    return (pair.session,)
