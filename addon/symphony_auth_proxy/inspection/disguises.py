"""The forms in which a secret may stand where nobody looks for it.

A secret that comes back in an error text, a URL or an encoded body seldom looks as it did: it
may be cut off, or escaped. All of these forms are text to be searched for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote_from_bytes, quote_plus

from symphony_auth_proxy.core.headers import is_token_header
from symphony_auth_proxy.inspection.secret_kinds import Kind

_ENDING = 40
"""Characters: who shortens a token in a log keeps about so much of it."""
_PEM_LINE = 40

_SEARCHED_FROM = {Kind.COOKIE: 20}
"""Characters. Cookies also hold names, times and choices, which are no secrets elsewhere."""
_SEARCHED_FROM_USUALLY = 12
"""Anything shorter is found by chance. It is masked where its name says what it is."""


def disguises(kind: Kind, secret: bytes) -> Iterator[bytes]:
    """Give every form to search for; none of what would be found by chance."""
    if is_token_header(secret.decode("latin-1")):
        return  # `"token": "keyManagerToken"` tells a name
    for piece in _pieces(kind, secret):
        if len(piece) >= _SEARCHED_FROM.get(kind, _SEARCHED_FROM_USUALLY):
            yield from dict.fromkeys(_forms(piece))


def _pieces(kind: Kind, secret: bytes) -> Iterator[bytes]:
    """Yield what is the secret's own in it, as a whole and its end alone."""
    if kind is Kind.PRIVATE_KEY:
        # Not the first third of its lines: they hold the modulus, which is public.
        lines = secret.split(b"\n")
        yield from (line for line in lines[len(lines) // 3 :] if len(line) >= _PEM_LINE)
        return
    if secret.startswith(b"ey") and secret.count(b".") == 2:
        # Header and claims of JWTs are no secret, and look alike.
        secret = secret.rpartition(b".")[2]
    yield secret
    if len(secret) > _ENDING:
        yield secret[-_ENDING:]


def _forms(piece: bytes) -> Iterator[bytes]:
    yield piece
    yield quote_from_bytes(piece, safe="").encode()
    yield quote_from_bytes(piece).encode()
    yield quote_plus(piece).encode()
    escaped = _in_json(piece)
    yield escaped
    yield escaped.replace(b"/", b"\\/")
    yield piece.hex().encode()
    yield piece.hex().upper().encode()
    # Of both byte orders, but for one byte at an end.
    yield b"\0".join(piece[i : i + 1] for i in range(len(piece)))
    for encoded in _in_base64(piece):
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _in_json(piece: bytes) -> bytes:
    return json.dumps(piece.decode("utf-8", "replace"))[1:-1].encode()


def _in_base64(piece: bytes) -> Iterator[bytes]:
    """Encode for each of the three places at which it may begin in an encoded text, without
    the characters that its neighbours have a share in."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + piece)
        start = -(-offset * 8 // 6)
        yield encoded[start : (offset + len(piece)) * 8 // 6]
