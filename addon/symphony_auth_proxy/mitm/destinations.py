"""Where a flow comes from and where it goes, in mitmproxy's words and in ours."""

from __future__ import annotations

from mitmproxy import ctx, http
from mitmproxy.net.http.url import hostport
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode

from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.core.decisions import Destination
from symphony_auth_proxy.core.reading import authority_host, canonical
from symphony_auth_proxy.errors import DestinationRefused, Reason
from symphony_auth_proxy.mitm.connections import through
from symphony_auth_proxy.mitm.permit import authorities_of
from symphony_auth_proxy.mitm.state import Active
from symphony_auth_proxy.model import Origin, UpstreamProxy


def refuse_strangers(flow: http.HTTPFlow, active: Active) -> None:
    """Refuse everybody where everybody may come from."""
    listen = flow.client_conn.proxy_mode.listen_host(ctx.options.listen_host)
    if not active.settings.clients and not is_loopback(listen):
        raise DestinationRefused(
            f"the proxy listens on {listen or 'all interfaces'}, where anybody could "
            "speak as the bot",
            status=403,
            reason=Reason.CLIENTS_REQUIRED,
            hint="start it with --listen-host 127.0.0.1, or configure authProxy.clients",
        )


def is_regular(flow: http.HTTPFlow) -> bool:
    """Whether the client uses this proxy as one, and no other stands behind it."""
    return isinstance(flow.client_conn.proxy_mode, RegularMode)


def destination_of(flow: http.HTTPFlow, active: Active) -> Destination:
    """Where a request goes, by every witness there is."""
    request = flow.request
    reverse = isinstance(flow.client_conn.proxy_mode, ReverseMode)
    if reverse and _names_the_proxy(request.host_header or "", active):
        request.host_header = hostport(request.scheme, request.host, request.port)
    # A client of a reverse proxy names the proxy in its TLS; a replay has none of its own.
    sni = None if reverse or flow.is_replay else flow.client_conn.sni
    return Destination(request.host, request.port, request.scheme, sni, authorities_of(request))


def _names_the_proxy(authority: str, active: Active) -> bool:
    """Whether a client of a reverse proxy calls it by a name of its own.

    Where no passwords are asked for, that must be one that no web page can have: a page's
    own name may have been made to lead here (DNS rebinding, CVE-2018-14505).
    """
    host = authority_host(authority)
    if active.settings.clients:
        return canonical(host) not in active.routes.hosts
    return is_loopback(host)


def send_to(flow: http.HTTPFlow, origin: Origin, proxy: UpstreamProxy | None) -> None:
    """Point the flow at the canonical https origin; http is upgraded by this."""
    request = flow.request
    request.scheme = "https"
    if request.host != origin.host:
        request.host = origin.host
    if request.port != origin.port:
        request.port = origin.port
    if not request.is_http2:
        request.authority = ""
    if proxy is not None:
        flow.server_conn.via = through(proxy)
