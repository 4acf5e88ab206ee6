"""What people wrote to each other, cut out of the bodies of Symphony's calls.

A capture is looked at for the sake of the calls, not of what traders told each other. So the
words of messages can be shortened or dropped, while everything around them stays: which events
came, when, from whom, in which stream, how long they were. Where a body cannot be understood,
nothing of it stays. Errors are no messages: they stay in full.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum, StrEnum, auto
from typing import Any


class Bodies(StrEnum):
    """What becomes of people's words."""

    KEEP = "keep"
    SHORTEN = "shorten"
    DROP = "drop"


SHORTENED_TO = 20
"""Characters of each text that stay."""

_CALLS = re.compile(
    r"/agent/v\d+/(?:stream/|messages?(?:/|\?|$)|datafeeds?/|events/|dlp/|util/(?:echo|obsolete))"
)
"""Calls of Symphony's agent that carry messages (its OpenAPI files, agent 25.8)."""

_WORDS = frozenset(
    {"message", "data", "text", "presentationml", "messageml", "title", "subtitle", "summary"}
    | {"content", "preview", "formvalues", "query", "filename"}
)
_ENVELOPES = frozenset({"message", "data"})
_FILES = frozenset({"attachments", "attachment", "previews"})
_NO_WORDS = frozenset({"version", "silent", "sids"})
"""Fields of a message's form that say how it is sent."""

_ALREADY = {
    Bodies.SHORTEN: re.compile(r"(?s).{20}\.\.\. \[\d+ (?:characters|bytes)\]"),
    Bodies.DROP: re.compile(r"\[dropped: \d+ (?:characters|bytes)\]"),
}
"""What was cut before is not cut again."""
_BOUNDARY = re.compile(r"multipart/.*\bboundary=\"?([^\";,\s]+)", re.IGNORECASE | re.DOTALL)
_FIELD_NAME = re.compile(rb'\bname="?([^";\r\n]*)', re.IGNORECASE)
_FILE_NAME = re.compile(rb'(\bfilename\*?=)(?:"[^"\r\n]*"|[^;\r\n]*)', re.IGNORECASE)


def carries_messages(path: str) -> bool:
    """Whether the call at this path (of a URL, or a whole one) carries people's words."""
    return _CALLS.search(path) is not None


def cut(body: bytes, content_type: str, bodies: Bodies) -> bytes:
    """Shorten or drop the words in the body of such a call."""
    if bodies is Bodies.KEEP or not body.strip():
        return body
    if boundary := _BOUNDARY.match(content_type):
        return _form(body, boundary[1].encode("latin-1", "replace"), bodies)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict | list):
        return cut_bytes(body, bodies)
    shown = _document(document, lambda text: cut_text(text, bodies))
    compact = b'": ' not in body
    separators = (",", ":") if compact else None
    return body if shown == document else json.dumps(shown, separators=separators).encode()


def cut_text(text: str, bodies: Bodies) -> str:
    """Shorten or drop one text, and tell how long it was."""
    return _cut(text, "characters", bodies)


def cut_bytes(data: bytes, bodies: Bodies) -> bytes:
    """Shorten or drop what is no text, or none that can be understood."""
    text = data.decode("utf-8", "surrogateescape")
    unit = "bytes" if "\0" in text else "characters"
    return _cut(text, unit, bodies).encode("utf-8", "surrogateescape")


def _cut(text: str, unit: str, bodies: Bodies) -> str:
    if bodies is Bodies.KEEP or not text or _ALREADY[Bodies.DROP].fullmatch(text):
        return text
    if bodies is Bodies.DROP:
        return f"[dropped: {len(text)} {unit}]"
    if len(text) <= SHORTENED_TO or _ALREADY[Bodies.SHORTEN].fullmatch(text):
        return text
    return f"{text[:SHORTENED_TO]}... [{len(text)} {unit}]"


class _Inside(Enum):
    """What the texts below a member are."""

    FACTS = auto()
    FILES = auto()
    WORDS = auto()


def _document(node: Any, shorten: Callable[[str], str], inside: _Inside = _Inside.FACTS) -> Any:
    if isinstance(node, dict):
        return {k: _document(v, shorten, _below(k, v, inside)) for k, v in node.items()}
    if isinstance(node, list):
        return [_document(item, shorten, inside) for item in node]
    return shorten(node) if inside is _Inside.WORDS and isinstance(node, str) else node


def _below(name: str, value: Any, inside: _Inside) -> _Inside:
    low = name.lower()
    if low in _ENVELOPES and isinstance(value, dict):
        return inside  # an event's payload, which has the words in it
    if low in _WORDS or (inside is _Inside.FILES and low == "name"):
        return _Inside.WORDS
    return _Inside.FILES if low in _FILES else inside


def _form(body: bytes, boundary: bytes, bodies: Bodies) -> bytes:
    """Cut the fields of a form (RFC 7578)."""
    delimiter = b"--" + boundary
    first, *parts = body.split(delimiter)
    if not parts:
        return cut_bytes(body, bodies)
    return delimiter.join([first, *(_part(part, bodies) for part in parts)])


def _part(part: bytes, bodies: Bodies) -> bytes:
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank:
        return part if not part.strip(b"-\r\n ") else cut_bytes(part, bodies)
    name = _FIELD_NAME.search(head)
    if name and name[1].decode("latin-1").lower() in _NO_WORDS:
        return part
    head = _FILE_NAME.sub(rb'\1"[dropped]"', head)
    text = content.removesuffix(b"\r\n")
    return head + blank + cut_bytes(text, bodies) + content[len(text) :]
