"""The one place through which all HTTP events pass.

mitmproxy's `HttpLayer.event_to_child` hands every event to the stream or the connection
that it is meant for. `install` wraps it; with that,

* what is sealed in a flow (see `seal`) is put into the copy that goes on the wire, after a
  last check against the connection that was really made. What the check refuses goes
  nowhere;
* a body that holds credentials is sealed in the very step that puts it into its flow, before
  the hook that would show it to anybody;
* mitmproxy's own error pages leave as the JSON that Symphony's clients understand;
* mitmproxy's remarks on broken messages quote what was sent. They are replaced before they
  reach a flow, a log or a client.

It is internal to mitmproxy, so the dependency is bounded below 13, and tests/contract holds
what is used of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.net.http.http1.assemble import assemble_response
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    HttpLayer,
    HttpRequestHook,
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)

from symphony_auth_proxy.core.headers import is_token_header
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.mitm.failures import NOT_HTTP_ANSWER, NOT_HTTP_REQUEST, internal
from symphony_auth_proxy.mitm.seal import Seal, seal_of

ErrorPage = Callable[[http.HTTPFlow | None, ResponseProtocolError], http.Response | None]
"""What to tell the client instead of mitmproxy's page; None: nothing."""

# At debug level it logs every header of HTTP/2, tokens included.
logging.getLogger("hpack").setLevel(logging.INFO)

_REPLACED = {
    ErrorCode.GENERIC_CLIENT_ERROR: NOT_HTTP_REQUEST,
    ErrorCode.REQUEST_VALIDATION_FAILED: NOT_HTTP_REQUEST,
    ErrorCode.GENERIC_SERVER_ERROR: NOT_HTTP_ANSWER,
    ErrorCode.RESPONSE_VALIDATION_FAILED: NOT_HTTP_ANSWER,
}
"""Errors whose words quote a message. Those of failed connections do not."""

_HARMLESS_REMARKS = (
    "Streaming ",
    "Server TLS handshake failed",
    "Unable to establish TLS",
)

_original = HttpLayer.event_to_child
_answering: WeakSet[HttpStream] = WeakSet()
"""Streams whose response headers are already on their way to the client."""
_refused: WeakSet[HttpStream] = WeakSet()
"""Streams whose request was not let out."""


class RefusedBySeal(ResponseProtocolError):
    """Tells a stream, in the voice of a failed server, that its request was not sent."""

    def __init__(self, stream_id: int, error: SymphonyAuthProxyError) -> None:
        super().__init__(stream_id, str(error), ErrorCode.CONNECT_FAILED)
        self.error = error


def install(error_page: ErrorPage) -> None:
    """Wrap mitmproxy's seam, for the rest of the process: flows may outlive the addon. A
    second call replaces the first one's `error_page`."""

    def event_to_child(
        self: HttpLayer, child: layer.Layer, event: events.Event
    ) -> layer.CommandGenerator[None]:
        if isinstance(child, HttpStream):
            return _bodies_sealed(_original(self, child, _for_stream(child, event)))
        if child is self.connections.get(self.context.client):
            return _to_client(self, child, event, error_page)
        return _to_server(self, child, event)

    HttpLayer.event_to_child = event_to_child  # type: ignore[method-assign]


def _for_stream(stream: HttpStream, event: events.Event) -> events.Event:
    """Take out of an event what must not reach the flow."""
    if isinstance(event, RequestProtocolError | ResponseProtocolError):
        if event.code in _REPLACED:
            return type(event)(event.stream_id, _REPLACED[event.code], event.code)
    elif isinstance(event, ResponseTrailers):
        seal = seal_of(stream.flow)
        if seal is not None and seal.tokens:
            fields = [(name, seal.masked(value)) for name, value in event.trailers.fields]
            return ResponseTrailers(event.stream_id, http.Headers(fields))
    return event


def _bodies_sealed(steps: layer.CommandGenerator[None]) -> layer.CommandGenerator[None]:
    for command in steps:
        if isinstance(command, HttpRequestHook):
            seal = seal_of(command.flow)
            if seal is not None:
                seal.seal_body(command.flow.request)
        yield command


def _to_server(
    self: HttpLayer, child: layer.Layer, event: events.Event
) -> layer.CommandGenerator[None]:
    if isinstance(event, RequestHeaders):
        stream = self.streams.get(event.stream_id)
        seal = seal_of(stream.flow) if stream is not None else None
        if stream is not None and seal is not None:
            sealed = _for_the_wire(event, stream, seal)
            if isinstance(sealed, RefusedBySeal):
                seal.refusal = sealed.error
                _refused.add(stream)
                yield from _original(self, stream, sealed)
                return
            event = sealed
    elif isinstance(event, RequestData | RequestTrailers | RequestEndOfMessage):
        stream = self.streams.get(event.stream_id)
        if stream is None or stream in _refused:
            return  # what follows refused headers goes nowhere either
        seal = seal_of(stream.flow)
        if isinstance(event, RequestTrailers):
            event = RequestTrailers(event.stream_id, _harmless(event.trailers))
        elif isinstance(event, RequestData) and seal is not None:
            event = RequestData(event.stream_id, seal.sent_body(event.data))
    yield from _unbroken(self, child, event)


