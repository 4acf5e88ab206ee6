"""Clients that send exactly the bytes they are told to, and read what comes back.

Real HTTP clients repair, refuse or reorder what an attacker would send; these do not. They
verify no certificate either: an attacker does not care.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from support.proxy import Proxy
from symphony_auth_proxy.model import Origin

_SECONDS = 10.0
"""How long an answer may take before a test fails."""

type Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def reason(self) -> str | None:
        """Why the proxy answered itself; None when it did not, or not in its own shape."""
        try:
            reason = json.loads(self.body)["details"]["reason"]
        except (ValueError, KeyError, TypeError):
            return None
        assert self.values("proxy-status")
        return str(reason)

    @property
    def wire(self) -> bytes:
        """Everything that the client can see of it."""
        return repr((self.headers, self.trailers)).encode() + self.body


CLOSED = Answer(0)
"""The connection was ended without an answer."""


class Wire:
    """One connection to a proxy; later a tunnel, later TLS inside of it."""

    def __init__(self, proxy: Proxy | Origin) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", proxy.port), _SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def tunnel(
        cls,
        proxy: Proxy,
        origin: Origin | str,
        *,
        sni: str | None = "localhost",
        alpn: Iterable[str] = ("http/1.1",),
    ) -> Self:
        """CONNECT to `origin`, then TLS with `sni`."""
        wire = cls(proxy)
        answer = wire.connect(str(origin))
        assert answer.status == 200, answer
        wire.start_tls(sni, alpn)
        return wire

    def connect(self, target: str, *headers: str) -> Answer:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers]
        return self.ask("\r\n".join(lines) + "\r\n\r\n", method="CONNECT")

    def start_tls(self, sni: str | None = "localhost", alpn: Iterable[str] = ()) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if offers := list(alpn):
            context.set_alpn_protocols(offers)
        self.socket = context.wrap_socket(self.socket, server_hostname=sni)

    @property
    def certificate(self) -> bytes | None:
        """What the other side of the TLS showed, DER."""
        assert isinstance(self.socket, ssl.SSLSocket)
        return self.socket.getpeercert(binary_form=True)

    def send(self, data: str | bytes) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def ask(self, data: str | bytes, *, method: str = "GET") -> Answer:
        """Send bytes, read one answer. A connection that is ended instead is `CLOSED`."""
        # Whoever refuses early may close while we still send; the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.send(data)
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        response = http.client.HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            body = b"" if method == "CONNECT" and response.status == 200 else response.read()
        except (http.client.HTTPException, ConnectionError, ssl.SSLError):
            return CLOSED
        return Answer(response.status, tuple(response.getheaders()), body)

    def request(
        self, target: str, host: str, *headers: str, method: str = "GET", body: str | None = None
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return self.ask("\r\n".join(lines) + f"\r\n\r\n{body or ''}", method=method)

    def ended(self) -> bool:
        """Whether the other side has ended the connection; waits for it."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Http2Wire(Wire):
    """The same over HTTP/2; no header is checked on its way out."""

    @classmethod
    def open(cls, proxy: Proxy, origin: Origin | str, *, sni: str | None = "localhost") -> Self:
        wire = cls.tunnel(proxy, origin, sni=sni, alpn=("h2",))
        wire.start()
        return wire

    def start(self) -> None:
        self.http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self.http2.initiate_connection()
        self._flush()

    def open_stream(
        self,
        path: str,
        authority: str | None,
        headers: Fields = (),
        *,
        method: str = "GET",
        body: bytes = b"",
        trailers: Fields = (),
        scheme: str = "https",
    ) -> int:
        stream = self.http2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", scheme), (":path", path)]
        if authority is not None:
            pseudo.append((":authority", authority))
        ends = not body and not trailers
        self.http2.send_headers(stream, _encoded([*pseudo, *headers]), end_stream=ends)
        if body:
            self.http2.send_data(stream, body, end_stream=not trailers)
        if trailers:
            self.http2.send_headers(stream, _encoded(trailers), end_stream=True)
        self._flush()
        return stream

    def answers(self, *streams: int) -> list[Answer]:
        """Wait until all these streams have ended. A stream that was reset is `CLOSED`."""
        found = {stream: _Heard() for stream in streams}
        while not all(heard.done for heard in found.values()):
            data = self._received()
            events: Iterable[Any] = self.http2.receive_data(data) if data else ()
            for event in events:
                heard = found.get(getattr(event, "stream_id", -1))
                if heard is not None:
                    heard.take(event)
                if isinstance(event, h2.events.DataReceived):
                    self.http2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            if not data or any(isinstance(e, h2.events.ConnectionTerminated) for e in events):
                break
            self._flush()
        return [found[stream].answer() for stream in streams]

    def fetch(self, path: str, authority: str | None, headers: Fields = (), **more: Any) -> Answer:
        return self.answers(self.open_stream(path, authority, headers, **more))[0]

    def _received(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return b""

    def _flush(self) -> None:
        self.send(self.http2.data_to_send())


@dataclass
class _Heard:
    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    done: bool = False
    reset: bool = False

    def take(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self.headers += _decoded(headers)
            case h2.events.TrailersReceived(headers=headers):
                self.trailers += _decoded(headers)
            case h2.events.DataReceived(data=data):
                self.body += data
            case h2.events.StreamReset():
                self.reset = self.done = True
            case h2.events.StreamEnded():
                self.done = True

    def answer(self) -> Answer:
        status = next((int(value) for name, value in self.headers if name == ":status"), 0)
        if self.reset or not self.done:
            return CLOSED
        return Answer(status, tuple(self.headers), bytes(self.body), tuple(self.trailers))


def _encoded(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


def _decoded(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
