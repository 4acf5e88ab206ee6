"""What is cut out of bodies that hold people's words, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.inspection.people_words import (
    SHORTENED_TO,
    Bodies,
    carries_messages,
    cut,
    cut_text,
)


@pytest.mark.parametrize(
    "path",
    [
        "/agent/v4/stream/abc/message/create",
        "/gateway/agent/v4/stream/abc/message?since=0",
        "/agent/v1/stream/abc/attachment?fileId=1",
        "/agent/v4/message/blast",
        "/agent/v1/message/search?query=text:x",
        "/agent/v5/datafeeds/abc_f/read",
        "/agent/v5/events/read",
        "/agent/v4/datafeed/abc/read",
        "https://acme.symphony.com/agent/v3/dlp/violations/message",
    ],
)
def test_calls_that_carry_words_are_told_by_their_paths(path: str) -> None:
    assert carries_messages(path)


@pytest.mark.parametrize(
    "path", ["/agent/v1/info", "/agent/v3/health", "/pod/v2/sessioninfo", "/login/idm/tokens", "/"]
)
def test_others_do_not(path: str) -> None:
    assert not carries_messages(path)


@given(st.text(min_size=1), st.sampled_from([Bodies.SHORTEN, Bodies.DROP]))
def test_no_text_stays_longer_than_promised(text: str, bodies: Bodies) -> None:
    once = cut_text(text, bodies)
    assert cut_text(once, bodies) == once
    if bodies is Bodies.DROP:
        assert once == text or once == f"[dropped: {len(text)} characters]"
    else:
        assert len(once.partition("... [")[0]) <= SHORTENED_TO or once == text


@pytest.mark.parametrize("bodies", [Bodies.SHORTEN, Bodies.DROP])
def test_who_writes_like_a_cut_text_is_cut_too(bodies: Bodies) -> None:
    text = "what nobody should know, all of it... [12 characters]"
    assert "should know" not in cut_text(text, bodies)


def test_dropping_also_drops_what_was_shortened() -> None:
    shortened = cut_text("what nobody should know", Bodies.SHORTEN)
    assert "nobody" in shortened
    assert "nobody" not in cut_text(shortened, Bodies.DROP)


def test_what_people_filled_in_and_the_names_of_their_files_are_words() -> None:
    event = {
        "symphonyElementsAction": {"formId": "order", "formValues": {"price": "12", "x": ["buy"]}},
        "attachments": [{"id": "a", "name": "merger.xlsx", "size": 7}],
    }
    assert json.loads(cut(json.dumps(event).encode(), "application/json", Bodies.DROP)) == {
        "symphonyElementsAction": {
            "formId": "order",
            "formValues": {
                "price": "[dropped: 2 characters]",
                "x": ["[dropped: 3 characters]"],
            },
        },
        "attachments": [{"id": "a", "name": "[dropped: 11 characters]", "size": 7}],
    }


@pytest.mark.parametrize("body", [b'[{"message": "cut o', b"plain", b'"text"', b"\xff\x00\x01"])
def test_of_what_cannot_be_understood_nothing_stays(body: bytes) -> None:
    shown = cut(body, "application/json", Bodies.DROP)
    assert shown.startswith(b"[dropped: ")
    assert body not in shown


def test_file_names_in_forms_go_and_how_a_message_is_sent_stays() -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="attachment"; filename="merger.xlsx"\r\n\r\n'
        b"PK\x00\r\n--x\r\nContent-Disposition: form-data; name=version\r\n\r\n2.0\r\n--x--\r\n"
    )
    shown = cut(form, "multipart/form-data; boundary=x", Bodies.DROP)
    assert b"merger" not in shown
    assert b"PK" not in shown
    assert shown.endswith(b"name=version\r\n\r\n2.0\r\n--x--\r\n")
