"""Logging in at the proxy of `--mode upstream:…`, with what `--set upstream_auth` gives.

mitmproxy's own addon for it reads an option, which the inspection UI shows, writes the
password into flows, and sends it to whatever other proxy a request goes through.
"""

from __future__ import annotations

import base64
from collections.abc import Collection

from mitmproxy import connection, http
from mitmproxy.proxy.mode_specs import UpstreamMode

from symphony_auth_proxy.mitm.seal import SealedField, seal_of
from symphony_auth_proxy.secret import Secret

_HEADER = "Proxy-Authorization"


class UpstreamLogin:
    """Stands behind our own addon: what that upgrades to https goes through a tunnel."""

    def __init__(self, places: Collection[connection.Address], credentials: Secret) -> None:
        """`places`: the proxies that `credentials`, NAME:PASSWORD, are for."""
        self._places = frozenset(places)
        encoded = base64.b64encode(credentials.reveal().encode()).decode()
        self._field = SealedField.of(_HEADER.encode(), f"Basic {encoded}".encode())

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        if flow.server_conn.address in self._places:
            flow.request.headers[_HEADER] = self._field.value.reveal()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Without TLS there is no tunnel: each request carries the password itself."""
        seal = seal_of(flow)
        forwarded = isinstance(flow.client_conn.proxy_mode, UpstreamMode)
        if forwarded and flow.request.scheme == "http" and seal is not None and flow.live:
            seal.brought.append(self._field)
            flow.request.headers[_HEADER] = self._field.shown.decode()
