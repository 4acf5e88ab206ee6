"""Login with an RSA key: a signed assertion in a JSON body, over plain TLS.

The session token comes from the pod, the key manager token from the key manager. One
assertion would do for both; each login signs its own, as the BDKs do, so that either can
be repeated alone.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from symphony_auth_proxy.auth import _answer
from symphony_auth_proxy.core.assertion import login_assertion
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import (
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Pod,
    TokenKind,
)


@dataclass(frozen=True, slots=True)
class RsaLogin:
    """A `model.LoginMethod` for bots whose public key is imported in the pod."""

    username: str
    """The assertion's `sub`."""
    credentials: KeySource

    def login(
        self, kind: TokenKind, pod: Pod, keys: KeyMaterial, now: float
    ) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
        match kind:
            case TokenKind.SESSION:
                endpoint, path = pod.pod, "/login/pubkey/authenticate"
            case TokenKind.KEY_MANAGER:
                endpoint, path = pod.key_manager, "/relay/pubkey/authenticate"
        assertion = login_assertion(self.username, keys.key, now)
        request = LoginRequest(
            endpoint=endpoint, path=path, json={"token": assertion}, purpose=kind.login
        )
        response = yield request
        return _answer.granted_token(kind, request, response)
