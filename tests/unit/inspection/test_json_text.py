"""JSON for people: what is decoded, what is hidden, and how long it may take."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.jwts import unsigned_jwt
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.inspection.json_text import pretty_json
from symphony_auth_proxy.inspection.page import LONGEST_PAGE
from symphony_auth_proxy.secret import Secret

NOW = 1_795_356_300.0
"""2026-11-22 14:05:00 UTC"""
SIGNATURE = "c2lnbmF0dXJlLWNhbmFyeS1zaWduYXR1cmU"
TOKEN = unsigned_jwt(SIGNATURE, sub="pricing-bot", exp=int(NOW) + 720, iat=int(NOW) - 60)
SECONDS = 3.0
"""How long one page may take on a slow and busy machine; what is not bounded takes minutes."""


def pretty(document: Any, now: float = NOW) -> str:
    return pretty_json(json.dumps(document).encode(), now)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_a_login_answer_shows_header_and_claims_and_how_long_it_lives() -> None:
    shown = squeezed(pretty({"token": TOKEN, "name": "sessionToken"}))
    assert '# header {"alg": "RS512"}' in shown
    assert '# sub "pricing-bot"' in shown
    assert "# exp 2026-11-22 14:17:00 UTC (expires in 12 min)" in shown
    assert "# iat 2026-11-22 14:04:00 UTC (60 s ago)" in shown
    assert '"name": "sessionToken"' in shown


def test_a_token_that_has_ended_says_since_when() -> None:
    shown = squeezed(pretty({"token": TOKEN}, now=NOW + 720 + 7200))
    assert "(expired 2 h 00 min ago)" in shown


def test_claims_that_count_milliseconds_are_understood() -> None:
    token = unsigned_jwt(exp=int(NOW + 720) * 1000)
    assert "(expires in 12 min)" in pretty({"token": token})


def test_a_masked_token_is_decoded_with_the_fingerprint_that_it_has_everywhere() -> None:
    fingerprint = f"[sealed #{Secret(TOKEN).fingerprint()}]"
    masked_one = masked(TOKEN)
    assert masked_one.endswith(f".{fingerprint}")
    for token in (TOKEN, masked_one):
        shown = pretty({"token": token})
        assert fingerprint in shown
        assert "expires in 12 min" in shown


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Bearer {}",
        "<messageML>look: {}</messageML>",
        "https://acme.symphony.com/?token={}&x=1",
        "%22{}%22",
        "a.b.{}",
        "{} and {}",
        '{{"nested": "{}"}}',
        "x" * 16_300 + ".{}",
        "x" * 16_300 + " {}",
    ],
)
@pytest.mark.parametrize("key", ["token", "message", "anything"])
def test_a_signature_is_never_shown(text: str, key: str) -> None:
    document = {key: text.replace("{}", TOKEN).replace("{{", "{").replace("}}", "}")}
    shown = pretty([document, {document[key]: 1}])
    assert SIGNATURE not in shown
    assert SIGNATURE[:12] not in shown


def test_a_signature_inside_of_a_claim_is_not_shown_either() -> None:
    shown = pretty({"token": unsigned_jwt("c2ln", inner=TOKEN, deeper={"still": [TOKEN]})})
    assert SIGNATURE not in shown


@pytest.mark.parametrize("key", ["token", "keyManagerToken", "sessionToken", "skey", "password"])
def test_what_is_secret_by_its_name_shows_its_fingerprint(key: str) -> None:
    shown = pretty({key: "01008f7e-canary-f00d", "name": "keyManagerToken"})
    assert "canary" not in shown
    assert f'"[sealed #{Secret("01008f7e-canary-f00d").fingerprint()}]"' in shown


@pytest.mark.parametrize("key", ["tokens", "message", "name", "keyword", "monkey"])
def test_what_is_none_by_its_name_is_shown(key: str) -> None:
    assert '"plain"' in pretty({key: "plain"})


@pytest.mark.parametrize("name", ["X-Access-Token", "authToken", "apiKey", "assertion", "secret"])
def test_whatever_is_secret_by_its_name_is_shown_by_its_fingerprint(name: str) -> None:
    value = "01008f7e-canary-f00d"
    assert value not in pretty({name: value})
    assert Secret(value).fingerprint() in pretty({name: value})


def test_what_was_sealed_before_stays_as_it_is() -> None:
    sealed = "[sealed pricing-bot #7f3a gen 3]"
    assert sealed in pretty({"keyManagerToken": sealed})


def test_symphony_s_milliseconds_have_a_date() -> None:
    line = pretty({"timestamp": 1_795_356_300_123, "n": 1_795_356_300_123})
    assert "1795356300123,  # 2026-11-22 14:05:00.123 UTC" in line
    assert line.count("#") == 1


def test_members_that_parsers_drop_are_shown() -> None:
    shown = pretty_json(b'{"a": 1, "a": 2}', NOW)
    assert '"a": 1' in shown
    assert '"a": 2' in shown


@pytest.mark.parametrize(
    "number", ["12345678901234567890123456789", "1.10", "1e400", "7" * 5000, "NaN"]
)
def test_numbers_stand_as_they_were_written(number: str) -> None:
    assert f'"n": {number}' in pretty_json(f'{{"n": {number}}}'.encode(), NOW)


def test_no_character_steers_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x7f\x9b31m\u202edrowssap\u2028\ud800"
    shown = pretty({hostile: hostile})
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "\\u202e" in shown
    shown.encode()


def test_the_page_is_what_json_means() -> None:
    document = {"a": [1, {"b": None}, [], {}], "c": "é", "d": True, "e": {"f": [[0.5]]}}
    assert json.loads(pretty(document)) == document


@pytest.mark.parametrize(
    "text", [b"", b"{", b"nonsense", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 200_000]
)
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        pretty_json(text, NOW)


def test_deep_nesting_is_cut() -> None:
    deep = "[" * 500 + "]" * 500
    assert "[…]" in pretty_json(deep.encode(), NOW)


MEBIBYTE = 1024 * 1024
HUGE = {
    "numbers": b"[" + b"1," * (4 * MEBIBYTE) + b"1]",
    "objects": b"[" + b"{}," * (2 * MEBIBYTE) + b"{}]",
    "one text": b'"' + b"x" * (8 * MEBIBYTE) + b'"',
    "nearly tokens": b'"' + b"eyJhbGciOi." * (700 * 1024) + b'"',
    "many tokens": b"[" + b'"eyJhbGciOi.eyJhbGciOi.abc",' * (280 * 1024) + b"1]",
    "no end of one": b'"' + b"eyJ" * (2 * MEBIBYTE) + b'"',
    "controls": b'"' + b"\\u001b" * MEBIBYTE + b'"',
    "long key": b'{"' + b"k" * (8 * MEBIBYTE) + b'": 1}',
}


@pytest.mark.parametrize("name", HUGE)
def test_eight_megabytes_are_a_page_in_bounded_time(name: str) -> None:
    before = time.process_time()
    assert len(pretty_json(HUGE[name], NOW)) < 2 * LONGEST_PAGE
    assert time.process_time() - before < SECONDS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TOKEN),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("token"), inner),
)


@given(JSON)
def test_all_json_has_a_page_without_signatures(document: Any) -> None:
    shown = pretty(document)
    assert SIGNATURE not in shown
    assert all(c.isprintable() or c in "\n\t" or c.isspace() or not c.isascii() for c in shown)


@given(st.binary(), st.floats(0, 1e12))
def test_whatever_comes_is_a_page_or_a_value_error(data: bytes, now: float) -> None:
    with suppress(ValueError):
        assert isinstance(pretty_json(data, now), str)


@given(st.dictionaries(st.text(), JSON), st.floats(0, 1e12))
def test_all_claims_can_be_told(claims: dict[str, Any], now: float) -> None:
    pretty({"token": unsigned_jwt(**claims)}, now)


@pytest.mark.parametrize("value", [10**400, -1, 1e308, True, "soon", None, [[[]]], float("inf")])
def test_an_end_that_no_calendar_knows_is_told_as_it_stands(value: Any) -> None:
    assert "exp" in pretty({"token": unsigned_jwt(exp=value)})
