"""Entries of HAR 1.2 documents without their secrets.

An entry says many things twice (header, cookie list, query list, URL), and tools add members of
their own. All of it stays in its place, masked. A body in Base64 is looked into. Where lengths
told the length of a body that became another one, they tell the new one.
"""

from __future__ import annotations

import base64
from typing import Any

from symphony_auth_proxy.inspection.people_words import Bodies, carries_messages, cut, cut_text
from symphony_auth_proxy.inspection.redaction import Redactor


def without_secrets(
    entry: dict[str, Any], redactor: Redactor, bodies: Bodies
) -> tuple[dict[str, Any], int]:
    """Return a copy that may be shown, and how many bodies were cut."""
    shown: dict[str, Any] = redactor.tree(entry)
    request, response = _object(shown, "request"), _object(shown, "response")
    form, content = _object(request, "postData"), _object(response, "content")
    asked, answered = Bodies.KEEP, Bodies.KEEP
    if carries_messages(str(request.get("url"))):
        asked = bodies
        answered = Bodies.KEEP if _is_error(response) else bodies
    for field in _objects(form, "params"):
        if isinstance(value := field.get("value"), str):
            field["value"] = cut_text(value, asked)
    was = (
        _object(_object(entry, "request"), "postData"),
        _object(_object(entry, "response"), "content"),
    )
    count = _body(request, form, was[0], redactor, asked)
    return shown, count + _body(response, content, was[1], redactor, answered)


def _body(
    message: dict[str, Any],
    holder: dict[str, Any],
    was: dict[str, Any],
    redactor: Redactor,
    bodies: Bodies,
) -> int:
    """Make the body in `holder` one that may be shown. Returns 1 if words were cut, else 0."""
    before, plain = _read(was), _read(holder)
    if before is None or plain is None:
        return 0
    masked = redactor.body(plain)
    shown = cut(masked, str(holder.get("mimeType")), bodies)
    if shown != plain:
        _write(holder, shown)
    if len(shown) != len(before):
        _tell_length(message, holder, len(before), len(shown))
    return int(shown != masked)


def _read(holder: dict[str, Any]) -> bytes | None:
    text = holder.get("text")
    if not isinstance(text, str) or not text:
        return None
    octets = text.encode("utf-8", "surrogateescape")
    if holder.get("encoding") != "base64":
        return octets
    try:
        return base64.b64decode(octets)
    except ValueError:
        return octets


def _write(holder: dict[str, Any], body: bytes) -> None:
    if holder.get("encoding") == "base64":
        body = base64.b64encode(body)
    holder["text"] = body.decode("utf-8", "surrogateescape")


def _tell_length(message: dict[str, Any], holder: dict[str, Any], was: int, now: int) -> None:
    for where, name in ((message, "bodySize"), (holder, "size")):
        if where.get(name) == was:
            where[name] = now
    for header in _objects(message, "headers"):
        if str(header.get("name")).lower() == "content-length" and header["value"] == str(was):
            header["value"] = str(now)


def _is_error(response: dict[str, Any]) -> bool:
    status = response.get("status")
    return isinstance(status, int) and status >= 400


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