def _for_the_wire(
    event: RequestHeaders, stream: HttpStream, seal: Seal
) -> RequestHeaders | RefusedBySeal:
    server = stream.context.server
    try:
        request = seal.unsealed(event.request)
        refusal = seal.permits(request, server)
        if refusal is not None:
            return RefusedBySeal(event.stream_id, refusal)
        seal.dress(request, http2=server.alpn == b"h2")
    except Exception as error:  # noqa: BLE001 (in doubt nothing is sent, and somebody is told)
        return RefusedBySeal(event.stream_id, internal(error))
    return RequestHeaders(event.stream_id, request, event.end_stream, event.replay_flow)


def _to_client(
    self: HttpLayer, child: layer.Layer, event: events.Event, error_page: ErrorPage
) -> layer.CommandGenerator[None]:
    if isinstance(event, ResponseHeaders):
        stream = self.streams.get(event.stream_id)
        if stream is not None and event.response.status_code >= 200:
            _answering.add(stream)
        seal = seal_of(stream.flow) if stream is not None else None
        if seal is not None and seal.answered:
            event = ResponseHeaders(
                event.stream_id, seal.response(event.response), event.end_stream
            )
    elif isinstance(event, ResponseProtocolError):
        stream = self.streams.get(event.stream_id)
        begun = stream is not None and stream in _answering
        page = None if begun else error_page(getattr(stream, "flow", None), event)
        if page is not None:
            multiplexed = self.context.client.alpn == b"h2"
            if not multiplexed:
                page.headers["Connection"] = "close"
            yield from _original(self, child, ResponseHeaders(event.stream_id, page))
            yield from _original(self, child, ResponseData(event.stream_id, page.content or b""))
            if multiplexed:
                event = ResponseEndOfMessage(event.stream_id)
            # HTTP/1 still gets the error: with its response begun, it only closes.
    for command in _unbroken(self, child, event):
        if _is_error_page(command, self):
            unread = ResponseProtocolError(0, NOT_HTTP_REQUEST, ErrorCode.GENERIC_CLIENT_ERROR)
            page = error_page(None, unread)
            assert page is not None
            page.headers["Connection"] = "close"
            yield commands.SendData(self.context.client, assemble_response(page))
        else:
            yield command


def _is_error_page(command: commands.Command, self: HttpLayer) -> bool:
    """Whether mitmproxy answers by itself, without any event: a request head it cannot read."""
    return (
        isinstance(command, commands.SendData)
        and command.connection is self.context.client
        and command.data.startswith(b"HTTP/1.1 400 Bad Request\r\nServer: mitmproxy")
    )


def _unbroken(
    self: HttpLayer, child: layer.Layer, event: events.Event
) -> layer.CommandGenerator[None]:
    """End a connection whose bytes mitmproxy cannot handle: it would leave the other side
    waiting for ever. Trailers of HTTP/1 are a crash to it; after a TLS alert, as servers send
    it that miss a client certificate, it does not tell that the connection has ended."""
    broken = False
    try:
        for command in _original(self, child, event):
            broken = broken or _tells_tls_failure(command)
            yield _quiet(command)
    except NotImplementedError:
        if not isinstance(event, events.ConnectionEvent):
            raise
        broken = True
    if broken and isinstance(event, events.ConnectionEvent):
        yield commands.CloseConnection(event.connection)
        of_client = event.connection is self.context.client
        for stream_id, stream in list(self.streams.items()):
            if of_client:
                yield from self.event_to_child(stream, _broken_request(stream_id))
            elif stream.context.server is event.connection:
                yield from self.event_to_child(stream, _broken_answer(stream_id))


def _tells_tls_failure(command: commands.Command) -> bool:
    return isinstance(command, commands.Log) and command.message.startswith("TLS Error: ")


def _broken_request(stream_id: int) -> RequestProtocolError:
    return RequestProtocolError(stream_id, NOT_HTTP_REQUEST, ErrorCode.GENERIC_CLIENT_ERROR)


def _broken_answer(stream_id: int) -> ResponseProtocolError:
    return ResponseProtocolError(stream_id, NOT_HTTP_ANSWER, ErrorCode.GENERIC_SERVER_ERROR)


def _quiet(command: commands.Command) -> commands.Command:
    if not isinstance(command, commands.Log) or command.message.startswith(_HARMLESS_REMARKS):
        return command
    return commands.Log(
        "A message was not valid HTTP. What mitmproxy says of it may quote secrets, so it is "
        "left out.",
        command.level,
    )


def _harmless(trailers: http.Headers) -> http.Headers:
    return http.Headers([f for f in trailers.fields if not is_token_header(f[0].decode("latin-1"))])
