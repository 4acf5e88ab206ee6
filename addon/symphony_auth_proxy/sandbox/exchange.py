"""One call and its answer, as the simulated services see them.

The services (`logins`, `pod`, `agent`) are functions from a `Call` to an `Answer`; they know
nothing of sockets, TLS or the server. `ROUTES` tables name them by method and path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from http.client import responses
from typing import Any
from urllib.parse import unquote

from symphony_auth_proxy.sandbox.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whole."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Looked up in any letter case; what was sent twice is joined by commas."""
    body: bytes = field(repr=False)
    client_name: str | None = None
    """The CN of the client certificate, which TLS has already verified."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What stands in the placeholders of the route's path."""

    def json(self) -> dict[str, Any]:
        """Return the body, a JSON object; an absent one is empty. Raises Refusal (400)."""
        value = self._parsed(b"{}")
        if not isinstance(value, dict):
            raise Refusal(400, "The request body is not a JSON object")
        return value

    def json_list(self) -> list[Any]:
        """Return the body, a JSON array; an absent one is empty. Raises Refusal (400)."""
        value = self._parsed(b"[]")
        if not isinstance(value, list):
            raise Refusal(400, "The request body is not a JSON array")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Return a number out of the query. Raises Refusal (400)."""
        try:
            return int(self.query[name]) if default is None or name in self.query else default
        except (KeyError, ValueError):
            raise Refusal(400, f"The parameter {name} is not given as a number") from None

    def _parsed(self, absent: bytes) -> object:
        try:
            return json.loads(self.body or absent)
        except ValueError:
            raise Refusal(400, "The request body is not JSON") from None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    """Sent without a Content-Length, in several chunks."""


class Refusal(Exception):
    """An operation does not do what it was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = error(status, message)


Operation = Callable[[State, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One simulated operation. `path` is written as in Symphony's OpenAPI files."""

    method: str
    path: str
    operation: Operation
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        object.__setattr__(self, "pattern", re.compile(pattern))

    def match(self, call: Call) -> Call | None:
        """Return the call with its placeholders filled in, or None if it is not for us."""
        found = self.pattern.fullmatch(call.path)
        if found is None or call.method != self.method:
            return None
        parts = {name: unquote(text) for name, text in found.groupdict().items()}
        return replace(call, parts=parts)


def answer_json(
    value: object,
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    chunked: bool = False,
) -> Answer:
    body = json.dumps(value).encode()
    return Answer(status, body, "application/json;charset=UTF-8", tuple(headers), chunked)


def error(status: int, message: str, *, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Make an error of the shape that all of Symphony's APIs share."""
    return answer_json({"code": status, "message": message}, status=status, headers=headers)


def html(status: int, text: str, *, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Make a page such as a gateway or web server in front of Symphony sends."""
    title = f"{status} {responses.get(status, '')}".strip()
    page = (
        f"<html><head><title>{title}</title></head>"
        f"<body><h1>{title}</h1><p>{escape(text)}</p></body></html>\n"
    )
    return Answer(status, page.encode(), "text/html;charset=UTF-8", tuple(headers))
