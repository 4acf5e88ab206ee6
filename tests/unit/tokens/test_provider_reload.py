"""A reload while it runs: what is the same goes on, what is not begins anew."""

from __future__ import annotations

import pytest

from support.clock import settled
from support.engine import NAME, Engine, scenario
from support.scripted_pod import (
    ON_PREMISES,
    KeyInHand,
    ScriptedPod,
    app,
    bot,
    generations,
    json_answer,
    key,
)
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.core.names import key_of
from symphony_auth_proxy.errors import LoginRejected, LoginUnavailable, Reason
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
AGENT, POD = Component.AGENT, Component.POD
OTHER = "compliance-bot"
UNAUTHORIZED = json_answer(401, code=401, message="Unauthorized")

KEYS = KeyInHand(key())
UNCHANGED = bot(NAME, credentials=KEYS, app=app(credentials=KEYS))
ELSEWHERE = bot(NAME, credentials=KEYS, app=app(credentials=KEYS), pod=ON_PREMISES)
REKEYED = bot(NAME, credentials=KeyInHand(key("another")), app=app(credentials=KEYS))


# The same.


@scenario(UNCHANGED)
async def test_an_unchanged_bot_keeps_its_tokens(engine: Engine) -> None:
    pair, users = await engine.get(), await engine.get(user="alice")
    engine.reconfigure(bot(NAME, credentials=KEYS, app=app(credentials=KEYS)), bot(OTHER))
    assert (await engine.get(), await engine.get(user="alice")) == (pair, users)
    assert (engine.pod.logins[SESSION], engine.pod.user_logins["alice"]) == (1, 1)


@scenario(UNCHANGED)
async def test_a_reload_forgets_refusals_and_pauses(engine: Engine) -> None:
    engine.pod.answers[SESSION] = UNAUTHORIZED
    with pytest.raises(LoginRejected):
        await engine.get()
    engine.pod.up()
    engine.reconfigure(UNCHANGED)
    assert generations(await engine.get()) == (1, 1)


@scenario(UNCHANGED)
async def test_a_reload_lets_refused_tokens_be_replaced_at_once(engine: Engine) -> None:
    pair = await engine.renew(await engine.get(), AGENT)
    assert pair is not None
    assert await engine.renew(pair, AGENT) is None
    engine.reconfigure(UNCHANGED)
    assert generations(await engine.get()) == (3, 3)


@scenario(UNCHANGED)
async def test_who_waits_for_an_unchanged_bot_is_served_by_a_login_of_the_new_configuration(
    engine: Engine,
) -> None:
    another = ScriptedPod(engine.clock)
    with engine.pod.holding():
        request = engine.asked(Wants.SESSION)
        await settled()
        engine.provider.reconfigure([UNCHANGED], another, None)
        pair = await request
    assert another.logins[SESSION] == 1
    assert pair.session.value.reveal() in another.issued
    assert engine.telemetry.count(Event.LOGIN_FAILED) == 0


@scenario(UNCHANGED)
async def test_a_login_that_outlives_a_reload_does_not_count(engine: Engine) -> None:
    engine.pod.stubborn = True
    with engine.pod.holding(SESSION):
        request = engine.asked(Wants.SESSION)
        await settled()
        engine.reconfigure(UNCHANGED)
        await settled()
        assert engine.pod.logins[SESSION] == 1
    pair = await request
    assert pair.session.value.reveal().startswith("session-2")


@scenario(UNCHANGED)
async def test_a_new_lifetime_is_that_of_new_tokens(engine: Engine) -> None:
    pair = await engine.get()
    engine.reconfigure(UNCHANGED, lifetime=3600.0)
    assert engine.session.expires_in is None
    engine.provider.accepted(pair, AGENT)
    await engine.renew(pair, AGENT)
    assert engine.session.expires_in == 3600.0


# Another.


@pytest.mark.parametrize("changed", [ELSEWHERE, REKEYED], ids=["pod", "key"])
def test_a_changed_bot_begins_anew_and_its_generations_grow(changed: object) -> None:
    @scenario(UNCHANGED)
    async def story(engine: Engine) -> None:
        await engine.get()
        engine.reconfigure(changed)  # type: ignore[arg-type]
        assert engine.session.state is State.EMPTY
        await settled()
        assert await engine.store.load(NAME, SESSION) is None
        assert generations(await engine.get()) == (2, 2)

    story(False)


@scenario(UNCHANGED)
async def test_a_changed_bot_logs_in_at_its_new_place(engine: Engine) -> None:
    await engine.get()
    engine.reconfigure(ELSEWHERE)
    await engine.get()
    assert engine.pod.requests[-1].endpoint == ON_PREMISES.key_manager


@scenario(UNCHANGED)
async def test_who_waits_for_a_bot_that_is_changed_gets_no_token_of_another_pod(
    engine: Engine,
) -> None:
    """Its request was decided for the hosts of before."""
    with engine.pod.holding():
        own, users = engine.asked(), engine.asked(user="alice")
        await settled()
        engine.reconfigure(ELSEWHERE)
        for request in (own, users):
            with pytest.raises(LoginUnavailable) as caught:
                await request
            assert caught.value.reason is Reason.DRAINING
            assert caught.value.retry_after is not None


