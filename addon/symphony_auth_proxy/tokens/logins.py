"""Logins: one at a time per account and kind, each in a task of its own.

A login never reports to those who wait for it. It changes the slot, and they look again:
so a login that was superseded, cancelled or failed cannot hand anybody its exception, and
whoever waits gets what is true when it wakes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from random import Random
from typing import Protocol

from symphony_auth_proxy.auth.key_delivery import FIRST_WITH_KEY_DELIVERY, agent_version
from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.core import names
from symphony_auth_proxy.core.backoff import Failure
from symphony_auth_proxy.core.diagnosis import of_login
from symphony_auth_proxy.core.freshness import Life, State
from symphony_auth_proxy.core.slot import Slot
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginError,
    LoginRejected,
    LoginUnavailable,
    Reason,
    place_of,
)
from symphony_auth_proxy.keys import KeyMaterial
from symphony_auth_proxy.model import GrantedToken, LoginRequest, LoginResponse, Pod, Token
from symphony_auth_proxy.stores import TokenStore
from symphony_auth_proxy.telemetry import Event, Telemetry, whose
from symphony_auth_proxy.tokens.account import Account, Line
from symphony_auth_proxy.tokens.tasks import Tasks

ATTEMPT_BUDGET = 15.0
"""Seconds for one login with all its requests (connect 5, read 10)."""

LOGINS_AT_ONCE = 8
"""Over all accounts: they share one source address, which Symphony throttles as a whole."""

USERS_AT_ONCE = 6
"""Of these on behalf of users: however many are called for, bots' logins come through."""

AGENT_INFO_BUDGET = 5.0
"""Seconds for asking the agent's version: a login goes on without an answer."""

AGENT_VERSION_LIFE = 600.0
"""Seconds for which an agent's version is remembered."""


class Transport(Protocol):
    """Whatever carries login requests to Symphony."""

    def exchange(
        self, request: LoginRequest, account: str = ""
    ) -> AbstractAsyncContextManager[LoginResponse]:
        """Send one request; its answer is read inside. Raises LoginUnavailable when there is
        none, and other LoginErrors for what the connection itself tells."""
        ...


async def converse[T](
    talk: Generator[LoginRequest, LoginResponse, T], transport: Transport, account: str = ""
) -> T:
    """Send what a login method yields, until it has what it wants. `account`: whose login it
    is, for those who watch."""
    with closing(talk):
        request = next(talk)
        while True:
            async with transport.exchange(request, account) as response:
                try:
                    request = talk.send(response)
                except StopIteration as end:
                    result: T = end.value
                    return result


