"""Searching for many texts at once finds what searching for each of them finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.inspection.needles import Needles

NEEDLES = st.lists(st.binary(min_size=4, max_size=12).map(lambda b: bytes(c % 3 for c in b)))


@given(NEEDLES, st.binary(max_size=200).map(lambda b: bytes(c % 3 for c in b)))
def test_every_occurrence_is_found_and_nothing_else(needles: list[bytes], haystack: bytes) -> None:
    found = {
        (hit.start, hit.end, hit.meaning) for hit in Needles({n: n for n in needles}).find(haystack)
    }
    assert found == {
        (start, start + len(needle), needle)
        for needle in needles
        for start in range(len(haystack))
        if haystack.startswith(needle, start)
    }


def test_without_needles_nothing_is_found() -> None:
    assert list(Needles[str]({}).find(b"hay")) == []
