"""Placeholders: real-looking, good for one bot, one client and one key, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from symphony_auth_proxy.core.placeholder import (
    LIFE,
    Placeholder,
    Placeholders,
    holds_placeholder,
    is_placeholder,
)
from symphony_auth_proxy.errors import ClientRefused, Reason
from symphony_auth_proxy.model import TokenKind

NOW = 1_700_000_000.0
KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))

BOTH = pytest.mark.parametrize("kind", list(TokenKind))


def placeholders(key: bytes = KEY, now: float = NOW) -> Placeholders:
    return Placeholders(key, lambda: now)


def session(**claims: object) -> str:
    """What looks like a session placeholder, signed with a key that a stranger has."""
    header = {"kid": "symphony-auth-proxy"}
    return jwt.encode({"sub": "pricing-bot", **claims}, OTHER_KEY, "HS256", header)


def refused(value: str, reader: Placeholders | None = None) -> ClientRefused:
    with pytest.raises(ClientRefused) as caught:
        (reader or placeholders()).read(value)
    assert caught.value.status == 401, "an SDK must log in again"
    assert caught.value.reason is Reason.PLACEHOLDER_EXPIRED
    assert value not in str(caught.value) + caught.value.hint()
    return caught.value


@BOTH
@pytest.mark.parametrize("client", ["pricing", None])
def test_what_is_issued_can_be_read_back(kind: TokenKind, client: str | None) -> None:
    token = placeholders().issue(kind, "pricing-bot", client, 7_078_106_126_503)
    assert is_placeholder(token)
    assert is_placeholder(f" {token} ")
    assert placeholders().read(token) == Placeholder(kind, "pricing-bot", client)


def test_the_session_placeholder_is_a_jwt_as_sdks_read_it() -> None:
    token = placeholders().issue(TokenKind.SESSION, "pricing-bot", "pricing", 7_078_106_126_503)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == "pricing-bot"
    assert claims["userId"] == 7_078_106_126_503
    assert claims["exp"] == NOW + LIFE
    assert "canUseSimplifiedKeyDelivery" not in claims
    assert jwt.get_unverified_header(token)["typ"] == "JWT"


def test_a_bot_whose_id_is_not_known_gets_no_user_id() -> None:
    token = placeholders().issue(TokenKind.SESSION, "pricing-bot", None)
    assert "userId" not in jwt.decode(token, options={"verify_signature": False})


def test_the_key_manager_placeholder_looks_like_a_key_manager_token() -> None:
    token = placeholders().issue(TokenKind.KEY_MANAGER, "pricing-bot", "pricing")
    assert token.startswith("0100")
    assert len(token) == 390
    assert token == token.lower()
    bytes.fromhex(token)


@BOTH
def test_a_long_name_is_not_cut_off(kind: TokenKind) -> None:
    name = "bot-" + "ü" * 200
    assert placeholders().read(placeholders().issue(kind, name, "c" * 64)).bot == name


@BOTH
def test_a_placeholder_survives_a_restart_with_the_same_key(kind: TokenKind) -> None:
    token = placeholders().issue(kind, "pricing-bot", None)
    assert placeholders(now=NOW + 86_400).read(token).bot == "pricing-bot"


@BOTH
def test_another_installation_knows_nothing_of_it(kind: TokenKind) -> None:
    refused(placeholders(OTHER_KEY).issue(kind, "pricing-bot", None))


@BOTH
def test_a_placeholder_ends(kind: TokenKind) -> None:
    token = placeholders().issue(kind, "pricing-bot", None)
    assert placeholders(now=NOW + LIFE - 1).read(token)
    refused(token, placeholders(now=NOW + LIFE))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0100",
        "0100" + "ab" * 193,
        "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJ4In0.c2ln",
        "[sealed pricing-bot #7f3a gen 1]",
    ],
)
def test_other_tokens_are_not_taken_for_placeholders(value: str) -> None:
    assert not is_placeholder(value)
    assert not holds_placeholder(value)


@BOTH
def test_a_placeholder_is_found_inside_a_text(kind: TokenKind) -> None:
    assert holds_placeholder(f"Bearer {placeholders().issue(kind, 'pricing-bot', None)}")


def test_a_mac_of_somebody_elses_key_is_refused() -> None:
    forged = session(exp=NOW + 60)
    assert is_placeholder(forged)
    refused(forged)


def test_a_mac_made_with_a_public_text_is_refused() -> None:
    """The MACs are keyed by kind; the key of one of them opens nothing of the other."""
    token = placeholders().issue(TokenKind.KEY_MANAGER, "pricing-bot", None)
    claims = bytes.fromhex(token[-284:])
    head = session().partition(".")[0].encode()
    signed = head + b"." + base64url_encode(claims)
    mac = bytes.fromhex(token[42:106])
    refused((signed + b"." + base64url_encode(mac)).decode())


def test_our_head_before_another_algorithm_is_refused() -> None:
    head = session().partition(".")[0]
    none = jwt.encode({"sub": "pricing-bot", "exp": NOW + 60}, None, "none")  # type: ignore[arg-type]
    assert not is_placeholder(none), "alg none is a token of somebody else"
    body = none.split(".")[1]
    for signature in ("", "e30", "A" * 43):
        refused(f"{head}.{body}.{signature}")


@given(
    st.sampled_from(list(TokenKind)),
    st.integers(0, 500),
    st.characters(min_codepoint=1, max_codepoint=0x2FF),
)
def test_no_change_of_one_character_is_accepted(kind: TokenKind, at: int, new: str) -> None:
    token = placeholders().issue(kind, "pricing-bot", "pricing", 7)
    at %= len(token)
    assume(token[at] != new)
    assume(not (new.isspace() and at in {0, len(token) - 1}))
    changed = token[:at] + new + token[at + 1 :]
    assert not is_placeholder(changed) or refused(changed)


@given(st.sampled_from(list(TokenKind)), st.integers(1, 500), st.text(max_size=3))
@example(TokenKind.KEY_MANAGER, 110, " ")
@example(TokenKind.SESSION, 214, "=")
@example(TokenKind.SESSION, 215, "\udcff")
def test_nothing_can_be_put_in_or_left_out(kind: TokenKind, at: int, more: str) -> None:
    token = placeholders().issue(kind, "pricing-bot", "pricing", 7)
    at = min(at, len(token))
    longer, shorter = token[:at] + more + token[at:], token[: at - 1] + token[at:]
    assume(longer.strip() != token)
    assert not is_placeholder(longer) or refused(longer)
    assert not is_placeholder(shorter) or refused(shorter)


def test_the_letter_case_of_hexadecimal_digits_counts() -> None:
    token = placeholders().issue(TokenKind.KEY_MANAGER, "pricing-bot", None)
    refused(token[:42] + token[42:].upper())


@given(st.sampled_from(["head", "hex"]), st.text())
def test_nothing_that_only_begins_like_one_is_accepted(form: str, rest: str) -> None:
    token = placeholders().issue(
        TokenKind.SESSION if form == "head" else TokenKind.KEY_MANAGER, "pricing-bot", None
    )
    begin = token.partition(".")[0] + "." if form == "head" else token[:42]
    refused(begin + rest)


def test_claims_nested_beyond_reason_are_refused() -> None:
    head = session().partition(".")[0]
    deep = base64url_encode(("[" * 100_000).encode()).decode()
    refused(f"{head}.{deep}.c2ln")


def test_claims_are_read_only_once_they_are_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    loads = json.loads

    def noting(text: bytes, **more: Any) -> Any:
        read.append(text)
        return loads(text, **more)

    forged = session(exp=NOW + 60)
    monkeypatch.setattr(json, "loads", noting)
    refused(forged)
    assert not any(b"pricing-bot" in text for text in read)