@scenario(UNCHANGED)
async def test_a_late_refusal_of_a_changed_bots_tokens_changes_nothing(engine: Engine) -> None:
    old = await engine.get()
    engine.reconfigure(ELSEWHERE)
    new = await engine.get()
    engine.provider.accepted(old, AGENT)
    engine.provider.refused(old, AGENT)
    assert await engine.renew(old, AGENT) == new
    assert engine.pod.logins[SESSION] == 2


@scenario(UNCHANGED)
async def test_another_app_ends_its_users_sessions_but_not_the_bots(engine: Engine) -> None:
    own = await engine.get()
    await engine.get(user="alice")
    engine.reconfigure(bot(NAME, credentials=KEYS, app=app("another", credentials=KEYS)))
    await settled()
    assert await engine.store.load(key_of(NAME, "alice"), SESSION) is None
    assert generations(await engine.get(user="alice")) == (2, 0)
    assert await engine.get() == own


@scenario(UNCHANGED)
async def test_without_its_app_a_bots_users_are_called_for_no_more(engine: Engine) -> None:
    pair = await engine.get(user="alice")
    engine.reconfigure(bot(NAME, credentials=KEYS))
    engine.provider.accepted(pair, AGENT)
    engine.provider.refused(pair, AGENT)
    with pytest.raises(LoginUnavailable):
        await engine.renew(pair, AGENT)
    with pytest.raises(LoginUnavailable):
        await engine.get(user="bob")
    assert engine.pod.user_logins == {"alice": 1}


# Gone and new.


@scenario(bot(NAME), bot(OTHER))
async def test_a_removed_bots_tokens_are_discarded(engine: Engine) -> None:
    await engine.get(name=OTHER)
    engine.reconfigure(bot(NAME))
    await settled()
    assert await engine.store.load(OTHER, SESSION) is None
    assert await engine.store.load(OTHER, KEY_MANAGER) is None


@scenario(bot(NAME), bot(OTHER))
async def test_requests_with_a_removed_bots_tokens_end_in_peace(engine: Engine) -> None:
    pair = await engine.get(name=OTHER)
    engine.reconfigure(bot(NAME))
    engine.provider.accepted(pair, AGENT)
    engine.provider.refused(pair, AGENT)
    for late in (engine.renew(pair, AGENT), engine.get(name=OTHER)):
        with pytest.raises(LoginUnavailable) as caught:
            await late
        assert caught.value.reason is Reason.DRAINING
    assert engine.pod.logins == {SESSION: 1, KEY_MANAGER: 1}


@scenario(bot(NAME), bot(OTHER))
async def test_who_waits_for_a_bot_that_is_removed_is_told_at_once(engine: Engine) -> None:
    with engine.pod.holding():
        request = engine.asked(name=OTHER)
        await settled()
        engine.reconfigure(bot(NAME))
        with pytest.raises(LoginUnavailable) as caught:
            await request
        assert caught.value.reason is Reason.DRAINING


@scenario(bot(NAME), bot(OTHER))
async def test_a_login_of_a_removed_bot_leaves_no_token_behind(engine: Engine) -> None:
    engine.pod.stubborn = True
    with engine.pod.holding(SESSION):
        request = engine.asked(name=OTHER)
        await settled()
        engine.reconfigure(bot(NAME))
        await settled()
    with pytest.raises(LoginUnavailable):
        await request
    await settled()
    assert await engine.store.load(OTHER, SESSION) is None


@scenario(bot(NAME), bot(OTHER))
async def test_a_bot_that_comes_back_goes_on_counting(engine: Engine) -> None:
    await engine.get(name=OTHER)
    engine.reconfigure(bot(NAME))
    engine.reconfigure(bot(NAME), bot(OTHER))
    assert generations(await engine.get(name=OTHER)) == (2, 2)


@scenario(UNCHANGED)
async def test_new_bots_are_logged_in_one_after_the_other(engine: Engine) -> None:
    engine.provider.start()
    await engine.clock.turn(1)
    new = [bot(f"bot-{number}") for number in range(30)]
    engine.reconfigure(UNCHANGED, *new)
    await engine.clock.turn(1)
    assert 1 < engine.pod.logins[SESSION] <= 6
    await engine.clock.turn(10)
    assert engine.pod.logins == {SESSION: 31, KEY_MANAGER: 31}


@scenario(*[bot(f"bot-{number}", credentials=KEYS) for number in range(30)])
async def test_a_reload_in_the_middle_of_the_start_leaves_no_bot_out(engine: Engine) -> None:
    engine.provider.start()
    await engine.clock.turn(2)
    engine.reconfigure(*[bot(f"bot-{number}", credentials=KEYS) for number in range(40)])
    await engine.clock.turn(15)
    assert {engine.provider.snapshot(f"bot-{n}").session.state for n in range(40)} == {State.FRESH}


@scenario(bot(NAME))
async def test_a_reload_before_the_start_logs_nobody_in(engine: Engine) -> None:
    engine.reconfigure(bot(NAME), bot(OTHER))
    await engine.clock.turn(10)
    assert engine.pod.logins == {}
