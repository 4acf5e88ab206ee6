"""A token as people may see it."""

from __future__ import annotations

import jwt
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.claims import claims_of
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.secret import Secret

TOKEN = jwt.encode({"sub": "pricing-bot", "exp": 4_102_444_800}, "k" * 32)
SIGNATURE = TOKEN.rpartition(".")[2]


def test_of_a_jwt_all_but_the_signature_stays() -> None:
    header, claims, _ = TOKEN.split(".")
    assert masked(TOKEN) == f"{header}.{claims}.[sealed #{Secret(TOKEN).fingerprint()}]"
    assert SIGNATURE not in masked(TOKEN)


def test_a_bearer_token_keeps_its_scheme_and_its_fingerprint() -> None:
    assert masked(f"Bearer {TOKEN}") == f"Bearer {masked(TOKEN)}"


@given(st.text(st.characters(codec="ascii"), min_size=24))
def test_of_any_other_token_nothing_but_the_fingerprint_stays(token: str) -> None:
    if not claims_of(token.removeprefix("Bearer ")):
        assert token.removeprefix("Bearer ") not in masked(token) or token == "Bearer "


def test_what_only_looks_like_a_jwt_shows_nothing() -> None:
    for token in ("a.b.c", "eyJhbGciOiJub25lIn0.not-json.signature", "0100abcdef" * 20):
        assert masked(token) == f"[sealed #{Secret(token).fingerprint()}]"


def test_a_token_of_many_schemes_is_no_way_to_stop_anybody() -> None:
    assert TOKEN not in masked("Bearer " * 5_000 + TOKEN)
