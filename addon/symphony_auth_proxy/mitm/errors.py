"""What a client and a person are told when mitmproxy gives up on a request.

Clients get, instead of its error pages, the JSON that Symphony's clients understand. What went
wrong is read out of mitmproxy's words for it, which are those of the system, of asyncio and of
OpenSSL; words that may quote a message have been replaced before (see `seam`).
"""

from __future__ import annotations

import errno
import re
import socket

from mitmproxy import http
from mitmproxy.proxy.layers.http import ErrorCode, ResponseProtocolError

from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
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
        if status < 500:
            return answer(_malformed(status))
        # Only a failed connection is told in mitmproxy's words: others quote the answer.
        connecting = event.code is ErrorCode.CONNECT_FAILED
        said = event.message if connecting else NOT_HTTP_ANSWER
        error = failure(said, flow, stopping=self._state.draining)
        return answer(error or _unreached(Diagnosis.CONNECT_FAILED, said, flow))


def failure(
    message: str, flow: http.HTTPFlow | None, *, stopping: bool
) -> SymphonyAuthProxyError | None:
    """Explain what mitmproxy says of a request that failed; None: that says nothing about a
    server, as when the client has left. `stopping`: whether the proxy is."""
    if message == NOT_HTTP_REQUEST:
        return _malformed(400)
    found = _diagnosis(message, behind_proxy=flow is not None and bool(flow.server_conn.via))
    if found is None:
        return None
    if stopping:
        return draining()
    if found is Diagnosis.ADDRESS_REFUSED:
        # mitmproxy carries the error of a hook as text only.
        return refused_address("the server" if flow is None else flow.request.host)
    return _unreached(found, message, flow)


def _malformed(status: int) -> SymphonyAuthProxyError:
    return DestinationRefused(NOT_HTTP_REQUEST, status=status, reason=Reason.MALFORMED_REQUEST)


def _unreached(
    diagnosis: Diagnosis, message: str, flow: http.HTTPFlow | None
) -> SymphonyAuthProxyError:
    host = "the server" if flow is None else f"{flow.request.host}:{flow.request.port}"
    meaning = MEANINGS[diagnosis]
    said = (
        f" ({harmless(message.removeprefix(_UNVERIFIED))})" if diagnosis in _WORTH_QUOTING else ""
    )
    return SymphonyAuthProxyError(
        f"no answer from {host}: {meaning.sentence}{said}",
        status=502,
        reason=_REASONS.get(diagnosis, Reason.UPSTREAM_UNREACHABLE),
        hint=meaning.way_out,
        diagnosis=diagnosis,
    )


_REASONS = {
    Diagnosis.CERTIFICATE_UNTRUSTED: Reason.UPSTREAM_CERTIFICATE,
    Diagnosis.CERTIFICATE_EXPIRED: Reason.UPSTREAM_CERTIFICATE,
    Diagnosis.CERTIFICATE_NAME: Reason.UPSTREAM_CERTIFICATE,
    Diagnosis.UPSTREAM_BROKEN: Reason.UPSTREAM_BROKEN,
}
_WORTH_QUOTING = {
    Diagnosis.CERTIFICATE_UNTRUSTED,
    Diagnosis.TLS_FAILED,
    Diagnosis.CONNECT_FAILED,
}

_UNVERIFIED = "Certificate verify failed: "

_WORDS = (
    (f"^Connection killed: .*{NEVER_CONNECTED}", Diagnosis.ADDRESS_REFUSED),
    (f"^{NOT_HTTP_ANSWER}$", Diagnosis.UPSTREAM_BROKEN),
    ("^Response body exceeds ", Diagnosis.UPSTREAM_BROKEN),
    (r"^Upstream proxy \S+ refused HTTP CONNECT request: 407", Diagnosis.PROXY_CREDENTIALS),
    ("^Upstream proxy |^Error connecting to ", Diagnosis.PROXY_REFUSED),
    (f"^{_UNVERIFIED}certificate (has expired|is not yet valid)", Diagnosis.CERTIFICATE_EXPIRED),
    (f"^{_UNVERIFIED}(host ?name|IP address) mismatch", Diagnosis.CERTIFICATE_NAME),
    (f"^{_UNVERIFIED}", Diagnosis.CERTIFICATE_UNTRUSTED),
    (
        "^(OpenSSL |tlsv|sslv|ssl/tls ).*alert.*(certificate|unknown ca|handshake failure)",
        Diagnosis.CLIENT_CERTIFICATE,
    ),
    ("^The remote server does not speak TLS", Diagnosis.NOT_TLS),
    ("^The remote server and mitmproxy cannot agree on a TLS|^OpenSSL ", Diagnosis.TLS_FAILED),
    ("^connection closed$", Diagnosis.CLOSED),
)
"""What mitmproxy, OpenSSL and our own hooks say. The first row that fits counts."""

_NUMBER = re.compile(r"(?:Multiple exceptions: )?\[Errno (-?[0-9]+)\]")
_NUMBERS = {
    **dict.fromkeys(
        (socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NODATA), Diagnosis.DNS
    ),
    errno.ECONNREFUSED: Diagnosis.REFUSED,
    errno.ENETUNREACH: Diagnosis.NO_ROUTE,
    errno.EHOSTUNREACH: Diagnosis.NO_ROUTE,
    errno.ETIMEDOUT: Diagnosis.CONNECT_TIMEOUT,
}
"""What the system says, by its numbers for it."""


def _diagnosis(message: str, *, behind_proxy: bool) -> Diagnosis | None:
    for words, diagnosis in _WORDS:
        if re.search(words, message, re.IGNORECASE):
            return diagnosis
    number = _NUMBER.match(message)  # of several addresses' troubles, the first
    if number is None:
        return None
    if behind_proxy:  # the proxy is what was connected to
        return Diagnosis.PROXY_UNREACHABLE
    return _NUMBERS.get(int(number[1]), Diagnosis.CONNECT_FAILED)
