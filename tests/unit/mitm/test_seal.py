"""Bodies that hold credentials: shown as a seal, sent as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from symphony_auth_proxy.mitm import masking
from symphony_auth_proxy.mitm.seal import Seal


def request(content: bytes | None, **headers: str) -> http.Request:
    made: http.Request = tutils.treq(content=content)
    made.headers.clear()
    for name, value in headers.items():
        made.headers[name.replace("_", "-")] = value
    return made


@given(st.binary(min_size=1))
def test_whatever_a_body_holds_arrives(content: bytes) -> None:
    seal, shown = Seal(), request(content)
    seal.seal_body(shown)
    assert shown.raw_content is not None
    assert shown.raw_content.startswith(b"[sealed body #")
    assert seal.sent_body(shown.raw_content) == content


def test_a_body_is_sealed_until_it_is_known_to_be_harmless() -> None:
    seal, shown = masking.seal_request(tflow.tflow()), request(b"secret")
    assert seal.secret_body
    seal.secret_body = False
    seal.seal_body(shown)
    assert shown.raw_content == b"secret"
    assert seal.sent_body(b"secret") == b"secret"


@pytest.mark.parametrize("content", [None, b""])
def test_no_body_stays_none(content: bytes | None) -> None:
    seal, shown = Seal(), request(content)
    seal.seal_body(shown)
    assert shown.raw_content == content
    assert seal.sent_body(b"") == b""


def test_the_length_on_the_wire_is_that_of_what_is_sent() -> None:
    seal, shown = Seal(), request(b"a secret that is longer than its seal", Content_Length="7")
    seal.seal_body(shown)
    assert seal.unsealed(shown).headers["content-length"] == "37"
    assert shown.headers["content-length"] == "7"


def test_a_chunked_body_gets_no_length() -> None:
    seal, shown = Seal(), request(b"secret", Transfer_Encoding="chunked")
    seal.seal_body(shown)
    assert "content-length" not in seal.unsealed(shown).headers


def test_a_flow_that_is_sent_again_keeps_its_seal() -> None:
    seal, shown = Seal(), request(b"secret")
    seal.seal_body(shown)
    again = shown.raw_content
    seal.seal_body(shown)
    assert shown.raw_content == again
    assert seal.sent_body(again or b"") == b"secret"


def test_a_body_that_was_edited_is_sealed_anew() -> None:
    seal, shown = Seal(), request(b"secret")
    seal.seal_body(shown)
    shown.content = b"edited"
    assert seal.sent_body(b"edited") == b"edited"
    assert seal.unsealed(shown).headers["content-length"] == "6"
    seal.seal_body(shown)
    assert seal.sent_body(shown.raw_content or b"") == b"edited"


def test_headers_that_are_no_utf8_are_sealed_too() -> None:
    flow = tflow.tflow()
    flow.request.headers.fields = ((b"sessionToken", b"\xff\xfe secret"),)
    seal = masking.seal_request(flow)
    assert b"secret" not in repr(flow.get_state()).encode()
    assert seal.unsealed(flow.request).headers.fields == ((b"sessionToken", b"\xff\xfe secret"),)
