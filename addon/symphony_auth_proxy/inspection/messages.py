"""A message on its way to Symphony: the parts of its multipart/form-data.

`POST /agent/v4/stream/{sid}/message/create`, `…/message/{mid}/update` and
`/agent/v4/message/blast` take `message` (MessageML), `data` (JSON for its templates),
`version`, and files as `attachment` and `preview`. Files are named and measured, never shown.
The parts are split as RFC 7578 and RFC 2046 say; that module of Python's for e-mail would do
it too, but not in bounded time for whatever comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from symphony_auth_proxy.inspection.json_text import json_lines, parsed
from symphony_auth_proxy.inspection.jwts import without_signatures
from symphony_auth_proxy.inspection.markup import plain_text
from symphony_auth_proxy.inspection.page import LONGEST_TEXT, cut, page

_BOUNDARY = re.compile(r"""(?i);\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))""")
_PARAMETER = re.compile(r"""(?i);\s*(name|filename\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))""")
_MOST_PARTS = 200
_LONGEST_HEAD = 8192
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    file_name: str | None
    content_type: str
    content: bytes

    @property
    def is_file(self) -> bool:
        return self.file_name is not None or self.name in {"attachment", "preview"}


def pretty_message(data: bytes, content_type: str, now: float) -> str:
    """Return the page about a form. `content_type`: the header, which names the boundary;
    `now`: seconds since the epoch.

    Raises ValueError when there is no boundary, or nothing between boundaries.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ValueError("the Content-Type names no boundary")
    parts = list(_parts(data, (found[1] or found[2]).encode()))
    if not parts:
        raise ValueError("it has no parts")
    return page(line for part in parts for line in _lines(part, now))


def _parts(data: bytes, boundary: bytes) -> Iterator[_Part]:
    # The first boundary may stand at the very beginning, without a line break before it.
    pieces = (b"\r\n" + data).split(b"\r\n--" + boundary, _MOST_PARTS + 1)
    for piece in pieces[1 : _MOST_PARTS + 1]:
        if piece.startswith(b"--"):
            return
        head, separator, content = piece.partition(b"\r\n\r\n")
        if separator:
            yield _part(head[:_LONGEST_HEAD].decode("utf-8", "replace"), content)


def _part(head: str, content: bytes) -> _Part:
    name, file_name, content_type = "", None, ""
    for line in head.split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            given = {
                f[1].lower(): _unquoted(f[2] or f[3] or "") for f in _PARAMETER.finditer(value)
            }
            name = given.get("name", "")
            file_name = given.get("filename")
            if "filename*" in given:  # RFC 5987: charset'language'text
                file_name = unquote(given["filename*"].rpartition("'")[2])
        elif field.strip().lower() == "content-type":
            content_type = value.strip()
    return _Part(name, file_name, content_type, content)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _lines(part: _Part, now: float) -> Iterator[str]:
    name = _brief(part.name) or "(no name)"
    if part.is_file:
        facts = (_brief(part.file_name or ""), _brief(part.content_type))
        told = " · ".join(fact for fact in facts if fact)
        yield f"{name}: {told}{' · ' if told else ''}{len(part.content):,} bytes"
        return
    text = part.content.decode("utf-8", "replace")
    if part.name == "message":
        yield f"{name}:"
        yield from _indented(plain_text(text[:LONGEST_TEXT]))
        yield "as MessageML:"
        yield from _indented(cut(text))
    elif part.name == "data":
        yield f"{name}:"
        try:
            yield from (_INDENT + line for line in json_lines(parsed(part.content), now))
        except ValueError:
            yield from _indented(cut(text))
    elif "\n" in text:
        yield f"{name}:"
        yield from _indented(cut(text))
    else:
        yield f"{name}: {without_signatures(cut(text))[0]}"


def _indented(text: str) -> Iterator[str]:
    return (_INDENT + line for line in without_signatures(text)[0].splitlines())


def _brief(text: str) -> str:
    return cut(" ".join(without_signatures(text[:LONGEST_TEXT])[0].split()), 300)
