"""Names of accounts: which ones there can be, and how people see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.headers import is_void
from symphony_auth_proxy.core.names import is_user, key_of, shown


@pytest.mark.parametrize(
    "name", ["alice", "alice@acme.example", "Ann Lee", "349871113483264", "josé", "..."]
)
def test_names_and_numbers_are_users(name: str) -> None:
    assert is_user(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../x",
        "a\\b",
        "a%2fb",
        "a\nb",
        "a\0b",
        "a\x7f",
        "\udce9",
        "\u202e",
        "a" * 256,
    ],
)
def test_what_could_be_read_otherwise_is_no_user(name: str) -> None:
    assert not is_user(name)


def test_people_see_for_whom_a_bot_calls() -> None:
    assert shown("pricing-bot", None) == "pricing-bot"
    assert shown("pricing-bot", "alice") == "pricing-bot for alice"


@given(st.text(), st.none() | st.text())
def test_whatever_it_is_called_a_sealed_token_stays_one(bot: str, user: str | None) -> None:
    name = shown(bot, user)
    assert name.isprintable()
    assert len(name) < 150
    as_in_a_header = name.encode("ascii", "replace").decode()
    assert is_void(f"[sealed {as_in_a_header} #7f3a gen 12]")


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)


@given(PRINTABLE, st.none() | PRINTABLE, PRINTABLE, st.none() | PRINTABLE)
def test_no_two_accounts_share_their_name_in_a_store(
    bot: str, user: str | None, other_bot: str, other_user: str | None
) -> None:
    same = (bot, user) == (other_bot, other_user)
    assert (key_of(bot, user) == key_of(other_bot, other_user)) is same
