"""The portal: `http://symphony.proxy/`, for whoever uses the proxy.

A name that exists inside the proxy only. It is answered here, in plain HTTP, in a tunnel
and over TLS alike, and never looked up or sent on. Its pages are those of `pages`.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from mitmproxy import connection, ctx, http

from symphony_auth_proxy.ca.ca_files import CERTIFICATE_FILE
from symphony_auth_proxy.core.decisions import Destination
from symphony_auth_proxy.core.reading import canonical, require_one_destination
from symphony_auth_proxy.instructions.guide import Guide, Visit, guide
from symphony_auth_proxy.mitm.permit import authorities_of
from symphony_auth_proxy.mitm.state import State
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.operations.pages import CA, HEALTH, Pages
from symphony_auth_proxy.operations.status import Status

HOST = "symphony.proxy"

_OPEN = frozenset({HEALTH, CA})
"""For clients that have not been told their password yet, and for those that ask whether
the proxy is alive."""


def is_portal(address: connection.Address | None) -> bool:
    return address is not None and address[1] in {80, 443} and canonical(address[0]) == HOST


class Portal:
    """Answers what is asked of `symphony.proxy`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._since = state.clock.wall()
        self.pages = Pages(self.status, state.telemetry, self._guide)

    def status(self) -> Status:
        """What is true now."""
        state, active = self._state, self._state.active
        return Status.of(
            active.settings if active else None,
            active.provider if active else None,
            state.telemetry,
            version=importlib.metadata.version("symphony-auth-proxy"),
            since=self._since,
            now=state.clock.wall(),
            ca_certificate=Path(ctx.options.confdir).expanduser() / CERTIFICATE_FILE,
            listeners=_listeners(),
            draining=state.draining,
            trouble=state.trouble,
        )

    def serves(self, flow: http.HTTPFlow) -> bool:
        """Whether a request is for the portal."""
        return is_portal((flow.request.host, flow.request.port))

    def is_open(self, flow: http.HTTPFlow) -> bool:
        """Whether a page is for everybody who reaches the proxy."""
        return _path(flow) in _OPEN

    def answer(self, flow: http.HTTPFlow) -> http.Response:
        """Answer a request that the portal serves. Raises DestinationRefused when it names
        another place as well (DNS rebinding)."""
        request = flow.request
        destination = Destination(
            HOST, request.port, request.scheme, flow.client_conn.sni, authorities_of(request)
        )
        require_one_destination(destination, HOST)
        page = self.pages.answer(request.method, _path(flow), visit=self._visit(flow))
        response = http.Response.make(page.status, page.body, page.all_headers())
        if request.method == "HEAD":
            response.raw_content = b""  # the length in its head stays that of the page
        return response

    def _guide(self, visit: Visit) -> Guide | None:
        active = self._state.active
        return guide(active.settings, visit) if active else None

    def _visit(self, flow: http.HTTPFlow) -> Visit:
        host, port = flow.client_conn.sockname[:2]
        return Visit(
            Origin(canonical(host) or host, port),
            client=self._state.client_names.get(flow),
            bot=flow.request.query.get("bot"),
        )


def _path(flow: http.HTTPFlow) -> str:
    return flow.request.path.partition("?")[0]


def _listeners() -> list[Origin]:
    proxyserver = ctx.master.addons.get("proxyserver")
    places = [] if proxyserver is None else proxyserver.listen_addrs()
    return [Origin(*place[:2]) for place in places]
