"""The listeners: TLS, HTTP/1.1, client certificates, and the faults that only a server
can make (no listener, no answer, half an answer).

One `Listener` is one port and the components behind it. Requests are matched to a route,
noted in the journal, possibly spoilt by a fault, and answered by the route's operation.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import Any, ClassVar

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler, stream_request_body

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import agent, datafeeds, logins, pod
from symphony_auth_proxy.sandbox.exchange import Answer, Call, Refusal, Route, error, html
from symphony_auth_proxy.sandbox.faults import Fault, FaultKind, Faults
from symphony_auth_proxy.sandbox.journal import KEPT_BODY, Received
from symphony_auth_proxy.sandbox.pki import Pki
from symphony_auth_proxy.sandbox.state import State

ROUTES: Mapping[Component, Sequence[Route]] = {
    Component.POD: (*logins.POD_ROUTES, *pod.ROUTES),
    Component.KEY_MANAGER: logins.KEY_MANAGER_ROUTES,
    Component.SESSION_AUTH: logins.SESSION_AUTH_ROUTES,
    # The agent passes pod calls on to the pod.
    Component.AGENT: (*agent.ROUTES, *datafeeds.ROUTES, *pod.ROUTES),
}
MAX_BODY = 512 * 1024 * 1024
"""Bytes. Uploads are held in memory."""
_CHUNK = 64 * 1024
_ALERT_SECONDS = 5.0
"""How long a client has to read it."""

# Failed handshakes are part of the play, not of the log.
logging.getLogger("tornado.general").addHandler(logging.NullHandler())


def server_context(pki: Pki, client_certificates: ssl.VerifyMode) -> ssl.SSLContext:
    """Make the TLS side of a listener: 1.2 or newer, clients verified against our CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = _Alerting
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server)
    context.load_verify_locations(pki.ca)
    context.verify_mode = client_certificates
    return context