class Logins:
    """Carries out the logins of all accounts of one provider."""

    def __init__(
        self,
        transport: Transport,
        store: TokenStore,
        tasks: Tasks,
        *,
        clock: Clock,
        telemetry: Telemetry,
        lifetime: float | None,
        random: Random,
    ) -> None:
        self.transport = transport
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._telemetry = telemetry
        self.lifetime = lifetime
        self._random = random
        self._gate = asyncio.Semaphore(LOGINS_AT_ONCE)
        self._users_gate = asyncio.Semaphore(USERS_AT_ONCE)

    def launch(self, account: Account, line: Line) -> None:
        """Start a login if one should be under way and none is."""
        if line.flight is None and line.slot.wants_login(self._clock.monotonic()):
            epoch = line.slot.epoch
            line.started(epoch, self._tasks.start(self._run(account, line, epoch)))

    async def _run(self, account: Account, line: Line, epoch: int) -> None:
        """One login from beginning to end. Whatever becomes of it stands in the slot."""
        shown: str | None = None

        def failed(error: Failure) -> None:
            told = of_login(
                error,
                line.slot.kind,
                simplified=account.simplified,
                key_trouble=account.keyring.trouble if account.keyring is not None else None,
            )
            self._failed(line, epoch, told, shown)

        try:
            async with (
                line.lock,
                self._admitted(account),
                self._tasks.time_limit(ATTEMPT_BUDGET),
            ):
                assert account.keyring is not None
                keys = await account.keyring.read()
                while not line.slot.is_refused(keys.fingerprint, self._clock.monotonic()):
                    shown = keys.fingerprint
                    try:
                        return await self._log_in(account, line, epoch, keys)
                    except LoginRejected:
                        # Perhaps the file was replaced a moment ago, and the old key revoked.
                        keys = await account.keyring.read()
                        if keys.fingerprint == shown:
                            raise
        except (LoginError, KeyMaterialError) as error:
            failed(error)
        except TimeoutError:
            failed(_unavailable(line, f"had no answer within {ATTEMPT_BUDGET:.0f} seconds"))
        except asyncio.CancelledError:
            failed(_unavailable(line, "was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 (else those who wait would start it again, at once and for ever)
            failed(_unavailable(line, f"failed: {place_of(error)}", Reason.INTERNAL))

    @asynccontextmanager
    async def _admitted(self, account: Account) -> AsyncGenerator[None]:
        if account.user is None:
            async with self._gate:
                yield
        else:
            async with self._users_gate, self._gate:
                yield

    async def _log_in(self, account: Account, line: Line, epoch: int, keys: KeyMaterial) -> None:
        slot, identity, key = line.slot, account.identity, names.key_of(account.bot, account.user)
        assert identity is not None
        if line is account.key_manager and account.simplified:
            told = await self._key_delivery_until(account, identity.pod)
            if told is not None:
                slot.waive(told, epoch)
                return
        begun = self._clock.monotonic()
        granted = await converse(
            identity.method.login(slot.kind, identity.pod, keys, self._clock.wall()),
            self.transport,
            names.shown(account.bot, account.user),
        )
        now = self._clock.monotonic()
        token = Token(slot.kind, granted.value, slot.next_generation(), now, self._end(granted))
        await self._store.save(key, token)
        life = Life.between(now, token.expires, self._random.random())
        if not slot.publish(token, life, epoch):
            await self._store.discard(key, slot.kind, token.generation)
            return
        self._telemetry.record(
            Event.LOGIN_SUCCEEDED,
            **whose(slot.bot, slot.user),
            kind=_kind(slot),
            generation=token.generation,
            fingerprint=token.value.fingerprint(),
            seconds=now - begun,
        )
        if line is account.session:
            self._learn(account, granted)

    def _learn(self, account: Account, granted: GrantedToken) -> None:
        """Take over what a new session token says about key manager tokens."""
        key_manager = account.key_manager.slot
        account.simplified = granted.simplified_key_delivery
        if not account.simplified:
            key_manager.unwaive()
        # The next call may well be one to the agent. Nobody waits: a failure is counted, no more.
        if key_manager.state(self._clock.monotonic()) is State.EMPTY:
            self.launch(account, account.key_manager)

    async def _key_delivery_until(self, account: Account, pod: Pod) -> float | None:
        """Until when the agent is known to do without key manager tokens, monotonic.

        None: it needs them, or it does not tell.
        """
        if not pod.separate_agent:
            return float("inf")
        now = self._clock.monotonic()
        if account.agent is None or now >= account.agent[1] + AGENT_VERSION_LIFE:
            account.agent = None
            try:
                async with self._tasks.time_limit(AGENT_INFO_BUDGET):
                    asking = names.shown(account.bot, account.user)
                    version = await converse(agent_version(pod), self.transport, asking)
            except (LoginError, TimeoutError):
                return None
            if version is None:
                return None
            account.agent = (version, now)
        version, told = account.agent
        return told + AGENT_VERSION_LIFE if version >= FIRST_WITH_KEY_DELIVERY else None

    def _end(self, granted: GrantedToken) -> float | None:
        """When a token that was granted now ends, monotonic; None: nobody knows."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        if granted.expires_at is not None and granted.expires_at > wall:
            return now + granted.expires_at - wall
        return None if self.lifetime is None else now + self.lifetime

    def _failed(self, line: Line, epoch: int, error: Failure, shown: str | None) -> None:
        slot, now, draw = line.slot, self._clock.monotonic(), self._random.random()
        if slot.fail(error, epoch, now=now, draw=draw, key=shown):
            self._telemetry.record(
                Event.LOGIN_FAILED,
                **whose(slot.bot, slot.user),
                kind=_kind(slot),
                reason=error.reason,
                diagnosis=error.diagnosis,
                error=str(error),
            )


def _kind(slot: Slot) -> str:
    """What a login was for. A user's session is none of the bot's: a monitor that counts the
    bot's failed logins must not count it."""
    return slot.kind if slot.user is None else "user_session"


def _unavailable(line: Line, what: str, reason: Reason | None = None) -> LoginUnavailable:
    kind = line.slot.kind.replace("_", " ")
    return LoginUnavailable(f"the {kind} login of {line.slot.owner} {what}", reason=reason)
