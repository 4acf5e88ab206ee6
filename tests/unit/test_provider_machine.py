"""The token provider over a long life: whatever happens, in whatever order.

Hypothesis makes up stories of requests, refusals, outages, flushes, rotations, jumps of the
clock and callers that leave; what must hold in all of them is checked after every step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.clock import runner, settled
from support.engine import NAME, Engine
from support.scripted_pod import ON_PREMISES, KeyInHand, answer, bot, json_answer, key, raising
from symphony_auth_proxy.errors import KeyMaterialError, LoginError
from symphony_auth_proxy.model import Component, Token, TokenKind, TokenPair
from symphony_auth_proxy.provider import PATIENCE, Wants

ANSWERS = {
    "down": answer(503),
    "throttled": answer(429, retry_after="30"),
    "refused": json_answer(401, code=401, message="Unauthorized"),
    "a web page": answer(404, "<html>"),
    "cancelled": raising(asyncio.CancelledError),
    "a bug": raising(lambda: ZeroDivisionError("oops")),
}
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
        self.newest = dict.fromkeys(TokenKind, 0)
        self.dead: set[tuple[TokenKind, int]] = set()
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
        self.engine = Engine(
            bot(NAME, pod=ON_PREMISES, credentials=self.keys),
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
        try:
            pair = await wanted
        except (LoginError, KeyMaterialError) as error:
            self.errors.append(error)
        else:
            if pair is not None:
                self._check(pair)
                self.handed_out.append(pair)

    def _check(self, pair: TokenPair) -> None:
        """At the very moment at which a pair is handed out."""
        now = self.engine.clock.monotonic()
        for token in _tokens(pair):
            assert (token.kind, token.generation) not in self.dead
            assert token.expires is None or token.expires > now
            assert token.generation >= self.newest[token.kind]
            self.newest[token.kind] = token.generation

    @rule(wants=st.sampled_from(Wants), how_many=st.integers(1, 5))
    def requests_arrive(self, wants: Wants, how_many: int) -> None:
        async def story() -> None:
            for _ in range(how_many):
                self._wait_for(self.engine.get(wants))

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
            self.dead |= {(token.kind, token.generation) for token in judged}

        self.run(story())

    def _used(self, data: st.DataObject) -> TokenPair:
        return data.draw(st.sampled_from(self.handed_out[-3:]))

    # What happens around them.

    @rule(kind=st.sampled_from(TokenKind), what=st.sampled_from(sorted(ANSWERS)))
    def logins_are_answered_with(self, kind: TokenKind, what: str) -> None:
        self.engine.pod.answers[kind] = ANSWERS[what]

    @rule()
    def all_is_well_again(self) -> None:
        for kind in TokenKind:
            self.engine.pod.answers.pop(kind, None)
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
            for kind in TokenKind:
                generation = self._generation(kind)
                self.dead |= {(kind, number) for number in range(generation + 1)}
            self.engine.provider.flush()

        self.run(story())

    @rule(number=st.integers(0, 2))
    def the_key_is_replaced(self, number: int) -> None:
        self.keys.material = key(f"key-{number}")

    @rule()
    def the_key_file_breaks(self) -> None:
        self.keys.material = None

    # What always holds.

    def _generation(self, kind: TokenKind) -> int:
        status = self.engine.provider.snapshot(NAME)
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
            assert self._generation(kind) >= self.newest[kind]

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
        self.log.removeHandler(self.audit)


def _tokens(pair: TokenPair) -> list[Token]:
    return [token for token in (pair.session, pair.key_manager) if token is not None]


ProviderMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestProvider = ProviderMachine.TestCase
