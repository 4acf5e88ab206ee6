from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.freshness import Life, State

HOUR = 3600.0
lengths = st.floats(1, 15 * 24 * HOUR)
draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.70), (0.5, 0.75), (0.999, 0.7999)])
def test_the_advisory_window_opens_at_a_point_drawn_per_token(draw: float, share: float) -> None:
    assert Life.between(0, 10 * HOUR, draw).advisory == pytest.approx(share * 10 * HOUR)


def test_an_hour_or_more_ends_with_a_quarter_of_an_hour_to_spare() -> None:
    assert Life.between(0, HOUR, 0.999).advisory == 45 * 60
    assert Life.between(0, HOUR - 1, 0.999).advisory > 45 * 60


@pytest.mark.parametrize(
    ("minutes", "margin"), [(120, 300), (50, 300), (40, 240), (10, 60), (1, 6)]
)
def test_the_mandatory_window_is_five_minutes_or_a_tenth(minutes: float, margin: float) -> None:
    life = Life.between(100, 100 + minutes * 60, 0.3)
    assert life.end - life.mandatory == pytest.approx(margin)


@given(lengths, draws)
def test_windows_open_in_their_order(length: float, draw: float) -> None:
    life = Life.between(50, 50 + length, draw)
    assert 50 < life.advisory <= life.mandatory < life.end == 50 + length


def test_a_token_ages() -> None:
    life = Life.between(0, 10 * HOUR, 0.5)
    assert life.state(7.4 * HOUR) is State.FRESH
    assert life.state(7.5 * HOUR) is State.STALE
    assert not life.must_be_renewed(10 * HOUR - 301)
    assert life.must_be_renewed(10 * HOUR - 300)
    assert life.state(10 * HOUR - 1) is State.STALE
    assert life.state(10 * HOUR) is State.EXPIRED


def test_half_a_minute_tides_over() -> None:
    life = Life.between(0, HOUR, 0.5)
    assert life.tides_over(HOUR - 30)
    assert not life.tides_over(HOUR - 29.9)


def test_a_life_that_is_unknown_does_not_end() -> None:
    life = Life.between(0, None, 0.5)
    assert life.end == inf
    assert life.state(1e12) is State.FRESH
    assert not life.must_be_renewed(1e12)


def test_a_life_made_stale_keeps_its_end() -> None:
    life = Life.between(0, HOUR, 0.5).made_stale(10)
    assert life.state(10) is State.STALE
    assert not life.must_be_renewed(10)
    assert life.end == HOUR
    assert Life.between(0, HOUR, 0.5).made_stale(HOUR - 1).advisory < HOUR - 1
