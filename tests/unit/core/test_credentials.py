"""Basic credentials: read as RFC 7617 has them, and no other text ever raises."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.clients import basic
from symphony_auth_proxy.core.credentials import (
    MOST_CHARACTERS,
    Credentials,
    is_basic,
    read_basic,
)
from symphony_auth_proxy.secret import Secret


def read(value: str) -> tuple[str, str] | None:
    found = read_basic(Secret(value))
    return None if found is None else (found.name, found.password.reveal())


def test_the_example_of_the_rfc() -> None:
    assert read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == ("Aladdin", "open sesame")


def test_the_name_ends_at_the_first_colon() -> None:
    assert read(basic("pricing:a:b::")) == ("pricing", "a:b::")


def test_an_empty_password_is_one() -> None:
    assert read(basic("pricing:")) == ("pricing", "")


@pytest.mark.parametrize("value", ["basic {}", "BASIC   {}", "  Basic {}\t"])
def test_letter_case_and_space_around_the_value_do_not_matter(value: str) -> None:
    encoded = basic("pricing:x").partition(" ")[2]
    assert read(value.format(encoded)) == ("pricing", "x")


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_text_beyond_ascii_in_either_charset(charset: str) -> None:
    assert read(basic("jürgen:pässword".encode(charset))) == ("jürgen", "pässword")


def test_of_two_readings_utf_8_counts() -> None:
    assert read(basic("x:ä".encode())) == ("x", "ä"), "not Ã¤"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic ====",
        "Basic YTpi=",  # padding that is none
        "Basic YTp",  # cut off
        "Basic YTpi YTpi",
        "Basic\tYTpi",
        "BasicYTpi",
        "Basic YTpi, Basic YTpi",  # two headers, as one
        "Basic realm=YTpi",
        "Basic YT-_",  # another alphabet
        "Basic ＹＴｐｉ",  # full-width letters
        "Basic YTpi\udcff",  # a byte that is no UTF-8, as mitmproxy gives it
        "Basic YTpi\n",
        "Bearer YTpi",
        "Digest username=a",
        "Negotiate YTpi",
        "YTpi",
        basic("no colon"),
        basic(":an empty name"),
        basic(":"),
        basic("line\nend:x"),
        basic("nul:\0"),
        basic("a:\x7f"),
    ],
)
def test_what_is_no_basic_credentials_says_nothing(value: str) -> None:
    assert read(value) is None


def test_a_value_that_is_too_long_is_not_looked_at() -> None:
    fits = basic("a:" + "x" * (MOST_CHARACTERS // 4 * 3 - 8))
    assert len(fits) <= MOST_CHARACTERS
    assert read(fits) is not None
    assert read(basic("a:" + "x" * MOST_CHARACTERS)) is None


def test_a_password_is_not_shown() -> None:
    assert "sesame" not in repr(read_basic(Secret(basic("Aladdin:open sesame"))))


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(name=TEXT.filter(lambda name: name and ":" not in name), password=TEXT)
def test_what_was_sent_in_utf_8_is_what_is_read(name: str, password: str) -> None:
    if len(value := basic(f"{name}:{password}")) <= MOST_CHARACTERS:
        assert read(value) == (name, password)


@given(st.text())
def test_no_text_raises(value: str) -> None:
    read_basic(Secret(value))
    is_basic(value)


@given(st.binary())
def test_no_octets_raise(octets: bytes) -> None:
    found = read_basic(Secret(f"Basic {base64.b64encode(octets).decode()}"))
    assert found is None or isinstance(found, Credentials)
    assert found is None or not set(found.name) & set(string.whitespace[1:])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Basic YTpi", True),
        ("  bAsIc YTpi", True),
        ("Basic", True),
        ("Basically", False),
        ("Bearer Basic", False),
        ("", False),
    ],
)
def test_the_scheme_is_told_by_its_whole_name(value: str, expected: bool) -> None:
    assert is_basic(value) is expected
