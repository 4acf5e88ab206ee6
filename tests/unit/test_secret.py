"""A Secret has no way out but reveal()."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.secret import Secret

CANARY = "canary-3f9a"


def test_no_text_form_holds_the_value() -> None:
    secret = Secret(CANARY)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{[secret]}"):
        assert CANARY not in text


def test_it_is_never_serialised() -> None:
    secret = Secret(CANARY)
    with pytest.raises(TypeError, match="never serialised"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="never serialised"):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_reveal_returns_it_and_the_fingerprint_is_short_and_stable() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY).fingerprint() == Secret(CANARY).fingerprint()
    assert len(Secret(CANARY).fingerprint()) == 4


@given(st.text(), st.text())
def test_equality_is_that_of_the_values(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")
