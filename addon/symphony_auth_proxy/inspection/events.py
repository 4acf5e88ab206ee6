"""A batch of a datafeed or of the datahose as a list of events.

`POST /agent/v5/datafeeds/{id}/read` and `/agent/v5/events/read` answer with an object of
`events` and `ackId`, `GET /agent/v4/datafeed/{id}/read` with a bare array; the events are the
same (V4Event in Symphony's agent API). An event of a kind that is not known here is shown with
whatever its payload holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from symphony_auth_proxy.inspection.jwts import without_signatures
from symphony_auth_proxy.inspection.markup import plain_text
from symphony_auth_proxy.inspection.page import LONGEST_TEXT, cut, instant, page

type _Object = Mapping[str, Any]
type _Fact = tuple[str, str]

_LONGEST_FACT = 400
_WIDTH = 10


def pretty_events(data: bytes) -> str:
    """Return the page about one batch. Raises ValueError when it is none."""
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    ack_id = None
    events = document
    if isinstance(document, dict):
        events, ack_id = document.get("events"), document.get("ackId")
    if not isinstance(events, list):
        raise ValueError("it is no batch of events")  # noqa: TRY004 (of the text, not of an argument)
    return page(_lines(events, ack_id))


def _lines(events: list[Any], ack_id: object) -> Iterator[str]:
    count = f"{len(events)} event" + ("" if len(events) == 1 else "s")
    yield count if ack_id is None else f"{count}, acknowledged by {_brief(ack_id)}"
    for event in events:
        yield ""
        if not isinstance(event, dict):
            yield f"no event: {_brief(event)}"
            continue
        yield f"{_time(event.get('timestamp'))}  {_brief(event.get('type') or 'no type')}"
        for name, value in _facts(event):
            first, *rest = cut(without_signatures(value)[0]).split("\n")
            yield f"  {name:<{_WIDTH}}{first}"
            yield from (f"  {'':<{_WIDTH}}{line}" for line in rest)


def _facts(event: _Object) -> Iterator[_Fact]:
    initiator = _object(_object(event.get("initiator")).get("user"))
    if initiator:
        yield "by", _user(initiator)
    payload = _object(event.get("payload"))
    for kind, value in payload.items():
        content = _object(value)
        message = _object(content.get("message"))
        if message:
            yield from _message(message, initiator)
        elif content:
            yield from _happening(content)
        elif value is not None:
            yield _brief(kind), _brief(value)
    if isinstance(event.get("diagnostic"), str):
        yield "diagnostic", event["diagnostic"]
    if event.get("id") is not None:
        yield "event", _brief(event["id"])


def _message(message: _Object, initiator: _Object) -> Iterator[_Fact]:
    author = _object(message.get("user"))
    if author and author.get("userId") != initiator.get("userId"):
        yield "from", _user(author)
    yield from _where(message)
    if isinstance(message.get("message"), str):
        yield "text", plain_text(message["message"][:LONGEST_TEXT]) or "(none)"
    data = message.get("data")
    if data not in (None, "", "{}"):
        yield "data", _brief(data)
    attachments = message.get("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        part = _object(attachment)
        size = part.get("size")
        yield "attached", _brief(part.get("name")) + (f", {_brief(size)} bytes" if size else "")
    for name, key in (("reply to", "parentMessageId"), ("replaces", "replacing")):
        if message.get(key):
            yield name, _brief(message[key])
    shared = _object(message.get("sharedMessage"))
    if isinstance(shared.get("message"), str):
        yield "shares", plain_text(shared["message"][:LONGEST_TEXT])
    if message.get("messageId") is not None:
        yield "message", _brief(message["messageId"])


def _happening(content: _Object) -> Iterator[_Fact]:
    """What is no message: somebody joins, a room changes, a form is sent."""
    yield from _where(content)
    for name, value in content.items():
        if name == "stream" or value is None:
            continue
        if name.endswith("User") and _object(value):
            yield "whom", _user(value)
        elif name == "affectedUsers" and isinstance(value, list):
            yield "whom", ", ".join(_user(_object(one)) for one in value[:50])
        else:
            yield _brief(name), _brief(value)


def _where(content: _Object) -> Iterator[_Fact]:
    stream = _object(content.get("stream"))
    if stream:
        told = (stream.get("streamType"), stream.get("roomName"), stream.get("streamId"))
        yield "in", " · ".join(_brief(one) for one in told if one)


def _user(user: _Object) -> str:
    names = [user.get("displayName"), user.get("username"), user.get("email"), user.get("userId")]
    return " · ".join(dict.fromkeys(_brief(name) for name in names if name))


def _time(value: object) -> str:
    """Symphony counts milliseconds."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**16:
        return instant(value / 1000) or str(value)
    return "no time" if value is None else _brief(value)


def _object(value: object) -> _Object:
    return value if isinstance(value, dict) else {}


def _brief(value: object) -> str:
    """One line, not too long; texts without their quotes."""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (ValueError, RecursionError):  # a number too long to write, or nested too deeply
            text = "…"
    text = without_signatures(text[:LONGEST_TEXT])[0]
    return cut(" ".join(text.split()), _LONGEST_FACT)
