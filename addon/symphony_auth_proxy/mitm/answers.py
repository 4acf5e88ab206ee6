"""The answers that the proxy gives itself, and what it notes on those of Symphony.

Its own look like Symphony's errors (`code`, `message`), so that every SDK prints them, and say
in `details` and in `Proxy-Status` (RFC 9209) what a person or a monitor needs. On an answer of
Symphony it notes, in that header only, why there was no token or what is the matter.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache

from mitmproxy import http

from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import Reason, SymphonyAuthProxyError

PRODUCT = "symphony-auth-proxy"

_CHALLENGE = f'Basic realm="{PRODUCT}", charset="UTF-8"'  # RFC 7617, section 2.1

# RFC 9209, section 2.3: the registered type that comes nearest to each of our reasons.
_PROXY_ERRORS = {
    Reason.UPSTREAM_UNREACHABLE: "destination_unavailable",
    Reason.UPSTREAM_CERTIFICATE: "tls_certificate_error",
    Reason.UPSTREAM_BROKEN: "http_response_incomplete",
    Reason.MALFORMED_REQUEST: "http_request_error",
    Reason.AMBIGUOUS_PATH: "http_request_error",
    Reason.AMBIGUOUS_DESTINATION: "http_request_denied",
    Reason.ADDRESS_REFUSED: "destination_ip_prohibited",
    Reason.HOST_REFUSED: "http_request_denied",
    Reason.CLIENTS_REQUIRED: "http_request_denied",
    Reason.CLIENT_TOKEN_REFUSED: "http_request_denied",
    Reason.CROSS_SITE: "http_request_denied",
    Reason.UNKNOWN_BOT: "http_request_denied",
    Reason.NOT_GRANTED: "http_request_denied",
    Reason.CLIENT_UNKNOWN: "http_request_denied",
    Reason.PLACEHOLDER_EXPIRED: "http_request_denied",
    Reason.PLACEHOLDER_WORTHLESS: "http_request_denied",
    Reason.NO_APP: "proxy_configuration_error",
    Reason.CONFIGURATION: "proxy_configuration_error",
    Reason.INTERNAL: "proxy_internal_error",
}

# The same where more is known about a destination that was not reached. (A login that does not
# get through says nothing about the next hop of the request that waits for it.)
_UNREACHED = {
    Diagnosis.DNS: "dns_error",
    Diagnosis.REFUSED: "connection_refused",
    Diagnosis.NO_ROUTE: "destination_ip_unroutable",
    Diagnosis.CONNECT_TIMEOUT: "connection_timeout",
    Diagnosis.CLOSED: "connection_terminated",
    Diagnosis.NOT_TLS: "tls_protocol_error",
    Diagnosis.TLS_FAILED: "tls_protocol_error",
    Diagnosis.CLIENT_CERTIFICATE: "tls_alert_received",
}

_LONGEST_DETAILS = 300
"""Characters. Servers limit header lines, and some clients the head as a whole."""


def answer(error: SymphonyAuthProxyError) -> http.Response:
    """Turn an error into the response that a client gets."""
    details: dict[str, object] = {"reason": error.reason, "diagnosis": error.diagnosis}
    if error.bot is not None:
        details["bot"] = error.bot
    if error.user is not None:
        details["user"] = error.user
    if hint := error.hint():
        details["hint"] = hint
    body = {"code": error.status, "message": str(error), "details": details}
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Proxy-Status": _member(error.diagnosis, str(error), _proxy_error(error)),
    }
    if error.status == 407:
        headers["Proxy-Authenticate"] = _CHALLENGE
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return http.Response.make(error.status, json.dumps(body, ensure_ascii=False), headers)


def acknowledgement() -> http.Response:
    """What a logout gets, in Symphony's words for it; the session is shared and lives on."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return http.Response.make(200, json.dumps({"message": "OK"}), headers)


def note(response: http.Response, diagnosis: Diagnosis) -> None:
    """Say in an answer's `Proxy-Status` why there was no token, or what is the matter.

    As a line of its own behind those that are there: members stand in the order in which an
    answer came by (RFC 9209, section 2), and what others wrote is not touched.
    """
    name = b"proxy-status" if response.is_http2 else b"Proxy-Status"
    response.headers.fields = (*response.headers.fields, (name, _noted(diagnosis)))


@cache
def _noted(diagnosis: Diagnosis) -> bytes:
    return _member(diagnosis, MEANINGS[diagnosis].sentence).encode("ascii")


def _proxy_error(error: SymphonyAuthProxyError) -> str:
    if error.reason is Reason.UPSTREAM_UNREACHABLE and error.diagnosis in _UNREACHED:
        return _UNREACHED[error.diagnosis]
    return _PROXY_ERRORS.get(error.reason, "proxy_internal_response")


def _member(diagnosis: Diagnosis, message: str, error: str | None = None) -> str:
    # A structured-field string (RFC 8941): printable ASCII, quotes and backslashes escaped.
    text = re.sub(r"[^\x20-\x7e]", "?", message.partition("\n")[0][:_LONGEST_DETAILS])
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    kind = f" error={error};" if error is not None else ""
    return f'{PRODUCT};{kind} details="{diagnosis}: {text}"'
