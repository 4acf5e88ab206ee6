"""Sessions on behalf of users: as well kept as a bot's own, and never more of them than told."""

from __future__ import annotations

import asyncio

import pytest

from support.clock import settled
from support.engine import NAME, Engine, scenario
from support.scripted_pod import (
    APP,
    USER,
    KeyInHand,
    answer,
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
from symphony_auth_proxy.tokens import accounts
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
AGENT, POD = Component.AGENT, Component.POD
HOUR = 3600.0
UNKNOWN = json_answer(401, code=401, message="Unknown user")

WITH_APP = bot(NAME, app=app())


def session_of(pair: object) -> str:
    text: str = pair.session.value.reveal()  # type: ignore[attr-defined]
    return text


@scenario(WITH_APP)
async def test_an_agent_call_on_behalf_of_a_user_gets_the_users_session_alone(
    engine: Engine,
) -> None:
    pair = await engine.get(Wants.BOTH, user="alice")
    assert session_of(pair).startswith("user-session-1-of-alice")
    assert (generations(pair), pair.bot, pair.user) == ((1, 0), NAME, "alice")
    assert engine.pod.logins == {}
    assert engine.provider.snapshot(NAME, "alice").key_manager.state is State.NOT_REQUIRED


@scenario(WITH_APP)
async def test_no_key_manager_token_is_ever_asked_for_on_behalf_of_a_user(engine: Engine) -> None:
    """Not after a 401 of the agent, a flush, a reload or a session that says otherwise."""
    engine.pod.simplified = False
    pair = await engine.get(user="alice")
    engine.provider.accepted(pair, AGENT)
    assert generations(await engine.renew(pair, AGENT)) == (2, 0)
    engine.provider.flush(NAME)
    assert generations(await engine.get(user="alice")) == (3, 0)
    engine.reconfigure(bot(NAME, app=app("another-app")))
    assert generations(await engine.get(user="alice")) == (4, 0)
    await settled()
    assert engine.pod.logins[KEY_MANAGER] == 0


@scenario(WITH_APP)
async def test_users_and_their_bot_have_sessions_of_their_own(engine: Engine) -> None:
    own, alice, bob = (
        await engine.get(),
        await engine.get(user="alice"),
        await engine.get(user="bob"),
    )
    assert len({session_of(pair) for pair in (own, alice, bob)}) == 3
    engine.provider.accepted(alice, POD)
    assert generations(await engine.renew(alice, POD)) == (2, 0)
    assert (await engine.get(user="bob"), await engine.get()) == (bob, own)
    assert engine.provider.snapshot(NAME).users == 2


@scenario(bot("one", app=app()), bot("two", app=app()))
async def test_one_user_of_two_apps_has_two_sessions(engine: Engine) -> None:
    first = await engine.get(name="one", user="alice")
    second = await engine.get(name="two", user="alice")
    assert session_of(first) != session_of(second)
    assert engine.pod.user_logins == {"alice": 2}


@scenario(WITH_APP)
async def test_a_hundred_calls_for_one_user_cost_one_login(engine: Engine) -> None:
    engine.pod.delay = 1.0
    requests = [engine.asked(user="alice") for _ in range(100)]
    await engine.clock.turn(5)
    assert len({await request for request in requests}) == 1
    assert (engine.pod.app_logins, engine.pod.user_logins) == (1, {"alice": 1})


@scenario(WITH_APP)
async def test_the_apps_own_session_is_asked_for_anew_each_time(engine: Engine) -> None:
    for user in ("alice", "bob"):
        await engine.get(user=user)
    shown = [value.reveal() for request in engine.pod.requests for _, value in request.headers]
    assert [text.partition("-x")[0] for text in shown] == ["app-session-1", "app-session-2"]


@scenario(WITH_APP)
async def test_a_refused_user_is_remembered_and_harms_nobody_else(engine: Engine) -> None:
    engine.pod.answers[USER] = UNKNOWN
    for _ in range(10):
        with pytest.raises(LoginRejected, match="Unknown user") as caught:
            await engine.get(user="nobody")
    assert "app is enabled for the user" in caught.value.hint()
    assert engine.pod.user_logins == {"nobody": 1}
    engine.pod.up()
    assert generations(await engine.get(user="alice")) == (1, 0)
    assert generations(await engine.get()) == (1, 1)
    assert engine.telemetry.count(Event.LOGIN_FAILED, bot=NAME) == 1


@scenario(WITH_APP)
async def test_a_refused_app_is_told_as_such(engine: Engine) -> None:
    engine.pod.answers[APP] = json_answer(401, code=401, message="Unauthorized")
    with pytest.raises(LoginRejected) as caught:
        await engine.get(user="alice")
    assert "public key of this very key is imported for it" in caught.value.hint()
    assert engine.pod.user_logins == {}


@scenario(WITH_APP)
async def test_an_outage_is_waited_out_for_users_too(engine: Engine) -> None:
    engine.pod.answers[USER] = answer(503)
    request = engine.asked(user="alice")
    await engine.clock.turn(1)
    engine.pod.up()
    await engine.clock.turn(9)
    assert generations(await request) == (1, 0)


@scenario(WITH_APP, lifetime=2 * HOUR)
async def test_a_users_session_is_replaced_in_time_without_anybody_waiting(
    engine: Engine,
) -> None:
    await engine.get(user="alice")
    await engine.clock.turn(1.6 * HOUR)
    with engine.pod.holding():
        assert generations(await engine.get(user="alice")) == (1, 0)
    await settled()
    assert generations(await engine.get(user="alice")) == (2, 0)


@scenario(WITH_APP)
async def test_a_refused_stream_of_a_user_is_healed_in_the_background(engine: Engine) -> None:
    pair = await engine.get(user="alice")
    engine.provider.accepted(pair, AGENT)
    engine.provider.refused(pair, AGENT)
    await settled()
    assert engine.pod.user_logins == {"alice": 2}
    assert generations(await engine.get(user="alice")) == (2, 0)


@scenario(WITH_APP)
async def test_a_bots_user_named_like_a_bot_is_another_account(engine: Engine) -> None:
    own, users = await engine.get(), await engine.get(user=NAME)
    assert session_of(own) != session_of(users)
    assert await engine.get() == own


def test_no_name_leads_to_another_accounts_tokens() -> None:
    """Names of bots are printable, and so are those of users that reach a provider."""
    accounts = [("a", None), ("a", "b"), ("a b", None), ("a for b", None), ("a", "for b")]
    assert len({key_of(*account) for account in accounts}) == len(accounts)


@scenario(bot(NAME))
async def test_without_an_app_there_is_nobody_to_call_for(engine: Engine) -> None:
    with pytest.raises(LoginUnavailable):
        await engine.get(user="alice")


@scenario(WITH_APP)
async def test_users_of_one_app_share_its_key(engine: Engine) -> None:
    credentials = WITH_APP.app and WITH_APP.app.credentials
    assert isinstance(credentials, KeyInHand)
    credentials.material = key("old")
    await engine.get(user="alice")
    await engine.get(user="bob")
    credentials.material = key("new")
    engine.provider.flush()
    await engine.get(user="alice")
    await engine.get(user="bob")
    assert engine.telemetry.count(Event.KEY_RELOADED) == 1


# The bound.


@pytest.fixture
def three_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "USERS", 3)


