"""Basic credentials (RFC 7617), as clients send them to a proxy.

Read strictly: whatever is not exactly one well-formed value of this scheme says nothing, and
never raises. Who sent it, and whether they may, is for others to find out.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from symphony_auth_proxy.secret import Secret

MOST_CHARACTERS = 4096
"""A longer value is not looked at: no client's name and password need so much."""

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says of itself; nothing of it is proven."""

    name: str
    password: Secret


def is_basic(value: str) -> bool:
    """Whether a header's value is of the scheme Basic. Says nothing about its form."""
    return value.strip().partition(" ")[0].lower() == "basic"


def read_basic(value: Secret) -> Credentials | None:
    """Read the value of `Proxy-Authorization`. Returns None unless it is well-formed.

    The text is UTF-8, as the challenge asks for; what is not is read as ISO-8859-1, which
    many clients send in spite of it (RFC 7617, section 2.1 and appendix B).
    """
    text = value.reveal().strip(" \t")
    found = _BASIC.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if found is None:
        return None
    try:
        octets = base64.b64decode(found[1], validate=True)
    except ValueError:
        return None
    try:
        pair = octets.decode()
    except UnicodeDecodeError:
        pair = octets.decode("latin-1")
    name, colon, password = pair.partition(":")
    if not name or not colon or _CONTROL.search(pair):
        return None
    return Credentials(name, Secret(password))
