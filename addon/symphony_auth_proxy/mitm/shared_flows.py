"""Flows of mitmproxy without their secrets: of every type, with all that is saved of one.

What counts is what would be saved: headers, bodies, trailers, WebSocket messages, segments of raw
connections, DNS records, errors, comments, metadata, facts about connections. Bodies are stored
as they are after decompression, for nobody could search them otherwise; one that cannot be
decompressed is left out. So is what an edited flow was before.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow, Message, Response

from symphony_auth_proxy.inspection.people_words import Bodies, carries_messages, cut
from symphony_auth_proxy.inspection.redaction import Redactor

_UNREADABLE = b"[dropped: a body that could not be decoded]"
_CHARSET = re.compile(r"(charset=\"?)([\w.:-]+)", re.IGNORECASE)
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_WIDE_JSON = re.compile(rb"(?=\0|.\0)\0*+[{\[]", re.DOTALL)
"""JSON in UTF-16 or UTF-32 without such a mark (RFC 4627, 3)."""


def learn(flow: Flow, redactor: Redactor) -> None:
    """Have the secrets of a flow known. The flow is used up."""
    _masked_state(flow, redactor)


def without_secrets(flow: Flow, redactor: Redactor, bodies: Bodies) -> tuple[Flow, int]:
    """Return a flow that may be shown, and how many bodies were cut. The given one is used
    up."""
    state = _masked_state(flow, redactor)
    before = [message.raw_content for message in _messages(flow)]
    shown = Flow.from_state(state)
    count = 0
    for message, content in zip(_messages(shown), before, strict=True):
        if _words_in(shown, message):
            count += _cut(message, bodies)
        if message.raw_content != content:
            message.content = message.raw_content  # has its length told
    return shown, count


def _masked_state(flow: Flow, redactor: Redactor) -> Any:
    for message in _messages(flow):
        _decode(message)
    state = flow.get_state()
    state["backup"] = None
    if state["type"] == "tcp":
        state["messages"] = _segments(state["messages"], redactor)
    return redactor.tree(state)


def _messages(flow: Flow) -> list[Message]:
    if not isinstance(flow, HTTPFlow):
        return []
    return [flow.request, flow.response] if flow.response else [flow.request]


def _decode(message: Message) -> None:
    """Store the body so that it can be searched: without compression, and in a character set
    in which ASCII is ASCII."""
    if not message.raw_content:
        return
    codings = message.headers.get("content-encoding", "").split(",")
    try:
        for coding in reversed([coding.strip() for coding in codings if coding.strip()]):
            message.headers["content-encoding"] = coding  # one at a time
            message.decode()
        _store_as_utf8(message)
    except (ValueError, TypeError):
        message.headers.pop("content-encoding", None)
        message.content = _UNREADABLE


def _store_as_utf8(message: Message) -> None:
    content = message.raw_content or b""
    content_type = message.headers.get("content-type", "")
    charset = match[2] if (match := _CHARSET.search(content_type)) else ""
    if charset and not _knows_ascii(charset):
        message.headers["content-type"] = _CHARSET.sub(r"\1utf-8", content_type)
    elif content.startswith(_BYTE_ORDER_MARKS) or _WIDE_JSON.match(content):
        charset = json.detect_encoding(content)
    else:
        return
    message.content = content.decode(charset).encode("utf-8", "surrogatepass")


def _knows_ascii(charset: str) -> bool:
    """Whether secrets look in it as they do in ASCII."""
    try:
        return "sessionToken".encode(charset) == b"sessionToken"
    except LookupError:
        return True  # nobody can say


def _segments(messages: list[Any], redactor: Redactor) -> list[Any]:
    """Mask what was sent each way as one text: a secret may be in two segments."""
    contents: dict[bool, list[bytes]] = {True: [], False: []}
    for from_client, content, _ in messages:
        contents[bool(from_client)].append(content)
    masked = {way: iter(redactor.stream(parts)) for way, parts in contents.items()}
    return [(way, next(masked[bool(way)]), when) for way, _, when in messages]


def _words_in(flow: Flow, message: Message) -> bool:
    if not isinstance(flow, HTTPFlow) or not carries_messages(flow.request.path):
        return False
    return not isinstance(message, Response) or message.status_code < 400


def _cut(message: Message, bodies: Bodies) -> int:
    content = message.raw_content
    if not content:
        return 0
    message.raw_content = cut(content, message.headers.get("content-type", ""), bodies)
    return int(message.raw_content != content)
