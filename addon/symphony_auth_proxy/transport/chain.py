"""Looks at the certificates that a host shows, when they are not trusted.

A TLS handshake that verifies nothing and sends nothing, but for what the way through a
corporate proxy takes: it ends as soon as the certificates are there, before any request. So
they can be named to people in the one case in which a request never sees them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

import httpcore

from symphony_auth_proxy.model import Endpoint
from symphony_auth_proxy.transport.network import (
    CheckedNetwork,
    check_literal,
    shown_certificates,
)
from symphony_auth_proxy.transport.sender import NETWORK_ERRORS, proxy_of
from symphony_auth_proxy.transport.unreachable import Unreachable


async def shown(endpoint: Endpoint, timeout: float = 5.0) -> tuple[bytes, ...]:  # noqa: ASYNC109 (bounds the whole look)
    """Return the certificates (DER) that a host shows, its own first; on Python 3.12 that alone.

    `timeout`: seconds for all of it. Empty when there is no way to the host, or it shows none.
    """
    network = CheckedNetwork()
    seen: list[bytes] = []
    try:
        check_literal(endpoint.origin)
        async with asyncio.timeout(timeout):
            await _look(endpoint, network, _unverified(seen.extend))
    except (Unreachable, *NETWORK_ERRORS):
        pass  # what is the matter with the way is told by the request that failed
    finally:
        await network.aclose()
    return tuple(seen)


async def _look(endpoint: Endpoint, network: CheckedNetwork, context: ssl.SSLContext) -> None:
    origin = endpoint.origin
    async with httpcore.AsyncConnectionPool(
        ssl_context=context, proxy=proxy_of(endpoint.proxy), network_backend=network
    ) as pool:
        url = httpcore.URL(scheme="https", host=origin.host, port=origin.port, target="/")
        await pool.handle_async_request(httpcore.Request("GET", url))


def _unverified(tell: Callable[[tuple[bytes, ...]], None]) -> ssl.SSLContext:
    """Return a context that takes every certificate, tells of them, and never gets further."""

    class Looking(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError:
                # Where a client certificate is insisted on, the handshake fails, but only
                # after the host has shown its own.
                with suppress(ValueError):
                    tell(shown_certificates(self))
                raise
            tell(shown_certificates(self))
            raise ssl.SSLError("seen")  # before httpcore would send its request

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = Looking
    return context
