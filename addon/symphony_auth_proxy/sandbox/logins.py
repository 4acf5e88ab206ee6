"""The login services: by signed assertion, by client certificate, on behalf of a user.

They check what the real ones check and tell no more than they do: a wrong signature, an
unknown user and a late assertion all are a 401. The messages say which, because a sandbox
is there to learn from.

Sources: the `login` and `authenticator` OpenAPI files of finos/symphony-api-spec; for the
body rules of certificate logins Point72/csp-adapter-symphony PR 23; for the limit on `exp`
finos/symphony-bdk-java PR 573.
"""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox.exchange import Answer, Call, Refusal, Route, answer_json
from symphony_auth_proxy.sandbox.sessions import Holder, Session
from symphony_auth_proxy.sandbox.state import Account, State

ASSERTION_LIFE = 300
"""Seconds that an assertion's `exp` may lie ahead of the pod's clock."""
ACCESS_TOKEN_LIFE = 300
"""Seconds that a Common JWT lives."""


async def session_by_key(state: State, call: Call) -> Answer:
    return _granted(state, _open(state, TokenKind.SESSION, _asserted_account(state, call)))


async def key_manager_by_key(state: State, call: Call) -> Answer:
    return _granted(state, _open(state, TokenKind.KEY_MANAGER, _asserted_account(state, call)))


async def session_by_certificate(state: State, call: Call) -> Answer:
    return _granted(state, _open(state, TokenKind.SESSION, _certified_account(state, call)))


async def key_manager_by_certificate(state: State, call: Call) -> Answer:
    return _granted(state, _open(state, TokenKind.KEY_MANAGER, _certified_account(state, call)))


async def session_logout(state: State, call: Call) -> Answer:
    state.sessions.end(_presented(state, call, "sessionToken", TokenKind.SESSION))
    return answer_json({"message": "OK"})


async def key_manager_logout(state: State, call: Call) -> Answer:
    """The documentation names one header, the key manager's own file another: take both."""
    name = "keyManagerToken" if call.headers.get("keyManagerToken") else "sessionToken"
    state.sessions.end(_presented(state, call, name, TokenKind.KEY_MANAGER))
    return answer_json({"message": "OK"})


async def app_session(state: State, call: Call) -> Answer:
    app_id = _check_assertion(state, call, state.apps)
    session = state.sessions.open(TokenKind.SESSION, app_id, {}, Holder.APP)
    return _granted(state, session)


async def session_on_behalf_of_id(state: State, call: Call) -> Answer:
    return _on_behalf_of(state, call, state.account_by_id(call.parts["userId"]))


async def session_on_behalf_of_name(state: State, call: Call) -> Answer:
    return _on_behalf_of(state, call, state.accounts.get(call.parts["username"]))


async def access_token(state: State, call: Call) -> Answer:
    session = _presented(state, call, "sessionToken", TokenKind.SESSION)
    token = _access_token(state, session, scope=call.query.get("scope", ""))
    return answer_json(
        {"token_type": "Bearer", "expires_in": ACCESS_TOKEN_LIFE, "access_token": token}
    )


async def access_token_keys(state: State, _call: Call) -> Answer:
    key = jwt.get_algorithm_by_name("RS512").to_jwk(state.signing_key.public_key(), as_dict=True)
    entry = {name: value for name, value in key.items() if isinstance(value, str)}
    return answer_json({"keys": [entry | {"use": "sig", "alg": "RS512", "kid": "sandbox"}]})


def _asserted_account(state: State, call: Call) -> Account:
    keys = {name: one.public_key for name, one in state.accounts.items() if one.public_key}
    return state.accounts[_check_assertion(state, call, keys)]


