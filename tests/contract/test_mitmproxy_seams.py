"""What we use of mitmproxy beyond its documented interface.

Each test holds one thing and says what of ours breaks when it changes. When one of them
fails after an update of mitmproxy, read the module that it names before anything else; the
attack tests then tell whether secrets are still kept.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from mitmproxy import connection, http, master, options, tls
from mitmproxy.addons import (
    clientplayback,
    default_addons,
    next_layer,
    proxyserver,
    script,
    tlsconfig,
    upstream_auth,
)
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.net.http.http1.assemble import assemble_response
from mitmproxy.proxy import commands, events, layer, mode_specs, server, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers import tls as tls_layers
from mitmproxy.proxy.layers.http import _http1, _upstream_proxy
from mitmproxy.test import taddons, tflow
from mitmproxy.tools.dump import DumpMaster
from OpenSSL import SSL

from symphony_auth_proxy.mitm import seam


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests in this process have installed our wrapper: here mitmproxy is looked at."""
    monkeypatch.setattr(layers.HttpLayer, "event_to_child", seam._original)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


# --- the seam: HttpLayer.event_to_child --------------------------------------------------

SEAM = "mitm/seam.py wraps HttpLayer.event_to_child; "


def test_event_to_child_is_a_generator_of_layer_child_and_event() -> None:
    wrapped = layers.HttpLayer.event_to_child
    assert parameters(wrapped) == ["self", "child", "event"], SEAM + "its signature has changed"
    assert inspect.isgeneratorfunction(wrapped), SEAM + "it no longer yields commands"


def test_event_to_child_is_looked_up_at_each_call() -> None:
    """Layers that exist already, and those of other modules, must meet the wrapper."""
    source = inspect.getsource(layers.HttpLayer)
    assert source.count("self.event_to_child(") >= 10, SEAM + "events take another way"
    assert "child.handle_event(event)" in inspect.getsource(layers.HttpLayer.event_to_child)
    others = [
        name
        for name, method in vars(layers.HttpLayer).items()
        if inspect.isfunction(method)
        and name != "event_to_child"
        and ".handle_event(" in inspect.getsource(method)
    ]
    assert others == [], SEAM + f"events reach children past it, in {others}"


