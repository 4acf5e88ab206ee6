"""What is told about tokens: how old, until when, which, and what is the matter with them."""

from __future__ import annotations

import pytest

from support.clock import NOON
from support.engine import NAME, Engine, scenario
from support.scripted_pod import json_answer
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import LoginRejected
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.tokens.provider import Wants

HOUR = 3600.0


@scenario(lifetime=HOUR)
async def test_a_token_has_an_age_an_end_and_a_time_of_renewal(engine: Engine) -> None:
    pair = await engine.get()
    await engine.clock.turn(600)

    told = engine.session

    assert (told.age, told.expires_in) == (600.0, HOUR - 600)
    assert told.obtained == pytest.approx(NOON)
    assert told.renew_in is not None
    assert (
        0.70 * HOUR - 600 <= told.renew_in <= 0.75 * HOUR - 600
    )  # a quarter before, at the latest
    assert told.fingerprint == pair.session.value.fingerprint()
    assert engine.provider.snapshot(NAME).pod == "acme.example:443"


@scenario()
async def test_of_a_life_that_nobody_knows_no_end_is_told(engine: Engine) -> None:
    await engine.get()

    assert (engine.session.expires_in, engine.session.renew_in) == (None, None)


@scenario(lifetime=HOUR)
async def test_a_clock_that_was_set_does_not_make_a_token_older(engine: Engine) -> None:
    await engine.get()
    await engine.clock.turn(60)
    engine.clock.step_wall(100)

    assert engine.session.age == 60.0
    assert engine.session.obtained == pytest.approx(NOON + 100)


@scenario()
async def test_trouble_comes_with_its_diagnosis_and_the_way_out(engine: Engine) -> None:
    engine.pod.answers[TokenKind.SESSION] = json_answer(401, code=401, message="Unauthorized")
    with pytest.raises(LoginRejected) as caught:
        await engine.get(Wants.SESSION)

    told = engine.session

    assert told.trouble is not None
    assert told.trouble.startswith("login_rejected: ")
    assert told.diagnosis in set(Diagnosis)
    assert told.hint == caught.value.hint()
    [news] = engine.telemetry.logins()
    assert news.facts["diagnosis"] == told.diagnosis
