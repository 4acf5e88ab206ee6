"""Reading the answer to a login: a token, or what went wrong in words.

Shared by all login methods. Whatever answers, be it the pod, a gateway in front of it or a
web server that happens to listen there, ends as a `GrantedToken` or as one of the three
login errors. Text from the answer reaches a message only in a bounded, printable form
without anything that could be a token.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from symphony_auth_proxy.core.claims import claims_of
from symphony_auth_proxy.core.dates import CLOCK_TOLERANCE, clock_skew, http_date
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    LoginError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)
from symphony_auth_proxy.model import GrantedToken, LoginRequest, LoginResponse, TokenKind
from symphony_auth_proxy.secret import Secret

EXP_AT_LEAST = 60.0
EXP_AT_MOST = 15 * 86_400.0
"""Seconds ahead between which a session token's `exp` is believed. Sessions live one hour
to two weeks; whether `exp` is the session's end is nowhere promised, so a value outside
that range is taken to mean something else."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")
"""What may stand in a header value without opening a way to smuggle a second one."""

_NOT_REGISTERED = re.compile(r"not\s+registered\s+in\s+(?:the\s+)?pod", re.IGNORECASE)
"""A key manager says so, with a 4xx, while the pod is under maintenance
(symphony-bdk-java#678): passing trouble, whatever the status."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a 401 or 403 means, and the way out."""

    diagnosis: Diagnosis
    hint: str


def granted_token(
    kind: TokenKind,
    request: LoginRequest,
    response: LoginResponse,
    *,
    refusal: Refusal | None = None,
    not_found_refuses: bool = False,
) -> GrantedToken:
    """Read the token out of a login's answer.

    `refusal`: what one means, where it is not that of a bot's own login.
    `not_found_refuses`: a 404 in Symphony's words speaks of the user, not of the address.
    Raises LoginRejected, LoginUnavailable or LoginProtocolError.
    """
    document = _document(response)
    if response.status != 200:
        if response.status == 404 and not_found_refuses and document is not None:
            raise _rejected(request, response, document, refusal)
        raise _refused(kind, request, response, document, refusal)
    if document is None:
        raise _wrong_endpoint(request, response)
    text = document.get("token")
    where = _address(request)
    if not isinstance(text, str) or not text:
        raise LoginProtocolError(
            f"the login at {where} was answered without a token",
            hint="check that this host and port are Symphony's, for this kind of login",
        )
    if not _VISIBLE.fullmatch(text):
        raise LoginProtocolError(
            f"the token from {where} holds characters that no header may carry",
            hint="something between here and Symphony changes its answers",
        )
    if kind is not TokenKind.SESSION:
        return GrantedToken(Secret(text))
    # TLS says where the token came from, and the pod judges it anyway.
    claims = claims_of(text)
    return GrantedToken(
        Secret(text),
        expires_at=_expiry(claims.get("exp"), response.received),
        simplified_key_delivery=claims.get("canUseSimplifiedKeyDelivery") is True,
    )


def _refused(
    kind: TokenKind,
    request: LoginRequest,
    response: LoginResponse,
    document: dict[str, Any] | None,
    refusal: Refusal | None,
) -> LoginError:
    status, where = response.status, _address(request)
    said = _quotation(document)
    if status >= 500 or status in {408, 425, 429}:
        return LoginUnavailable(
            f"the login at {where} is unavailable (status {status}{said})",
            hint="nothing to do if it passes: the login is tried again by itself",
            retry_after=_retry_after(response),
            diagnosis=_absence(kind, document),
        )
    if kind is TokenKind.KEY_MANAGER and _NOT_REGISTERED.search(said):
        return LoginUnavailable(
            f"the key manager at {where} is not registered in the pod (status {status})",
            hint="the pod is probably under maintenance: the login is tried again by itself",
            retry_after=_retry_after(response),
            diagnosis=Diagnosis.KEY_MANAGER_NOT_REGISTERED,
        )
    # A gateway's HTML page with 401 or 403 still means that the credentials were looked at:
    # trying on as if it were a wrong address could lock the account.
    if status in {401, 403} or (status == 400 and document is not None):
        skew = clock_skew(response)
        # Only an assertion, which stands in the body, depends on the clock.
        if request.json is not None and skew is not None and abs(skew) > CLOCK_TOLERANCE:
            direction = "ahead of" if skew > 0 else "behind"
            return LoginRejected(
                f"the login at {where} was refused (status {status}): this machine's clock is "
                f"{abs(skew):.0f} seconds {direction} the server's",
                reason=Reason.CLOCK_SKEW,
                hint="set the clock right (NTP); an assertion is valid for some minutes only",
            )
        return _rejected(request, response, document, refusal)
    return _wrong_endpoint(request, response)


