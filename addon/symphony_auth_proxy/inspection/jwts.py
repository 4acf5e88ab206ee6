"""JSON Web Tokens inside of texts: what they say, without what makes them worth something.

Whoever has a token's signature has the token, so it never gets on a page; the header and the
claims may be read. A token that was masked already (see `core.masked`) is read alike. Nothing is
verified: a token is shown as it claims to be (RFC 7519).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from symphony_auth_proxy.core.spans import span
from symphony_auth_proxy.inspection.page import cut, distance, instant
from symphony_auth_proxy.secret import Secret

# Whole runs between separators, taken possessively: every character is looked at once.
_CHAIN = re.compile(r"(?<![\w.-])[\w-]++(?:\.[\w-]++)+(?:\.\[sealed[^\]\n]{0,80}\])?", re.ASCII)
_OBJECT = re.compile("ey[JA]")
"""How Base64 of `{"` and of `{ ` begins."""
_SHORTEST_PART = 8
_REMEMBERED = 20
"""Tokens of which a repetition in the same text is not told again."""
_LONGEST_PART = 65_536
_SHOWN = 10
_MOST_CLAIMS = 50
_LONGEST_CLAIM = 300
_INSTANTS = frozenset({"exp", "iat", "nbf", "auth_time"})
_MILLISECONDS = 1e11
"""A number above this is no count of seconds that anybody means (it is the year 5138)."""
_NO_INSTANT = 1e15


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token as it may be shown."""

    shown: str
    """As in `eyJhbGciOi….eyJzdWIiOi….[sealed #7f3a]`."""
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def lines(self, now: float) -> Iterator[str]:
        """Tell header and claims. `now`: seconds since the epoch."""
        told = [("header", _compact(self.header))]
        told += [(name, _claim(name, value, now)) for name, value in self.claims.items()]
        width = min(max(len(name) for name, _ in told), 32)
        for name, value in told[: _MOST_CLAIMS + 1]:
            yield f"{cut(name, 80):<{width}}  {value}"
        if len(told) > _MOST_CLAIMS + 1:
            yield f"… {len(told) - _MOST_CLAIMS - 1} claims more"


def without_signatures(text: str) -> tuple[str, list[Jwt]]:
    """Return the text with every token in it cut short, and those that can be read."""
    found: list[Jwt] = []

    def shortened(chain: re.Match[str]) -> str:
        parts = chain[0].split(".", 2)
        result: list[str] = []
        while len(parts) == 3:
            start = _OBJECT.search(parts[0])
            if start is None or len(parts[0]) - start.start() < _SHORTEST_PART:
                result.append(parts[0])
                parts = f"{parts[1]}.{parts[2]}".split(".", 2)
                continue
            token = _jwt(parts[0][start.start() :], parts[1], parts[2])
            if token.claims and token not in found[-_REMEMBERED:]:
                found.append(token)
            return ".".join([*result, parts[0][: start.start()] + token.shown])
        return ".".join([*result, *parts])

    return (_CHAIN.sub(shortened, text) if _OBJECT.search(text) else text), found


def _jwt(header: str, claims: str, rest: str) -> Jwt:
    sealed = rest
    if not rest.startswith("[sealed"):
        sealed = f"[sealed #{Secret(f'{header}.{claims}.{rest}').fingerprint()}]"
    shown = f"{_short(header)}.{_short(claims)}.{sealed}"
    return Jwt(shown, _decoded(header), _decoded(claims))


def _short(part: str) -> str:
    return part if len(part) <= _SHOWN else f"{part[:_SHOWN]}…"


def _decoded(part: str) -> Mapping[str, Any]:
    """Read one part; of what cannot be read, nothing."""
    if len(part) > _LONGEST_PART:
        return {}
    try:
        document = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _claim(name: str, value: object, now: float) -> str:
    text = _compact(value)
    if name not in _INSTANTS or isinstance(value, bool) or not isinstance(value, int | float):
        return text
    if not 0 <= value < _NO_INSTANT:
        return text
    seconds = value / 1000 if value > _MILLISECONDS else value
    told = instant(seconds)
    if told is None:
        return text
    if name == "exp":
        left = seconds - now
        away = f"expires in {span(left)}" if left > 0 else f"expired {span(-left)} ago"
    else:
        away = distance(seconds, now)
    return f"{told} ({away})"


def _compact(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # nested too deeply, or a number too long to write
        return "…"
    return cut(without_signatures(text)[0], _LONGEST_CLAIM)