def _check_assertion(state: State, call: Call, keys: dict[str, RSAPublicKey]) -> str:
    """Return the subject of a good assertion. Raises Refusal."""
    assertion = call.json().get("token")
    if not isinstance(assertion, str):
        raise Refusal(401, "No JWT in the field token")
    try:
        header = jwt.get_unverified_header(assertion)
        subject = jwt.decode(assertion, options={"verify_signature": False}).get("sub")
    except jwt.InvalidTokenError:
        raise Refusal(401, "The token is not a JWT") from None
    if header.get("alg") != "RS512":
        raise Refusal(401, "The JWT is not signed with RS512")
    if not isinstance(subject, str) or subject not in keys:
        raise Refusal(401, "No public key was imported for the JWT's sub")
    try:
        # Times are checked below: PyJWT has no other clock than the machine's.
        claims: dict[str, Any] = jwt.decode(
            assertion,
            keys[subject],
            algorithms=["RS512"],
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
            },
        )
    except jwt.InvalidTokenError:
        raise Refusal(401, "The JWT's signature does not fit the public key") from None
    expires, now = claims.get("exp"), state.now()
    if not isinstance(expires, int | float):
        raise Refusal(401, "The JWT has no exp")
    if expires <= now:
        raise Refusal(401, "The JWT has expired")
    if expires > now + ASSERTION_LIFE:
        raise Refusal(401, "The JWT's exp is more than 5 minutes ahead")
    return subject


def _certified_account(state: State, call: Call) -> Account:
    if call.body:
        status = 401 if call.headers.get("Content-Type") else 500
        raise Refusal(status, "A certificate login has no body")
    account = state.accounts.get(call.client_name or "")
    if call.client_name is None:
        raise Refusal(401, "No client certificate was shown")
    if account is None:
        raise Refusal(401, "No user has the name in the certificate's CN")
    if not account.certificate_login:
        raise Refusal(403, "Certificate authentication is not allowed for this user")
    return account


def _on_behalf_of(state: State, call: Call, user: Account | None) -> Answer:
    app = _presented(state, call, "sessionToken", TokenKind.SESSION)
    if app.holder is not Holder.APP:
        raise Refusal(401, "The session is not one of an application")
    if user is None:
        raise Refusal(401, "The user is not known")
    return _granted(state, state.open_session(TokenKind.SESSION, user, Holder.ON_BEHALF_OF))


def _presented(state: State, call: Call, header: str, kind: TokenKind) -> Session:
    session = state.sessions.find(call.headers.get(header, ""), kind)
    if session is None:
        raise Refusal(401, "Invalid session")
    return session


def _open(state: State, kind: TokenKind, account: Account) -> Session:
    session = state.open_session(kind, account)
    state.journal.granted(kind, account.username)
    return session


def _granted(state: State, session: Session) -> Answer:
    if session.kind is TokenKind.KEY_MANAGER:
        return answer_json({"name": "keyManagerToken", "token": session.token})
    body = {"name": "sessionToken", "token": session.token}
    if session.holder is Holder.BOT:
        body["authorizationToken"] = f"Bearer {_access_token(state, session)}"
    return answer_json(body)


def _access_token(state: State, session: Session, scope: str = "") -> str:
    claims = {"sub": session.username, "scope": scope}
    return state.sessions.sign(claims, state.now() + ACCESS_TOKEN_LIFE)


POD_ROUTES = (
    Route("POST", "/login/pubkey/authenticate", session_by_key),
    Route("POST", "/login/pubkey/app/authenticate", app_session),
    Route("POST", "/login/pubkey/app/user/{userId}/authenticate", session_on_behalf_of_id),
    Route("POST", "/login/pubkey/app/username/{username}/authenticate", session_on_behalf_of_name),
    Route("POST", "/login/idm/tokens", access_token),
    Route("GET", "/login/idm/keys", access_token_keys),
)
SESSION_AUTH_ROUTES = (
    Route("POST", "/sessionauth/v1/authenticate", session_by_certificate),
    Route("POST", "/sessionauth/v1/logout", session_logout),
)
KEY_MANAGER_ROUTES = (
    Route("POST", "/relay/pubkey/authenticate", key_manager_by_key),
    Route("POST", "/keyauth/v1/authenticate", key_manager_by_certificate),
    Route("POST", "/keyauth/v1/logout", key_manager_logout),
)
