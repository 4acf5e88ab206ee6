"""Login on behalf of a user: an extension app with an RSA key gets a session of a user who
has it.

Two requests to the pod: the app's own session for a signed assertion, then with that the
user's. The app's session is asked for anew each time, as the BDK for Java does: it is good
for nothing else, and what is not kept cannot be stale or leak. There is a session token
only; the agent asks for no key manager token on behalf of users.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import quote

from symphony_auth_proxy.auth import _answer
from symphony_auth_proxy.core.assertion import login_assertion
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import LoginProtocolError
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import (
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Pod,
    TokenKind,
)

_APP_REFUSED = _answer.Refusal(
    Diagnosis.APP_NOT_ACCEPTED,
    "check that `app.appId` is the app's id (without a colon), that the app is enabled in the "
    "pod and that the public key of this very key is imported for it",
)
_USER_REFUSED = _answer.Refusal(
    Diagnosis.USER_NOT_ACCEPTED,
    "check that this user exists and is active, and that the app is enabled for the user in "
    "the pod's admin portal",
)


def app_session(
    app_id: str, pod: Pod, keys: KeyMaterial, now: float
) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
    """Get the app's own session, the first half. `now`: wall clock, seconds since the epoch.

    Raises LoginRejected, LoginUnavailable or LoginProtocolError.
    """
    assertion = login_assertion(app_id, keys.key, now)
    request = LoginRequest(
        endpoint=pod.pod,
        path="/login/pubkey/app/authenticate",
        json={"token": assertion},
        purpose="app login",
    )
    response = yield request
    return _answer.granted_token(TokenKind.SESSION, request, response, refusal=_APP_REFUSED)


@dataclass(frozen=True, slots=True)
class OnBehalfOfLogin:
    """A `model.LoginMethod` for users of an app whose public key is imported in the pod."""

    app_id: str
    """The assertion's `sub`."""
    user: str
    """A username, or a user id when it is all digits."""
    credentials: KeySource

    def login(
        self, kind: TokenKind, pod: Pod, keys: KeyMaterial, now: float
    ) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
        if kind is not TokenKind.SESSION:
            raise LoginProtocolError("there is no key manager token on behalf of users")
        app = yield from app_session(self.app_id, pod, keys, now)
        request = LoginRequest(
            endpoint=pod.pod,
            path=self._path(),
            headers=(("sessionToken", app.value),),
            purpose=kind.login,
        )
        response = yield request
        return _answer.granted_token(
            kind, request, response, refusal=_USER_REFUSED, not_found_refuses=True
        )

    def _path(self) -> str:
        by_id = self.user.isascii() and self.user.isdigit()
        kind = "user" if by_id else "username"
        return f"/login/pubkey/app/{kind}/{quote(self.user, safe='')}/authenticate"
