"""Servers that answer with whatever bytes a test wants, and keep every byte that they get.

They stand where the agent, the pod or a stranger would stand. What they `received` is what
the attacks are judged by.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki import rsa_key
from symphony_auth_proxy.certificates import (
    CertificateWithKey,
    certificates_pem,
    make_ca,
    make_server_certificate,
    private_key_pem,
)
from symphony_auth_proxy.model import Origin

type Answering = Callable[[bytes], bytes | Iterable[bytes]]
"""What to say to a request (head and body); an empty part of an answer ends the connection."""

HANG_UP = b""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def answer(status: str = "200 OK", *headers: str, body: bytes = b"{}") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Server:
    """Accepts on loopback, one thread a connection."""

    def __init__(self, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> None:
        self._tls = tls
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._received = bytearray()
        self.connections = 0
        self.snis: list[str | None] = []
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.snis.append(name)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def origin(self) -> Origin:
        return Origin("localhost", self.port)

    @property
    def received(self) -> bytes:
        """All that arrived, over all connections, decrypted."""
        with self._lock:
            return bytes(self._received)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(connection)
        stream = connection
        with suppress(OSError):
            if self._tls is not None:
                stream = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.add(stream)
            with stream:
                self.converse(stream)
        connection.close()

    def heard(self, data: bytes) -> bytes:
        with self._lock:
            self._received += data
        return data

    def converse(self, stream: socket.socket) -> None:
        raise NotImplementedError


class RawOrigin(_Server):
    """Speaks HTTP/1.1, as far as its `answering` does."""

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        answering: Answering | bytes = OK,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(tls, host)
        self.answering = answering
        self.requests: list[bytes] = []

    def values(self, name: str) -> list[str]:
        """All values of a header, over all requests."""
        return [
            value.strip().decode("latin-1")
            for request in self.requests
            for key, _, value in (
                line.partition(b":")
                for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            )
            if key.decode("latin-1").lower() == name.lower()
        ]

    def converse(self, stream: socket.socket) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                if not (data := self.heard(stream.recv(65536))):
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            while (length := _body_length(head, buffer)) is None or len(buffer) < length:
                if not (data := self.heard(stream.recv(65536))):
                    return
                buffer += data
            request = head + b"\r\n\r\n" + buffer[:length]
            buffer = buffer[length:]
            self.requests.append(request)
            said = self.answering if isinstance(self.answering, bytes) else self.answering(request)
            for part in (said,) if isinstance(said, bytes) else said:
                if part == HANG_UP:
                    return
                stream.sendall(part)


def _body_length(head: bytes, begun: bytes) -> int | None:
    """None: a chunked body whose end is not there yet."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
        if line.startswith(b"transfer-encoding:"):
            end = re.search(rb"(?:^|\r\n)0\r\n\r\n", begun)
            return end.end() if end else None
    return 0


class ScriptedSymphony(RawOrigin):
    """Pod, key manager and agent on one host: answers logins, the rest as a test says."""

    session_token = "session-token-of-the-scripted-pod"
    key_manager_token = "key-manager-token-of-the-scripted-pod"
    tokens = (session_token, key_manager_token)

    def __init__(self, tls: ssl.SSLContext, answering: Answering | bytes = OK) -> None:
        super().__init__(tls, self._answer)
        self.scripted = answering
        self.logins = 0

    @property
    def calls(self) -> list[bytes]:
        """What arrived, but for the proxy's own logins."""
        return [r for r in self.requests if b"/pubkey/authenticate " not in r]

    @property
    def with_tokens(self) -> list[bytes]:
        return [r for r in self.calls if any(token.encode() in r for token in self.tokens)]

    def _answer(self, request: bytes) -> bytes | Iterable[bytes]:
        for path, token in (
            (b"POST /login/pubkey/authenticate ", self.session_token),
            (b"POST /relay/pubkey/authenticate ", self.key_manager_token),
        ):
            if request.startswith(path):
                self.logins += 1
                return answer(body=json.dumps({"name": path.decode(), "token": token}).encode())
        return self.scripted if isinstance(self.scripted, bytes) else self.scripted(request)


class Http2Origin(_Server):
    """Speaks HTTP/2 and answers 200; headers and trailers of answers are a test's choice."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        super().__init__(tls)
        self.headers: Callable[[dict[str, str]], list[tuple[str, str]]] = lambda _request: []
        self.trailers: Callable[[dict[str, str]], list[tuple[str, str]]] = lambda _request: []
        self.requests: list[list[tuple[str, str]]] = []
        self.request_trailers: list[tuple[str, str]] = []

    def values(self, name: str) -> list[str]:
        return [v for request in self.requests for k, v in request if k == name.lower()]

    def converse(self, stream: socket.socket) -> None:
        http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="latin-1", validate_outbound_headers=False
            )
        )
        http2.initiate_connection()
        stream.sendall(http2.data_to_send())
        asked: dict[int, dict[str, str]] = {}
        while data := self.heard(stream.recv(65536)):
            for event in http2.receive_data(data):
                self._take(http2, event, asked)
            stream.sendall(http2.data_to_send())

    def _take(
        self, http2: h2.connection.H2Connection, event: Any, asked: dict[int, dict[str, str]]
    ) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream, headers=headers):
                self.requests.append(_texts(headers))
                asked[stream] = dict(_texts(headers))
            case h2.events.TrailersReceived(headers=headers):
                self.request_trailers += _texts(headers)
            case h2.events.DataReceived(flow_controlled_length=length, stream_id=stream):
                http2.acknowledge_received_data(length, stream)
            case h2.events.StreamEnded(stream_id=stream):
                request = asked.pop(stream)
                http2.send_headers(stream, [(":status", "200"), *self.headers(request)])
                trailers = self.trailers(request)
                http2.send_data(stream, b"{}", end_stream=not trailers)
                if trailers:
                    http2.send_headers(stream, trailers, end_stream=True)
            case _:
                pass


def _texts(headers: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in headers]


# --- certificates ------------------------------------------------------------------------


def sandbox_ca(directory: Path) -> CertificateWithKey:
    certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    key = load_pem_private_key((directory / "ca.key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return CertificateWithKey(certificate, key)


@cache
def stranger() -> CertificateWithKey:
    """A CA that nobody trusts."""
    return make_ca("Nobody's CA", key=rsa_key(number=7))


def server_tls(
    directory: Path,
    host: str = "localhost",
    *,
    ca: CertificateWithKey | None = None,
    valid_from: datetime | None = None,
    days: int = 30,
) -> ssl.SSLContext:
    """TLS with a certificate for `host`, of the sandbox's CA unless another signs."""
    signer = ca or sandbox_ca(directory)
    leaf = make_server_certificate(
        [host], *signer, key=rsa_key(number=8), valid_from=valid_from, days=days
    )
    path = directory / f"origin-{host}-{datetime.now(UTC).timestamp()}.pem"
    path.write_bytes(private_key_pem(leaf.key) + certificates_pem([leaf.certificate]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return context
