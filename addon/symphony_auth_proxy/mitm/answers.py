"""The answers that the proxy gives itself.

They look like Symphony's own errors (`code`, `message`), so that every SDK prints them,
and say in `details` and in `Proxy-Status` (RFC 9209) what a person or a monitor needs.
"""

from __future__ import annotations

import json
import math
import re

from mitmproxy import http

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


def answer(error: SymphonyAuthProxyError) -> http.Response:
    """Turn an error into the response that a client gets."""
    details: dict[str, object] = {"reason": str(error.reason)}
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
        "Proxy-Status": _proxy_status(error),
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


def _proxy_status(error: SymphonyAuthProxyError) -> str:
    kind = _PROXY_ERRORS.get(error.reason, "proxy_internal_response")
    # A structured-field string (RFC 8941): printable ASCII, quotes and backslashes escaped.
    text = re.sub(r"[^\x20-\x7e]", "?", str(error).partition("\n")[0])
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{PRODUCT}; error={kind}; details="{error.reason}: {text}"'
