"""Connections: which are read, which are left alone, and where they may go.

A connection to a host that is not Symphony's keeps its end-to-end TLS; this addon only
relays it (through the corporate proxy, when one is configured). A connection to a
configured host is intercepted, and its upstream side is pinned to that host by name:
the SNI of a client never decides against whose certificate Symphony's is checked.

Addresses that no client has business with (link-local, cloud metadata, the proxy's own
listeners) are refused by the address that a name really resolves to.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy import layer, layers, server_hooks
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy
from mitmproxy.proxy.layers.tls import starts_like_tls_record
from mitmproxy.proxy.mode_specs import ReverseMode
from OpenSSL import SSL

from symphony_auth_proxy.core.addresses import forbidden_address, is_loopback
from symphony_auth_proxy.errors import DestinationRefused, Reason
from symphony_auth_proxy.mitm.clients import Clients
from symphony_auth_proxy.mitm.failures import refused_address, refused_host
from symphony_auth_proxy.mitm.portal import is_portal
from symphony_auth_proxy.mitm.state import Active, State, fail_closed
from symphony_auth_proxy.model import OtherHosts, UpstreamProxy
from symphony_auth_proxy.telemetry import Event, Facts

HTTP2, HTTP1 = b"h2", b"http/1.1"


class Connections:
    """The hooks below the HTTP level."""

    def __init__(self, state: State, clients: Clients) -> None:
        self.state = state
        self.clients = clients
        self._speaks_http2: set[connection.Address] = set()

    # --- tunnels ---------------------------------------------------------------------

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Open a tunnel, or refuse it and end the connection: mitmproxy keeps what it knows of
        a refused CONNECT as long as that lasts, and clients reconnect to answer a challenge."""
        await self._admit(flow)
        if flow.response is not None and not flow.request.is_http2:
            flow.response.headers["Connection"] = "close"

    @fail_closed
    async def _admit(self, flow: http.HTTPFlow) -> None:
        """Refuse whom we do not know and what may not be reached. Everything else gets its
        tunnel: a failed CONNECT ends the BDK for Python, so other trouble is told inside."""
        credentials = self.clients.take_credentials(flow)
        active = self.state.active
        if active is None or flow.response is not None:
            return
        if flow.request.is_http2:
            # mitmproxy says yes and opens none (#6090), and what the client is known by from
            # then on would hold for all other requests of this connection.
            raise DestinationRefused(
                "no tunnels are opened over HTTP/2",
                status=400,
                reason=Reason.MALFORMED_REQUEST,
                hint="speak HTTP/1.1 to the proxy",
            )
        await self.clients.admit_tunnel(flow, credentials, active)
        host, port = flow.request.host, flow.request.port
        if active.routes.serves(host, port) or is_portal((host, port)):
            return
        if active.settings.other_hosts is OtherHosts.REFUSE:
            raise refused_host(host)
        if _is_forbidden_literal(host) or self._is_own_listener(host, port):
            raise refused_address(host)

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Send foreign tunnels through the corporate proxy, and relay what is no TLS."""
        active, context = self.state.active, nextlayer.context
        if nextlayer.layer is not None or active is None or context.server.address is None:
            return
        parent = context.layers[-1]
        in_tunnel = isinstance(parent, HttpStream | HttpUpstreamProxy)
        address = context.server.address
        if not in_tunnel or active.routes.serves(*address[:2]) or is_portal(address):
            return
        if self._is_strangers(context.client, active):
            return
        proxy = active.settings.proxy
        if proxy is not None and isinstance(parent, HttpStream):
            context.server.via = through(proxy)
            nextlayer.layer = HttpUpstreamProxy.make(context, send_connect=True)[0]
        elif (data := nextlayer.data_client()) and not starts_like_tls_record(data[:3]):
            nextlayer.layer = layers.TCPLayer(context, ignore=True)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        active, address = self.state.active, data.context.server.address
        if active is None or address is None or _is_reverse(data.context.client):
            return
        host, port = address[:2]
        sni = data.client_hello.sni
        if active.routes.serves(host, port) or active.routes.contradicts(host, sni):
            return
        if is_portal(address) or self._is_strangers(data.context.client, active):
            return
        facts = Facts(host=host)
        if (known := self.clients.client_of_tunnel(data.context.client, active)) is not None:
            facts["client"] = known.name
        self.state.telemetry.record(Event.PASSTHROUGH, **facts)
        data.ignore_connection = True

    def _is_strangers(self, client: connection.Client, active: Active) -> bool:
        """Whether a connection was opened by nobody that we know, as in modes without CONNECT
        or before a reload. It is never relayed, but read: its requests get their 407."""
        known = self.clients.client_of_tunnel(client, active)
        return bool(active.settings.clients) and known is None

    # --- TLS -------------------------------------------------------------------------

    def tls_start_client(self, data: tls.TlsData) -> None:
        """Offer HTTP/2 only where the upstream has been seen to speak it: otherwise
        mitmproxy opens an upstream connection for every single request. Ask for a certificate
        where bots log in by one."""
        active, address = self.state.active, data.context.server.address
        if active is None:
            return
        wanted = HTTP2 if address in self._speaks_http2 else HTTP1
        if wanted in data.conn.alpn_offers:
            data.conn.alpn = wanted
        if address is not None and active.routes.asks_for_certificate(*address[:2]):
            _ask_for_certificate(data)

    def tls_start_server(self, data: tls.TlsData) -> None:
        assert isinstance(data.conn, connection.Server)
        active, address = self.state.active, data.conn.address
        if active is not None and address is not None and active.routes.serves(*address[:2]):
            data.conn.sni = address[0]
        if not ctx.options.ssl_insecure:
            self.state.verified.add(data.conn)

    def tls_established_server(self, data: tls.TlsData) -> None:
        assert isinstance(data.conn, connection.Server)
        if data.conn.address is not None:
            if data.conn.alpn == HTTP2:
                self._speaks_http2.add(data.conn.address)
            elif HTTP2 in data.conn.alpn_offers:  # what the client offered, and nothing else
                self._speaks_http2.discard(data.conn.address)

    # --- addresses -------------------------------------------------------------------

    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Check where a name leads, before anything is opened."""
        address = data.server.address
        if address is None or self._is_upstream_proxy(address):
            return
        host, port = address[:2]
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError:
            return  # mitmproxy fails on it in the same way, and says so
        addresses = [str(info[4][0]) for info in infos]
        if any(map(forbidden_address, addresses)) or self._is_own_listener(host, port, *addresses):
            data.server.error = str(refused_address(host))

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Check where the connection really went: names can change their mind between
        check and use (DNS rebinding). Not a byte has been sent at this point."""
        address, peer = data.server.address, data.server.peername
        if address is None or peer is None or self._is_upstream_proxy(address):
            return
        if forbidden_address(peer[0]) or self._reaches_itself(data.server):
            _close(data.client, data.server)
            self.state.telemetry.record(
                Event.REFUSED, reason=Reason.ADDRESS_REFUSED, host=address[0]
            )

    def client_disconnected(self, client: connection.Client) -> None:
        """Really close. mitmproxy leaves the socket open when it ends a connection while
        more data waits to be handled, as after a refused upload."""
        _close(client, client)

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Log in at a corporate proxy."""
        address = flow.server_conn.address
        for proxy in self._upstream_proxies():
            if address == (proxy.host, proxy.port) and proxy.username is not None:
                password = proxy.password.reveal() if proxy.password is not None else ""
                token = base64.b64encode(f"{proxy.username}:{password}".encode()).decode()
                flow.request.headers["Proxy-Authorization"] = f"Basic {token}"
                return

    def _upstream_proxies(self) -> list[UpstreamProxy]:
        active = self.state.active
        return [] if active is None else _proxies_of(active)

    def _is_upstream_proxy(self, address: connection.Address) -> bool:
        return any(address == (proxy.host, proxy.port) for proxy in self._upstream_proxies())

    def _is_own_listener(self, host: str, port: int, *addresses: str) -> bool:
        """Whether a connection there would come back to this proxy."""
        local = any(_is_local(address) for address in (host, *addresses))
        return any(
            port == listener[1] and (local or listener[0] in {host, *addresses})
            for listener in _listeners(self.state.active)
        )

    def _reaches_itself(self, server: connection.Server) -> bool:
        """The same question of a connection that was made."""
        peer, own = server.peername, server.sockname
        if peer is None or own is None:
            return True
        here = _is_local(peer[0]) or peer[0] == own[0]
        return any(
            peer[1] == listener[1] and (here or peer[0] == listener[0])
            for listener in _listeners(self.state.active)
        )


