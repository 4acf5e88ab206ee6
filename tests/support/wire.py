"""The other ends of the wire: an HTTP/2 origin and a corporate proxy, on loopback."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config


@contextmanager
def _in_thread[T](main: Callable[[Future[T], asyncio.Event], Awaitable[None]]) -> Iterator[T]:
    """Run a server in a thread: it reports itself as started, and ends on the event."""
    started: Future[T] = Future()
    ending: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        ending.set_result((asyncio.get_running_loop(), stop))
        try:
            await main(started, stop)
        except BaseException as problem:
            if started.done():
                raise
            started.set_exception(problem)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        yield started.result(20)
    finally:
        loop, stop = ending.result(20)
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


@dataclass(frozen=True)
class Recorded:
    path: str
    headers: list[tuple[str, str]]
    http_version: str


@dataclass
class RecordedOrigin:
    port: int
    requests: list[Recorded] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextmanager
def recorded_origin(directory: Path, *, http2: bool) -> Iterator[RecordedOrigin]:
    """An origin that answers 200 to everything, with the sandbox's server certificate."""

    async def main(started: Future[RecordedOrigin], stop: asyncio.Event) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        origin = RecordedOrigin(listener.getsockname()[1])

        async def application(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                with suppress(asyncio.CancelledError):
                    await receive()
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            while (await receive()).get("more_body"):
                pass
            headers = [(n.decode(), v.decode()) for n, v in scope["headers"]]
            origin.requests.append(Recorded(scope["path"], headers, scope["http_version"]))
            content = [(b"content-type", b"application/json"), (b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": content})
            await send({"type": "http.response.body", "body": b"{}"})

        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.certfile = config.keyfile = str(directory / "server.pem")
        config.alpn_protocols = ["h2", "http/1.1"] if http2 else ["http/1.1"]
        config.errorlog = config.accesslog = None
        config.graceful_timeout = 0.1
        server = asyncio.ensure_future(serve(application, config, shutdown_trigger=stop.wait))  # noqa: TID251 (awaited below)
        started.set_result(origin)
        await server

    with _in_thread(main) as origin:
        yield origin


@dataclass
class ConnectProxy:
    port: int
    targets: set[str] = field(default_factory=set)
    refused: int = 0


@contextmanager
def connect_proxy(credentials: str | None = None) -> Iterator[ConnectProxy]:
    """A corporate proxy that knows CONNECT only, and wants Basic `credentials` when given."""
    wanted = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None

    async def main(started: Future[ConnectProxy], stop: asyncio.Event) -> None:
        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            if wanted is not None and f"Proxy-Authorization: {wanted}" not in head:
                state.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                writer.close()
                return
            state.targets.add(target)
            host, _, port = target.rpartition(":")
            try:
                upstream_reader, upstream = await asyncio.open_connection(host, int(port))
            except OSError:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer))

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        state = ConnectProxy(server.sockets[0].getsockname()[1])
        started.set_result(state)
        await stop.wait()
        server.close()

    with _in_thread(main) as state:
        yield state
