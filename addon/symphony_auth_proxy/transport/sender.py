"""Sends requests to Symphony, one connection each.

Each exchange has a connection, a TLS context and a time limit of its own: logins are rare,
and what does not live on cannot leak. Redirects are not followed, cookies not kept, `*_PROXY`
and .netrc not looked at (CVE-2024-47081), larger answers than any login's not read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpcore

from symphony_auth_proxy.errors import LoginError, LoginProtocolError
from symphony_auth_proxy.model import (
    Endpoint,
    LoginRequest,
    LoginResponse,
    Origin,
    UpstreamProxy,
)
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport.exchange import Exchange
from symphony_auth_proxy.transport.network import CheckedNetwork, check_literal
from symphony_auth_proxy.transport.tls import client_context
from symphony_auth_proxy.transport.unreachable import Attempt, explain

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

NETWORK_ERRORS = (
    OSError,  # of sockets, TLS, DNS and asyncio's own time-out
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
)

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Transport:
    """Sends logins. Holds no connections; one instance serves all bots."""

    def __init__(self, trust_bundle: str, watch: Callable[[Exchange], None] | None = None) -> None:
        """`trust_bundle`: the PEM of every CA that a host's certificate may come from.
        `watch`: is told of every exchange once it has ended, however; must not raise."""
        self._trust_bundle = trust_bundle
        self._watch = watch

    async def send(
        self, request: LoginRequest, *, connect_timeout: float = 5.0, read_timeout: float = 10.0
    ) -> LoginResponse:
        """Send `request` and return the answer, as `exchange` does."""
        async with self.exchange(
            request, connect_timeout=connect_timeout, read_timeout=read_timeout
        ) as response:
            pass
        return response

    @asynccontextmanager
    async def exchange(
        self,
        request: LoginRequest,
        account: str = "",
        *,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
    ) -> AsyncGenerator[LoginResponse]:
        """Send `request` and yield the answer, whatever its status.

        It is read inside: a LoginError that is raised there is what became of the exchange,
        for those who watch, and `account` is whose it is. The time-outs, in seconds, hold for
        each step; their sum bounds the wait for the answer. Raises Unreachable (a
        LoginUnavailable) when none comes, LoginProtocolError when it is larger than
        `MAXIMUM_BODY`.
        """
        begun, network = time.time(), CheckedNetwork()
        response: LoginResponse | None = None
        failure: LoginError | None = None
        try:
            response = await self._answer(request, network, connect_timeout, read_timeout)
            yield response
        except LoginError as error:
            failure = error
            raise
        finally:
            if self._watch is not None:
                ended = time.time() if response is None else response.received
                self._watch(
                    Exchange(request, begun, ended, response, failure, network.connection, account)
                )

    async def _answer(
        self,
        request: LoginRequest,
        network: CheckedNetwork,
        connect_timeout: float,
        read_timeout: float,
    ) -> LoginResponse:
        endpoint = request.endpoint
        check_literal(endpoint.origin)
        context = client_context(self._trust_bundle, request.certificate)
        timeouts = {"connect": connect_timeout, "read": read_timeout, "write": read_timeout}
        _check_headers(request)
        sent = _on_the_wire(request, timeouts)
        try:
            async with asyncio.timeout(connect_timeout + read_timeout):
                return await _sent(sent, endpoint, context, network)
        except NETWORK_ERRORS as error:
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


async def _sent(
    message: httpcore.Request, endpoint: Endpoint, context: ssl.SSLContext, network: CheckedNetwork
) -> LoginResponse:
    async with httpcore.AsyncConnectionPool(
        ssl_context=context, proxy=proxy_of(endpoint.proxy), network_backend=network
    ) as pool:
        response = await pool.handle_async_request(message)
        network.answered()
        async with aclosing(response):
            return await _received(response, endpoint.origin)


def proxy_of(proxy: UpstreamProxy | None) -> httpcore.Proxy | None:
    """Return a corporate proxy as httpcore takes it."""
    if proxy is None:
        return None
    url = httpcore.URL(scheme="http", host=proxy.host, port=proxy.port, target="/")
    if proxy.username is None:
        return httpcore.Proxy(url)
    password = proxy.password.reveal() if proxy.password else ""
    return httpcore.Proxy(url, auth=(proxy.username.encode(), password.encode()))


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it is sent."""

    target: str
    """The path, with the context that the component has."""
    headers: tuple[tuple[str, str], ...]
    body: bytes


def message(request: LoginRequest, tell: Callable[[Secret], str] = Secret.reveal) -> Message:
    """Return what is sent. `tell`: what to put in the place of each secret; whoever shows a
    message to people has another one, and shows what was sent in all else."""
    headers = [
        ("Host", str(request.endpoint.origin).removesuffix(":443")),
        ("User-Agent", "symphony-auth-proxy"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    body = b""
    if request.json is not None:
        told = {
            name: tell(value) if isinstance(value, Secret) else value
            for name, value in request.json.items()
        }
        body = json.dumps(told).encode()
        headers.append(("Content-Type", "application/json"))
    if request.method == "POST":
        headers.append(("Content-Length", str(len(body))))
    configured = (*request.endpoint.headers, *request.headers)
    headers += [(name, tell(value)) for name, value in configured if name.lower() not in _OURS]
    last_wins = {name.lower(): (name, value) for name, value in headers}
    return Message(request.endpoint.context + request.path, tuple(last_wins.values()), body)


def _check_headers(request: LoginRequest) -> None:
    for name, secret in (*request.endpoint.headers, *request.headers):
        value = secret.reveal()
        if not (_HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            raise LoginProtocolError(
                f"the header {name!r} of a login has characters that HTTP does not allow",
                hint="check defaultHeaders in the configuration: letters of ASCII only, and no "
                "line break at the end",
            )


def _on_the_wire(request: LoginRequest, timeouts: dict[str, float]) -> httpcore.Request:
    origin, sent = request.endpoint.origin, message(request)
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme="https", host=origin.host, port=origin.port, target=sent.target),
        headers=list(sent.headers),
        content=sent.body,
        extensions={"timeout": timeouts},
    )


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
