"""The one place that opens sockets to Symphony.

A login method says what to send, as a `LoginRequest`; this module sends it and brings back a
`LoginResponse`. Each exchange has a connection, a TLS context and a time limit of its own:
logins are rare, and what does not live on cannot leak. Redirects are not followed, cookies
not kept, `*_PROXY` and .netrc not looked at (CVE-2024-47081), larger answers than any login's
not read.

It speaks through httpcore, the engine under httpx, because of that engine's documented seam
for the network: there the address really connected to can be checked before a byte is sent.
httpx itself shows the connection only after the request has gone out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing, suppress
from ipaddress import ip_address

import httpcore

from symphony_auth_proxy.core.addresses import forbidden_address
from symphony_auth_proxy.errors import LoginProtocolError, Reason
from symphony_auth_proxy.model import LoginRequest, LoginResponse, Origin, UpstreamProxy
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.tls import client_context
from symphony_auth_proxy.unreachable import Attempt, Trouble, Unreachable, explain

MAXIMUM_BODY = 64 * 1024
"""Bytes. The longest known answer, two JWTs, has about 3,000."""

# At debug level httpcore logs the headers of answers, and a login's may hold session cookies.
logging.getLogger("httpcore").setLevel(logging.INFO)

_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that describe the message or the connection: configured ones are left out."""

_NETWORK_ERRORS = (
    OSError,  # of sockets, TLS, DNS and asyncio's own time-out
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
)

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Transport:
    """Sends logins. Holds no connections; one instance serves all bots."""

    def __init__(self, trust_bundle: str) -> None:
        """`trust_bundle`: the PEM of every CA that a host's certificate may come from."""
        self._trust_bundle = trust_bundle

    async def send(
        self, request: LoginRequest, *, connect_timeout: float = 5.0, read_timeout: float = 10.0
    ) -> LoginResponse:
        """Send `request` and return the answer, whatever its status.

        The time-outs, in seconds, hold for each step; their sum bounds the whole exchange.
        Raises Unreachable (a LoginUnavailable) when no answer comes, LoginProtocolError when
        it is larger than `MAXIMUM_BODY`.
        """
        endpoint = request.endpoint
        _check_literal(endpoint.origin)
        context = client_context(self._trust_bundle, request.certificate)
        timeouts = {"connect": connect_timeout, "read": read_timeout, "write": read_timeout}
        message = _message(request, timeouts)
        network = _CheckedNetwork()
        try:
            async with (
                asyncio.timeout(connect_timeout + read_timeout),
                httpcore.AsyncConnectionPool(
                    ssl_context=context,
                    proxy=_proxy(endpoint.proxy),
                    network_backend=network,
                ) as pool,
            ):
                response = await pool.handle_async_request(message)
                async with aclosing(response):
                    return await _received(response, endpoint.origin)
        except _NETWORK_ERRORS as error:
            attempt = Attempt(
                endpoint.origin,
                endpoint.proxy,
                client_certificate=request.certificate is not None,
                connected=network.connected,
            )
            failure = explain(error, attempt)
        finally:
            await network.aclose()
        # Outside the except block on purpose: the original error, which may quote a header,
        # is not dragged along as this one's context.
        raise failure


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """The network of one exchange: refuses forbidden addresses, closes what it opened."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._stream: httpcore.AsyncNetworkStream | None = None

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
                self._stream = await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return self._stream
        raise failure

    async def aclose(self) -> None:
        """Close the connection, whatever state it is in: httpcore forgets the one whose TLS
        handshake is cancelled."""
        if self._stream is not None:
            await self._stream.aclose()


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


def _check_literal(origin: Origin) -> None:
    """Behind a proxy the address connected to is the proxy's; what is known of the host's is
    checked at least."""
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


def _proxy(proxy: UpstreamProxy | None) -> httpcore.Proxy | None:
    if proxy is None:
        return None
    url = httpcore.URL(scheme="http", host=proxy.host, port=proxy.port, target="/")
    if proxy.username is None:
        return httpcore.Proxy(url)
    password = proxy.password.reveal() if proxy.password else ""
    return httpcore.Proxy(url, auth=(proxy.username.encode(), password.encode()))


def _message(request: LoginRequest, timeouts: dict[str, float]) -> httpcore.Request:
    origin = request.endpoint.origin
    headers = [
        ("Host", str(origin).removesuffix(":443")),
        ("User-Agent", "symphony-auth-proxy"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    body = b""
    if request.json is not None:
        body = json.dumps({name: _text(value) for name, value in request.json.items()}).encode()
        headers.append(("Content-Type", "application/json"))
    if request.method == "POST":
        headers.append(("Content-Length", str(len(body))))
    headers += _configured(request.endpoint.headers)
    headers += _configured(request.headers)
    last_wins = {name.lower(): (name, value) for name, value in headers}
    return httpcore.Request(
        request.method,
        httpcore.URL(
            scheme="https",
            host=origin.host,
            port=origin.port,
            target=request.endpoint.context + request.path,
        ),
        headers=list(last_wins.values()),
        content=body,
        extensions={"timeout": timeouts},
    )


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _configured(headers: Iterable[tuple[str, Secret]]) -> Iterator[tuple[str, str]]:
    for name, secret in headers:
        value = secret.reveal()
        if not (_HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise LoginProtocolError(
                f"the header {name!r} of a login has characters that HTTP does not allow",
                hint="check defaultHeaders in the configuration: letters of ASCII only, and no "
                "line break at the end",
            )
        if name.lower() not in _OURS:
            yield name, value


async def _received(response: httpcore.Response, origin: Origin) -> LoginResponse:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > MAXIMUM_BODY:
            raise LoginProtocolError(
                f"{origin} answers with more than {MAXIMUM_BODY // 1024} KiB, which is not the "
                "answer to a login",
                hint="check host, port and context: a web page may be served there",
            )
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return LoginResponse(response.status, headers, bytes(body), received=time.time())
