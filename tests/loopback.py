"""Servers on loopback that behave, and that do not, with a client to try them."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trustme

from pki import company_ca
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.errors import LoginUnavailable
from symphony_auth_proxy.model import Endpoint, LoginRequest, Origin
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import Transport
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable

type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"token":"t"}'

CA = trustme.CA()


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """Run as mitmproxy's event loop does, with eager tasks."""

    def loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(asyncio.wait_for(main, 20))


def server_context(leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (leaf or CA.issue_cert("localhost")).configure_cert(context)
    return context


def demanding_context() -> ssl.SSLContext:
    """Make a server's context that asks for a client certificate of the company's CA."""
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificates_pem([company_ca().certificate]).decode())
    return context


@asynccontextmanager
async def listening(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Serve on loopback, yield the port; wait until every connection has ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, host, 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@contextmanager
def refusing_handshakes(tls: ssl.SSLContext) -> Iterator[int]:
    """Serve one blocking handshake that fails, with the alert that real servers send.

    (asyncio's servers drop the connection without one.)
    """

    def refuse(listener: socket.socket) -> bytes:
        connection, _ = listener.accept()
        with tls.wrap_socket(connection, True, do_handshake_on_connect=False) as stream:
            with pytest.raises(ssl.SSLError):
                stream.do_handshake()
            # What is left unread would turn the end of the connection into a reset.
            plain = stream.detach()
            with socket.socket(fileno=plain) as rest:
                rest.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: rest.recv(65536), b""))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        outcome = pool.submit(refuse, listener)
        yield listener.getsockname()[1]
        assert b"assertion" not in outcome.result()


class Pod:
    """Answers every request with the same bytes and keeps what it received."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.received: list[bytes] = []
        self.peer_names: list[object] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        self.peer_names.append(writer.get_extra_info("peercert"))
        self.received.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        await writer.drain()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read and never answer, until the other side leaves."""
    while await reader.read(65536):
        pass


def login(port: int, host: str = "localhost", **changes: Any) -> LoginRequest:
    endpoint = Endpoint(
        Origin(host, port),
        context=changes.pop("context", ""),
        proxy=changes.pop("proxy", None),
        headers=changes.pop("default_headers", ()),
    )
    changes.setdefault("json", {"token": Secret("assertion")})
    return LoginRequest(endpoint, "/login/pubkey/authenticate", **changes)


def transport() -> Transport:
    return Transport(CA.cert_pem.bytes().decode())


def trouble_with(
    handler: Handler, tls: ssl.SSLContext | None, **changes: Any
) -> tuple[Trouble, str]:
    """Log in at a server that makes trouble, and return which, with the whole message."""

    async def main() -> Unreachable:
        timeouts = {
            "connect_timeout": changes.pop("connect_timeout", 5),
            "read_timeout": changes.pop("read_timeout", 5),
        }
        async with listening(handler, tls) as port:
            with pytest.raises(Unreachable) as caught:
                await transport().send(login(port, **changes), **timeouts)
        return caught.value

    error = run(main())
    assert isinstance(error, LoginUnavailable)
    assert error.retryable
    assert error.hint()
    assert error.__context__ is None, "library errors quote headers: none may be dragged along"
    return error.trouble, f"{error} ({error.hint()})"


PROXY_PASSWORD = Secret("pass:wörd")


class ConnectProxy:
    """A CONNECT proxy that wants Basic credentials and leads everything to one port."""

    def __init__(self, destination: int, refuse: bytes = b"") -> None:
        self.destination = destination
        self.refuse = refuse
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        expected = b"Proxy-Authorization: Basic " + base64.b64encode(
            f"häns:{PROXY_PASSWORD.reveal()}".encode()
        )
        if self.refuse or expected not in head:
            status = self.refuse or b"407 Proxy Authentication Required"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection(
            "127.0.0.1", self.destination
        )
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as tunnel:
            tunnel.create_task(_pump(reader, upstream_writer))
            tunnel.create_task(_pump(upstream_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
