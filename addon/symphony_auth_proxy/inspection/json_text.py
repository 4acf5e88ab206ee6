"""JSON as people read it: indented, every token decoded, instants with their date.

What is a secret by its name (`token`, `sessionToken`, …) is shown by its fingerprint. Nothing
else is left out but by length: members that a parser would drop as doubles are shown, numbers
stand as they were written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from symphony_auth_proxy.inspection.jwts import Jwt, without_signatures
from symphony_auth_proxy.inspection.page import cut, distance, instant, page
from symphony_auth_proxy.inspection.secret_kinds import kind_of
from symphony_auth_proxy.secret import Secret

_DEEPEST = 60
"""Levels that are shown: what is nested deeper was made to break somebody."""
_INDENT = "  "
_TIME_KEYS = re.compile(r"(?i:time_?stamp|date|time|expiry|expires|modified)$|(?:At|On)$")
_SECONDS = range(1_000_000_000, 10_000_000_000)
"""From 2001 on. Symphony's own are milliseconds."""
_MILLISECONDS = range(1_000_000_000_000, 10_000_000_000_000)


class _Members(list[tuple[str, Any]]):
    """An object's members, doubles included."""


class _Verbatim(str):
    """A number as it stands in the text."""

    __slots__ = ()


@dataclass(slots=True)
class _Open:
    """An object or array of which a part has been written."""

    items: Iterator[tuple[str, str, Any]]
    """Prefix of the line, key or nothing, value."""
    left: int
    close: str


def pretty_json(data: bytes, now: float) -> str:
    """Return the page about a JSON text. `now`: seconds since the epoch.

    Raises ValueError when it is not JSON, or nested so deeply that no parser reads it.
    """
    return page(json_lines(parsed(data), now))


def parsed(data: bytes) -> Any:
    """Read JSON for this page. Raises ValueError."""
    try:
        return json.loads(
            data, object_pairs_hook=_Members, parse_float=_Verbatim, parse_constant=_Verbatim
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # perhaps only a number with more digits than Python converts
        return json.loads(
            data,
            object_pairs_hook=_Members,
            parse_int=_Verbatim,
            parse_float=_Verbatim,
            parse_constant=_Verbatim,
        )


def json_lines(document: Any, now: float) -> Iterator[str]:
    """Write what `parsed` read, line by line."""
    opened = [_Open(iter([("", "", document)]), 1, "")]
    while opened:
        level = opened[-1]
        indent = _INDENT * (len(opened) - 1)
        if not level.left:
            opened.pop()
            if opened:
                comma = "," if opened[-1].left else ""
                yield f"{_INDENT * (len(opened) - 1)}{level.close}{comma}"
            continue
        prefix, key, value = next(level.items)
        level.left -= 1
        comma = "," if level.left else ""
        if isinstance(value, list) and value:
            brackets = "{}" if isinstance(value, _Members) else "[]"
            if len(opened) > _DEEPEST:
                yield f"{indent}{prefix}{brackets[0]}…{brackets[1]}{comma}"
                continue
            yield f"{indent}{prefix}{brackets[0]}"
            opened.append(_Open(_items(value), len(value), brackets[1]))
        else:
            text, remark, tokens = _scalar(key, value, now)
            yield f"{indent}{prefix}{text}{comma}{remark}"
            for token in tokens:
                yield from (f"{indent}{_INDENT}# {line}" for line in token.lines(now))


def _items(value: list[Any]) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, _Members):
        return (("", "", item) for item in value)
    return ((f"{_quoted(key)}: ", key, item) for key, item in value)


def _quoted(text: str) -> str:
    return json.dumps(without_signatures(cut(text))[0], ensure_ascii=False)


def _scalar(key: str, value: Any, now: float) -> tuple[str, str, list[Jwt]]:
    """Return the text, a remark behind it, and the tokens in it."""
    match value:
        case _Verbatim():
            return cut(value), "", []
        case str():
            shown, tokens = without_signatures(cut(value))
            if not tokens and "[sealed" not in value and value and kind_of(key):
                shown = f"[sealed #{Secret(value).fingerprint()}]"
            return json.dumps(shown, ensure_ascii=False), "", tokens
        case bool() | None:
            return json.dumps(value), "", []
        case int():
            return str(value), _remark(key, value, now), []
        case _Members():
            return "{}", "", []
        case _:
            return "[]", "", []


def _remark(key: str, value: int, now: float) -> str:
    if not _TIME_KEYS.search(key):
        return ""
    seconds = value if value in _SECONDS else value / 1000 if value in _MILLISECONDS else -1
    told = instant(seconds)
    return f"  # {told} ({distance(seconds, now)})" if told else ""
