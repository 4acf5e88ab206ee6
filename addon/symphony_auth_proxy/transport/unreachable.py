"""Says in plain words why a host could not be reached, and what to do about it.

The errors that sockets, TLS and an HTTP client raise are wrapped three deep and name neither
the host nor the way out. `explain` looks through the wraps and answers with one sentence, one
hint and one `Trouble`, which programs can act upon. It keeps nothing of the original error:
those of HTTP libraries quote the headers they stumbled over.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import httpcore

from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import LoginUnavailable, Reason
from symphony_auth_proxy.model import Origin, UpstreamProxy


class Trouble(StrEnum):
    """What stood in the way. The values are stable: `doctor` and scripts read them."""

    DNS = "dns"
    REFUSED = "refused"
    NO_ROUTE = "no_route"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    ADDRESS_REFUSED = "address_refused"

    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_CREDENTIALS = "proxy_credentials"
    PROXY_REFUSED = "proxy_refused"

    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"
    NOT_TLS = "not_tls"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME = "certificate_name"
    CLIENT_CERTIFICATE = "client_certificate"
    BOT_CERTIFICATE_EXPIRED = "bot_certificate_expired"

    READ_TIMEOUT = "read_timeout"
    CLOSED = "closed"
    NOT_HTTP = "not_http"


class Unreachable(LoginUnavailable):
    """No answer came back. `trouble` says why, for programs."""

    def __init__(
        self, trouble: Trouble, message: str, *, hint: str, reason: Reason | None = None
    ) -> None:
        super().__init__(message, hint=hint, reason=reason, diagnosis=Diagnosis(trouble.value))
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Attempt:
    """How far one exchange came."""

    origin: Origin
    proxy: UpstreamProxy | None
    client_certificate: bool
    connected: bool
    """Whether a TCP connection stood, to the proxy when there is one."""

    @property
    def peer(self) -> str:
        """Whom the TCP connection is made to."""
        if self.proxy is None:
            return str(self.origin)
        return f"the proxy {self.proxy.host}:{self.proxy.port}"


type _Finding = tuple[Trouble, str, str]
"""Trouble, sentence, hint."""

_TLS_STATES = (
    ssl.SSLEOFError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLZeroReturnError,
)
"""How OpenSSL says that it waits or that the other side has left: no fault of TLS."""

_TIMEOUTS = (TimeoutError, httpcore.TimeoutException)


def explain(error: Exception, attempt: Attempt) -> Unreachable:
    """Return what to raise instead of `error`, which came out of the exchange `attempt`."""
    causes = tuple(_causes(error))
    if not attempt.connected:
        trouble, sentence, hint = _not_connected(causes, attempt)
        if attempt.proxy is not None:
            trouble, hint = Trouble.PROXY_UNREACHABLE, f"check `proxy` in the configuration: {hint}"
        return Unreachable(trouble, sentence, hint=hint)
    finding = (
        _proxy_answer(causes, attempt) or _tls(causes, attempt) or _broken_exchange(causes, attempt)
    )
    trouble, sentence, hint = finding
    return Unreachable(trouble, sentence, hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what led to it, groups unfolded, outermost first.

    The context counts too: httpcore raises `from None`.
    """
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    earlier = error.__cause__ or error.__context__
    if earlier is not None:
        yield from _causes(earlier)


def _not_connected(causes: tuple[BaseException, ...], attempt: Attempt) -> _Finding:
    codes = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return (
            Trouble.DNS,
            f"the name of {attempt.peer} cannot be resolved",
            "check the spelling of the host and this machine's DNS; where only a proxy knows "
            "outside names, configure `proxy`",
        )
    if errno.ECONNREFUSED in codes:
        return (
            Trouble.REFUSED,
            f"{attempt.peer} refuses connections",
            "check host and port; nothing listens there, or a firewall says no",
        )
    if codes & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return (
            Trouble.NO_ROUTE,
            f"there is no route to {attempt.peer}",
            "check this machine's network; where only a proxy leads outside, configure `proxy`",
        )
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return (
            Trouble.CONNECT_TIMEOUT,
            f"{attempt.peer} did not accept a connection in time",
            "a firewall probably drops it. Port 8444 is often blocked: certificate logins are "
            "offered on the pod's `-api` host, port 443, too",
        )
    return (
        Trouble.CONNECT_FAILED,
        f"no connection to {attempt.peer} could be made",
        "check host, port and this machine's network",
    )


