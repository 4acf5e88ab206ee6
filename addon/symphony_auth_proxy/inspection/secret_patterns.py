r"""Where secrets stand in a text, whatever kind of text it is.

One look serves JSON, forms, URLs, multipart, XML, logs and raw HTTP alike, also when they are
cut off in the middle or labelled as something else. A secret is told by its own shape (a JWT,
a private key), by the name before it (`"token": "…"`, `token=…`, `sessionToken: …`), or by the
scheme before it (`Basic …`, `https://user:password@host`).

What is encoded inside the text (`{\"token\":…`, `%22token%22…`, base64) is another text: see
`layers`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote_to_bytes

from symphony_auth_proxy.inspection.secret_kinds import Kind, kind_of

JWT = re.compile(
    rb"ey[JA][A-Za-z0-9_-]{8,16384}+\.[A-Za-z0-9_-]{2,65536}+\."
    rb"(?!sealed-[0-9a-f]{4}(?![A-Za-z0-9_-]))[A-Za-z0-9_-]{8,16384}+"
    rb"(?:\.[A-Za-z0-9_-]{1,65536}+\.[A-Za-z0-9_-]{1,16384}+)?"
)
"""A signed token, or an encrypted one of five parts (RFC 7515, RFC 7516), that is not sealed."""

PRIVATE_KEY = re.compile(
    rb"""(?sx)
    -----BEGIN (?P<blank> \x20 | \+ | %20 ) (?: [A-Z0-9]{1,20} (?P=blank) ){0,4}
    PRIVATE (?P=blank) KEY-----
    (?P<lines> (?: (?!-----) . ){16,65536}+ )
    (?: -----END (?P=blank) [A-Z0-9 +%]{0,60} KEY----- )?"""
)
"""A private key in PEM (RFC 7468), also when its end is missing."""

_ENDINGS = rb"""
    token | passw(?:or)?d | passphrase | secret | api[-_]?key | private[-_]?key | jwt
  | assertion | skey | kmsession | samlresponse"""
"""How the names of secrets end, as `kind_of` knows them."""

_NAMES = re.compile(rb"(?ix)" + _ENDINGS + rb"| cookie | authorization")
_NAMED = re.compile(
    rb"(?isx) (?P<word>"
    + _ENDINGS
    + rb""") (?:
    ["'] \s*+ [:=] \s*+ " (?P<json> (?: [^"\\] | \\. )*+ )
  | ["'] \s*+ [:=] \s*+ ' (?P<single> (?: [^'\\] | \\. )*+ )
  | [ ]?=[ ]? "           (?P<attribute> [^"]*+ )
  | ["']? \s*+ (?:=>?|:) \s*+ b?' (?P<literal> [^'\r\n]*+ ) '
  | ["']? \s*+ (?:=>|:) \s*+ b?" (?P<scalar> [^"\r\n]*+ ) "
  | &quot; \s*+ : \s*+ &quot; (?P<entity> (?: (?!&quot;) [^<>"'] )*+ )
  | ["'] [^<>]{0,200}? \b(?:value|content) \s*+ = \s*+ ["'] (?P<field> [^"'<>]*+ )
  | (?:\[\d*+\]|\]|%5B\d*+%5D|%5D)?
    =                     (?P<parameter> [^&\s"'<>;\#\\]++ )
  | : [ \t]*+             (?P<line> [^\s"',;\\<>]{16,}+ )
  | (?: \s [^<>]{0,300}+ )?+ > (?: <!\[CDATA\[ )?+
                          (?P<element> (?: (?!\]\]>) [^<>] )++ ) (?: \]\]> )?+ </
  )"""
)
_LOGIN_ANSWER = re.compile(rb'"name"\s*+:\s*+"(?P<name>sessionToken|keyManagerToken)"')
"""What a login's answer calls its `token`."""
_PART = re.compile(
    rb"""(?isx) form-data; (?P<head> [^\r\n]{0,1024}+ ) \r?\n
    (?: [^\r\n]{1,1024}+ \r?\n ){0,10}+ \r?\n
    (?P<value> .*? ) (?= \r?\n-- | \Z )"""
)
"""One field of a form (RFC 7578)."""
_PART_NAME = re.compile(rb"(?i)\bname=\"?([\w.\[\]-]+)")

_HEADER = re.compile(
    rb"""(?ix) (?P<name> (?:proxy-)?authorization | set-cookie | cookie )
    ["']? \s*+ [:=] \s*+ ["']? (?P<value> [^\r\n"'\\]{1,16384} )"""
)
_HEADER_VALUE = re.compile(
    rb"(?i)^(?:basic|bearer|digest|negotiate|ntlm|token|apikey|hmac|aws4\S*+)\s+\S|^\S{16,}+\s*+$|="
)
"""Not what a sentence says: "Authorization: required"."""
_SCHEME = re.compile(rb"(?i)\b(?P<scheme>basic|bearer)[ +]++(?P<value>[A-Za-z0-9+/=._~-]{8,}+)")
_SEALED_ALREADY = re.compile(rb"(?:ey[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]*+\.)?\[sealed ")
_USERINFO = re.compile(rb"""://[^/\s:@"'<>?#\\]*+:(?P<value>[^/\s@"'<>?#\\]++)@""")

_WORD = bytes(c for c in range(128) if chr(c).isalnum() or chr(c) in "_-.")
_LONGEST_NAME = 60
_SHORTEST_BEARER = 12


class Place(Enum):
    """How a secret stands in a text, which is how its mask has to look."""

    TEXT = auto()
    URL = auto()
    HEADER = auto()
    """It is the value of a header that has a syntax of its own."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A secret in a text."""

    start: int
    end: int
    kind: Kind
    value: bytes
    """Without the escapes that the place asks for."""
    place: Place = Place.TEXT
    name: str = ""


def traces(text: bytes) -> Iterator[Trace]:
    """Yield what looks like a secret, named ones first. Traces may overlap."""
    for match in PRIVATE_KEY.finditer(text):
        yield Trace(*match.span(), Kind.PRIVATE_KEY, _lines(match["lines"]))
    if _NAMES.search(text):
        yield from _named(text)
        for match in _HEADER.finditer(text):
            if not _HEADER_VALUE.search(match["value"]):
                continue
            yield _header(match.span("value"), match["name"], match["value"])
    for match in _SCHEME.finditer(text):
        if _SEALED_ALREADY.match(text, match.start("value")):
            continue
        if _is_credential(match["scheme"], match["value"]):
            value = match["scheme"] + b" " + match["value"]
            yield _header(match.span(), b"authorization", value)
    for match in _USERINFO.finditer(text):
        value = unquote_to_bytes(match["value"])
        yield Trace(*match.span("value"), Kind.PASSWORD, value, Place.URL)
    for match in JWT.finditer(text):
        yield Trace(*match.span(), Kind.TOKEN, match[0])


def _named(text: bytes) -> Iterator[Trace]:
    answer = _LOGIN_ANSWER.search(text)
    for match in _NAMED.finditer(text):
        before = text[max(0, match.start() - _LONGEST_NAME) : match.end("word")]
        name = before[len(before.rstrip(_WORD)) :].decode("latin-1")
        kind = kind_of(name)
        form = match.lastgroup
        if kind is None or form is None or _SEALED_ALREADY.match(text, match.start(form)):
            continue
        value, place = match[form], Place.TEXT
        if form == "json":
            value = _without_escapes(value)
            if name == "token" and answer:
                kind = kind_of(answer["name"].decode()) or kind
        elif form == "parameter":
            value, place = unquote_to_bytes(value), Place.URL
        yield Trace(*match.span(form), kind, value, place, name)
    for match in _PART.finditer(text):
        named = _PART_NAME.search(match["head"])
        name = named[1].decode("latin-1") if named else ""
        if kind := kind_of(name):
            yield Trace(*match.span("value"), kind, match["value"], name=name)


def _header(span: tuple[int, int], name: bytes, value: bytes) -> Trace:
    return Trace(*span, Kind.CREDENTIALS, value, Place.HEADER, name.decode().lower())


def _is_credential(scheme: bytes, value: bytes) -> bool:
    """Tell credentials from words, as in "Basic authentication is off"."""
    if scheme.lower() == b"bearer":
        return len(value) >= _SHORTEST_BEARER and any(map(str.isdigit, value.decode()))
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _without_escapes(literal: bytes) -> bytes:
    """Read what stands between the quotes of a JSON string."""
    if b"\\" not in literal:
        return literal
    try:
        text = json.loads(b'"' + literal + b'"', strict=False)
        return str(text).encode("utf-8", "surrogateescape")
    except ValueError:
        return literal


def _lines(pem: bytes) -> bytes:
    """The lines of a key's Base64, in whatever way the line ends were written."""
    lines = re.sub(rb"(?:\\+[rn]|%0[AaDd]|\s)+", b"\n", pem.replace(b"\\/", b"/"))
    return lines.strip(b"\n")
