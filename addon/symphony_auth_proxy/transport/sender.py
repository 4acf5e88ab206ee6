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
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing

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

    def __init__(self, trust_bundle: str, watch: Callable[[Exchange], None] | None = None) -> None:
        """`trust_bundle`: the PEM of every CA that a host's certificate may come from.
        `watch`: is told of every exchange once it has ended, however; must not raise."""
        self._trust_bundle = trust_bundle
        self._watch = watch

    async def send(
        self, request: LoginRequest, *, connect_timeout: float = 5.0, read_timeout: float = 10.0
    ) -> LoginResponse:
        """Send `request` and return the answer, whatever its status.

        The time-outs, in seconds, hold for each step; their sum bounds the whole exchange.
        Raises Unreachable (a LoginUnavailable) when no answer comes, LoginProtocolError when
        it is larger than `MAXIMUM_BODY`.
        """
        begun, network = time.time(), CheckedNetwork()
        response: LoginResponse | None = None
        failure: LoginError | None = None
        try:
            response = await self._answer(request, network, connect_timeout, read_timeout)
        except LoginError as error:
            failure = error
            raise
        finally:
            if self._watch is not None:
                self._watch(
                    Exchange(request, begun, time.time(), response, failure, network.connection)
                )
        return response

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
        message = _message(request, timeouts)
        try:
            async with asyncio.timeout(connect_timeout + read_timeout):
                return await _sent(message, endpoint, context, network)
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


async def _sent(
    message: httpcore.Request, endpoint: Endpoint, context: ssl.SSLContext, network: CheckedNetwork
) -> LoginResponse:
    async with httpcore.AsyncConnectionPool(
        ssl_context=context, proxy=_proxy(endpoint.proxy), network_backend=network
    ) as pool:
        response = await pool.handle_async_request(message)
        async with aclosing(response):
            return await _received(response, endpoint.origin)


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
