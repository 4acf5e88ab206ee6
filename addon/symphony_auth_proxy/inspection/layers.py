"""Texts inside of texts: JSON in a JSON string, percent-encoding, Base64, gzip.

A secret may stand in any of them, as in the body that an error report quotes. Each is decoded,
handed to whoever masks it, and encoded again if that changed something.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote_from_bytes, unquote_to_bytes

type Mask = Callable[[bytes], bytes]

type Candidate = tuple[int, int, Callable[[], bytes | None]]
"""Where something begins and ends, and what makes what to put there; None: it may stay."""

_JSON_STRING = re.compile(rb'"([^"\\]*+\\.(?:[^"\\]|\\.)*+)(?:"|\\?\Z)', re.DOTALL)
_CUT_OFF = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")

_ENDS_A_RUN = b" \t\r\n\"'<>&=?#;%\\"
_RUN = bytes(c for c in range(256) if c not in _ENDS_A_RUN)
_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2}[^\s\"'<>&=?#;%\\]*+)+")
_LONGEST_BEGINNING = 4096

_LINE_END = rb"(?:\r\n|\n|\\r\\n|\\n)"
_LINE = rb"[A-Za-z0-9+/_-]{40,}+"
_BASE64 = re.compile(
    rb"%b(?:%b%b)*+(?:%b[A-Za-z0-9+/_-]++)?+={0,2}" % (_LINE, _LINE_END, _LINE, _LINE_END)
)
"""At least a line of it; with the line ends of MIME and PEM, also as JSON escapes them."""
_NOT_BASE64 = re.compile(_LINE_END + rb"|=")
_HINT = re.compile(
    rb"\x1f\x8b\x08|ey[JA]|PRIVATE|://|(?i:token|passw|secret|key|bearer|basic|cookie|authori|assert|jwt|saml)"
)
"""What decoded Base64 has to hold to be looked at: most of it is no text."""

_GZIP = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
_LONGEST_UNPACKED = 16 * 1024 * 1024
_TOO_LONG = b"[dropped: more than can be searched]"


def layers(text: bytes, mask: Mask) -> Iterator[Candidate]:
    """Yield the texts inside of `text`. They may overlap."""
    if b"\\" in text:
        for match in _JSON_STRING.finditer(text):
            yield *match.span(1), partial(_json_string, match, mask)
    if b"%" in text:
        for match in _PERCENT.finditer(text):
            before = text[max(0, match.start() - _LONGEST_BEGINNING) : match.start()]
            start = match.start() - len(before) + len(before.rstrip(_RUN))
            yield start, match.end(), partial(_percent, text[start : match.end()], mask)
    for match in _BASE64.finditer(text):
        yield *match.span(), partial(_base64, match[0], mask)
    end = 0
    for match in _GZIP.finditer(text):
        if match.start() >= end and (found := _unpacked(text, match.start())):
            end, plain = found
            yield match.start(), end, partial(_gzip, plain, mask)


def _json_string(match: re.Match[bytes], mask: Mask) -> bytes | None:
    literal = match[1]
    if match.end() == len(match.string):
        literal = _CUT_OFF.sub(b"", literal)
    try:
        plain = json.loads(b'"%b"' % literal, strict=False).encode("utf-8", "surrogateescape")
    except ValueError:
        return None
    masked = mask(plain)
    if masked == plain:
        return None
    shown = json.dumps(masked.decode("utf-8", "surrogateescape"), ensure_ascii=False)
    return shown[1:-1].encode("utf-8", "surrogateescape")


def _percent(encoded: bytes, mask: Mask) -> bytes | None:
    plain = unquote_to_bytes(encoded)
    masked = mask(plain)
    return None if masked == plain else quote_from_bytes(masked, safe="/:").encode()


def _base64(encoded: bytes, mask: Mask) -> bytes | None:
    run = _NOT_BASE64.sub(b"", encoded)
    standard = run.translate(bytes.maketrans(b"-_", b"+/"))
    for offset in range(4):  # a word may stand right before it
        digits = standard[offset:]
        if len(digits) % 4 == 1:
            digits = digits[:-1]
        plain = base64.b64decode(digits + b"==")
        if _HINT.search(plain) and (masked := mask(plain)) != plain:
            shown = base64.b64encode(masked)
            if len(run) % 4 and not encoded.endswith(b"="):
                shown = shown.rstrip(b"=")  # it was written without padding
            if run != standard:
                shown = shown.translate(bytes.maketrans(b"+/", b"-_"))
            return run[:offset] + shown
    return None


def _unpacked(text: bytes, start: int) -> tuple[int, bytes | None] | None:
    """Where it ends, and what is packed there, of what breaks off the beginning; None: too much."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacking.decompress(text[start:], _LONGEST_UNPACKED)
    except zlib.error:
        return None
    whole = not unpacking.unconsumed_tail
    return len(text) - len(unpacking.unused_data), plain if whole else None


def _gzip(plain: bytes | None, mask: Mask) -> bytes | None:
    if plain is None:
        return _TOO_LONG
    masked = mask(plain)
    return None if masked == plain else gzip.compress(masked, mtime=0)
