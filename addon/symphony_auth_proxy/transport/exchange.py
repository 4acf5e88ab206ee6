"""What became of one request of our own, for those who watch: plain values.

The request holds its secrets as `Secret`, the response as it came. Whoever shows either to
people masks it first.
"""

from __future__ import annotations

from dataclasses import dataclass

from symphony_auth_proxy.errors import LoginError
from symphony_auth_proxy.model import LoginRequest, LoginResponse

type Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as it was really made. Instants are wall clock, seconds since the epoch."""

    peer: Address
    """The address connected to: the corporate proxy's where there is one."""
    local: Address
    connected: float
    encrypted: float | None = None
    """When the TLS handshake with Symphony was done; None: it never was."""
    answered: float | None = None
    """When the head of the answer was there."""
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    certificates: tuple[bytes, ...] = ()
    """Those that the host showed, DER, its own first; on Python 3.12 its own alone."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to Symphony, and what came back. Instants as in `Connection`."""

    request: LoginRequest
    begun: float
    ended: float
    response: LoginResponse | None = None
    error: LoginError | None = None
    """Why there is no answer, or why it is not the one that was wanted. Neither this nor a
    response: it was given up, as when whoever asked stops waiting."""
    connection: Connection | None = None
    """None: there never was one."""
    account: str = ""
    """Whose it is, as people call it; empty: nobody said."""
