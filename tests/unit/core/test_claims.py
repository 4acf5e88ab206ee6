"""What tokens say about themselves, read without any trust."""

from __future__ import annotations

import json

import jwt
import pytest

from symphony_auth_proxy.core.claims import asserted_user, claims_of, user_id_of

KEY = bytes(32)


def token(**claims: object) -> str:
    return jwt.encode(claims, KEY, "HS256")


def body(value: object) -> bytes:
    return json.dumps({"token": value}).encode()


def test_the_user_of_an_assertion_is_its_sub_whoever_signed_it() -> None:
    assert asserted_user(body(token(sub="pricing-bot", exp=1))) == "pricing-bot"


def test_an_unsigned_assertion_names_its_user_too() -> None:
    unsigned = jwt.encode({"sub": "pricing-bot"}, None, "none")  # type: ignore[arg-type]
    assert asserted_user(body(unsigned)) == "pricing-bot"


@pytest.mark.parametrize(
    "unreadable",
    [
        b"",
        b"token=x",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b'{"token": 7}',
        b'{"token": "a.b.c"}',
        b"[" * 100_000,
        body("a." + "W" * 60_000 + ".b"),
        body(token(sub=7)),
        body(token(sub=["pricing-bot"])),
        body(token(name="pricing-bot")),
    ],
    ids=repr,
)
def test_what_cannot_be_read_names_nobody(unreadable: bytes) -> None:
    assert asserted_user(unreadable) is None


def test_the_user_id_of_a_session_is_a_number() -> None:
    assert user_id_of(token(userId=7_078_106_126_503)) == 7_078_106_126_503
    for other in ("7", True, None, 7.5, [7]):
        assert user_id_of(token(userId=other)) is None


def test_an_opaque_token_claims_nothing() -> None:
    assert claims_of("ab" * 64) == {}
    assert user_id_of("ab" * 64) is None
