"""Logins on behalf of users: two requests, the second one's path out of a client's hand."""

from __future__ import annotations

import json
from collections.abc import Generator
from email.utils import formatdate
from urllib.parse import unquote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki import rsa_key
from support.clock import NOON
from support.scripted_pod import ON_PREMISES, KeyInHand, key
from symphony_auth_proxy.auth import OnBehalfOfLogin
from symphony_auth_proxy.core.names import is_user
from symphony_auth_proxy.errors import (
    LoginError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)
from symphony_auth_proxy.model import GrantedToken, LoginRequest, LoginResponse, TokenKind

type Login = Generator[LoginRequest, LoginResponse, GrantedToken]


def login(user: str = "alice") -> Login:
    method = OnBehalfOfLogin("trading-app", user, KeyInHand(key()))
    return method.login(TokenKind.SESSION, ON_PREMISES, key(), NOON)


def said(status: int, *, body: bytes | None = None, **document: object) -> LoginResponse:
    content = json.dumps(document).encode() if body is None else body
    return LoginResponse(status, {}, content, received=NOON)


def second_request(user: str) -> LoginRequest:
    talk = login(user)
    next(talk)
    return talk.send(said(200, token="app-session", name="sessionToken"))


def test_the_apps_own_session_comes_first_for_an_assertion() -> None:
    request = next(login())
    assert request.path == "/login/pubkey/app/authenticate"
    assert (request.method, request.endpoint, request.headers) == ("POST", ON_PREMISES.pod, ())
    assert request.json is not None
    assertion = request.json["token"]
    assert not isinstance(assertion, str)
    claims = jwt.decode(
        assertion.reveal(),
        rsa_key().public_key(),
        algorithms=["RS512"],
        options={"verify_exp": False},
    )
    assert claims == {"sub": "trading-app", "exp": NOON + 240}


def test_then_the_users_for_the_apps_without_a_body() -> None:
    request = second_request("alice")
    assert request.path == "/login/pubkey/app/username/alice/authenticate"
    assert (request.method, request.endpoint, request.json) == ("POST", ON_PREMISES.pod, None)
    assert [(name, value.reveal()) for name, value in request.headers] == [
        ("sessionToken", "app-session")
    ]
    assert "app-session" not in repr(request)


@pytest.mark.parametrize(
    ("user", "place"),
    [
        ("349871113483264", "user/349871113483264"),
        ("alice@acme.example", "username/alice%40acme.example"),
        ("Ann Lee", "username/Ann%20Lee"),
        ("josé", "username/jos%C3%A9"),
        ("a?b#c;d%2f", "username/a%3Fb%23c%3Bd%252f"),
        ("٣", "username/%D9%A3"),
        ("4711a", "username/4711a"),
    ],
)
def test_digits_are_an_id_and_all_else_is_a_name_in_one_segment(user: str, place: str) -> None:
    assert second_request(user).path == f"/login/pubkey/app/{place}/authenticate"


@given(st.text(max_size=300))
def test_no_name_moves_the_login_to_another_path(user: str) -> None:
    if not is_user(user):
        return
    path = second_request(user).path
    assert path.isascii()
    *before, name, after = path.split("/")
    assert before in (
        ["", "login", "pubkey", "app", "user"],
        ["", "login", "pubkey", "app", "username"],
    )
    assert (unquote(name), after) == (user, "authenticate")
    assert not set(path) & set("?#;\\ ")


def refused(at: int, status: int, **document: object) -> LoginError:
    talk = login()
    next(talk)
    try:
        if at == 1:
            talk.send(said(status, **document))
        talk.send(said(200, token="app-session"))
        talk.send(said(status, **document))
    except LoginError as error:
        return error
    raise AssertionError("the login went well")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_app_is_told_from_a_refused_user(status: int) -> None:
    app, user = (refused(step, status, message="no") for step in (1, 2))
    for error in (app, user):
        assert isinstance(error, LoginRejected)
        assert error.reason is Reason.LOGIN_REJECTED
    assert "imported for it" in app.hint()
    assert "this user exists" in user.hint()


def test_a_user_who_is_not_found_is_refused_and_a_missing_page_is_not() -> None:
    assert isinstance(refused(2, 404, message="User not found"), LoginRejected)
    page = refused(2, 404, body=b"<html>")
    assert isinstance(page, LoginProtocolError)
    assert page.reason is Reason.WRONG_ENDPOINT
    assert isinstance(refused(1, 404, message="Not found"), LoginProtocolError)


@pytest.mark.parametrize("step", [1, 2])
def test_an_outage_in_either_step_is_passing(step: int) -> None:
    assert isinstance(refused(step, 503), LoginUnavailable)


def test_only_the_step_with_an_assertion_depends_on_the_clock() -> None:
    wrong = LoginResponse(401, {"date": formatdate(NOON + 900, usegmt=True)}, b"{}", received=NOON)
    talk = login()
    next(talk)
    with pytest.raises(LoginRejected, match="900 seconds behind"):
        talk.send(wrong)
    talk = login()
    next(talk)
    talk.send(said(200, token="app-session"))
    with pytest.raises(LoginRejected) as caught:
        talk.send(wrong)
    assert caught.value.reason is Reason.LOGIN_REJECTED


def test_there_is_no_key_manager_token() -> None:
    method = OnBehalfOfLogin("trading-app", "alice", KeyInHand(key()))
    with pytest.raises(LoginProtocolError):
        next(method.login(TokenKind.KEY_MANAGER, ON_PREMISES, key(), NOON))