def bind(port: int = 0) -> socket.socket:
    """Take a loopback port, without listening on it yet: connections are refused.

    Raises OSError, whose `filename` is the address."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Without it a port is unusable for a minute after its connections were closed.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setblocking(False)
    try:
        held.bind(("127.0.0.1", port))
    except OSError as error:
        held.close()
        place = f"127.0.0.1:{port}"
        raise OSError(error.errno, os.strerror(error.errno or 0), place) from error
    return held


class _Alerting(ssl.SSLSocket):
    """Leaves clients whose handshake fails the time to read why.

    With TLS 1.3 they have sent their request by then. A connection that is closed with
    something unread ends in a reset, and on loopback that comes faster than they can read.
    """

    _ending: ClassVar[set[asyncio.Task[None]]] = set()

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            rest = socket.socket(fileno=os.dup(self.fileno()))
            task = asyncio.get_running_loop().create_task(_read_out(rest))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            raise


async def _read_out(connection: socket.socket) -> None:
    """Read until the client hangs up, which it does when it has seen the alert."""
    with connection, suppress(OSError):  # a time-out is one
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_ALERT_SECONDS):
            while await asyncio.get_running_loop().sock_recv(connection, _CHUNK):
                pass


class Listener:
    """One port on the loopback interface. All methods belong to the event loop."""

    def __init__(
        self,
        components: Sequence[Component],
        context: ssl.SSLContext,
        state: State,
        faults: Faults,
        port: int = 0,
    ) -> None:
        self.components = components
        self._context = context
        self._application = Application(
            [(r".*", Exchange, {"listener": self, "state": state, "faults": faults})],
            log_function=lambda _handler: None,
        )
        self._server: HTTPServer | None = None
        self._held = bind(port)
        self._closing: list[asyncio.Task[None]] = []
        self.port: int = self._held.getsockname()[1]

    @property
    def down(self) -> bool:
        return self._server is None

    def open(self) -> None:
        if self._server is None:
            self._server = HTTPServer(
                self._application, ssl_options=self._context, max_buffer_size=MAX_BODY
            )
            self._held.listen(1024)
            self._server.add_sockets([self._held])

    def shut(self) -> None:
        """Refuse connections from now on and end those that there are; keep the port."""
        if self._server is not None:
            self._server.stop()
            end = self._server.close_all_connections()
            self._closing.append(asyncio.get_running_loop().create_task(end))
            self._server = None
            self._held = bind(self.port)

    async def close(self) -> None:
        self.shut()
        self._held.close()
        await asyncio.gather(*self._closing)

    def find(self, call: Call) -> tuple[Component, Route | None, Call]:
        for component in self.components:
            for route in ROUTES[component]:
                if matched := route.match(call):
                    return component, route, matched
        return self.components[0], None, call


@stream_request_body  # else tornado reads forms itself, and answers for malformed ones
class Exchange(RequestHandler):
    """One request and its answer."""

    def initialize(self, listener: Listener, state: State, faults: Faults) -> None:
        self._listener = listener
        self._state = state
        self._faults = faults
        self._task: asyncio.Task[Any] | None = None
        self._body: list[bytes] = []

    def data_received(self, chunk: bytes) -> None:
        self._body.append(chunk)

    async def _exchange(self) -> None:
        self._task = asyncio.current_task()
        # Cancelled by on_connection_close: nobody is there to be answered any more.
        with suppress(asyncio.CancelledError, StreamClosedError):
            await self._play()

    get = head = post = delete = patch = put = options = _exchange

    async def _play(self) -> None:
        if self.request.connection.stream.closed():  # type: ignore[union-attr]  # HTTP/1
            return  # whoever asked has left, and the certificate is gone with the connection
        component, route, call = self._listener.find(self._call())
        if self._listener.down:
            self.detach().close()
            return
        number = self._state.journal.arrived(self._record(component, call))
        await asyncio.sleep(self._faults.delay(component, call.path))
        fault = self._faults.take(component, call.path)
        if fault is not None and fault.kind is FaultKind.HANG:
            await asyncio.Event().wait()
        answer = _spoilt(fault) or await self._operate(route, call)
        self._state.journal.answered(number, answer.status)
        if fault is not None and fault.kind is FaultKind.CUT:
            await self._send_half(answer)
        else:
            await self._send(answer)

    async def _operate(self, route: Route | None, call: Call) -> Answer:
        if route is None:
            return html(404, f"Nothing answers {call.method} {call.path} on this port.")
        try:
            return await route.operation(self._state, call)
        except Refusal as refusal:
            return refusal.answer

    def _call(self) -> Call:
        request = self.request
        certificate = request.get_ssl_certificate()
        return Call(
            method=request.method or "",
            path=request.path,
            query={
                name: values[-1].decode(errors="replace")
                for name, values in request.query_arguments.items()
            },
            headers=request.headers,
            body=b"".join(self._body),
            client_name=_common_name(certificate) if isinstance(certificate, dict) else None,
        )

    def _record(self, component: Component, call: Call) -> Received:
        return Received(
            component=component,
            method=call.method,
            path=call.path,
            query=self.request.query,
            headers=tuple(self.request.headers.get_all()),
            body=call.body if len(call.body) <= KEPT_BODY else None,
            body_size=len(call.body),
            body_sha256=hashlib.sha256(call.body).hexdigest(),
            client_name=call.client_name,
        )

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._task is not None:
            self._task.cancel()

    def set_default_headers(self) -> None:
        self.set_header("Server", "symphony-sandbox")
        self.clear_header("Content-Type")

    def compute_etag(self) -> str | None:
        return None

    async def _send(self, answer: Answer) -> None:
        self._set_head(answer)
        if answer.chunked:
            for start in range(0, len(answer.body), _CHUNK):
                self.write(answer.body[start : start + _CHUNK])
                await self.flush()
            await self.finish()
        else:
            await self.finish(answer.body or None)

    async def _send_half(self, answer: Answer) -> None:
        """Announce the whole answer, send half of it, and hang up."""
        self._set_head(answer)
        self.set_header("Content-Length", str(len(answer.body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in self._headers.get_all())
        start = f"HTTP/1.1 {answer.status} {self._reason}\r\n{head}\r\n".encode()
        stream = self.detach()
        await stream.write(start + answer.body[: len(answer.body) // 2])
        stream.close()

    def _set_head(self, answer: Answer) -> None:
        self.set_status(answer.status)
        # The pod's clock, not the machine's: clients detect skew by it.
        self.set_header("Date", formatdate(self._state.now(), usegmt=True))
        if answer.content_type:
            self.set_header("Content-Type", answer.content_type)
        for name, value in answer.headers:
            self.set_header(name, value)


def _spoilt(fault: Fault | None) -> Answer | None:
    """Return the answer that a fault puts in the place of the real one."""
    if fault is None or fault.kind is FaultKind.CUT:
        return None
    headers = () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)
    text = fault.message or _MESSAGES.get(fault.status, "The sandbox was told to answer so")
    return (html if fault.kind is FaultKind.HTML else error)(fault.status, text, headers=headers)


_MESSAGES = {401: "Invalid session", 429: "Too many requests", 503: "Service unavailable"}


def _common_name(certificate: Mapping[str, Any]) -> str | None:
    pairs = (pair for part in certificate.get("subject", ()) for pair in part)
    names = [value for key, value in pairs if key == "commonName"]
    return names[-1] if names else None
