"""The proxy's own logins, for people to look at: flows like any other, in every list and file.

    pricing-bot · session login · #7f3a · 143 ms · expires in 60 min
    pricing-bot · session login · why: key_not_accepted – the login at … was refused … · 98 ms

A flow is made when an exchange has ended, out of what `exchanges` shows of it: nothing secret
was ever in it. It goes straight to what shows or saves flows, and to no other addon: there is
nothing to block, to rewrite, to intercept or to authenticate any more. The lean gateway has
nobody to show it to, and so nothing to do.

Sent again, such a flow would be a login with a signature cut off, and accounts get locked for
less. So it is answered here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

from cryptography import x509
from mitmproxy import certs, connection, ctx, eventsequence, flow, http
from mitmproxy.addonmanager import traverse
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.save import Save
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.addons.view import View
from mitmproxy.net.http import status_codes

from symphony_auth_proxy.core.spans import harmless, span
from symphony_auth_proxy.errors import ClientRefused, Reason, place_of
from symphony_auth_proxy.mitm.connections import through
from symphony_auth_proxy.mitm.exchanges import Answer, Shown, shown
from symphony_auth_proxy.mitm.state import State, fail_closed
from symphony_auth_proxy.mitm.story import Marker
from symphony_auth_proxy.mitm.trimming import Trimming
from symphony_auth_proxy.transport import Exchange

logger = logging.getLogger(__name__)

SENDER = "symphony-auth-proxy"
"""Who a flow is from, where others have a client's address: `~src symphony-auth-proxy`."""

LOGIN = ":closed_lock_with_key:"
"""The marker of a login that brought what it was meant to."""

_SINKS = (View, Dumper, Save, SaveHar, Trimming)
_OURS = "symphony_auth_proxy.login"
"""Set in a flow's metadata, and so in its copies and in files."""


class Journal:
    """Shows exchanges, and refuses to repeat them."""

    def __init__(self, state: State) -> None:
        self.state = state

    def show(self, exchange: Exchange) -> None:
        """Publish an exchange that has ended. Never raises: no login may fail over it."""
        sinks = [addon for addon in traverse(ctx.master.addons.chain) if isinstance(addon, _SINKS)]
        if not sinks:
            return
        try:
            published = flow_of(exchange)
        except Exception as error:  # noqa: BLE001 (its text may quote a secret)
            logger.warning("A login cannot be shown: %s.", place_of(error))
            return
        for hook in eventsequence.iterate(published):
            for sink in sinks:
                try:
                    ctx.master.addons.invoke_addon_sync(sink, hook)
                except Exception as error:  # noqa: BLE001 (the others get it all the same)
                    logger.warning("A login cannot be shown: %s.", place_of(error))

    @fail_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.metadata.get(_OURS):
            raise ClientRefused(
                "this is the record of a login of the proxy's own: what it shows of secrets is "
                "worthless, so nothing was sent",
                reason=Reason.PLACEHOLDER_WORTHLESS,
                hint="`symphony-auth-proxy flush` makes the proxy log in again",
            )


def flow_of(exchange: Exchange) -> http.HTTPFlow:
    """Return the flow that people are shown."""
    told = shown(exchange)
    result = http.HTTPFlow(_client(exchange), _server(exchange))
    result.request = _request(exchange, told)
    result.timestamp_created = exchange.begun
    if told.answer is not None:
        result.response = _response(exchange, told.answer)
    else:
        why = "whoever asked for it stopped waiting" if exchange.error is None else told.why
        result.error = flow.Error(why, exchange.ended)
    result.comment = " · ".join(_story(exchange, told))
    result.marked = LOGIN if _went_well(exchange) else Marker.FAILED.value
    result.metadata[_OURS] = True
    return result


def _went_well(exchange: Exchange) -> bool:
    return exchange.response is not None and exchange.error is None


def _story(exchange: Exchange, told: Shown) -> Iterator[str]:
    error = exchange.error
    if exchange.account:
        yield exchange.account
    yield exchange.request.purpose
    if error is not None:
        # A pod's own words are quoted in it, and must not look like another part.
        yield f"why: {error.diagnosis} – {harmless(told.why.replace('·', '?'))}"
    elif exchange.response is None:
        yield "given up"
    elif told.fingerprint:
        yield f"#{told.fingerprint}"
    yield _took(exchange.ended - exchange.begun)
    if told.expires is not None and told.expires > exchange.ended:
        yield f"expires in {span(told.expires - exchange.ended)}"


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _request(exchange: Exchange, told: Shown) -> http.Request:
    origin, sent = exchange.request.endpoint.origin, told.request
    return http.Request(
        origin.host,
        origin.port,
        exchange.request.method.encode(),
        b"https",
        b"",
        sent.target.encode(),
        b"HTTP/1.1",
        http.Headers([(name.encode(), value.encode()) for name, value in sent.headers]),
        sent.body,
        None,
        exchange.begun,
        exchange.begun,
    )


def _response(exchange: Exchange, answer: Answer) -> http.Response:
    head = exchange.connection.answered if exchange.connection is not None else None
    return http.Response(
        b"HTTP/1.1",
        answer.status,
        status_codes.RESPONSES.get(answer.status, "").encode(),
        http.Headers(answer.headers),
        answer.body,
        None,
        head or exchange.ended,
        exchange.ended,
    )


def _client(exchange: Exchange) -> connection.Client:
    """The proxy itself; with the certificate that a bot logs in with, where there is one."""
    certificate = exchange.request.certificate
    return connection.Client(
        peername=(SENDER, 0),
        sockname=(SENDER, 0),
        timestamp_start=exchange.begun,
        timestamp_end=exchange.ended,
        certificate_list=[] if certificate is None else [*map(certs.Cert, certificate.chain)],
    )


def _server(exchange: Exchange) -> connection.Server:
    endpoint, made = exchange.request.endpoint, exchange.connection
    host, port = endpoint.origin.host, endpoint.origin.port
    server = connection.Server(
        address=(host, port),
        via=None if endpoint.proxy is None else through(endpoint.proxy),
        tls=True,
        sni=_server_name(host),
    )
    if made is not None:
        server.peername, server.sockname = made.peer, made.local
        server.timestamp_start, server.timestamp_tcp_setup = exchange.begun, made.connected
        server.timestamp_tls_setup, server.timestamp_end = made.encrypted, exchange.ended
        server.tls_version, server.cipher = made.tls_version, made.cipher  # type: ignore[assignment]
        server.alpn = made.alpn.encode() if made.alpn is not None else None
        server.certificate_list = list(_certificates(made.certificates))
    return server


def _server_name(host: str) -> str | None:
    """What the TLS handshake names: hosts, never addresses (RFC 6066, 3)."""
    with suppress(ValueError):
        ip_address(host)
        return None
    return host


def _certificates(shown_by_host: tuple[bytes, ...]) -> Iterator[certs.Cert]:
    for der in shown_by_host:
        with suppress(ValueError):  # what OpenSSL can read, cryptography need not
            yield certs.Cert(x509.load_der_x509_certificate(der))
