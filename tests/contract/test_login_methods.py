"""What every login method promises, whatever answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from email.utils import formatdate

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki import client_certificate, rsa_key
from support.clock import NOON
from support.scripted_pod import ON_PREMISES, KeyInHand
from symphony_auth_proxy.auth import LOGIN_METHODS, OnBehalfOfLogin
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import (
    GrantedToken,
    LoginMethod,
    LoginRequest,
    LoginResponse,
    TokenKind,
)

USERNAME = "pricing-bot"
MATERIAL = client_certificate(USERNAME)  # has a key too, so that it serves all methods

METHODS: dict[str, Callable[[str, KeySource], LoginMethod]] = {
    **LOGIN_METHODS,
    "onBehalfOf": lambda user, credentials: OnBehalfOfLogin("trading-app", user, credentials),
}
LOGINS = [
    *((method, kind) for method in LOGIN_METHODS for kind in TokenKind),
    ("onBehalfOf", TokenKind.SESSION),
]
every_method = pytest.mark.parametrize("method", METHODS)
every_login = pytest.mark.parametrize(("method", "kind"), LOGINS)
every_kind = pytest.mark.parametrize("kind", TokenKind)


def begun(
    method: str, kind: TokenKind, material: KeyMaterial = MATERIAL
) -> tuple[Generator[LoginRequest, LoginResponse, GrantedToken], LoginRequest]:
    """A login and its last request; the one before it, if any, has gone well."""
    login = METHODS[method](USERNAME, KeyInHand(material)).login(kind, ON_PREMISES, material, NOON)
    request = next(login)
    if method == "onBehalfOf":
        app_session = LoginResponse(200, {}, b'{"token": "app-session"}', received=NOON)
        request = login.send(app_session)
    return login, request


def outcome(
    method: str,
    kind: TokenKind,
    status: int = 200,
    document: object = None,
    *,
    body: bytes | None = None,
    **headers: str,
) -> GrantedToken | LoginError:
    """What the method makes of one answer."""
    content = json.dumps(document).encode() if body is None else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    login, _ = begun(method, kind)
    try:
        login.send(LoginResponse(status, named, content, received=NOON))
    except StopIteration as end:
        granted: GrantedToken = end.value
        return granted
    except LoginError as error:
        return error
    raise AssertionError("another request")


# What is sent.


@pytest.mark.parametrize(
    ("method", "kind", "host", "path"),
    [
        ("privateKey", TokenKind.SESSION, "acme.example:443", "/login/pubkey/authenticate"),
        ("privateKey", TokenKind.KEY_MANAGER, "km.acme.example:443", "/relay/pubkey/authenticate"),
        ("certificate", TokenKind.SESSION, "acme.example:8444", "/sessionauth/v1/authenticate"),
        ("certificate", TokenKind.KEY_MANAGER, "km.acme.example:443", "/keyauth/v1/authenticate"),
        (
            "onBehalfOf",
            TokenKind.SESSION,
            "acme.example:443",
            "/login/pubkey/app/username/pricing-bot/authenticate",
        ),
    ],
)
def test_each_kind_is_asked_for_at_its_own_place(
    method: str, kind: TokenKind, host: str, path: str
) -> None:
    _, request = begun(method, kind)
    assert (request.method, str(request.endpoint.origin), request.path) == ("POST", host, path)


@every_kind
def test_an_rsa_login_carries_a_signed_assertion_and_no_certificate(kind: TokenKind) -> None:
    _, request = begun("privateKey", kind)
    assert request.certificate is None
    assert request.json is not None
    assert list(request.json) == ["token"]
    assertion = request.json["token"]
    assert not isinstance(assertion, str)
    claims = jwt.decode(
        assertion.reveal(),
        rsa_key().public_key(),
        algorithms=["RS512"],
        options={"verify_exp": False},
    )
    assert claims == {"sub": USERNAME, "exp": NOON + 240}
    assert assertion.reveal() not in repr(request)


@every_kind
def test_a_certificate_login_carries_nothing_but_the_certificate(kind: TokenKind) -> None:
    _, request = begun("certificate", kind)
    assert request.certificate is MATERIAL
    assert request.json is None
    assert request.headers == ()


def test_a_certificate_login_without_a_certificate_says_what_is_missing() -> None:
    with pytest.raises(KeyMaterialError, match="holds a key alone"):
        begun("certificate", TokenKind.SESSION, KeyMaterial(rsa_key(), "one"))


# What is made of the answer.


@every_login
def test_a_token_is_granted(method: str, kind: TokenKind) -> None:
    granted = outcome(method, kind, document={"token": "0100ab", "name": "…"})
    assert isinstance(granted, GrantedToken)
    assert granted.value.reveal() == "0100ab"
    assert granted.expires_at is None
    assert not granted.simplified_key_delivery
    assert "0100ab" not in repr(granted)


@every_method
@pytest.mark.parametrize(
    ("ahead", "believed"),
    [(60, False), (61, True), (3600, True), (15 * 86_400 - 1, True), (15 * 86_400, False)],
)
def test_exp_is_believed_within_the_lives_that_sessions_have(
    method: str, ahead: int, believed: bool
) -> None:
    granted = outcome(method, TokenKind.SESSION, document=_jwt(exp=int(NOON) + ahead))
    assert isinstance(granted, GrantedToken)
    assert granted.expires_at == (NOON + ahead if believed else None)


@pytest.mark.parametrize("exp", [True, "soon", None, 1e400, [], -1])
def test_an_exp_that_is_no_time_is_ignored(exp: object) -> None:
    granted = outcome("privateKey", TokenKind.SESSION, document=_jwt(exp=exp))
    assert isinstance(granted, GrantedToken)
    assert granted.expires_at is None


@pytest.mark.parametrize(("claim", "simplified"), [(True, True), (False, False), ("true", False)])
def test_key_delivery_is_read_out_of_the_session_token(claim: object, simplified: bool) -> None:
    document = _jwt(canUseSimplifiedKeyDelivery=claim, sub=4711)  # some pods write numbers
    granted = outcome("privateKey", TokenKind.SESSION, document=document)
    assert isinstance(granted, GrantedToken)
    assert granted.simplified_key_delivery is simplified


@every_method
@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\0b", "a b", "ä", "\x7f", "tok\ten"])
def test_a_token_that_no_header_may_carry_is_an_error(method: str, text: str) -> None:
    error = outcome(method, TokenKind.SESSION, document={"token": text})
    assert isinstance(error, LoginProtocolError)
    assert error.reason is Reason.LOGIN_PROTOCOL


@every_method
@pytest.mark.parametrize("document", [{}, {"token": ""}, {"token": 1}, {"token": None}])
def test_an_answer_without_a_token_is_an_error(method: str, document: object) -> None:
    error = outcome(method, TokenKind.SESSION, document=document)
    assert isinstance(error, LoginProtocolError)
    assert error.reason is Reason.LOGIN_PROTOCOL


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"code": 404}'),
        (404, b""),
        (200, b"<html>"),
        (400, b"<html>"),
        (302, b""),
        (200, b"[]"),
    ],
)
@pytest.mark.parametrize(
    ("method", "expected"), [("privateKey", "port 443"), ("certificate", "8444")]
)
def test_what_is_no_symphony_login_is_told_with_host_and_port(
    method: str, expected: str, status: int, body: bytes
) -> None:
    error = outcome(method, TokenKind.SESSION, status, body=body)
    assert isinstance(error, LoginProtocolError)
    assert error.reason is Reason.WRONG_ENDPOINT
    assert expected in error.hint()
    assert "acme.example:" in error.hint()


@every_login
@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_a_rejection(method: str, kind: TokenKind, status: int) -> None:
    error = outcome(method, kind, status, {"code": status, "message": "No such user"})
    assert isinstance(error, LoginRejected)
    assert error.reason is Reason.LOGIN_REJECTED
    assert "No such user" in str(error)
    assert error.hint()


@every_method
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", b"<html>"])
def test_a_refusal_is_one_even_as_a_web_page(method: str, status: int, body: bytes) -> None:
    assert isinstance(outcome(method, TokenKind.SESSION, status, body=body), LoginRejected)


@every_login
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_not_a_rejection(method: str, kind: TokenKind, status: int) -> None:
    assert isinstance(outcome(method, kind, status, body=b"<html>"), LoginUnavailable)


@pytest.mark.parametrize("method", LOGIN_METHODS)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_key_manager_under_maintenance_is_passing_trouble(method: str, status: int) -> None:
    """As symphony-bdk-java#678 tells."""
    document = {
        "code": status,
        "message": "Call not allowed: KeyManager is not registered in the pod",
    }
    assert isinstance(outcome(method, TokenKind.KEY_MANAGER, status, document), LoginUnavailable)
    assert isinstance(outcome(method, TokenKind.SESSION, status, document), LoginRejected)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        (formatdate(NOON + 30, usegmt=True), 30.0),
        (formatdate(NOON - 30, usegmt=True), 0.0),
        ("soon", None),
        ("-1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float | None) -> None:
    error = outcome("privateKey", TokenKind.SESSION, 503, retry_after=value)
    assert isinstance(error, LoginUnavailable)
    assert error.retry_after == seconds


def test_a_date_to_retry_after_is_read_by_the_servers_own_clock() -> None:
    error = outcome(
        "privateKey",
        TokenKind.SESSION,
        503,
        retry_after=formatdate(NOON + 1030, usegmt=True),
        date=formatdate(NOON + 1000, usegmt=True),
    )
    assert isinstance(error, LoginUnavailable)
    assert error.retry_after == 30.0


@pytest.mark.parametrize(
    ("ahead", "words"), [(61, "61 seconds behind"), (-3600, "3600 seconds ahead")]
)
def test_a_refused_assertion_and_a_wrong_clock_belong_together(ahead: int, words: str) -> None:
    date = formatdate(NOON + ahead, usegmt=True)
    error = outcome("privateKey", TokenKind.SESSION, 401, date=date)
    assert isinstance(error, LoginRejected)
    assert error.reason is Reason.CLOCK_SKEW
    assert words in str(error)


@pytest.mark.parametrize(
    ("method", "date"),
    [
        ("privateKey", formatdate(NOON + 60, usegmt=True)),
        ("privateKey", "yesterday"),
        ("certificate", formatdate(NOON + 3600, usegmt=True)),
        ("onBehalfOf", formatdate(NOON + 3600, usegmt=True)),
    ],
)
def test_the_clock_is_not_blamed_without_reason(method: str, date: str) -> None:
    error = outcome(method, TokenKind.SESSION, 401, date=date)
    assert isinstance(error, LoginRejected)
    assert error.reason is Reason.LOGIN_REJECTED


JSON, PAGE, NOTHING = b'{"code": 0}', b"<html>", b""
KEY_REFUSED, CERTIFICATE_REFUSED = Diagnosis.KEY_NOT_ACCEPTED, Diagnosis.CERTIFICATE_NOT_ACCEPTED


@pytest.mark.parametrize(
    ("method", "status", "body", "diagnosis"),
    [
        ("privateKey", 401, JSON, KEY_REFUSED),
        ("privateKey", 401, NOTHING, KEY_REFUSED),
        ("certificate", 401, JSON, CERTIFICATE_REFUSED),
        ("onBehalfOf", 401, JSON, Diagnosis.USER_NOT_ACCEPTED),
        ("onBehalfOf", 403, JSON, Diagnosis.USER_NOT_ACCEPTED),
        ("onBehalfOf", 404, JSON, Diagnosis.USER_NOT_ACCEPTED),
        *[(method, 403, JSON, Diagnosis.ACCOUNT_NOT_ALLOWED) for method in LOGIN_METHODS],
        *[(method, 400, JSON, Diagnosis.LOGIN_REJECTED) for method in LOGIN_METHODS],
        *[(method, 401, PAGE, Diagnosis.GATEWAY_REFUSED) for method in METHODS],
        *[(method, 403, PAGE, Diagnosis.GATEWAY_REFUSED) for method in METHODS],
        *[(method, 503, JSON, Diagnosis.LOGIN_UNAVAILABLE) for method in METHODS],
        *[(method, 503, PAGE, Diagnosis.GATEWAY_UNAVAILABLE) for method in METHODS],
        ("privateKey", 404, PAGE, Diagnosis.NOT_SYMPHONY),
        ("privateKey", 200, PAGE, Diagnosis.NOT_SYMPHONY),
        ("certificate", 404, PAGE, Diagnosis.WRONG_PORT),
        ("certificate", 200, PAGE, Diagnosis.WRONG_PORT),
        *[(method, 200, JSON, Diagnosis.LOGIN_PROTOCOL) for method in METHODS],
    ],
)
def test_what_is_the_matter_with_a_session_login_has_a_name(
    method: str, status: int, body: bytes, diagnosis: Diagnosis
) -> None:
    error = outcome(method, TokenKind.SESSION, status, body=body)
    assert isinstance(error, LoginError)
    assert error.diagnosis is diagnosis


@pytest.mark.parametrize("method", LOGIN_METHODS)
@pytest.mark.parametrize("body", [JSON, PAGE, NOTHING])
def test_a_key_manager_that_is_down_has_a_name(method: str, body: bytes) -> None:
    error = outcome(method, TokenKind.KEY_MANAGER, 503, body=body)
    assert isinstance(error, LoginError)
    assert error.diagnosis is Diagnosis.KEY_MANAGER_UNAVAILABLE


@pytest.mark.parametrize("method", LOGIN_METHODS)
def test_a_key_manager_that_is_not_registered_has_a_name(method: str) -> None:
    document = {"message": "The KeyManager is not registered in the pod"}
    error = outcome(method, TokenKind.KEY_MANAGER, 403, document)
    assert isinstance(error, LoginError)
    assert error.diagnosis is Diagnosis.KEY_MANAGER_NOT_REGISTERED


def test_an_app_that_is_refused_has_a_name() -> None:
    login = METHODS["onBehalfOf"](USERNAME, KeyInHand(MATERIAL)).login(
        TokenKind.SESSION, ON_PREMISES, MATERIAL, NOON
    )
    next(login)
    with pytest.raises(LoginRejected) as refused:
        login.send(LoginResponse(401, {}, JSON, received=NOON))
    assert refused.value.diagnosis is Diagnosis.APP_NOT_ACCEPTED


def test_a_message_from_the_server_is_quoted_harmlessly() -> None:
    _, request = begun("privateKey", TokenKind.SESSION)
    assert request.json is not None
    assertion = request.json["token"]
    assert not isinstance(assertion, str)
    message = f"bad\x1b[31m\r\ntoken {assertion.reveal()} " + "x " * 500
    error = outcome("privateKey", TokenKind.SESSION, 401, {"message": message})
    assert "bad [31m token … x" in str(error)
    assert len(str(error)) < 300


BODIES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["token", "message", "code"]), st.text() | st.integers() | st.none()
    ).map(lambda document: json.dumps(document).encode()),
    st.text("ey.=0-_", max_size=40).map(lambda token: json.dumps({"token": token}).encode()),
)
HEADERS = st.fixed_dictionaries({}, optional={"date": st.text(), "retry_after": st.text()})


@given(
    st.sampled_from(LOGINS),
    st.integers(100, 599),
    BODIES,
    HEADERS,
)
def test_no_answer_whatsoever_ends_otherwise(
    login: tuple[str, TokenKind], status: int, body: bytes, headers: dict[str, str]
) -> None:
    method, kind = login
    made = outcome(method, kind, status, body=body, **headers)
    if isinstance(made, GrantedToken):
        assert status == 200
        assert all("!" <= character <= "~" for character in made.value.reveal())
    else:
        assert isinstance(made, LoginRejected | LoginUnavailable | LoginProtocolError)
        assert str(made).isprintable()


def _jwt(**claims: object) -> dict[str, str]:
    return {"token": jwt.api_jws.encode(json.dumps(claims).encode(), "k" * 64, algorithm="HS512")}
