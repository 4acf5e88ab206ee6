"""Login with a client certificate: the TLS handshake is the proof.

Certificates are asked for on listeners of their own (port 8444, or the pod's `-api` host),
which serve `/sessionauth` and `/keyauth` and nothing else. The requests carry neither a
body nor a Content-Type: pods answer 401 or 500 to anything more
(Point72/csp-adapter-symphony#23).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from symphony_auth_proxy.auth import _answer
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import ClientCertificate, KeyMaterial, KeySource
from symphony_auth_proxy.model import (
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Pod,
    TokenKind,
)


@dataclass(frozen=True, slots=True)
class CertificateLogin:
    """A `model.LoginMethod` for bots whose certificate the pod trusts."""

    username: str
    """The certificate's CN."""
    credentials: KeySource

    def login(
        self, kind: TokenKind, pod: Pod, keys: KeyMaterial, now: float
    ) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
        if not isinstance(keys, ClientCertificate):
            raise KeyMaterialError(
                f"{self.username} logs in with a certificate, but its file holds a key alone",
                hint="configure a PKCS#12 file, or a PEM file with certificate and key",
                diagnosis=Diagnosis.KEY_FORMAT,
            )
        match kind:
            case TokenKind.SESSION:
                endpoint, path = pod.session_auth, "/sessionauth/v1/authenticate"
            case TokenKind.KEY_MANAGER:
                endpoint, path = pod.key_manager, "/keyauth/v1/authenticate"
        request = LoginRequest(endpoint=endpoint, path=path, certificate=keys, purpose=kind.login)
        response = yield request
        return _answer.granted_token(kind, request, response)
