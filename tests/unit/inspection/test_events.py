"""Batches of a datafeed as lists of events."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.jwts import unsigned_jwt
from symphony_auth_proxy.inspection.events import pretty_events
from symphony_auth_proxy.inspection.page import LONGEST_PAGE

ALICE = {"userId": 71811853189212, "displayName": "Alice Example", "username": "alice"}
ROOM = {"streamId": "IEj12WoWsfTkiqOBkATdUn___pFXhN9OdA", "streamType": "ROOM", "roomName": "Desk"}


def event(kind: str = "MESSAGESENT", payload: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "UlZMXC",
        "timestamp": 1_795_356_300_123,
        "type": kind,
        "initiator": {"user": ALICE},
        "payload": payload,
        **more,
    }


def sent(markup: str, **more: Any) -> dict[str, Any]:
    message = {"messageId": "mid", "message": markup, "user": ALICE, "stream": ROOM, **more}
    return event(payload={"messageSent": {"message": message}})


def shown(*events: Any, ack_id: Any = "ack-1") -> str:
    return pretty_events(json.dumps({"events": events, "ackId": ack_id}).encode())


def test_a_message_says_when_who_where_and_what() -> None:
    told = shown(sent("<div><p>Prices for <b>ACME</b> &amp; others</p></div>"))
    assert told.startswith("1 event, acknowledged by ack-1\n")
    assert "2026-11-22 14:05:00.123 UTC  MESSAGESENT" in told
    assert "Alice Example · alice · 71811853189212" in told
    assert f"ROOM · Desk · {ROOM['streamId']}" in told
    assert "Prices for ACME & others" in told
    assert "<b>" not in told


def test_the_older_datafeed_s_bare_array_is_read_too() -> None:
    told = pretty_events(json.dumps([sent("one"), sent("two")]).encode())
    assert told.startswith("2 events\n")
    assert "two" in told


def test_an_empty_batch_says_so() -> None:
    assert shown() == "0 events, acknowledged by ack-1"


def test_attachments_data_and_threads_are_named() -> None:
    told = shown(
        sent(
            "see",
            attachments=[{"name": "prices.pdf", "size": 1234}],
            data='{"quote": 1}',
            parentMessageId="parent",
            replacing="earlier",
        )
    )
    for part in ("prices.pdf, 1234 bytes", '{"quote": 1}', "reply to  parent", "earlier"):
        assert part in told


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("USERJOINEDROOM", {"stream": ROOM, "affectedUser": ALICE}, ["whom", "Alice"]),
        ("CONNECTIONREQUESTED", {"toUser": ALICE}, ["Alice"]),
        ("ROOMUPDATED", {"stream": ROOM, "newRoomProperties": {"name": "New"}}, ['"New"']),
        ("SYMPHONYELEMENTSACTION", {"formId": "order", "formValues": {"n": 1}}, ["order", '"n"']),
        ("USERREQUESTEDTOJOINROOM", {"affectedUsers": [ALICE, {}]}, ["Alice"]),
        ("SOMETHINGNEW", {"surprise": {"deep": [1]}}, ["surprise", "deep"]),
    ],
)
def test_other_events_say_what_happened(kind: str, payload: Any, words: list[str]) -> None:
    told = shown(event(kind, {"inside": payload}))
    assert kind in told
    assert all(word in told for word in words)


def test_an_event_cannot_pretend_to_be_two() -> None:
    told = shown(sent("one\n\n2026-11-22 14:05:00 UTC  FORGED"), event("A\nB  FORGED"))
    assert not [line for line in told.splitlines() if "FORGED" in line and line.startswith("2")][1:]
    assert "\x1b" not in shown(sent("\x1b[2J"))


def test_a_signature_in_a_message_is_not_shown() -> None:
    token = unsigned_jwt("c2lnbmF0dXJlLWNhbmFyeQ", sub="pricing-bot")
    told = shown(
        sent(f"<b>{token}</b>", data=json.dumps({"t": token})),
        event("OTHER", {"inside": {"token": token, "more": {"still": token}}}),
        event(token, diagnostic=token, id=token),
        token,
        ack_id=token,
    )
    assert "c2lnbmF0dXJlLWNhbmFyeQ" not in told


@pytest.mark.parametrize("text", [b"", b"{}", b'{"events": 1}', b"3", b"[" * 200_000, b"\xff"])
def test_what_is_no_batch_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        pretty_events(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("events", "payload", "message", "user", "stream", "timestamp", "type", "x"),
                    *("initiator", "messageSent", "attachments", "affectedUsers", "affectedUser"),
                ]
            ),
            inner,
        )
    ),
    max_leaves=40,
)


@given(st.lists(JSON))
def test_events_of_any_shape_can_be_told(events: list[Any]) -> None:
    assert shown(*events).count("\n\n") >= len(events) - 1


@pytest.mark.parametrize(
    "item",
    [b"{},", b"1,", b'{"payload":{"a":{"message":{"message":"<<<<<a<"}}}},', b'{"id":[[[]]]},'],
)
def test_eight_megabytes_are_a_page_in_bounded_time(item: bytes) -> None:
    data = b"[" + item * (8 * 1024 * 1024 // len(item)) + b"1]"
    before = time.process_time()
    assert len(pretty_events(data)) < 2 * LONGEST_PAGE
    assert time.process_time() - before < 3.0


@pytest.mark.parametrize("markup", ["<" * 16_384, "<a" * 8192, "<a " + "b" * 16_000, "&" * 16_384])
def test_markup_made_to_take_long_does_not(markup: str) -> None:
    before = time.process_time()
    shown(sent(markup))
    assert time.process_time() - before < 1.0
