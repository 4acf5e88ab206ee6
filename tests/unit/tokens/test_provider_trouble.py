"""Outages, refusals, rotations and clocks: what goes wrong around a login."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Generator

import pytest

from pki import rsa_key
from support.clock import settled
from support.engine import NAME, Engine, scenario
from support.scripted_pod import (
    ON_PREMISES,
    KeyInHand,
    answer,
    bot,
    generations,
    in_turn,
    json_answer,
    key,
)
from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)
from symphony_auth_proxy.keys import ClientCertificate, KeyMaterial
from symphony_auth_proxy.model import (
    Bot,
    Component,
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Pod,
    TokenKind,
)
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
HOUR, DAY = 3600.0, 86_400.0

UNAUTHORIZED = json_answer(401, code=401, message="Unauthorized")


# Outages.


@scenario(lifetime=4 * HOUR)
async def test_half_an_hour_without_login_goes_unseen_while_tokens_live(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(3.3 * HOUR)
    engine.pod.down()
    for _ in range(30 * 60):
        assert generations(await engine.get()) == (1, 1)
        await engine.clock.turn(1)
    assert engine.pod.logins[SESSION] <= 1 + 30
    engine.pod.up()
    await engine.clock.turn(300)
    await engine.get()
    await settled()
    assert generations(await engine.get()) == (2, 2)


@scenario()
async def test_without_a_token_an_outage_is_told_within_the_deadline(engine: Engine) -> None:
    engine.pod.down()
    started = engine.clock.monotonic()
    requests = [engine.asked() for _ in range(50)]
    while not all(request.done() for request in requests):
        await engine.clock.turn(0.25)
    assert engine.clock.monotonic() - started <= 10
    for request in requests:
        with pytest.raises(LoginUnavailable, match="status 503") as caught:
            await request
        assert caught.value.retry_after is not None
        assert len(traceback.extract_tb(caught.value.__traceback__)) < 8


@scenario()
async def test_a_short_outage_is_waited_out(engine: Engine) -> None:
    engine.pod.down()
    request = engine.asked()
    await engine.clock.turn(1)
    engine.pod.up()
    await engine.clock.turn(9)
    assert generations(await request) == (1, 1)


@scenario()
async def test_a_wish_to_wait_longer_than_the_request_can_is_told_at_once(engine: Engine) -> None:
    engine.pod.answers[SESSION] = answer(429, retry_after="120")
    with pytest.raises(LoginUnavailable) as caught:
        await engine.get()
    assert caught.value.retry_after == 120
    await engine.clock.turn(109)
    with pytest.raises(LoginUnavailable):
        await engine.get()
    assert engine.pod.logins[SESSION] == 1
    engine.pod.up()
    await engine.clock.turn(11)
    assert generations(await engine.get()) == (1, 1)


WITHOUT_SIGNATURES = Bot(
    NAME, ON_PREMISES, CertificateLogin(NAME, KeyInHand(ClientCertificate(rsa_key(), "one")))
)


@scenario(WITHOUT_SIGNATURES)
async def test_ten_thousand_failed_logins_leave_nothing_behind(engine: Engine) -> None:
    engine.pod.down()
    while engine.pod.logins[SESSION] < 10_000:
        request = engine.asked()
        await engine.clock.turn(60)
        with pytest.raises(LoginUnavailable):
            await request
        engine.provider.flush()
        assert len(asyncio.all_tasks()) < 5


@scenario()
async def test_a_web_page_instead_of_a_login_is_told_at_once(engine: Engine) -> None:
    engine.pod.answers[SESSION] = answer(404, "<html>nothing here</html>")
    with pytest.raises(LoginProtocolError) as caught:
        await engine.get()
    assert caught.value.reason is Reason.WRONG_ENDPOINT
    assert "acme.example:443" in caught.value.hint()


# Refused credentials.


@scenario()
async def test_a_refusal_is_remembered_for_a_minute_then_for_two(engine: Engine) -> None:
    engine.pod.answers[SESSION] = UNAUTHORIZED
    for pause in (60, 120, 240, 480, 600, 600):
        with pytest.raises(LoginRejected) as caught:
            await engine.get()
        assert caught.value.retry_after == pause
        before = engine.pod.logins[SESSION]
        for _ in range(10):
            with pytest.raises(LoginRejected):
                await engine.get()
            await engine.clock.turn(pause / 10)
        assert engine.pod.logins[SESSION] == before


@scenario()
async def test_a_refusal_does_not_touch_a_token_that_lives(engine: Engine) -> None:
    await engine.get()
    engine.pod.answers[SESSION] = UNAUTHORIZED
    engine.clock.step_wall(HOUR)
    for _ in range(100):
        assert (await engine.get()).session.generation == 1
        await engine.clock.turn(1)


@scenario()
async def test_a_new_key_ends_a_refusal_at_once(engine: Engine) -> None:
    engine.pod.answers[SESSION] = UNAUTHORIZED
    with pytest.raises(LoginRejected):
        await engine.get()
    loads = engine.keys.loads
    for _ in range(100):
        with pytest.raises(LoginRejected):
            await engine.get()
    assert engine.keys.loads == loads  # no decryption for each request
    engine.keys.material = key("new")
    engine.pod.up()
    await engine.clock.turn(5)
    assert generations(await engine.get()) == (1, 1)
    assert engine.telemetry.count(Event.KEY_RELOADED) == 1


# Rotation.


@scenario()
async def test_a_key_rotated_in_the_middle_of_a_login_is_used_when_the_old_one_is_refused(
    engine: Engine,
) -> None:
    with engine.pod.holding():
        request = engine.asked()
        await settled()
        engine.keys.material = key("new")
        engine.pod.answers[SESSION] = in_turn(UNAUTHORIZED, engine.pod.token)
    assert generations(await request) == (1, 1)
    assert engine.pod.logins[SESSION] == 2


@scenario()
async def test_a_broken_new_file_keeps_the_old_key_and_says_so(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, Component.AGENT)
    engine.keys.material = None
    assert generations(await engine.renew(pair, Component.AGENT)) == (2, 2)
    assert engine.telemetry.count(Event.KEY_RELOAD_FAILED, bot=NAME) == 2


@scenario()
async def test_an_old_key_that_is_then_refused_is_not_blamed_for_the_broken_file(
    engine: Engine,
) -> None:
    pair = await engine.get()
    engine.provider.accepted(pair, Component.AGENT)
    engine.keys.material = None
    engine.pod.answers[SESSION] = UNAUTHORIZED
    with pytest.raises(LoginRejected, match="; the key file cannot be read") as refused:
        await engine.renew(pair, Component.AGENT)
    assert refused.value.diagnosis is Diagnosis.KEY_MATERIAL
    assert engine.session.diagnosis == "key_material"
    # Once the file is well again, a refusal is one of its key.
    engine.keys.material = key("new")
    await engine.clock.turn(60)
    with pytest.raises(LoginRejected) as refused:
        await engine.get()
    assert refused.value.diagnosis is not Diagnosis.KEY_MATERIAL


@scenario()
async def test_a_key_that_was_never_usable_is_told_to_clients(engine: Engine) -> None:
    engine.keys.material = None
    with pytest.raises(KeyMaterialError, match="cannot be read"):
        await engine.get()
    engine.keys.material = key()
    await engine.clock.turn(1)
    assert generations(await engine.get()) == (1, 1)


# Flush and stop.


@scenario()
async def test_after_a_flush_everything_is_fetched_anew(engine: Engine) -> None:
    await engine.get()
    engine.provider.flush(NAME)
    assert engine.session.state is State.EMPTY
    await settled()
    assert await engine.store.load(NAME, SESSION) is None
    assert generations(await engine.get()) == (2, 2)


@scenario()
async def test_a_flush_forgets_refusals_and_pauses(engine: Engine) -> None:
    engine.pod.answers[SESSION] = UNAUTHORIZED
    with pytest.raises(LoginRejected):
        await engine.get()
    engine.pod.up()
    engine.provider.flush()
    assert generations(await engine.get()) == (1, 1)


@scenario()
async def test_a_flush_in_the_middle_of_a_login_begins_another_at_once(engine: Engine) -> None:
    engine.pod.delay = 12.0
    request = engine.asked()
    await engine.clock.turn(1)
    engine.provider.flush()
    engine.pod.delay = 0.0
    await settled()
    pair = await request
    assert pair.session.value.reveal().startswith("session-2")
    assert engine.pod.logins[SESSION] == 2
    assert engine.telemetry.count(Event.LOGIN_FAILED) == 0


@pytest.mark.parametrize("late", ["a token", "a refusal"])
def test_a_login_that_outlives_a_flush_does_not_count(late: str) -> None:
    @scenario()
    async def story(engine: Engine) -> None:
        engine.pod.stubborn = True
        if late == "a refusal":
            engine.pod.answers[SESSION] = in_turn(UNAUTHORIZED, engine.pod.token)
        with engine.pod.holding(SESSION):
            request = engine.asked()
            await settled()
            engine.provider.flush()
            await settled()
            assert engine.pod.logins[SESSION] == 1  # the next one waits until it has ended
        pair = await request
        assert pair.session.value.reveal().startswith("session-2")
        assert engine.telemetry.count(Event.LOGIN_FAILED) == 0

    story(False)


@scenario()
async def test_after_a_flush_it_is_open_again_if_there_is_a_key_manager(engine: Engine) -> None:
    await engine.get()
    engine.pod.simplified = True
    engine.provider.flush()
    assert generations(await engine.get()) == (2, 0)
    assert engine.pod.logins[KEY_MANAGER] == 1


@scenario()
async def test_a_login_that_outlives_a_flush_leaves_no_token_behind(engine: Engine) -> None:
    engine.pod.stubborn = True
    with engine.pod.holding(SESSION):
        request = engine.asked()
        await settled()
        request.cancel()
        engine.provider.flush()
        await settled()
    await settled()
    assert engine.session.state is State.EMPTY
    assert await engine.store.load(NAME, SESSION) is None


@scenario()
async def test_a_refusal_of_flushed_tokens_changes_nothing(engine: Engine) -> None:
    pair = await engine.get()
    engine.provider.flush()
    engine.provider.refused(pair, Component.AGENT)
    assert generations(await engine.get()) == (2, 2)


@scenario()
async def test_a_stop_tells_those_who_wait(engine: Engine) -> None:
    with engine.pod.holding():
        request = engine.asked()
        await settled()
        await engine.provider.aclose()
        with pytest.raises(LoginUnavailable) as caught:
            await request
    assert caught.value.reason is Reason.DRAINING


# Clocks.


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_clock_set_by_a_day_costs_one_refresh_and_no_error(step: float) -> None:
    @scenario(lifetime=4 * HOUR)
    async def story(engine: Engine) -> None:
        await engine.get()
        engine.clock.step_wall(step)
        assert generations(await engine.get()) == (1, 1)
        await settled()
        for _ in range(100):
            assert generations(await engine.get()) == (2, 2)
            await engine.clock.turn(60)
        assert engine.pod.logins == {SESSION: 2, KEY_MANAGER: 2}
        assert engine.telemetry.count(Event.CLOCK_DRIFT) == 1

    story(False)


class TellsThePast:
    """A login method whose tokens were over before they came."""

    credentials = KeyInHand(key())

    def login(
        self, kind: TokenKind, pod: Pod, keys: KeyMaterial, now: float
    ) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
        yield LoginRequest(pod.session_auth, "/sessionauth/v1/authenticate")
        return GrantedToken(Secret("session-token"), expires_at=now - 1)


@scenario(Bot(NAME, ON_PREMISES, TellsThePast()))
async def test_an_end_in_the_past_is_not_believed(engine: Engine) -> None:
    pair = await engine.get(Wants.SESSION)
    assert pair.session.expires is None
    assert engine.pod.logins[SESSION] <= 2


@scenario()
async def test_a_clock_that_is_wrong_is_named_with_its_seconds(engine: Engine) -> None:
    engine.pod.answers[SESSION] = answer(401, "", date="Tue, 14 Nov 2023 22:00:00 GMT")
    with pytest.raises(LoginRejected, match="clock is 800 seconds ahead") as caught:
        await engine.get()
    assert caught.value.reason is Reason.CLOCK_SKEW


# Many bots.


MANY = [bot(f"bot-{number}") for number in range(30)]


@scenario(*MANY)
async def test_at_most_eight_logins_run_at_once(engine: Engine) -> None:
    engine.pod.delay = 0.5
    requests = [engine.asked(Wants.SESSION, name=one.username) for one in MANY]
    await engine.clock.turn(10)
    assert {generations(await request)[0] for request in requests} == {1}  # type: ignore[index]
    assert engine.pod.most_in_all == 8


@scenario(*MANY)
async def test_start_up_logins_are_staggered(engine: Engine) -> None:
    engine.provider.start()
    await engine.clock.turn(1)
    assert 0 < engine.pod.logins[SESSION] <= 5
    await engine.clock.turn(10)
    assert engine.pod.logins == {SESSION: 30, KEY_MANAGER: 30}


@scenario(*MANY)
async def test_the_trouble_of_one_bot_is_not_that_of_another(engine: Engine) -> None:
    await engine.get(name="bot-1")
    engine.pod.down()
    failing = engine.asked(name="bot-2")
    assert generations(await engine.get(name="bot-1")) == (1, 1)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable, match="status 503"):
        await failing
