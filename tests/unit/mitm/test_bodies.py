"""Which bodies are held, which stream, and what can be sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from symphony_auth_proxy.mitm.bodies import (
    HELD_BYTES,
    RESENDABLE_BYTES,
    KeptCopy,
    plan_request,
    plan_response,
    resendable_body,
)


def request(**headers: str) -> http.Request:
    made = http.Request.make("POST", "https://acme.symphony.com/agent/v1/util/echo")
    made.headers.clear()
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def response(**headers: str) -> http.Response:
    made = http.Response.make(200)
    made.headers.clear()
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def test_small_requests_are_held_large_ones_stream() -> None:
    small = request(content_length=str(RESENDABLE_BYTES))
    large = request(content_length=str(RESENDABLE_BYTES + 1))
    plan_request(small, secret=False)
    plan_request(large, secret=False)
    assert not small.stream
    assert large.stream is True
    assert resendable_body(large) is None


def test_a_chunked_request_streams_and_is_kept_beside() -> None:
    chunked = request(transfer_encoding="chunked")
    chunked.raw_content = None  # as long as it streams
    plan_request(chunked, secret=False)
    assert isinstance(chunked.stream, KeptCopy)
    assert resendable_body(chunked) is None, "it has not ended yet"
    assert chunked.stream(b"abc") == b"abc"
    chunked.stream(b"")
    assert resendable_body(chunked) == b"abc"


def test_an_http2_request_that_ends_with_its_headers_can_be_sent_again() -> None:
    bodiless = request()
    bodiless.http_version = "HTTP/2.0"
    plan_request(bodiless, secret=False)
    bodiless.raw_content = b""  # mitmproxy streams nothing when nothing follows
    assert resendable_body(bodiless) == b""


def test_bodies_of_logins_always_stream() -> None:
    login = request(content_length="500")
    answer = response(content_type="application/json", content_length="500")
    plan_request(login, secret=True)
    plan_response(answer, secret=True, hold=False)
    assert login.stream is True
    assert answer.stream is True


@pytest.mark.parametrize(
    ("headers", "streams"),
    [
        ({"content_length": "0"}, False),
        ({"content_length": str(HELD_BYTES)}, False),
        ({"content_length": str(HELD_BYTES + 1)}, True),
        ({"content_length": str(HELD_BYTES + 1), "content_type": "application/json"}, True),
        ({"content_type": "application/json;charset=UTF-8"}, False),
        ({"content_type": "text/event-stream"}, True),
        ({}, True),
        ({"content_length": "-1"}, True),
    ],
)
def test_answers_are_held_when_they_are_small_or_json(
    headers: dict[str, str], streams: bool
) -> None:
    answer = response(**headers)
    plan_response(answer, secret=False, hold=False)
    assert bool(answer.stream) is streams


def test_what_may_be_replaced_waits_whatever_its_size() -> None:
    answer = response(content_length=str(HELD_BYTES + 1))
    plan_response(answer, secret=False, hold=True)
    assert not answer.stream


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=10), st.integers(0, 100))
def test_a_kept_copy_passes_everything_and_keeps_it_whole_or_not_at_all(
    chunks: list[bytes], limit: int
) -> None:
    copy = KeptCopy(limit)
    passed = b"".join(copy(chunk) for chunk in chunks)
    assert passed == b"".join(chunks)
    assert copy.whole is None
    copy(b"")
    assert copy.whole == (passed if len(passed) <= limit else None)


def test_an_empty_chunk_in_the_middle_is_not_the_end() -> None:
    copy = KeptCopy()
    copy(b"a")
    copy(b"")
    copy(b"b")
    assert copy.whole is None
    copy(b"")
    assert copy.whole == b"ab"
