from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.backoff import Failure, Setback, setback, tokens_refused, told_again
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)

DOWN = LoginUnavailable("down")
REJECTED = LoginRejected("no")


def row(*errors: Failure, draw: float = 0.999_999, key: str | None = "k") -> Setback:
    last: Setback | None = None
    for error in errors:
        last = setback(error, last, 0.0, draw, key)
    assert last is not None
    return last


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (50, 60), (5000, 60)]
)
def test_pauses_double_up_to_a_minute(failures: int, pause: float) -> None:
    assert row(*[DOWN] * failures).request_at == pytest.approx(pause, rel=1e-3)


@given(st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_jitter_is_full(failures: int, draw: float) -> None:
    assert row(*[DOWN] * failures, draw=draw).request_at == pytest.approx(
        draw * min(2 ** (failures - 1), 60)
    )


@pytest.mark.parametrize(("failures", "pause"), [(1, 60), (6, 60), (8, 128), (9, 256), (20, 300)])
def test_behind_requests_attempts_are_a_minute_to_five_apart(failures: int, pause: float) -> None:
    assert row(*[DOWN] * failures).background_at == pytest.approx(pause, rel=1e-3)


@pytest.mark.parametrize(
    ("wished", "granted"), [(0, 1), (0.2, 1), (5, 5), (3600, 3600), (1e9, 3600)]
)
def test_a_servers_wish_is_honoured_within_reason(wished: float, granted: float) -> None:
    later = row(LoginUnavailable("down", retry_after=wished), draw=0.0)
    assert later.request_at == granted
    assert later.background_at == max(granted, 60)


@pytest.mark.parametrize(
    ("refusals", "pause"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (500, 600)]
)
def test_a_refusal_is_remembered_for_a_minute_to_ten(refusals: int, pause: float) -> None:
    assert row(*[REJECTED] * refusals).request_at == pause
    assert row(*[REJECTED] * refusals).background_at == pause


def test_each_temper_counts_its_own_row() -> None:
    assert row(DOWN, DOWN, DOWN, REJECTED).request_at == 60
    assert row(REJECTED, REJECTED, DOWN).row == 1


def test_another_key_than_the_refused_one_may_be_tried_at_once() -> None:
    refused = row(REJECTED, key="old")
    assert refused.refuses("old", 59)
    assert not refused.refuses("new", 59)
    assert not refused.refuses("old", 60)
    assert not refused.allows_look(4.9)
    assert refused.allows_look(5)
    assert not row(DOWN, key="old").allows_look(1e9)


def test_only_passing_trouble_is_worth_waiting_for() -> None:
    assert row(DOWN).worth_waiting
    for error in (REJECTED, LoginProtocolError("html"), KeyMaterialError("unreadable")):
        assert not row(error).worth_waiting


class FinerError(LoginUnavailable):
    """As a transport may raise, with a constructor of its own."""

    def __init__(self) -> None:
        super().__init__("no route", reason=Reason.ADDRESS_REFUSED, hint="look at DNS")


@pytest.mark.parametrize("error", [DOWN, REJECTED, FinerError(), KeyMaterialError("short")])
def test_an_error_is_told_again_as_a_new_one(error: Failure) -> None:
    again = told_again(error, 12.5)
    assert again is not error
    assert again.retry_after == 12.5
    assert (str(again), again.reason, again.status, again.hint(), again.retryable) == (
        str(error),
        error.reason,
        error.status,
        error.hint(),
        error.retryable,
    )


def test_refused_tokens_are_told_as_something_to_retry_later() -> None:
    error = tokens_refused("pricing-bot", 100.0)
    assert (error.status, error.reason, error.retry_after) == (503, Reason.TOKENS_REFUSED, 100.0)
