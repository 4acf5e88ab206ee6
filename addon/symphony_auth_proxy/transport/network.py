"""The network of one exchange: refuses forbidden addresses, notes what it connects to, closes
what it opened.

It is httpcore's documented seam: there the address really connected to can be checked before
a byte is sent. httpx itself shows the connection only after the request has gone out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore

from symphony_auth_proxy.core.addresses import forbidden_address
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.transport.exchange import Connection
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """For one exchange."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._stream: httpcore.AsyncNetworkStream | None = None
        self.connection: Connection | None = None
        """What was connected to, as far as it came."""

    @property
    def connected(self) -> bool:
        return self._stream is not None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # One address after the other: anyio's race between them leaves coroutines behind
        # under mitmproxy's eager tasks.
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in await _addresses(host, port, timeout):
            _check_address(address, Origin(host, port))
            try:
                stream = await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                local = stream.get_extra_info("client_addr") or ("", 0)
                self.connection = Connection((address, port), tuple(local[:2]), time.time())
                self._stream = _Watched(stream, self._encrypted)
                return self._stream
        raise failure

    def answered(self) -> None:
        """Note that the head of an answer is there."""
        self._note(answered=time.time())

    def _encrypted(self, tls: ssl.SSLObject) -> None:
        cipher = tls.cipher()
        self._note(
            encrypted=time.time(),
            tls_version=tls.version(),
            cipher=cipher[0] if cipher else None,
            alpn=tls.selected_alpn_protocol(),
            certificates=shown_certificates(tls),
        )

    def _note(self, **facts: Any) -> None:
        assert self.connection is not None
        self.connection = dataclasses.replace(self.connection, **facts)

    async def aclose(self) -> None:
        """Close the connection, whatever state it is in: httpcore forgets the one whose TLS
        handshake is cancelled."""
        if self._stream is not None:
            await self._stream.aclose()


class _Watched(httpcore.AsyncNetworkStream):
    """A stream that tells when it becomes an encrypted one."""

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, tell: Callable[[ssl.SSLObject], None]
    ) -> None:
        self._stream = stream
        self._tell = tell
        self.read = stream.read  # type: ignore[method-assign]
        self.write = stream.write  # type: ignore[method-assign]
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        tls = stream.get_extra_info("ssl_object")
        if isinstance(tls, ssl.SSLObject):
            self._tell(tls)
        return stream


def shown_certificates(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the other side showed, DER, its own first. The whole chain is
    public from Python 3.13 on; before, there is the first one only."""
    whole = getattr(tls, "get_unverified_chain", None)
    if whole is not None:
        return tuple(whole())
    own = tls.getpeercert(binary_form=True)
    return () if own is None else (own,)


def check_literal(origin: Origin) -> None:
    """Behind a proxy the address connected to is the proxy's; what is known of the host's is
    checked at least. Raises Unreachable."""
    with suppress(ValueError):
        _check_address(str(ip_address(origin.host)), origin)


def _check_address(address: str, origin: Origin) -> None:
    if forbidden_address(address):
        raise Unreachable(
            Trouble.ADDRESS_REFUSED,
            f"{origin} leads to {address}, a link-local or metadata address, where nothing is "
            "ever sent",
            hint="check the host in the configuration and what DNS says about it",
            reason=Reason.ADDRESS_REFUSED,
        )


async def _addresses(
    host: str,
    port: int,
    timeout: float | None,  # noqa: ASYNC109 (httpcore's, handed on)
) -> list[str]:
    try:
        async with asyncio.timeout(timeout):
            infos = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(error) from error
    except OSError as error:
        raise httpcore.ConnectError(error) from error
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