def _proxy_answer(causes: tuple[BaseException, ...], attempt: Attempt) -> _Finding | None:
    answer = next((str(one) for one in causes if isinstance(one, httpcore.ProxyError)), None)
    if answer is None:
        return None
    status = answer[:3]
    if status == "407":
        return (
            Trouble.PROXY_CREDENTIALS,
            f"{attempt.peer} wants other credentials (407) for the way to {attempt.origin}",
            "check proxy.username and proxy.password; Basic is the only scheme spoken, so a "
            "proxy that wants NTLM or Kerberos needs a helper such as cntlm in between",
        )
    return (
        Trouble.PROXY_REFUSED,
        f"{attempt.peer} answered {status} when asked for a tunnel to {attempt.origin}",
        "ask the proxy's operators to allow CONNECT to this host and port, or configure "
        "`proxy: null` for this component if it can be reached directly",
    )


_VERIFY_FINDINGS = {
    9: (
        Trouble.CERTIFICATE_EXPIRED,
        "is not valid yet",
        "check the clock of this machine",
    ),
    10: (
        Trouble.CERTIFICATE_EXPIRED,
        "has expired",
        "check the clock of this machine; if it is right, the host's operators must renew it",
    ),
    62: (
        Trouble.CERTIFICATE_NAME,
        "is for another name",
        "check the host in the configuration; it must be written as the certificate has it",
    ),
}
_VERIFY_FINDINGS[64] = _VERIFY_FINDINGS[62]
"""By OpenSSL's X509_V_ERR codes; 62 is about host names, 64 about IP addresses."""


def _tls(causes: tuple[BaseException, ...], attempt: Attempt) -> _Finding | None:
    errors = (one for one in causes if isinstance(one, ssl.SSLError))
    error = next((one for one in errors if not isinstance(one, _TLS_STATES)), None)
    match error:
        case None:
            return None
        case ssl.SSLCertVerificationError(verify_code=code) if code in _VERIFY_FINDINGS:
            trouble, what, hint = _VERIFY_FINDINGS[code]
            return trouble, f"the certificate of {attempt.origin} {what}", hint
        case ssl.SSLCertVerificationError(verify_message=why):
            return (
                Trouble.CERTIFICATE_UNTRUSTED,
                f"the certificate of {attempt.origin} is not trusted: {why}",
                "if the host has a CA of its own, or your network inspects TLS, add that CA's "
                "certificate (PEM) as ssl.trustStore.path",
            )
    reason = error.reason or ""
    if "ALERT" in reason and (
        "CERTIFICATE" in reason
        or "UNKNOWN_CA" in reason
        or ("HANDSHAKE_FAILURE" in reason and not attempt.client_certificate)
    ):
        return _client_certificate(reason, attempt)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return (
            Trouble.NOT_TLS,
            f"{attempt.origin} does not speak TLS",
            "check the port: Symphony's components are https only",
        )
    return (
        Trouble.TLS_FAILED,
        f"the TLS handshake with {attempt.origin} failed: {reason or 'no reason given'}",
        "the host must offer TLS 1.2 or newer; a device that inspects TLS may be in between",
    )


def _client_certificate(alert: str, attempt: Attempt) -> _Finding:
    if not attempt.client_certificate:
        return (
            Trouble.CLIENT_CERTIFICATE,
            f"{attempt.origin} asks for a client certificate, and none is configured",
            "RSA logins go to the pod's and key manager's own hosts, port 443; for certificate "
            "logins configure bot.certificate",
        )
    if "CERTIFICATE_EXPIRED" in alert:  # or not valid yet: RFC 8446, section 6.2
        return (
            Trouble.BOT_CERTIFICATE_EXPIRED,
            f"{attempt.origin} says that the client certificate has expired",
            "have a new one signed: `symphony-auth-proxy keys csr` makes the request; if it is "
            "valid, compare the clocks",
        )
    return (
        Trouble.CLIENT_CERTIFICATE,
        f"{attempt.origin} does not accept the client certificate ({alert})",
        "upload the CA that signed it, or the certificate itself, in the Admin portal; check "
        "that it is not revoked, and that no device on the way inspects TLS",
    )


def _broken_exchange(causes: tuple[BaseException, ...], attempt: Attempt) -> _Finding:
    if any(isinstance(cause, httpcore.ConnectTimeout) for cause in causes):
        return (
            Trouble.TLS_TIMEOUT,
            f"{attempt.origin} did not finish the TLS handshake in time",
            "check the port; a device that inspects TLS may be in between",
        )
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return (
            Trouble.READ_TIMEOUT,
            f"{attempt.origin} did not answer in time",
            "the host is reachable but slow; this is tried again by itself",
        )
    protocol = [str(one) for one in causes if isinstance(one, httpcore.RemoteProtocolError)]
    if protocol and not any("disconnected" in one or "peer closed" in one for one in protocol):
        return (
            Trouble.NOT_HTTP,
            f"{attempt.origin} does not answer in HTTP/1.1",
            "check host and port",
        )
    return (
        Trouble.CLOSED,
        f"{attempt.origin} closed the connection before it had answered",
        "this is tried again by itself; if it persists on a port for certificate logins, the "
        "client certificate may not be accepted",
    )
