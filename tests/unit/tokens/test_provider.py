"""The token provider hands out tokens: one login for everybody, and nobody harms anybody."""

from __future__ import annotations

import asyncio

import pytest

from support.clock import settled
from support.engine import Engine, scenario
from support.scripted_pod import answer, generations, raising
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.errors import LoginUnavailable, Reason
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER


@scenario()
async def test_the_first_request_logs_in_and_later_ones_do_not(engine: Engine) -> None:
    first = await engine.get()
    assert generations(first) == (1, 1)
    for _ in range(10):
        assert await engine.get() == first
    assert engine.pod.logins == {SESSION: 1, KEY_MANAGER: 1}


@scenario()
async def test_nothing_is_left_running_after_a_request(engine: Engine) -> None:
    await engine.get()
    await settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert engine.clock.sleepers == 0


@scenario()
async def test_a_thousand_first_requests_cost_one_login_of_each_kind(engine: Engine) -> None:
    engine.pod.delay = 2.0
    requests = [engine.asked() for _ in range(1000)]
    await engine.clock.turn(5)
    pairs = {await request for request in requests}
    assert len(pairs) == 1
    assert engine.pod.logins == {SESSION: 1, KEY_MANAGER: 1}


@scenario()
async def test_the_first_caller_may_leave_without_harm(engine: Engine) -> None:
    with engine.pod.holding():
        first, second = engine.asked(), engine.asked()
        await settled()
        first.cancel()
        await settled()
        assert first.cancelled()
        assert not second.done()
    assert generations(await second) == (1, 1)
    assert engine.pod.logins[SESSION] == 1


@scenario()
async def test_a_login_goes_on_when_all_its_callers_have_left(engine: Engine) -> None:
    with engine.pod.holding():
        caller = engine.asked()
        await settled()
        caller.cancel()
        await settled()
    await settled()
    assert engine.session.state is State.FRESH


@scenario()
async def test_a_cancelled_login_is_no_cancellation_of_its_waiters(engine: Engine) -> None:
    engine.pod.answers[SESSION] = raising(asyncio.CancelledError)
    request = engine.asked()
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable, match="was cancelled"):
        await request


@scenario()
async def test_an_unforeseen_error_reaches_callers_as_one_they_can_retry(engine: Engine) -> None:
    engine.pod.answers[SESSION] = raising(lambda: RuntimeError("holds a canary-secret"))
    request = engine.asked()
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable, match=r"RuntimeError at scripted_pod\.py") as caught:
        await request
    assert caught.value.reason is Reason.INTERNAL
    assert "canary" not in str(caught.value)


@scenario()
async def test_a_request_waits_for_ten_seconds_from_its_arrival(engine: Engine) -> None:
    with engine.pod.holding():
        arrived = engine.clock.monotonic()
        await engine.clock.turn(4)  # it has been read slowly, say
        late = engine.asked(arrived=arrived)
        await engine.clock.turn(5.9)
        assert not late.done()
        await engine.clock.turn(0.1)
        with pytest.raises(LoginUnavailable, match="more than 10 seconds") as caught:
            await late
        assert caught.value.retry_after == 5


@scenario()
async def test_a_login_has_fifteen_seconds(engine: Engine) -> None:
    with engine.pod.holding():
        request = engine.asked()
        await engine.clock.turn(14.9)
        assert engine.session.logging_in
        await engine.clock.turn(0.1)
        assert not engine.session.logging_in
        assert engine.session.trouble == (
            "login_unavailable: the session login of pricing-bot had no answer within 15 seconds"
        )
    with pytest.raises(LoginUnavailable):
        await request


@scenario()
async def test_a_pod_call_does_not_wait_for_the_key_manager(engine: Engine) -> None:
    with engine.pod.holding(KEY_MANAGER):
        assert generations(await engine.get(Wants.SESSION)) == (1, 0)
    await settled()
    assert generations(await engine.get(Wants.SESSION)) == (1, 1)


@scenario()
async def test_a_key_manager_outage_never_touches_pod_calls(engine: Engine) -> None:
    engine.pod.answers[KEY_MANAGER] = answer(503)
    for _ in range(600):
        assert generations(await engine.get(Wants.SESSION)) == (1, 0)
        await engine.clock.turn(1)
    assert engine.telemetry.count(Event.LOGIN_FAILED, kind=KEY_MANAGER) == 1
    agent_call = engine.asked(Wants.BOTH)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable):
        await agent_call


@scenario()
async def test_the_first_key_manager_login_waits_for_the_session_later_ones_do_not(
    engine: Engine,
) -> None:
    engine.pod.delay = 1.0
    request = engine.asked()
    await engine.clock.turn(0.5)
    assert engine.pod.logins == {SESSION: 1}
    await engine.clock.turn(2)
    engine.provider.accepted(await request, Component.AGENT)
    engine.provider.refused(await request, Component.AGENT)
    await engine.clock.turn(0.5)
    assert engine.pod.logins == {SESSION: 2, KEY_MANAGER: 2}
