"""`authProxy.admin.listen`: health, readiness and metrics on a port of their own.

For probes and for Prometheus, which use no proxy and know no password. Nothing else is to
be had here, and nothing can be changed.
"""

from __future__ import annotations

import socket

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.core.reading import authority_host
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.operations.pages import HEALTH, METRICS, READINESS, Pages

_OFFERED = (HEALTH, READINESS, METRICS)
_MOST_BYTES = 16 * 1024
"""Of a request's head, and of a body that nobody asked for."""


class Admin:
    """The port. Belongs to the event loop that it was opened in."""

    def __init__(self, pages: Pages, place: Origin) -> None:
        """Listen. Raises OSError when the port cannot be had."""
        application = Application(
            [(r".*", _Pages, {"pages": pages, "local": is_loopback(place.host)})],
            log_function=lambda _handler: None,
        )
        self.place = place
        """As it is configured."""
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        listener = socket.create_server((place.host, place.port), family=family)
        listener.setblocking(False)
        self.port: int = listener.getsockname()[1]
        self._server = HTTPServer(
            application,
            idle_connection_timeout=120,
            body_timeout=10,
            max_header_size=_MOST_BYTES,
            max_body_size=_MOST_BYTES,
        )
        self._server.add_sockets([listener])

    async def close(self) -> None:
        """Stop listening and end all connections."""
        self._server.stop()
        await self._server.close_all_connections()


class _Pages(RequestHandler):
    def initialize(self, pages: Pages, local: bool) -> None:
        self._pages = pages
        self._local = local

    def _answer(self) -> None:
        if self._local and not is_loopback(authority_host(self.request.host)):
            # A web page whose name was made to lead here (DNS rebinding, CVE-2018-14505).
            self.set_status(421)
            self.finish()
            return
        page = self._pages.answer(self.request.method or "", self.request.path, _OFFERED)
        self.set_status(page.status)
        for name, value in page.all_headers().items():
            self.set_header(name, value)
        self.finish(page.body)

    get = head = post = put = patch = delete = options = _answer

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def compute_etag(self) -> str | None:
        return None  # what is not to be stored needs none
