"""What changes while the store is asked counts: nothing outdated is handed out."""

from __future__ import annotations

from support.clock import settled
from support.engine import NAME, Engine, scenario
from support.scripted_pod import generations
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.tokens.provider import Wants

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER
DELAY = 0.25


async def logged_in(engine: Engine, *, wants: Wants = Wants.BOTH) -> None:
    request = engine.asked(wants)
    await engine.clock.turn(2)
    engine.provider.accepted(await request, Component.AGENT)


@scenario(store_delay=DELAY)
async def test_a_token_refused_while_it_is_loaded_is_not_handed_out(engine: Engine) -> None:
    await logged_in(engine)
    first = engine.asked()
    await engine.clock.turn(2)
    second = engine.asked()
    await settled()
    engine.provider.refused(await first, Component.AGENT)
    await engine.clock.turn(3)
    assert generations(await second) == (2, 2)


@scenario(store_delay=DELAY)
async def test_a_key_manager_token_refused_while_it_is_loaded_is_left_out(
    engine: Engine,
) -> None:
    await logged_in(engine)
    first = engine.asked()
    await engine.clock.turn(2)
    with engine.pod.holding(KEY_MANAGER):
        pod_call, agent_call = engine.asked(Wants.SESSION), engine.asked(Wants.BOTH)
        await engine.clock.turn(DELAY * 1.5)  # both have loaded the session token
        engine.provider.refused(await first, Component.AGENT)
        await engine.clock.turn(3)
        assert generations(await pod_call) == (2, 0)
        assert not agent_call.done()
    await engine.clock.turn(3)
    assert generations(await agent_call) == (2, 2)


@scenario(store_delay=DELAY)
async def test_only_the_token_that_was_refused_is_replaced(engine: Engine) -> None:
    await logged_in(engine)
    asked = engine.asked()
    await engine.clock.turn(2)
    first = await asked
    renewed = engine.renewing(first, Component.POD)
    await engine.clock.turn(2)
    assert generations(await renewed) == (2, 1)
    agent_call = engine.asked(Wants.BOTH)
    await engine.clock.turn(DELAY * 1.5)  # the key manager token is being loaded
    engine.provider.refused(first, Component.AGENT)
    await engine.clock.turn(3)
    assert generations(await agent_call) == (2, 2)


@scenario(store_delay=DELAY)
async def test_a_flush_while_a_token_is_saved_drops_it(engine: Engine) -> None:
    request = engine.asked(Wants.SESSION)
    await engine.clock.turn(DELAY / 2)
    engine.pod.stubborn = True
    engine.provider.flush()
    await engine.clock.turn(3)
    assert (await request).session.generation == 2


@scenario()
async def test_a_token_that_the_store_has_lost_is_fetched_anew(engine: Engine) -> None:
    await engine.get()
    await engine.store.discard(NAME, SESSION, 1)
    assert generations(await engine.get()) == (2, 1)
    assert engine.session.state is State.FRESH
