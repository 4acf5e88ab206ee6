"""Tokens are replaced in time, and at once when an upstream refuses them."""

from __future__ import annotations

from contextlib import suppress

import pytest

from support.clock import settled
from support.engine import NAME, Engine, scenario
from support.scripted_pod import answer, generations
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.errors import LoginUnavailable, Reason
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
AGENT, POD = Component.AGENT, Component.POD
HOUR = 3600.0


# By the clock.


@scenario()
async def test_the_life_of_a_session_is_read_out_of_its_token(engine: Engine) -> None:
    engine.pod.session_life = 2 * HOUR
    await engine.get()
    assert engine.session.expires_in == 2 * HOUR
    assert engine.key_manager.expires_in is None


@scenario(lifetime=HOUR)
async def test_a_configured_life_holds_for_tokens_that_do_not_tell(engine: Engine) -> None:
    await engine.get()
    assert (engine.session.expires_in, engine.key_manager.expires_in) == (HOUR, HOUR)


@scenario()
async def test_tokens_of_unknown_life_are_kept(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(30 * 24 * HOUR)
    assert generations(await engine.get()) == (1, 1)


@scenario(lifetime=2 * HOUR)
async def test_in_the_advisory_window_no_request_waits(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(1.6 * HOUR)
    with engine.pod.holding():
        assert engine.session.state is State.STALE
        assert generations(await engine.get()) == (1, 1)
    await settled()
    assert generations(await engine.get()) == (2, 2)


@scenario(lifetime=2 * HOUR)
async def test_in_the_mandatory_window_requests_wait(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(2 * HOUR - 299)
    with engine.pod.holding():
        request = engine.asked()
        await settled()
        assert not request.done()
    assert generations(await request) == (2, 2)
    assert engine.telemetry.count(Event.STALE_USED) == 0


@scenario(lifetime=2 * HOUR)
async def test_a_token_tides_over_a_failed_refresh(engine: Engine) -> None:
    await engine.get(Wants.SESSION)
    await engine.clock.turn(2 * HOUR - 299)
    engine.pod.down()
    assert generations(await engine.get(Wants.SESSION)) == (1, 1)
    assert engine.telemetry.count(Event.STALE_USED, kind=SESSION) == 1


@scenario(lifetime=2 * HOUR)
async def test_a_token_tides_over_a_refresh_that_hangs(engine: Engine) -> None:
    await engine.get(Wants.SESSION)
    await engine.clock.turn(2 * HOUR - 299)
    with engine.pod.holding():
        request = engine.asked(Wants.SESSION)
        await engine.clock.turn(10)
        assert generations(await request) == (1, 1)


@scenario(lifetime=2 * HOUR)
async def test_a_token_with_less_than_half_a_minute_tides_nothing_over(engine: Engine) -> None:
    await engine.get(Wants.SESSION)
    await engine.clock.turn(2 * HOUR - 29)
    engine.pod.down()
    request = engine.asked(Wants.SESSION)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable, match="status 503"):
        await request


@scenario(lifetime=2 * HOUR)
async def test_an_expired_token_is_never_handed_out(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(2 * HOUR)
    assert engine.session.state is State.EXPIRED
    assert generations(await engine.get()) == (2, 2)


# By a 401.


@scenario()
async def test_a_refused_pair_is_replaced_at_once_when_it_was_accepted_before(
    engine: Engine,
) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    assert generations(await engine.renew(pair, AGENT)) == (2, 2)


@scenario()
async def test_a_refusal_by_the_pod_speaks_of_the_session_token_alone(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    assert generations(await engine.renew(pair, POD)) == (2, 1)


@scenario()
async def test_a_hundred_refusals_of_one_pair_cost_one_login(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    renewed = {generations(await engine.renew(pair, AGENT)) for _ in range(100)}
    assert renewed == {(2, 2)}
    assert engine.pod.logins == {SESSION: 2, KEY_MANAGER: 2}
    assert engine.telemetry.count(Event.TOKEN_MARKED_BAD, kind=SESSION) == 1


@scenario()
async def test_a_late_refusal_of_an_older_generation_changes_nothing(engine: Engine) -> None:
    first = await engine.get()
    engine.provider.accepted(first, AGENT)
    second = await engine.renew(first, AGENT)
    assert second is not None
    assert await engine.renew(first, AGENT) == second
    engine.provider.refused(first, AGENT)
    assert await engine.get() == second
    assert engine.pod.logins[SESSION] == 2


@scenario()
async def test_a_refused_stream_is_healed_in_the_background(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    engine.provider.refused(pair, AGENT)
    await settled()
    assert engine.pod.logins == {SESSION: 2, KEY_MANAGER: 2}
    assert generations(await engine.get()) == (2, 2)


@scenario()
async def test_replacements_that_are_refused_too_are_not_replaced_for_two_minutes(
    engine: Engine,
) -> None:
    pair = await engine.renew(await engine.get(), AGENT)
    assert pair is not None
    await engine.clock.turn(20)
    assert await engine.renew(pair, AGENT) is None
    with pytest.raises(LoginUnavailable) as caught:
        await engine.get()
    assert caught.value.reason is Reason.TOKENS_REFUSED
    assert caught.value.retry_after == 100
    await engine.clock.turn(100)
    assert generations(await engine.get()) == (3, 3)


@scenario()
async def test_a_flapping_upstream_costs_thirty_logins_an_hour(engine: Engine) -> None:
    for _ in range(200):
        with suppress(LoginUnavailable):
            pair = await engine.get()
            engine.provider.accepted(pair, AGENT)
            engine.provider.refused(pair, AGENT)
        await engine.clock.turn(15)
    assert engine.pod.logins == {SESSION: 31, KEY_MANAGER: 31}
    await engine.clock.turn(HOUR)
    assert generations(await engine.get()) == (32, 32)


@scenario()
async def test_an_upstream_that_always_refuses_makes_no_storm_of_logins(engine: Engine) -> None:
    passed_on = 0
    for _ in range(10 * 60 * 50):
        with suppress(LoginUnavailable):
            pair = await engine.get()
            again = await engine.renew(pair, AGENT)
            passed_on += 1
            if again is not None:
                engine.provider.refused(again, AGENT)
        await engine.clock.turn(0.02)
    assert passed_on <= 6
    assert 1 < engine.pod.logins[SESSION] <= 1 + 6
    assert 1 < engine.pod.logins[KEY_MANAGER] <= 1 + 6


@scenario()
async def test_a_login_that_began_before_the_refusal_does_not_count(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    engine.clock.step_wall(HOUR)  # makes the tokens stale
    with engine.pod.holding():
        assert await engine.get() == pair
        await settled()
        assert engine.session.logging_in
        engine.provider.refused(pair, POD)
        await settled()
    newer = await engine.get()
    assert newer.session.value.reveal().startswith("session-3")
    assert newer.session.generation == 2


@scenario()
async def test_a_refusal_in_the_middle_of_a_refresh_begins_another_at_once(
    engine: Engine,
) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    engine.clock.step_wall(HOUR)
    engine.pod.delay = 12.0
    await engine.get()
    await engine.clock.turn(1)
    engine.pod.delay = 0.0
    assert generations(await engine.renew(pair, AGENT)) == (2, 2)
    assert engine.pod.logins == {SESSION: 3, KEY_MANAGER: 3}


@scenario()
async def test_a_refused_stream_in_the_middle_of_a_refresh_begins_another(
    engine: Engine,
) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    engine.clock.step_wall(HOUR)
    engine.pod.delay = 12.0
    await engine.get()
    await engine.clock.turn(1)
    engine.pod.delay = 0.0
    engine.provider.refused(pair, AGENT)
    await settled()
    assert (engine.session.state, engine.session.generation) == (State.FRESH, 2)


@scenario()
async def test_a_refused_token_is_gone_from_the_store(engine: Engine) -> None:
    pair = await engine.get()
    engine.pod.answers[SESSION] = answer(500)
    engine.provider.refused(pair, AGENT)
    await settled()
    assert await engine.store.load(NAME, SESSION) is None


@scenario()
async def test_a_refresh_forced_by_a_refusal_may_fail_and_heal(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, AGENT)
    engine.pod.answers[SESSION] = answer(500)
    engine.provider.refused(pair, AGENT)
    request = engine.asked()
    await engine.clock.turn(3)
    assert not request.done()
    engine.pod.up()
    await engine.clock.turn(7)
    assert generations(await request) == (2, 2)