def test_every_http_event_to_a_server_passes_the_seam(http_layer: layers.HttpLayer) -> None:
    """A request and its whole answer, with all that is read from the layer on the way."""
    seen = _spied(http_layer)
    client, upstream = http_layer.context.client, http_layer.context.server
    driver = _Driver(http_layer)
    driver(events.Start())
    driver(
        events.DataReceived(client, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    )
    driver(events.DataReceived(upstream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    to_server = [type(e) for child, e in seen if child is http_layer.connections[upstream]]
    to_client = [type(e) for child, e in seen if child is http_layer.connections[client]]
    assert _only(to_server, layers.HttpEvent) == [
        layers.RequestHeaders,
        layers.RequestData,
        layers.RequestEndOfMessage,
    ], SEAM + "requests reach servers by other events"
    assert _only(to_client, layers.HttpEvent) == [
        layers.ResponseHeaders,
        layers.ResponseData,
        layers.ResponseEndOfMessage,
    ], SEAM + "answers reach clients by other events"


def test_the_seam_can_tell_streams_client_and_server_apart(http_layer: layers.HttpLayer) -> None:
    driver = _Driver(http_layer)
    driver(events.Start())
    client = http_layer.context.client
    assert not isinstance(http_layer.connections[client], layers.HttpStream)
    driver(events.DataReceived(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    (stream,) = http_layer.streams.values()
    assert isinstance(stream, layers.HttpStream), SEAM + "streams are something else"
    assert stream.flow.request.method == "GET", "the seal of a request is found by stream.flow"
    assert stream.context.server is stream.flow.server_conn, (
        "mitm/permit.py judges stream.context.server: it must be the connection that is used"
    )
    assert stream.stream_id in http_layer.streams
    _weak(stream)


def test_what_the_seam_replaces_in_a_request_is_what_is_sent(
    http_layer: layers.HttpLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = layers.HttpLayer.event_to_child

    def replacing(self: Any, child: Any, event: Any) -> Any:
        if isinstance(event, layers.RequestHeaders) and not isinstance(child, layers.HttpStream):
            request = event.request.copy()
            request.headers["x-token"] = "on the wire"
            event = layers.RequestHeaders(
                event.stream_id, request, event.end_stream, event.replay_flow
            )
        return original(self, child, event)

    monkeypatch.setattr(layers.HttpLayer, "event_to_child", replacing)
    driver = _Driver(http_layer)
    driver(events.Start())
    driver(events.DataReceived(http_layer.context.client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert b"x-token: on the wire\r\n" in driver.sent(http_layer.context.server)
    (stream,) = http_layer.streams.values()
    assert "x-token" not in stream.flow.request.headers, "the copy must not be the flow's"


def test_a_whole_body_is_shown_by_one_hook_that_passes_the_seam_first(
    http_layer: layers.HttpLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the step that puts it into the flow: nobody has seen it. What stands there after the
    hook is what is sent, in one piece, behind the head as it is."""
    original = layers.HttpLayer.event_to_child
    shown: list[bytes | None] = []

    def hiding(self: Any, child: Any, event: Any) -> Any:
        if isinstance(event, layers.RequestData) and not isinstance(child, layers.HttpStream):
            assert event.data == b"[sealed]", SEAM + "bodies are sent in another way"
            event = layers.RequestData(event.stream_id, b"secret")
        for command in original(self, child, event):
            if isinstance(child, layers.HttpStream) and isinstance(command, layers.HttpRequestHook):
                assert command.flow is self.streams[1].flow
                shown.append(command.flow.request.raw_content)
                command.flow.request.raw_content = b"[sealed]"
            yield command

    monkeypatch.setattr(layers.HttpLayer, "event_to_child", hiding)
    driver = _Driver(http_layer)
    driver(events.Start())
    client = http_layer.context.client
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
    driver(events.DataReceived(client, head + b"sec"))
    (stream,) = http_layer.streams.values()
    assert stream.flow.request.raw_content is None, "a body that still comes is in no flow"
    assert stream.flow.request.timestamp_end is None, "mitm/state.py waits for it"
    driver(events.DataReceived(client, b"ret"))
    assert shown == [b"secret"]
    assert stream.flow.request.timestamp_end is not None
    assert driver.sent(http_layer.context.server).endswith(b"Content-Length: 6\r\n\r\nsecret")


def test_a_body_that_begins_to_stream_late_is_in_no_flow(http_layer: layers.HttpLayer) -> None:
    """How a login of unknown length beyond `stream_large_bodies` goes on."""
    http_layer.context.options.update(stream_large_bodies="4")
    driver = _Driver(http_layer)
    driver(events.Start())
    client = http_layer.context.client
    driver(
        events.DataReceived(
            client, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
    )
    driver(events.DataReceived(client, b"6\r\nsecret\r\n"))
    (stream,) = http_layer.streams.values()
    assert driver.sent(http_layer.context.server).endswith(b"6\r\nsecret\r\n")
    driver(events.DataReceived(client, b"0\r\n\r\n"))
    assert stream.flow.request.stream is True, "mitm/requests.py tells by it"
    assert stream.flow.request.raw_content is None


def test_a_stream_accepts_a_servers_failure_while_it_is_sending(
    http_layer: layers.HttpLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How a refused request ends: nothing is sent, the client hears of a failed server."""
    original = layers.HttpLayer.event_to_child
    refused: set[int] = set()

    def refusing(self: Any, child: Any, event: Any) -> Any:
        if not isinstance(child, layers.HttpStream) and child is not self.connections.get(
            self.context.client
        ):
            if isinstance(event, layers.RequestHeaders):
                refused.add(event.stream_id)
                failure = layers.ResponseProtocolError(
                    event.stream_id, "refused", layers.ErrorCode.CONNECT_FAILED
                )
                return original(self, self.streams[event.stream_id], failure)
            if isinstance(event, layers.HttpEvent) and event.stream_id in refused:
                return iter(())
        return original(self, child, event)

    monkeypatch.setattr(layers.HttpLayer, "event_to_child", refusing)
    driver = _Driver(http_layer)
    driver(events.Start())
    client = http_layer.context.client
    driver(events.DataReceived(client, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"))
    assert driver.sent(http_layer.context.server) == b""
    assert b"502 Bad Gateway" in driver.sent(client), SEAM + "a refused stream hears nothing"
    assert [type(hook).__name__ for hook in driver.hooks][-1] == "HttpErrorHook"


def test_the_events_are_made_of_these_parts() -> None:
    made = {
        layers.RequestHeaders: ["stream_id", "request", "end_stream", "replay_flow"],
        layers.RequestData: ["stream_id", "data"],
        layers.RequestTrailers: ["stream_id", "trailers"],
        layers.RequestEndOfMessage: ["stream_id"],
        layers.RequestProtocolError: ["stream_id", "message", "code"],
        layers.ResponseHeaders: ["stream_id", "response", "end_stream"],
        layers.ResponseData: ["stream_id", "data"],
        layers.ResponseTrailers: ["stream_id", "trailers"],
        layers.ResponseEndOfMessage: ["stream_id"],
        layers.ResponseProtocolError: ["stream_id", "message", "code"],
    }
    for event, parts in made.items():
        found = [field.name for field in fields(event)]
        assert found == parts, f"mitm/seam.py makes {event.__name__} of {parts}"
        assert parameters(event) == parts


def test_error_codes_know_their_status() -> None:
    codes = layers.ErrorCode
    assert codes.CONNECT_FAILED.http_status_code() == 502
    assert codes.GENERIC_SERVER_ERROR.http_status_code() == 502
    assert codes.REQUEST_VALIDATION_FAILED.http_status_code() == 400
    assert codes.RESPONSE_VALIDATION_FAILED.http_status_code() == 502
    assert codes.KILL.http_status_code() is None, (
        "mitm/errors.py gives a killed flow our last words, and no other error without a status"
    )
    assert codes.CLIENT_DISCONNECTED.http_status_code() is None


# --- HTTP/1 ------------------------------------------------------------------------------


@pytest.fixture
def http1(context: Context) -> _http1.Http1Server:
    server = _http1.Http1Server(context)
    list(server.handle_event(events.Start()))
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    list(server.handle_event(events.DataReceived(context.client, head)))
    return server


def test_an_error_before_the_answer_is_mitmproxys_page(http1: _http1.Http1Server) -> None:
    error = layers.ResponseProtocolError(1, "why", layers.ErrorCode.CONNECT_FAILED)
    sent, closed = http1.handle_event(error)
    assert isinstance(sent, commands.SendData)
    assert b"<html>" in sent.data, "mitm/seam.py replaces this page with our JSON"
    assert isinstance(closed, commands.CloseConnection)


def test_an_error_after_the_answers_head_only_closes(http1: _http1.Http1Server) -> None:
    page = http.Response.make(502, b"{}")
    list(http1.handle_event(layers.ResponseHeaders(1, page)))
    list(http1.handle_event(layers.ResponseData(1, b"{}")))
    error = layers.ResponseProtocolError(1, "why", layers.ErrorCode.CONNECT_FAILED)
    (closed,) = http1.handle_event(error)
    assert isinstance(closed, commands.CloseConnection), (
        "mitm/seam.py sends our page and lets the error end the connection: it would now be "
        "followed by another page"
    )


def test_a_head_that_cannot_be_read_is_answered_past_all_events(context: Context) -> None:
    server = _http1.Http1Server(context)
    list(server.handle_event(events.Start()))
    produced = list(server.handle_event(events.DataReceived(context.client, b"nonsense\r\n\r\n")))
    (sent,) = (command for command in produced if isinstance(command, commands.SendData))
    assert sent.data.startswith(b"HTTP/1.1 400 Bad Request\r\nServer: mitmproxy"), (
        "mitm/seam.py recognises this page by its beginning"
    )
    (log,) = (command for command in produced if isinstance(command, commands.Log))
    assert "nonsense" in log.message, "mitm/seam.py keeps such remarks out of the log"


def test_a_client_that_leaves_early_is_quoted_in_the_log(context: Context) -> None:
    server = _http1.Http1Server(context)
    list(server.handle_event(events.Start()))
    begun = b"GET / HTTP/1.1\r\nsessionToken: secret\r\n"
    list(server.handle_event(events.DataReceived(context.client, begun)))
    produced = list(server.handle_event(events.ConnectionClosed(context.client)))
    logs = [command.message for command in produced if isinstance(command, commands.Log)]
    assert any("secret" in message for message in logs), (
        "mitmproxy no longer quotes it: mitm/seam.py may stop to replace its remarks"
    )
    assert parameters(commands.Log) == ["message", "level"]


def test_trailers_of_http1_are_not_implemented(context: Context) -> None:
    server = _http1.Http1Server(context)
    list(server.handle_event(events.Start()))
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    list(server.handle_event(events.DataReceived(context.client, head)))
    with pytest.raises(NotImplementedError):
        list(server.handle_event(events.DataReceived(context.client, b"0\r\nx-a: b\r\n\r\n")))


def test_an_answer_can_be_assembled() -> None:
    assert assemble_response(http.Response.make(400, b"{}")).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_streams_cannot_be_answered_locally() -> None:
    """Why every refusal sets `stream` to False, and why it is decided last."""
    source = inspect.getsource(layers.HttpStream.start_request_stream)
    assert "NotImplementedError" in source, "mitm/bodies.py may decide earlier now"


def test_a_callable_stream_is_called_with_each_chunk_and_with_an_empty_one_at_the_end() -> None:
    for state in ("state_stream_request_body", "state_stream_response_body"):
        source = inspect.getsource(getattr(layers.HttpStream, state))
        assert ".stream(event.data)" in source
        assert '.stream(b"")' in source, "mitm/bodies.py recognises a body's end by it"


def test_a_killed_flow_is_known_by_its_message() -> None:
    flow = tflow.tflow()
    flow.kill()
    assert flow.error is not None
    assert flow.error.msg == flow.error.KILLED_MESSAGE


# --- replays -----------------------------------------------------------------------------


def test_a_replay_runs_a_flow_through_a_layer_of_its_own() -> None:
    with taddons.context(proxyserver.Proxyserver()) as tctx:
        flow = tflow.tflow()
        flow.request.scheme, flow.request.host, flow.request.port = "https", "localhost", 1

        async def main() -> clientplayback.ReplayHandler:
            return clientplayback.ReplayHandler(flow, tctx.options)

        handler = asyncio.run(main())
    assert handler.flow is flow
    assert isinstance(handler.layer, layers.HttpLayer), "mitm/resend.py: the seam must see it"
    assert inspect.iscoroutinefunction(handler.replay)
    assert parameters(handler.replay) == []
    assert handler.transports == {}, "mitm/resend.py ends what it left open by this mapping"
    assert {"handler", "writer"} <= {field.name for field in fields(server.ConnectionIO)}


def test_a_replay_uses_the_flow_that_it_was_given(http_layer: layers.HttpLayer) -> None:
    """`seal_of(flow)` must find the seal of the copy that is sent again."""
    flow = tflow.tflow()
    start = layers.RequestHeaders(1, flow.request, end_stream=True, replay_flow=flow)
    driver = _Driver(http_layer)
    driver(events.Start())
    driver.take(http_layer.make_stream(1))
    driver.take(http_layer.event_to_child(http_layer.streams[1], start))
    assert http_layer.streams[1].flow is flow


def test_hooks_of_a_replay_are_those_of_every_flow() -> None:
    source = inspect.getsource(clientplayback.ReplayHandler.handle_hook)
    assert "addons.handle_lifecycle(hook)" in source, "a resend would not be decided again"


# --- connections -------------------------------------------------------------------------


def test_the_proxyserver_knows_its_connections_and_their_transports() -> None:
    handler = proxyserver.Proxyserver()
    assert dict(handler.connections) == {}, "mitm/drain.py and mitm/connections.py use it"
    assert parameters(handler.listen_addrs) == []
    assert parameters(handler.servers.update) == ["modes"], "mitm/drain.py stops listeners by it"
    assert "self.connections[connection_id] = handler" in inspect.getsource(
        proxyserver.Proxyserver.register_connection
    )
    assert inspect.iscoroutinefunction(server.ConnectionHandler.drain_writers)
    assert "connection_id = client.id" in inspect.getsource(
        proxyserver.ServerInstance.handle_stream
    ) or "client.id" in inspect.getsource(proxyserver.ServerInstance), (
        "mitm/connections.py finds a handler by the client's id"
    )


def test_a_connection_that_an_addon_refuses_is_not_opened() -> None:
    source = inspect.getsource(server.ConnectionHandler.open_connection)
    refused = source.index("if err := command.connection.error")
    assert refused < source.index("asyncio.open_connection("), (
        "mitm/connections.py refuses addresses in server_connect"
    )
    connected = source.index("ServerConnectedHook(hook_data)")
    assert connected < source.index("OpenConnectionCompleted(command, None)"), (
        "mitm/connections.py checks the peer's address before a byte is sent"
    )
    assert source.index("peername = ") < connected


def test_hooks_are_awaited_before_a_connection_goes_on() -> None:
    assert server_hooks.ServerConnectHook.blocking
    assert server_hooks.ServerConnectedHook.blocking
    assert tls_layers.TlsStartServerHook.blocking, "mitm/connections.py pins the SNI there"
    assert tls_layers.TlsEstablishedServerHook.blocking


def test_connections_can_be_remembered_by_identity() -> None:
    one, two = tflow.tserver_conn(), tflow.tserver_conn()
    assert one != two, "mitm/connections.py remembers which ones were verified"
    _weak(one)
    _weak(tflow.tflow())


def test_a_new_upstream_connection_gets_the_sni_of_its_address() -> None:
    source = inspect.getsource(layers.HttpLayer.get_connection)
    assert "context.server = Server(" in source
    assert "self.context.client.sni" in source, (
        "the client's SNI decides no longer: the pin in tls_start_server may be unnecessary"
    )


def test_a_connection_is_reused_by_address_tls_and_way() -> None:
    matches = layers.GetHttpConnection(("localhost", 1), True, None)
    reusable = Server(address=("localhost", 1))
    reusable.tls = True
    assert matches.connection_spec_matches(reusable)
    for other in (
        Server(address=("localhost", 2)),
        Server(address=("127.0.0.1", 1)),
        Server(address=("localhost", 1)),
    ):
        other.tls = other.address != ("localhost", 1)
        assert not matches.connection_spec_matches(other), "a token could go to another place"
    reusable.via = ("http", ("proxy", 1))
    assert not matches.connection_spec_matches(reusable)


def test_a_tunnel_can_be_led_through_an_upstream_proxy(context: Context) -> None:
    make = _upstream_proxy.HttpUpstreamProxy.make
    assert parameters(make) == ["ctx", "send_connect"], "mitm/connections.py: foreign tunnels"
    context.server.via = ("http", ("proxy.example", 3128))
    stack = make(context, send_connect=True)
    assert isinstance(stack[0], layer.Layer)
    assert isinstance(stack[0], _upstream_proxy.HttpUpstreamProxy)


def test_the_tls_of_one_client_can_be_made_first_and_changed_then(
    context: Context, prepared_directory: Path
) -> None:
    """Client certificates are asked for on some connections; mitmproxy's option is for all."""
    with taddons.context(tlsconfig.TlsConfig(), loadcore=False) as tctx:
        addon = tctx.master.addons.get("tlsconfig")
        assert isinstance(addon, tlsconfig.TlsConfig), "mitm/connections.py finds it by this name"
        tctx.configure(addon, confdir=str(prepared_directory / "proxy-ca"))
        data = tls.TlsData(context.client, context)
        addon.tls_start_client(data)
        made = data.ssl_conn
        assert isinstance(made, SSL.Connection)
        addon.tls_start_client(data)
        assert data.ssl_conn is made, "it would be made again, without our request"
        made.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        assert made.get_verify_mode() == SSL.VERIFY_PEER
        assert made.get_context().get_verify_mode() == SSL.VERIFY_NONE, "others share it"
        assert made.set_options(SSL.OP_NO_TICKET) & SSL.OP_NO_TICKET
    source = inspect.getsource(tls_layers.TLSLayer.receive_handshake_data)
    assert "all_certs.insert(0, cert)" in source, "the client's own certificate comes first"
    assert Client(peername=("x", 1), sockname=("x", 2)).certificate_list == ()


def test_the_end_of_a_connection_after_a_tls_alert_is_not_told() -> None:
    source = inspect.getsource(tls_layers.TLSLayer)
    assert 'commands.Log(f"TLS Error: {e}", WARNING)' in source, (
        "mitm/seam.py ends a connection by this remark"
    )
    assert "get_shutdown() & SSL.RECEIVED_SHUTDOWN" in source, (
        "it may be told now: then mitm/seam.py need not end the connection"
    )


def test_a_tls_record_is_recognised_by_three_bytes() -> None:
    assert tls_layers.starts_like_tls_record(b"\x16\x03\x01")
    assert not tls_layers.starts_like_tls_record(b"GET")


def test_modes_tell_where_they_listen() -> None:
    mode = mode_specs.ProxyMode.parse("regular@127.0.0.1:8080")
    assert mode.listen_host("elsewhere") == "127.0.0.1"
    assert mode_specs.ProxyMode.parse("regular").listen_host("default") == "default"
    assert isinstance(mode_specs.ProxyMode.parse("reverse:https://x"), mode_specs.ReverseMode)


def test_a_client_knows_its_mode_and_sni() -> None:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    assert isinstance(client.proxy_mode, mode_specs.RegularMode)
    assert client.sni is None
    assert {"address", "sni", "via", "peername", "tls_version", "alpn"} <= set(
        dir(Server(address=None))
    )


# --- the order of addons -----------------------------------------------------------------


def _order(of: type) -> int:
    return next(i for i, addon in enumerate(default_addons()) if isinstance(addon, of))


@pytest.mark.parametrize(
    "later",
    ["MapRemote", "MapLocal", "ModifyBody", "ModifyHeaders", "Save", "SaveHar", "UpstreamAuth"],
)
def test_scripts_come_before_what_rewrites_or_saves(later: str) -> None:
    """Our addon is a script in stock tools, and takes a script's place in ours: what comes
    after it sees sealed flows only."""
    names = [type(addon).__name__ for addon in default_addons()]
    assert names.index("ScriptLoader") < names.index(later)


def test_scripts_come_before_the_addon_that_answers_where_we_do_not() -> None:
    assert _order(script.ScriptLoader) < _order(next_layer.NextLayer)
    assert _order(script.ScriptLoader) < _order(tlsconfig.TlsConfig)
    assert _order(script.ScriptLoader) < _order(upstream_auth.UpstreamAuth)
    assert _order(proxyserver.Proxyserver) < _order(script.ScriptLoader)


def test_screens_and_dumpers_come_last() -> None:
    async def main() -> list[str]:
        dumper = DumpMaster(options.Options(), with_termlog=False)
        return [type(addon).__name__ for addon in dumper.addons.chain]

    names = asyncio.run(main())
    assert names.index("ScriptLoader") < names.index("Dumper")


def test_an_addon_can_be_put_into_the_chain() -> None:
    async def main() -> None:
        proxy = master.Master(options.Options())
        addon = type("Late", (), {})()
        assert proxy.addons.register(addon) is addon, "mitm/runner.py puts ours into its place"
        assert isinstance(proxy.addons.chain, list)

    asyncio.run(main())


def test_an_exception_in_a_hook_does_not_stop_a_request() -> None:
    """Why every hook of ours that may refuse is `fail_closed`."""
    reached: list[str] = []

    class Failing:
        def requestheaders(self, _flow: http.HTTPFlow) -> None:
            raise RuntimeError

    class After:
        def requestheaders(self, _flow: http.HTTPFlow) -> None:
            reached.append("after")

    with taddons.context(Failing(), After()) as tctx:
        hook = layers.HttpRequestHeadersHook(tflow.tflow())
        asyncio.run(tctx.master.addons.handle_lifecycle(hook))
    assert reached == ["after"]


# --- helpers -----------------------------------------------------------------------------


@pytest.fixture
def context() -> Iterator[Context]:
    with taddons.context(proxyserver.Proxyserver()) as tctx:
        client = Client(
            peername=("127.0.0.1", 1),
            sockname=("127.0.0.1", 2),
            state=ConnectionState.OPEN,
        )
        yield Context(client, tctx.options)


@pytest.fixture
def http_layer(context: Context) -> layers.HttpLayer:
    context.server = Server(address=("x", 80))
    context.server.state = ConnectionState.OPEN
    return layers.HttpLayer(context, layers.HTTPMode.transparent)


class _Driver:
    """Plays the sockets and the addons for a layer: opens what it wants, says yes to hooks."""

    def __init__(self, driven: layers.HttpLayer) -> None:
        self._layer = driven
        self._sent: list[tuple[connection.Connection, bytes]] = []
        self.hooks: list[commands.StartHook] = []

    def __call__(self, event: events.Event) -> None:
        self.take(self._layer.handle_event(event))

    def take(self, produced: Iterator[commands.Command]) -> None:
        for command in produced:
            if isinstance(command, commands.SendData):
                self._sent.append((command.connection, command.data))
            elif isinstance(command, commands.OpenConnection):
                command.connection.state = ConnectionState.OPEN
                self(events.OpenConnectionCompleted(command, None))
            elif isinstance(command, commands.StartHook):
                self.hooks.append(command)
                if command.blocking:
                    self(events.HookCompleted(command))

    def sent(self, to: connection.Connection) -> bytes:
        return b"".join(data for where, data in self._sent if where == to)


def _spied(spied: layers.HttpLayer) -> list[tuple[Any, events.Event]]:
    seen: list[tuple[Any, events.Event]] = []
    original = layers.HttpLayer.event_to_child

    def spy(child: Any, event: events.Event) -> Any:
        seen.append((child, event))
        return original(spied, child, event)

    spied.event_to_child = spy  # type: ignore[method-assign]
    return seen


def _only(kinds: list[type], base: type) -> list[type]:
    return [kind for kind in kinds if issubclass(kind, base)]


def _weak(value: object) -> None:
    """Ours are kept in weak dictionaries beside mitmproxy's objects, never inside them."""
    kept = WeakKeyDictionary({value: True})
    assert kept[value]