def _absence(kind: TokenKind, document: dict[str, Any] | None) -> Diagnosis:
    """Who it is that says that a login cannot be had now."""
    if kind is TokenKind.KEY_MANAGER:
        return Diagnosis.KEY_MANAGER_UNAVAILABLE
    return Diagnosis.LOGIN_UNAVAILABLE if document is not None else Diagnosis.GATEWAY_UNAVAILABLE


def _rejected(
    request: LoginRequest,
    response: LoginResponse,
    document: dict[str, Any] | None,
    refusal: Refusal | None,
) -> LoginRejected:
    said = _quotation(document)
    meant = refusal or _refusal_of_bot(request, response.status)
    if document is None and response.body.strip():  # a page: not Symphony's own words
        meant = Refusal(
            Diagnosis.GATEWAY_REFUSED,
            "it was answered with a page, as gateways do: ask their operators what they want, "
            f"perhaps a header that belongs into `defaultHeaders`. Else {meant.hint}",
        )
    return LoginRejected(
        f"the login at {_address(request)} was refused (status {response.status}{said})",
        hint=meant.hint,
        diagnosis=meant.diagnosis,
    )


def _refusal_of_bot(request: LoginRequest, status: int) -> Refusal:
    if request.certificate is None:
        return Refusal(
            _RSA_REFUSALS.get(status, Diagnosis.LOGIN_REJECTED),
            "check that the account is active, that `username` is the service account's "
            "(not its e-mail or id) and that the public key of this very key is imported there",
        )
    if status == 403:
        return Refusal(
            Diagnosis.ACCOUNT_NOT_ALLOWED,
            "check that the account allows certificate authentication and that no application "
            "of the same name has a certificate",
        )
    return Refusal(
        Diagnosis.CERTIFICATE_NOT_ACCEPTED if status == 401 else Diagnosis.LOGIN_REJECTED,
        "check that the certificate's CN is the service account's username and that its "
        "issuer is uploaded in the pod's admin portal",
    )


_RSA_REFUSALS = {401: Diagnosis.KEY_NOT_ACCEPTED, 403: Diagnosis.ACCOUNT_NOT_ALLOWED}


def _wrong_endpoint(request: LoginRequest, response: LoginResponse) -> LoginProtocolError:
    where = f"{_address(request)}{request.endpoint.context}{request.path}"
    if request.certificate is not None:
        expected = (
            "certificate logins are served on port 8444 or on the pod's `-api` host (set "
            "`sessionAuth` and `keyManager`)"
        )
    else:
        expected = "RSA logins are served on the pod's and the key manager's port 443"
    return LoginProtocolError(
        f"what answers at {where} is not a Symphony login (status {response.status})",
        reason=Reason.WRONG_ENDPOINT,
        hint=f"{expected}; {_address(request)} is configured",
        diagnosis=Diagnosis.NOT_SYMPHONY if request.certificate is None else Diagnosis.WRONG_PORT,
    )


def _address(request: LoginRequest) -> str:
    return str(request.endpoint.origin)


def _document(response: LoginResponse) -> dict[str, Any] | None:
    """The answer's JSON object, or None for HTML, an empty body and all else."""
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _quotation(document: dict[str, Any] | None) -> str:
    """The answer's own `message`, fit for a log: short, printable, no word that could be a
    token or an assertion sent back to us."""
    message = document.get("message") if document else None
    if not isinstance(message, str):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in message[:1000])
    words = ("…" if len(word) > 32 else word for word in printable.split())
    text = " ".join(words)[:160]
    return f", '{text}'" if text else ""


def _expiry(exp: object, now: float) -> float | None:
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not math.isfinite(exp):
        return None
    return float(exp) if EXP_AT_LEAST < exp - now < EXP_AT_MOST else None


def _retry_after(response: LoginResponse) -> float | None:
    """Seconds to wait (RFC 9110 §10.2.3), as the server wishes; the caller clamps them."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    at = http_date(value)
    if at is None:
        return None
    # Measured on the server's own clock where it tells it, so that skew does not matter.
    now = http_date(response.headers.get("date"))
    return max(0.0, at - (response.received if now is None else now))
