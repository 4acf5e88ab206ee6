"""The token provider over a long life: whatever happens, in whatever order.

Hypothesis makes up stories of requests for a bot and on behalf of users, of refusals, outages,
flushes, reloads, rotations, jumps of the clock and callers that leave; what must hold in all of
them is checked after every step.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.clock import runner, settled
from support.engine import NAME, Engine
from support.scripted_pod import (
    APP,
    ON_PREMISES,
    USER,
    KeyInHand,
    answer,
    app,
    bot,
    endpoint,
    json_answer,
    key,
    raising,
)
from symphony_auth_proxy.errors import KeyMaterialError, LoginError
from symphony_auth_proxy.model import Bot, Component, Pod, Token, TokenKind, TokenPair
from symphony_auth_proxy.tokens import accounts
from symphony_auth_proxy.tokens.provider import PATIENCE, Wants

ANSWERS = {
    "down": answer(503),
    "throttled": answer(429, retry_after="30"),
    "refused": json_answer(401, code=401, message="Unauthorized"),
    "a web page": answer(404, "<html>"),
    "cancelled": raising(asyncio.CancelledError),
    "a bug": raising(lambda: ZeroDivisionError("oops")),
}
STEPS = [*TokenKind, APP, USER]
USERS = ["alice", "bob", "carol"]
ANYBODY = st.sampled_from([None, *USERS])
ELSEWHERE = replace(ON_PREMISES, pod=endpoint("elsewhere"), key_manager=endpoint("km.elsewhere"))
COMPONENTS = st.sampled_from([Component.POD, Component.AGENT])
SECONDS = st.sampled_from([0.0, 0.3, 2.0, 9.0, 15.0, 61.0, 121.0, 700.0, 2000.0, 3590.0])


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()


class ProviderMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.audit = _Lines()
        self.log = logging.getLogger("symphony_auth_proxy")
        self.log.addHandler(self.audit)
        self.log.setLevel(logging.DEBUG)
        self.waiting: list[tuple[float, asyncio.Task[None]]] = []
        self.handed_out: list[TokenPair] = []
        self.newest: dict[tuple[str | None, TokenKind], int] = defaultdict(int)
        self.dead: set[tuple[str | None, TokenKind, int]] = set()
        self.errors: list[Exception] = []

    @initialize(
        eager=st.booleans(),
        lifetime=st.sampled_from([None, 3600.0]),
        simplified=st.booleans(),
        store_delay=st.sampled_from([0.0, 0.2]),
    )
    def begin(
        self, eager: bool, lifetime: float | None, simplified: bool, store_delay: float
    ) -> None:
        self.loop = runner(eager=eager)
        self.keys = KeyInHand(key("key-0"))
        self.app = app(credentials=self.keys)
        self.lifetime = lifetime
        self.bot: Bot | None = bot(NAME, pod=ON_PREMISES, credentials=self.keys, app=self.app)
        self.bound, accounts.USERS = accounts.USERS, 2
        self.engine = Engine(
            self.bot,
            lifetime=lifetime,
            store_delay=store_delay,
        )
        self.patience = PATIENCE + 4 * store_delay
        self.engine.pod.simplified = simplified
        self.engine.pod.answers[None] = json_answer(200, version="Agent-25.1.0")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        async def step() -> None:
            await work
            await settled()

        self.loop.run(step())

    # What clients do.

    async def _request(self, wanted: Coroutine[Any, Any, TokenPair | None]) -> None:
        asked_for = self.bot
        try:
            pair = await wanted
        except (LoginError, KeyMaterialError) as error:
            self.errors.append(error)
        else:
            if pair is not None:
                self._check(pair, asked_for)
                self.handed_out.append(pair)

    def _check(self, pair: TokenPair, asked_for: Bot | None) -> None:
        """At the very moment at which a pair is handed out."""
        now = self.engine.clock.monotonic()
        assert asked_for is not None
        assert self.bot is not None
        assert asked_for.pod == self.bot.pod, "a request for one pod got the tokens of another"
        assert pair.user is None or pair.key_manager is None
        for token in _tokens(pair):
            assert (pair.user, token.kind, token.generation) not in self.dead
            assert token.expires is None or token.expires > now
            assert token.generation >= self.newest[pair.user, token.kind]
            self.newest[pair.user, token.kind] = token.generation
            session = token.kind is TokenKind.SESSION
            place = self.bot.pod.pod if session else self.bot.pod.key_manager
            assert self.engine.pod.issued[token.value.reveal()] == place.origin.host

    @rule(
        wants=st.sampled_from(Wants), user=ANYBODY, how_many=st.integers(1, 5), well=st.booleans()
    )
    def requests_arrive(self, wants: Wants, user: str | None, how_many: int, well: bool) -> None:
        if well:  # else nobody would ever be served, for all the trouble there is
            self.all_is_well_again()

        async def story() -> None:
            for _ in range(how_many):
                self._wait_for(self.engine.get(wants, user=user))

        self.run(story())

    def _wait_for(self, wanted: Coroutine[Any, Any, TokenPair | None]) -> None:
        task = asyncio.create_task(self._request(wanted))  # noqa: TID251 (held right here)
        self.waiting.append((self.engine.clock.monotonic(), task))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_caller_leaves(self, data: st.DataObject) -> None:
        async def story() -> None:
            data.draw(st.sampled_from([task for _, task in self.waiting])).cancel()

        self.run(story())

    # What upstreams say.

    @precondition(lambda self: self.handed_out)
    @rule(data=st.data(), component=COMPONENTS)
    def a_pair_is_accepted(self, data: st.DataObject, component: Component) -> None:
        self.engine.provider.accepted(self._used(data), component)

    @precondition(lambda self: self.handed_out)
    @rule(data=st.data(), component=COMPONENTS, resendable=st.booleans())
    def a_pair_is_refused(
        self, data: st.DataObject, component: Component, resendable: bool
    ) -> None:
        pair = self._used(data)

        async def story() -> None:
            if resendable:
                self._wait_for(self.engine.renew(pair, component))
                await asyncio.sleep(0)  # the news arrives when the call begins
            else:
                self.engine.provider.refused(pair, component)
            judged = _tokens(pair) if component is Component.AGENT else [pair.session]
            self.dead |= {(pair.user, token.kind, token.generation) for token in judged}

        self.run(story())

    def _used(self, data: st.DataObject) -> TokenPair:
        return data.draw(st.sampled_from(self.handed_out[-3:]))

    # What happens around them.

    @rule(step=st.sampled_from(STEPS), what=st.sampled_from(sorted(ANSWERS)))
    def logins_are_answered_with(self, step: str, what: str) -> None:
        self.engine.pod.answers[step] = ANSWERS[what]

    @rule()
    def all_is_well_again(self) -> None:
        for step in STEPS:
            self.engine.pod.answers.pop(step, None)
        self.engine.pod.delay = 0.0
        self.engine.pod.stubborn = False
        self.keys.material = key("key-0")

    @rule(delay=st.sampled_from([0.0, 1.0, 12.0, 20.0]), stubborn=st.booleans())
    def answers_take(self, delay: float, stubborn: bool) -> None:
        self.engine.pod.delay = delay
        self.engine.pod.stubborn = stubborn

    @rule(simplified=st.booleans())
    def key_delivery_is_switched(self, simplified: bool) -> None:
        self.engine.pod.simplified = simplified

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.run(self.engine.clock.turn(seconds))

    @rule(seconds=st.sampled_from([-86_400.0, -200.0, 301.0, 86_400.0]))
    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.engine.clock.step_wall(seconds)

    @rule()
    def tokens_are_flushed(self) -> None:
        async def story() -> None:
            self._all_die([None, *USERS])
            self.engine.provider.flush()

        self.run(story())

    def _all_die(self, users: list[str | None]) -> None:
        for user in users:
            for kind in TokenKind:
                known = range(self._generation(kind, user) + 1)
                self.dead |= {(user, kind, number) for number in known}

    @rule()
    def the_same_configuration_is_loaded(self) -> None:
        self.run(self._reload(self.bot))

    @rule(
        there=st.sampled_from([True, True, True, False]),
        pod=st.sampled_from([ON_PREMISES, ELSEWHERE]),
        app_id=st.sampled_from([None, "trading-app", "another-app"]),
        new_key=st.booleans(),
    )
    def another_configuration_is_loaded(
        self, there: bool, pod: Pod, app_id: str | None, new_key: bool
    ) -> None:
        if new_key:
            self.keys = KeyInHand(key("key-0"))
        its_app = app(app_id, credentials=self.keys) if app_id else None
        loaded = bot(NAME, pod=pod, credentials=self.keys, app=its_app) if there else None
        self.run(self._reload(loaded))

    async def _reload(self, loaded: Bot | None) -> None:
        before, self.bot = self.bot, loaded
        if _own(before) != _own(loaded):
            self._all_die([None])
        if _users(before) != _users(loaded):
            self._all_die([*USERS])
        bots = [bot("another-bot", credentials=KeyInHand(key())), *([loaded] if loaded else [])]
        self.engine.reconfigure(*bots, lifetime=self.lifetime)

    @rule(number=st.integers(0, 2))
    def the_key_is_replaced(self, number: int) -> None:
        self.keys.material = key(f"key-{number}")

    @rule()
    def the_key_file_breaks(self) -> None:
        self.keys.material = None

    # What always holds.

    def _generation(self, kind: TokenKind, user: str | None = None) -> int:
        try:
            status = self.engine.provider.snapshot(NAME, user)
        except KeyError:  # nobody called for that user, or it is forgotten
            return self.newest[user, kind]
        return (status.session if kind is TokenKind.SESSION else status.key_manager).generation

    @invariant()
    def at_most_one_login_runs_per_kind(self) -> None:
        assert set(self.engine.pod.most_at_once.values()) <= {1}

    @invariant()
    def nobody_waits_longer_than_told(self) -> None:
        now = self.engine.clock.monotonic()
        for arrived, task in self.waiting:
            if task.done():
                assert task.cancelled() or task.exception() is None
            else:
                assert now < arrived + self.patience
        self.waiting = [(arrived, task) for arrived, task in self.waiting if not task.done()]

    @invariant()
    def generations_only_grow(self) -> None:
        for kind in TokenKind:
            for user in (None, *USERS):
                assert self._generation(kind, user) >= self.newest[user, kind]

    @invariant()
    def sessions_of_users_are_bounded(self) -> None:
        assert self.engine.provider.snapshot(NAME).users <= accounts.USERS

    @invariant()
    def no_secret_is_shown(self) -> None:
        engine = self.engine
        shown = "".join(
            [
                self.audit.text,
                repr(engine.provider.snapshot(NAME)),
                repr(self.handed_out[-3:]),
                repr(self.errors[-10:]),
                *(str(error) + error.hint() for error in self.errors[-10:]),
            ]
        )
        assert not any(token in shown for token in engine.pod.issued)

    @invariant()
    def who_cannot_be_served_is_told_when_to_come_back(self) -> None:
        assert all(error.retry_after is not None for error in self.errors)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return

        async def end() -> None:
            closing = asyncio.create_task(self.engine.provider.aclose())  # noqa: TID251 (held)
            await self.engine.clock.turn(60)  # stubborn logins end by themselves
            await closing
            await self.engine.close()

        with self.loop:
            for _, task in self.waiting:
                task.cancel()
            self.loop.run(end())
        accounts.USERS = self.bound
        self.log.removeHandler(self.audit)


def _own(one: Bot | None) -> object:
    return one and (one.pod, one.method)


def _users(one: Bot | None) -> object:
    return one and one.app and (one.pod, one.app)


def _tokens(pair: TokenPair) -> list[Token]:
    return [token for token in (pair.session, pair.key_manager) if token is not None]


ProviderMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestProvider = ProviderMachine.TestCase
