"""An exchange of the proxy's own as people may see it: plain values, nothing secret in them.

What was sent is built by the code that built it for the wire, with what stands for a secret
in its place. What came back was written by somebody else, who knows our assertion and may say
it back anywhere: so an answer is read, masked where a name says that a secret stands there,
and then searched for every piece, in every usual encoding, of each secret that is known by
then, and for whatever else looks like a token. What cannot be read is not shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from symphony_auth_proxy.core.claims import claims_of
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.inspection.disguises import disguises
from symphony_auth_proxy.inspection.secret_kinds import Kind, kind_of
from symphony_auth_proxy.inspection.secret_patterns import traces
from symphony_auth_proxy.model import LoginRequest, LoginResponse
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import Exchange
from symphony_auth_proxy.transport.sender import Message, message

LONGEST_TEXT = 8 * 1024
"""Bytes of an answer that is no JSON: as much of an error page as anybody reads."""

_PIECE = 12
"""Bytes that a text and a secret must not have in common. Shorter ones are found by chance."""
_MOST_SECRET = 16 * 1024
"""Characters: an answer with more secrets than that was made to keep us busy."""

_LIKE_A_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_+=-])(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![A-Za-z0-9_+=-]))"
    rb"(?=[A-Za-z_+=-]*+[0-9])[A-Za-z0-9_+=-]{32,}+"
)
"""Long and without a break, as no word is. UUIDs are names of requests, which support asks for."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_OF_THE_ENCODING = frozenset({"content-encoding", "transfer-encoding"})

_FAR = 1e11
"""Seconds since the epoch: what is beyond the year 5000 is no instant."""

type Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[Field, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """What people may see of one exchange."""

    request: Message
    answer: Answer | None
    why: str
    """Why it did not bring what it was meant to, and the way out; empty: it did."""
    fingerprint: str = ""
    """Of the token that it brought."""
    expires: float | None = None
    """That token's own word of when it ends, seconds since the epoch."""


def shown(exchange: Exchange) -> Shown:
    """Return everything of an exchange that is not secret."""
    request, response, error = exchange.request, exchange.response, exchange.error
    sent = message(request, lambda secret: masked(secret.reveal()))
    document = None if response is None else _read(response.body)
    known = [*_secrets_of(request), *_secrets_in(document), *_secrets_in_headers(response)]
    bearable = sum(len(secret) for _, secret in known) <= _MOST_SECRET
    cleaner = _Cleaner(known if bearable else _secrets_of(request))
    answer = None
    if response is not None:
        unread = Answer(response.status, (), b"[not shown: too many secrets]")
        answer = _answer(response, document, cleaner) if bearable else unread
    said = [] if error is None else [str(error), error.hint()]
    why = cleaner.clean("; ".join(part for part in said if part))
    token = document.get("token") if isinstance(document, dict) else None
    granted = error is None and response is not None and response.status == 200
    if not granted or not isinstance(token, str) or not token:
        return Shown(sent, answer, why)
    return Shown(sent, answer, why, _sound(token).fingerprint(), _expiry(token))


class _Cleaner:
    """Takes out of texts what they have in common with secrets, and what looks like one."""

    def __init__(self, secrets: Iterable[tuple[Kind, str]]) -> None:
        self._pieces = frozenset(
            form[start : start + _PIECE]
            for kind, secret in secrets
            for word in secret.split()
            for form in map(bytes.lower, disguises(kind, _encoded(word)))
            for start in range(len(form) - _PIECE + 1)
        )

    def clean(self, text: str) -> str:
        if len(text) < _PIECE:
            return text
        return self.without_pieces(_without_tokens(_encoded(text))).decode(errors="replace")

    def without_pieces(self, text: bytes) -> bytes:
        """Return the text without any piece of the secrets, however it is written."""
        lower, result = text.lower(), bytearray()
        kept, at = 0, 0
        while at <= len(lower) - _PIECE:
            if lower[at : at + _PIECE] not in self._pieces:
                at += 1
                continue
            end = at + _PIECE
            while lower[end - _PIECE + 1 : end + 1] in self._pieces:
                end += 1
            result += text[kept:at] + b"[sealed]"
            kept = at = end
        return bytes(result + text[kept:])

    def masked(self, secret: str) -> str:
        """What stands for a secret. The claims of a token, which are shown, may hold another."""
        shown = masked(_sound(secret).reveal())
        return self.without_pieces(_encoded(shown)).decode(errors="replace")


def _encoded(text: str) -> bytes:
    """Return the bytes of any text: JSON can write halves of characters, too."""
    return text.encode("utf-8", "replace")


def _sound(text: str) -> Secret:
    return Secret(_encoded(text).decode())


def _expiry(token: str) -> float | None:
    expiry = claims_of(token).get("exp")
    return float(expiry) if isinstance(expiry, int | float) and expiry < _FAR else None


def _without_tokens(text: bytes) -> bytes:
    found = [(trace.start, trace.end, trace.value) for trace in traces(text)]
    found += [(*match.span(), match[0]) for match in _LIKE_A_TOKEN.finditer(text)]
    result, kept = bytearray(), 0
    for start, end, value in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= kept:
            result += text[kept:start] + masked(value.decode(errors="replace")).encode()
        kept = max(kept, end)  # what overlaps is part of it
    return bytes(result + text[kept:])


def _secrets_of(request: LoginRequest) -> Iterator[tuple[Kind, str]]:
    for value in (request.json or {}).values():
        if isinstance(value, Secret):
            yield Kind.SIGNED_TOKEN, value.reveal()
    for _, value in (*request.endpoint.headers, *request.headers):
        yield Kind.TOKEN, value.reveal()


def _secrets_in_headers(response: LoginResponse | None) -> Iterator[tuple[Kind, str]]:
    for name, value in response.headers.items() if response is not None else ():
        if kind := kind_of(name):
            yield kind, value


def _secrets_in(document: Any) -> Iterator[tuple[Kind, str]]:
    """Yield every text below a name that says that it is secret."""
    waiting: list[tuple[Any, Kind | None]] = [(document, None)]
    while waiting:
        value, kind = waiting.pop()
        match value:
            case str() if kind is not None:
                yield kind, value
            case dict():
                waiting += [(item, kind or kind_of(name)) for name, item in value.items()]
            case list():
                waiting += [(item, kind) for item in value]


def _read(body: bytes) -> Any:
    """Return the JSON of an answer, or None."""
    try:
        return json.loads(body, object_pairs_hook=_with_doubles)
    except (ValueError, RecursionError):
        return None


def _with_doubles(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep what a parser drops: of two tokens, people see both."""
    values: dict[str, list[Any]] = {}
    for name, value in members:
        values.setdefault(name, []).append(value)
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}


def _answer(response: LoginResponse, document: Any, cleaner: _Cleaner) -> Answer:
    body = _body(response.body, document, cleaner)
    headers = []
    for name, value in response.headers.items():
        if name == "content-length":
            headers.append((name, str(len(body))))
        elif name not in _OF_THE_ENCODING:
            told = cleaner.masked(value) if kind_of(name) else cleaner.clean(value)
            headers.append((cleaner.clean(name), told))
    fields = tuple((_encoded(name), _encoded(value)) for name, value in headers)
    return Answer(response.status, fields, body)


def _body(body: bytes, document: Any, cleaner: _Cleaner) -> bytes:
    if document is not None:
        try:
            return json.dumps(_cleaned(document, cleaner)).encode()
        except RecursionError:
            return b"[not shown: nested too deeply]"
    if _CONTROL.search(body):
        return b"[not shown: %d bytes that are no text]" % len(body)
    text = cleaner.without_pieces(_without_tokens(body))
    if len(text) <= LONGEST_TEXT:
        return text
    return text[:LONGEST_TEXT] + b"\n[and %d bytes more]" % (len(text) - LONGEST_TEXT)


def _cleaned(value: Any, cleaner: _Cleaner, *, secret: bool = False) -> Any:
    match value:
        case str():
            return cleaner.masked(value) if secret else cleaner.clean(value)
        case dict():
            return {
                cleaner.clean(name): _cleaned(
                    item, cleaner, secret=secret or kind_of(name) is not None
                )
                for name, item in value.items()
            }
        case list():
            return [_cleaned(item, cleaner, secret=secret) for item in value]
        case bool() | None:
            return value
    text = str(value)
    told = cleaner.masked(text) if secret else cleaner.clean(text)
    return value if told == text else told