def _ask_for_certificate(data: tls.TlsData) -> None:
    """Let the client offer one, of whatever issuer, or none: it selects a bot, no more.
    (mitmproxy's own option for it holds for all connections.)"""
    tlsconfig = ctx.master.addons.get("tlsconfig")
    assert isinstance(tlsconfig, TlsConfig)
    tlsconfig.tls_start_client(data)
    assert data.ssl_conn is not None
    data.ssl_conn.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    # OpenSSL ends the handshake of a client that resumes a session where certificates are
    # asked for, unless the context, which others share, has an id for sessions.
    data.ssl_conn.set_options(SSL.OP_NO_TICKET)


_UNSPECIFIED = {"0.0.0.0", "::"}  # noqa: S104 (asked for, not bound)


def _is_local(host: str) -> bool:
    """Whether connecting there stays on this machine, as far as the address tells."""
    return is_loopback(host) or host.removeprefix("::ffff:") in _UNSPECIFIED


def _listeners(active: Active | None) -> list[connection.Address]:
    """Where this process listens: for clients, for probes, for the browser of a person."""
    proxyserver = ctx.master.addons.get("proxyserver")
    found: list[connection.Address] = [] if proxyserver is None else proxyserver.listen_addrs()
    if "web_port" in ctx.options:
        found.append((ctx.options.web_host, ctx.options.web_port))
    if active is not None and (admin := active.settings.admin_listen) is not None:
        found.append((admin.host, admin.port))
    return found


def through(proxy: UpstreamProxy) -> ServerSpec:
    """Name a corporate proxy as mitmproxy does."""
    return ("http", (proxy.host, proxy.port))


def _close(client: connection.Client, end: connection.Connection) -> None:
    """Close one end of a client's connection at once."""
    proxyserver = ctx.master.addons.get("proxyserver")
    handler = proxyserver and proxyserver.connections.get(client.id)
    io = handler and handler.transports.get(end)
    if io and io.writer:
        io.writer.close()


def _proxies_of(active: Active) -> list[UpstreamProxy]:
    endpoints = [endpoint for bot in active.settings.bots for _, endpoint in bot.pod.endpoints()]
    proxies = [active.settings.proxy, *(endpoint.proxy for endpoint in endpoints)]
    return [proxy for proxy in proxies if proxy is not None]


def _is_forbidden_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: what it resolves to is checked before connecting
    return forbidden_address(host)


def _is_reverse(client: connection.Client) -> bool:
    return isinstance(client.proxy_mode, ReverseMode)