@pytest.mark.usefixtures("three_users")
def test_the_user_who_was_not_called_for_longest_is_forgotten() -> None:
    @scenario(WITH_APP)
    async def story(engine: Engine) -> None:
        for user in ("alice", "bob", "carol"):
            await engine.get(user=user)
        await engine.get(user="alice")
        await engine.get(user="dave")
        await settled()
        assert engine.provider.snapshot(NAME).users == 3
        assert await engine.store.load(key_of(NAME, "bob"), SESSION) is None
        with pytest.raises(KeyError):
            engine.provider.snapshot(NAME, "bob")
        for user in ("alice", "carol", "dave"):
            await engine.get(user=user)
        assert engine.pod.user_logins.total() == 4

    story(False)


@pytest.mark.usefixtures("three_users")
def test_a_forgotten_users_late_answers_change_nothing() -> None:
    @scenario(WITH_APP)
    async def story(engine: Engine) -> None:
        first = await engine.get(user="alice")
        for user in ("bob", "carol", "dave"):
            await engine.get(user=user)
        engine.provider.accepted(first, AGENT)
        engine.provider.refused(first, AGENT)
        with pytest.raises(KeyError):
            engine.provider.snapshot(NAME, "alice")
        second = await engine.get(user="alice")
        assert second.session.generation > first.session.generation
        engine.provider.refused(first, AGENT)
        assert await engine.renew(first, AGENT) == second

    story(False)


@pytest.mark.usefixtures("three_users")
def test_nobody_is_forgotten_whose_login_is_under_way_or_waited_for() -> None:
    @scenario(WITH_APP)
    async def story(engine: Engine) -> None:
        with engine.pod.holding():
            waiting = [engine.asked(user=user) for user in ("alice", "bob", "carol")]
            await settled()
            with pytest.raises(LoginUnavailable, match="of 3 users") as caught:
                await engine.get(user="dave")
            assert caught.value.retry_after is not None
        assert [generations(await request) for request in waiting] == [(1, 0)] * 3
        assert engine.pod.user_logins == {"alice": 1, "bob": 1, "carol": 1}
        await engine.get(user="dave")

    story(False)


@pytest.mark.usefixtures("three_users")
def test_who_waits_for_the_end_of_a_pause_is_not_forgotten_either() -> None:
    @scenario(WITH_APP)
    async def story(engine: Engine) -> None:
        engine.pod.answers[USER] = answer(503, retry_after="5")
        waiting = engine.asked(user="alice")
        await settled()
        engine.pod.up()
        for user in ("bob", "carol", "dave", "erin"):
            await engine.get(user=user)
        assert engine.provider.snapshot(NAME, "alice").session.trouble is not None
        await engine.clock.turn(5)
        assert generations(await waiting) == (1, 0)
        assert engine.pod.user_logins["alice"] == 2

    story(False)


@scenario(WITH_APP, bot("compliance-bot"))
async def test_a_crowd_of_users_does_not_hold_up_the_bots_own_login(engine: Engine) -> None:
    with engine.pod.holding(APP, USER):
        crowd = [engine.asked(user=f"user-{number}") for number in range(50)]
        await settled()
        assert generations(await engine.get(name="compliance-bot")) == (1, 1)
    await engine.clock.turn(1)
    await asyncio.gather(*crowd)
    assert engine.provider.snapshot(NAME).users == 50


# What people see.


@scenario(WITH_APP)
async def test_trouble_names_the_user_harmlessly(engine: Engine) -> None:
    engine.pod.delay = 20.0
    request = engine.asked(user="al]ice " + "x" * 300)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable, match="pricing-bot for al\\?ice xxx") as caught:
        await request
    assert len(str(caught.value)) < 200
    assert caught.value.reason is Reason.LOGIN_UNAVAILABLE
