from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.clock import NOON, TurnedClock
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.telemetry import NEWS_KEPT, Event, Telemetry


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="symphony_auth_proxy.audit")
    return caplog


def test_a_record_is_one_line_of_names_and_values(lines: pytest.LogCaptureFixture) -> None:
    Telemetry().record(Event.LOGIN_SUCCEEDED, bot="pricing-bot", kind=TokenKind.SESSION, seconds=1)
    assert lines.messages == ["event=login_succeeded bot=pricing-bot kind=session seconds=1"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/pod/v1/x", "/pod/v1/x"),
        ("two words", '"two words"'),
        ("a\r\nevent=refused", '"a\\r\\nevent=refused"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ('say "x"', '"say \\"x\\""'),
        ("\x7f\x9b", '"\\u007f\\u009b"'),
        ("\u202eevil", '"\\u202eevil"'),
        ("", '""'),
    ],
)
def test_what_others_wrote_cannot_break_out_of_its_place(
    lines: pytest.LogCaptureFixture, value: str, told: str
) -> None:
    Telemetry().record(Event.REFUSED, path=value)
    assert lines.messages == [f"event=refused path={told}"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_a_record_is_printable_ascii_whatever_it_tells(
    lines: pytest.LogCaptureFixture, value: str
) -> None:
    lines.clear()
    Telemetry().record(Event.REFUSED, path=value)
    assert lines.messages[0].isascii()
    assert lines.messages[0].isprintable()
    assert len(lines.messages[0]) < 4000


@pytest.mark.parametrize("value", [Secret("canary"), None, b"canary", ["canary"], object()])
def test_only_texts_and_numbers_are_told(lines: pytest.LogCaptureFixture, value: Any) -> None:
    telemetry = Telemetry()
    with pytest.raises(TypeError, match="host is of type") as caught:
        telemetry.record(Event.REFUSED, host=value)
    assert "canary" not in str(caught.value)
    assert not lines.messages
    assert telemetry.count(Event.REFUSED) == 0


def test_the_names_of_facts_are_a_closed_set() -> None:
    facts: Any = {"token": "canary"}
    with pytest.raises(TypeError, match="'token' is not a fact"):
        Telemetry().record(Event.REFUSED, **facts)


def test_events_are_counted_by_their_labels() -> None:
    telemetry = Telemetry()
    telemetry.record(Event.LOGIN_FAILED, bot="one", kind="session", seconds=1.5)
    telemetry.record(Event.LOGIN_FAILED, bot="one", kind="key_manager", seconds=2.5)
    telemetry.record(Event.LOGIN_FAILED, bot="two", kind="session")
    assert telemetry.count(Event.LOGIN_FAILED) == 3
    assert telemetry.count(Event.LOGIN_FAILED, bot="one") == 2
    assert telemetry.count(Event.LOGIN_FAILED, bot="one", kind=TokenKind.SESSION) == 1
    assert telemetry.count(Event.LOGIN_SUCCEEDED) == 0


@pytest.mark.parametrize("event", Event)
def test_nothing_is_logged_as_an_error(event: Event, lines: pytest.LogCaptureFixture) -> None:
    """mitmproxy ends itself over an ERROR that is logged while it starts."""
    Telemetry().record(event)
    assert lines.records[0].levelno < logging.ERROR


@pytest.mark.parametrize("event", [Event.INJECTED, Event.PASSED, Event.PASSTHROUGH])
def test_what_happens_at_each_request_is_for_debugging(
    event: Event, lines: pytest.LogCaptureFixture
) -> None:
    lines.set_level(logging.INFO, logger="symphony_auth_proxy.audit")
    Telemetry().record(event)
    assert not lines.records


def test_the_last_logins_are_remembered_with_their_time(clock: TurnedClock) -> None:
    telemetry = Telemetry(clock)
    telemetry.record(Event.LOGIN_SUCCEEDED, bot="one", seconds=0.2)
    clock.step_wall(60)
    telemetry.record(Event.TOKEN_MARKED_BAD, bot="one", generation=1)
    telemetry.record(Event.INJECTED, bot="one", component="pod")

    assert [(news.at, news.event) for news in telemetry.logins()] == [
        (NOON + 60, Event.TOKEN_MARKED_BAD),
        (NOON, Event.LOGIN_SUCCEEDED),
    ]
    assert telemetry.logins()[0].facts == {"bot": "one", "generation": 1}


def test_what_is_remembered_is_bounded_and_good_news_do_not_drown_the_bad(
    clock: TurnedClock,
) -> None:
    telemetry = Telemetry(clock)
    telemetry.record(Event.KEY_RELOAD_FAILED, bot="one", error="no key in it")
    for number in range(1000):
        clock.step_wall(1)
        telemetry.record(Event.LOGIN_SUCCEEDED, bot=f"bot-{number}")
        telemetry.record(Event.REFUSED, reason="cross_site", host=f"host-{number}")

    logins = telemetry.logins()

    assert len(logins) == NEWS_KEPT + 1
    assert logins[0].facts["bot"] == "bot-999"
    assert logins[-1].event is Event.KEY_RELOAD_FAILED
    [refusal] = telemetry.refusals()
    assert refusal.facts["host"] == "host-999"


def test_bad_news_are_bounded_too(clock: TurnedClock) -> None:
    telemetry = Telemetry(clock)
    for number in range(1000):
        clock.step_wall(1)
        telemetry.record(Event.LOGIN_FAILED, bot="one", error=f"attempt {number}")

    errors = [news.facts["error"] for news in telemetry.logins()]

    assert errors == [f"attempt {number}" for number in range(999, 999 - NEWS_KEPT, -1)]


def test_the_last_refusal_of_each_reason_is_remembered(clock: TurnedClock) -> None:
    telemetry = Telemetry(clock)
    for reason in ("cross_site", "unknown_bot", "cross_site"):
        clock.step_wall(1)
        telemetry.record(Event.REFUSED, reason=reason)

    reasons = [(news.facts["reason"], news.at - NOON) for news in telemetry.refusals()]
    assert reasons == [("cross_site", 3), ("unknown_bot", 2)]


@given(st.text())
def test_texts_that_are_remembered_do_nothing_to_a_screen(value: str) -> None:
    telemetry = Telemetry()
    telemetry.record(Event.REFUSED, reason="host_refused", host=value)
    telemetry.record(Event.LOGIN_FAILED, bot="one", error=value)

    for news in (*telemetry.refusals(), *telemetry.logins()):
        texts = [fact for fact in news.facts.values() if isinstance(fact, str)]
        assert all(text.isprintable() for text in texts)


def test_a_secret_is_not_remembered_either() -> None:
    telemetry = Telemetry()
    secret: Any = Secret("canary")
    with pytest.raises(TypeError):
        telemetry.record(Event.LOGIN_FAILED, bot="one", error=secret)
    assert telemetry.logins() == []
