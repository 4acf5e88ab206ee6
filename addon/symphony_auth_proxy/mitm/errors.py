"""mitmproxy's own error pages, as the JSON that Symphony's clients understand."""

from __future__ import annotations

import logging

from mitmproxy import http
from mitmproxy.proxy.layers.http import ErrorCode, ResponseProtocolError

from symphony_auth_proxy.errors import DestinationRefused, Reason, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.answers import answer
from symphony_auth_proxy.mitm.failures import (
    NEVER_CONNECTED,
    NOT_HTTP_ANSWER,
    NOT_HTTP_REQUEST,
    draining,
    refused_address,
)
from symphony_auth_proxy.mitm.seam import RefusedBySeal
from symphony_auth_proxy.mitm.state import State

logger = logging.getLogger(__name__)


class ErrorPages:
    """Says what a client is told when mitmproxy gives up on a request."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __call__(
        self, flow: http.HTTPFlow | None, event: ResponseProtocolError
    ) -> http.Response | None:
        """Return the answer, or None where no answer makes sense (the client is gone)."""
        if isinstance(event, RefusedBySeal):
            return answer(event.error)
        if flow is not None and flow in self._state.last_words:
            return self._state.last_words[flow]
        status = event.code.http_status_code()
        if status is None:
            return None
        return answer(self._explain(status, event, flow))

    def _explain(
        self, status: int, event: ResponseProtocolError, flow: http.HTTPFlow | None
    ) -> SymphonyAuthProxyError:
        if status < 500:
            return DestinationRefused(
                NOT_HTTP_REQUEST, status=status, reason=Reason.MALFORMED_REQUEST
            )
        if self._state.draining:
            return draining()
        if NEVER_CONNECTED in event.message:
            # mitmproxy carries the error of a hook as text only.
            return refused_address("the server" if flow is None else flow.request.host)
        host = "the server" if flow is None else f"{flow.request.host}:{flow.request.port}"
        reason, hint = _diagnose(event)
        # Only a failed connection is told in mitmproxy's words: others quote the answer.
        why = event.message if event.code is ErrorCode.CONNECT_FAILED else NOT_HTTP_ANSWER
        return SymphonyAuthProxyError(
            f"no answer from {host}: {why}", status=502, reason=reason, hint=hint
        )


def _diagnose(event: ResponseProtocolError) -> tuple[Reason, str]:
    message = event.message.lower()
    if "certificate verify failed" in message:
        return (
            Reason.UPSTREAM_CERTIFICATE,
            "add the CA that signed it to ssl.trustStore, and check the host name",
        )
    if "upstream proxy" in message:
        return Reason.UPSTREAM_UNREACHABLE, "check the proxy settings and its credentials"
    if event.code is ErrorCode.CONNECT_FAILED:
        return Reason.UPSTREAM_UNREACHABLE, "check host, port and the firewall"
    return (
        Reason.UPSTREAM_BROKEN,
        "try again; if it stays, look at the server and its gateway",
    )
