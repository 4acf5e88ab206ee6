"""mitmproxy's UI in the browser, as `serve --web` runs it.

It is mitmweb, with five things changed: its password stands in no option, because the UI shows
all options; on loopback it answers to the names of loopback only, so that no page can reach
it by a name of its own (DNS rebinding, CVE-2018-14505); it tells which flow somebody looks at;
it hangs up on browsers that have stopped listening, for whom it would queue without end; and its
list has room for comments.
Every answer needs the password, and every change comes from its own pages (Sec-Fetch-Site, and
mitmproxy's token against CSRF).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any, override

from mitmproxy import options
from mitmproxy.tools.web import app
from mitmproxy.tools.web.master import WebMaster

from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.model import Web
from symphony_auth_proxy.passwords import Password, PlainPassword
from symphony_auth_proxy.secret import Secret

COLUMNS = ("icon", "path", "method", "status", "size", "time", "comment")

_STYLE = b"""<style>
.flow-table .col-comment { width: 45%; }
.flow-table td.col-comment { text-align: left; }
.main-view:has(.flow-detail) .flow-table .col-comment { width: 30%; }
</style>"""
"""mitmweb gives comments 150 pixels in any window, which no sentence fits into."""
_PING_SECONDS = 30.0
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_ONE_FLOW = re.compile(r"/flows/([0-9a-f-]{36})/")


class Inspector(WebMaster):
    """The proxy with that UI."""

    def __init__(self, opts: options.Options, web: Web) -> None:
        super().__init__(opts)
        self.web = web
        self.look_at: Callable[[str], None] = lambda _flow_id: None
        """Told the id of a flow whenever something of it is asked for."""
        self._token = Secret(secrets.token_hex(16))
        self.app = _Application(self, web.password or PlainPassword(self._token))

    @property
    @override
    def web_url(self) -> str:
        """Where the UI is, with the token that lets people in unless a password is set."""
        query = f"?token={self._token.reveal()}" if self.web.password is None else ""
        return f"http://{self.web.listen}/{query}"


class _Application(app.Application):
    def __init__(self, inspector: Inspector, password: Password) -> None:
        super().__init__(inspector, debug=False)
        self._inspector = inspector
        self.settings["is_valid_password"] = password.matches
        self.settings["websocket_ping_interval"] = _PING_SECONDS

    @override
    def find_handler(self, request: Any, **more: Any) -> Any:
        request.uri = request.path  # for the log: without a token that was refused, or mistyped
        if self._is_foreign(request):
            return self.get_handler_delegate(request, _Foreign)
        if request.path == "/":
            return self.get_handler_delegate(request, _Index)
        if found := _OF_ONE_FLOW.match(request.path):
            self._inspector.look_at(found[1])
        return super().find_handler(request, **more)

    def _is_foreign(self, request: Any) -> bool:
        """Whether somebody else's page asks, or one that took this machine's address."""
        on_loopback = is_loopback(self._inspector.web.listen.host)
        if on_loopback and not is_loopback(request.host_name.strip("[]")):
            return True
        site = request.headers.get("Sec-Fetch-Site", "none")
        return request.method not in _READING and site not in {"same-origin", "none"}


class _Index(app.IndexHandler):
    """The page, and before the login the form that asks for the password."""

    @override
    def render_string(self, template_name: str, **more: Any) -> bytes:
        page = super().render_string(template_name, **more)
        return page.replace(b"</head>", _STYLE + b"</head>")


class _Foreign(app.RequestHandler):
    @override
    def prepare(self) -> None:
        raise app.APIError(403, "Only pages at 127.0.0.1 or localhost, and its own, may ask this.")
