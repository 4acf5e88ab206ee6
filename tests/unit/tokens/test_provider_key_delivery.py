"""Simplified Key Delivery: bots that need no key manager token, and may have no key manager."""

from __future__ import annotations

import pytest

from support.clock import settled
from support.engine import Engine, scenario
from support.scripted_pod import ON_PREMISES, answer, bot, generations, json_answer
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import LoginUnavailable
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
OWN_AGENT = bot(pod=ON_PREMISES)


@scenario()
async def test_a_bot_on_key_delivery_never_meets_the_key_manager(engine: Engine) -> None:
    engine.pod.simplified = True
    requests = [engine.asked() for _ in range(10)]
    await settled()
    for request in requests:
        assert generations(await request) == (1, 0)
    assert engine.key_manager.state is State.NOT_REQUIRED
    assert engine.pod.logins == {SESSION: 1}
    assert engine.pod.infos == 0  # the agent is the pod's own


@scenario(OWN_AGENT)
async def test_an_agent_of_ones_own_must_be_recent_enough(engine: Engine) -> None:
    engine.pod.simplified = True
    engine.pod.answers[None] = json_answer(200, version="Agent-24.12.0-4711")
    assert generations(await engine.get()) == (1, 0)
    question = engine.pod.requests[-1]
    assert (question.method, question.endpoint, question.path, question.headers) == (
        "GET",
        ON_PREMISES.agent,
        "/agent/v1/info",
        (),
    )


@scenario(OWN_AGENT)
async def test_an_older_agent_gets_its_key_manager_token(engine: Engine) -> None:
    engine.pod.simplified = True
    engine.pod.answers[None] = json_answer(200, version="Agent-24.9.2-4711")
    assert generations(await engine.get()) == (1, 1)


@pytest.mark.parametrize(
    "silence",
    [
        answer(503),
        answer(200, "<html>"),
        answer(200, "[]"),
        json_answer(200, version="unknown"),
        json_answer(200, version=24),
    ],
)
def test_an_agent_that_does_not_tell_gets_its_key_manager_token(silence: object) -> None:
    @scenario(OWN_AGENT)
    async def story(engine: Engine) -> None:
        engine.pod.simplified = True
        engine.pod.answers[None] = silence  # type: ignore[assignment]
        assert generations(await engine.get()) == (1, 1)

    story(False)


@scenario(OWN_AGENT)
async def test_an_agent_that_hangs_does_not_use_up_the_login(engine: Engine) -> None:
    engine.pod.simplified = True
    with engine.pod.holding(None):
        request = engine.asked()
        await engine.clock.turn(5)
        assert generations(await request) == (1, 1)


@scenario(OWN_AGENT)
async def test_an_unknown_agent_and_no_key_manager_leave_pod_calls_alone(engine: Engine) -> None:
    engine.pod.simplified = True
    engine.pod.answers[None] = engine.pod.answers[KEY_MANAGER] = answer(503)
    assert generations(await engine.get(Wants.SESSION)) == (1, 0)
    agent_call = engine.asked(Wants.BOTH)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable) as told:
        await agent_call
    assert told.value.diagnosis is Diagnosis.KEY_DELIVERY_INCOMPLETE
    assert engine.key_manager.diagnosis == "key_delivery_incomplete"


@scenario(OWN_AGENT)
async def test_without_key_delivery_a_key_manager_that_is_down_is_what_is_told(
    engine: Engine,
) -> None:
    engine.pod.simplified = False
    engine.pod.answers[KEY_MANAGER] = answer(503)
    agent_call = engine.asked(Wants.BOTH)
    await engine.clock.turn(10)
    with pytest.raises(LoginUnavailable) as told:
        await agent_call
    assert told.value.diagnosis is Diagnosis.KEY_MANAGER_UNAVAILABLE


@scenario(OWN_AGENT)
async def test_the_agents_version_is_asked_again_after_ten_minutes_behind_requests(
    engine: Engine,
) -> None:
    engine.pod.simplified = True
    engine.pod.answers[None] = json_answer(200, version="Agent-25.1.0")
    await engine.get()
    for _ in range(9):
        await engine.clock.turn(60)
        await engine.get()
    assert engine.pod.infos == 1
    await engine.clock.turn(60)
    with engine.pod.holding():
        assert generations(await engine.get()) == (1, 0)
    await settled()
    assert engine.pod.infos == 2
    engine.pod.answers[None] = json_answer(200, version="Agent-24.1.0")
    await engine.clock.turn(600)
    assert generations(await engine.get()) == (1, 0)
    await settled()
    assert generations(await engine.get()) == (1, 1)


@scenario(OWN_AGENT)
async def test_a_refusal_by_the_agent_puts_its_version_in_doubt(engine: Engine) -> None:
    engine.pod.simplified = True
    engine.pod.answers[None] = json_answer(200, version="Agent-25.1.0")
    pair = await engine.get()
    engine.provider.accepted(pair, Component.AGENT)
    engine.pod.answers[None] = json_answer(200, version="Agent-24.1.0")
    assert generations(await engine.renew(pair, Component.AGENT)) == (2, 1)


@scenario()
async def test_a_bot_that_leaves_key_delivery_gets_its_key_manager_token(engine: Engine) -> None:
    engine.pod.simplified = True
    pair = await engine.get()
    engine.provider.accepted(pair, Component.POD)
    engine.pod.simplified = False
    await engine.renew(pair, Component.POD)
    assert generations(await engine.get()) == (2, 1)
