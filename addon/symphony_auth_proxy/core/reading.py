"""One reading of a request: what another server could read in another way is refused.

A request names its destination several times, and says what it is in a syntax that parsers
disagree about. Whoever could make this proxy and Symphony read two different requests out of
the same bytes could borrow a bot's tokens.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from symphony_auth_proxy.core.decisions import Destination, Request
from symphony_auth_proxy.core.hosts import canonical_host
from symphony_auth_proxy.errors import ClientRefused, DestinationRefused, Reason


@lru_cache(1024)
def canonical(host: str) -> str | None:
    """Return the host in its canonical form; None: it is none."""
    try:
        return canonical_host(host)
    except ValueError:
        return None


def authority_host(authority: str) -> str:
    """The host of `host:port`, as it stands there."""
    return _split_authority(authority)[0]


def _split_authority(authority: str) -> tuple[str, str]:
    """Split `host:port` into its parts; the port may be empty. Never raises."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def require_one_destination(destination: Destination, host: str) -> None:
    """Raise DestinationRefused unless every witness names the canonical `host`."""
    if len(destination.authorities) != 1:
        raise DestinationRefused(
            "a request has exactly one Host", status=400, reason=Reason.MALFORMED_REQUEST
        )
    default_port = "443" if destination.scheme == "https" else "80"
    for authority in destination.authorities:
        name, port = _split_authority(authority)
        if canonical(name) != host or (port or default_port) != str(destination.port):
            raise DestinationRefused(
                f"the connection goes to {host}:{destination.port}, "
                "but the Host header names another place",
                hint="send the host and port of the URL as Host",
            )
    if destination.sni is not None and canonical(destination.sni) != host:
        raise DestinationRefused(
            f"the connection goes to {host}, but the TLS handshake (SNI) names another host",
            hint="use the same host name for CONNECT and TLS",
        )


_METHOD = re.compile(r"[A-Z]{1,20}(?<!TRACE)(?<!CONNECT)")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def require_one_reading(request: Request) -> None:
    """Refuse what another HTTP parser could read as something else (RFC 9110, 5.5 and 9.1;
    CVE-2022-24766), protocol upgrades, and TRACE, which would echo our tokens."""
    readable = (
        _METHOD.fullmatch(request.method)
        and _TARGET.fullmatch(request.target)
        and all(
            _FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value)
            for name, value in request.headers
        )
        and not request.values("upgrade")
    )
    if not readable:
        raise DestinationRefused(
            "the request can be read in more than one way, or wants another protocol",
            status=400,
            reason=Reason.MALFORMED_REQUEST,
            hint="no control characters, folded headers, upgrades or TRACE",
        )


def refuse_cross_site(request: Request, destination: Destination) -> None:
    """A web page must not speak as the bot (Fetch Metadata, RFC 6454)."""
    pages = [*request.values("origin"), *request.values("referer")]
    foreign = "cross-site" in request.values("sec-fetch-site") or any(
        _web_origin(page) != (canonical(destination.host), destination.port) for page in pages
    )
    if foreign:
        raise ClientRefused(
            "a page of another site sent this request",
            reason=Reason.CROSS_SITE,
            hint="call Symphony from a program, not from a web page",
        )


def _web_origin(text: str) -> tuple[str | None, int] | None:
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return canonical(parts.hostname or ""), port
    except ValueError:
        return None
