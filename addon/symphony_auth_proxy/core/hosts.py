"""One spelling for every host.

Whoever compares hosts to decide where a token may go must compare one spelling with one
spelling. `canonical_host` makes that spelling or refuses; it never guesses. What different
programs read differently (full-width dots, octal or hexadecimal IPv4, scope ids, percent
escapes) is refused, because a name that two parsers understand differently is the classic
way past an allow list.
"""

from __future__ import annotations

import ipaddress
import re

import idna

_ASCII_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# "Ends in a number" as in the URL standard: such a host is IPv4 or nothing.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_MAX_NAME = 253


def canonical_host(text: str) -> str:
    """Return the one spelling of a host name or an IP address.

    Names: lower case, IDNA 2008 as punycode (RFC 5891), one trailing dot removed,
    underscores kept. IPv4: four decimal numbers. IPv6: compressed (RFC 5952), lower case,
    without brackets.

    Raises ValueError, whose text says what is wrong and never repeats the input.
    """
    if not text:
        raise ValueError("the host is empty")
    if "://" in text:
        raise ValueError("write the host alone, without a scheme such as https://")
    if "*" in text:
        raise ValueError("wildcards are not possible: name the host exactly")
    # Only ASCII is folded: lower() maps some other letters (the Kelvin sign) into ASCII.
    host = text.translate(_ASCII_LOWER)
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1])
    if host.count(":") > 1:
        return _ipv6(host)
    if re.search(r"[/\\@:?#]", host):
        raise ValueError("write the host alone, without a port, path or user")
    labels = host.removesuffix(".").split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return _ipv4(".".join(labels))
    name = ".".join(_label(label) for label in labels)
    if len(name) > _MAX_NAME:
        raise ValueError(f"a host name has at most {_MAX_NAME} characters")
    return name


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(
            "an IPv4 address is four decimal numbers from 0 to 255, without leading zeros"
        ) from None


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError("an IPv6 address is written without a scope id")
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        raise ValueError("not a valid IPv6 address; a port does not belong here") from None


def _label(label: str) -> str:
    if not label:
        raise ValueError("a host name has no empty part between two dots")
    if label.isascii():
        # Labels that are punycode already are kept as they are: exact ASCII is what goes
        # on the wire, and no other spelling leads to it.
        if not _ASCII_LABEL.fullmatch(label):
            raise ValueError(
                "a part of a host name has 1 to 63 letters, digits, hyphens or underscores, "
                "no hyphen first or last"
            )
        return label
    try:
        return idna.alabel(label).decode("ascii")
    except UnicodeError:
        raise ValueError(
            "the host name has characters that IDNA does not allow "
            "(write it in lower case, with plain dots, or as punycode)"
        ) from None
