"""Spans of time, instants and others' texts, as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.spans import LONGEST_TEXT, harmless, span, utc


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (99.4, "99 s"),
        (100, "1 min"),
        (719, "11 min"),
        (5999, "99 min"),
        (6000, "1 h 40 min"),
        (11_100, "3 h 05 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 d 0 h"),
        (475_200, "5 d 12 h"),
    ],
)
def test_a_span_has_one_or_two_units(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_an_instant_names_its_time_zone() -> None:
    assert utc(1_700_000_000.9) == "2023-11-14 22:13:20 UTC"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain «words»", "plain «words»"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egnp", "\\u202egnp"),
        ("\udc80", "\\udc80"),
        ("x" * 600, "x" * LONGEST_TEXT + "…"),
    ],
)
def test_a_text_of_others_is_shown_and_does_nothing(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text(max_size=1000))
def test_whatever_is_written_stays_on_one_line_and_can_be_encoded(text: str) -> None:
    assert harmless(text).isprintable()
    assert harmless(text).encode().decode() == harmless(text)
