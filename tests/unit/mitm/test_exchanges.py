"""What people may see of an exchange: everything, but nothing secret, whatever comes back."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.canaries import Canaries
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.errors import LoginRejected
from symphony_auth_proxy.mitm.exchanges import LONGEST_TEXT, Shown, shown
from symphony_auth_proxy.model import Endpoint, LoginRequest, LoginResponse, Origin
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import Exchange
from symphony_auth_proxy.transport.sender import message

NOW = 1_795_000_000.0

ASSERTION = jwt.encode({"sub": "pricing-bot", "exp": int(NOW) + 240}, "a" * 64, "HS512")
SESSION = jwt.encode({"sub": "pricing-bot", "exp": int(NOW) + 3600}, "s" * 64, "HS512")
KEY_MANAGER = "0100" + "8b1d4e7fa2c35960" * 24
OPAQUE = "Zq/7+Yw=kP.3~x/Rt+9Lm=vB/2Hn+5Cd=eF/8Gj"
GATEWAY_KEY = "gk-Vh4Tq9Zp2Lm7Xc"
COOKIE = "5d41402abc4b2a76b9719d911017c592"


def request(**changes: Any) -> LoginRequest:
    values: dict[str, Any] = {
        "endpoint": Endpoint(
            Origin("acme.example", 443), "/gateway", headers=(("X-Api-Key", Secret(GATEWAY_KEY)),)
        ),
        "path": "/login/pubkey/authenticate",
        "json": {"token": Secret(ASSERTION)},
    }
    return LoginRequest(**(values | changes))


def answered(
    body: bytes | object,
    status: int = 200,
    sent: LoginRequest | None = None,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> Shown:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = LoginResponse(status, headers or {}, octets, NOW)
    return shown(Exchange(sent or request(), NOW - 1, NOW, response, **changes))


def body_of(told: Shown) -> Any:
    assert told.answer is not None
    return json.loads(told.answer.body)


def everything(told: Shown) -> bytes:
    """All that is shown, once more with what JSON escapes and what is encoded in it."""
    answer = told.answer
    fields = [] if answer is None else [part for field in answer.headers for part in field]
    body = b"" if answer is None else answer.body
    sent = [part.encode() for field in told.request.headers for part in field]
    try:
        plain = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):  # Python 3.12 reads less deep nesting than 3.13
        plain = b""
    parts = [told.request.target.encode(), told.request.body, body, plain, told.why.encode()]
    return b"\n".join([*parts, *sent, *fields])


CANARIES = Canaries()
for kind, secret in {
    "assertion": ASSERTION,
    "session": SESSION,
    "key manager": KEY_MANAGER,
    "opaque": OPAQUE,
    "gateway key": GATEWAY_KEY,
    "cookie": COOKIE,
}.items():
    CANARIES.add(kind, secret)


# What was sent


def test_what_was_sent_is_shown_as_it_went_out_but_for_the_secrets():
    sent, wire = shown(Exchange(request(), NOW, NOW)).request, message(request())
    assert sent.target == wire.target == "/gateway/login/pubkey/authenticate"
    assert [name for name, _ in sent.headers] == [name for name, _ in wire.headers]
    secret = {"X-Api-Key", "Content-Length"}
    plain = [field for field in sent.headers if field[0] not in secret]
    assert plain == [field for field in wire.headers if field[0] not in secret]
    assert dict(sent.headers)["X-Api-Key"] == masked(GATEWAY_KEY)
    assert json.loads(sent.body) == {"token": masked(ASSERTION)}
    assert dict(sent.headers)["Content-Length"] == str(len(sent.body))


def test_a_token_that_a_login_sends_in_a_header_is_shown_without_its_signature():
    sent = request(json=None, headers=(("sessionToken", Secret(SESSION)),))
    told = shown(Exchange(sent, NOW, NOW)).request
    assert dict(told.headers)["sessionToken"] == masked(SESSION)
    assert told.body == b""


# What came back


def test_a_token_is_shown_by_its_claims_and_told_by_its_fingerprint():
    told = answered({"token": SESSION, "name": "sessionToken"})
    assert body_of(told) == {"token": masked(SESSION), "name": "sessionToken"}
    assert told.fingerprint == Secret(SESSION).fingerprint()
    assert told.expires == NOW + 3600
    assert told.why == ""


def test_a_key_manager_token_is_a_fingerprint_and_no_more():
    told = answered({"token": KEY_MANAGER, "name": "keyManagerToken"})
    assert body_of(told)["token"] == f"[sealed #{Secret(KEY_MANAGER).fingerprint()}]"
    assert told.expires is None


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "authorizationToken",
        "access_token",
        "symphonyToken",
        "appToken",
        "authToken",
        "sessionToken",
    ],
)
def test_every_secret_field_of_symphonys_is_masked_however_deep(name: str):
    told = answered({"a": [{name: {"value": [OPAQUE, "short", 12345678901234]}}]})
    text = json.dumps(body_of(told))
    assert OPAQUE not in text
    assert "short" not in text
    assert "12345678901234" not in text


@pytest.mark.parametrize("name", ["Set-Cookie", "sessionToken", "X-Access-Token", "Authorization"])
def test_a_header_that_holds_a_token_is_masked(name: str):
    told = answered({}, headers={name.lower(): f"skey={COOKIE}; Path=/"})
    assert told.answer is not None
    assert dict(told.answer.headers)[name.lower().encode()].startswith(b"[sealed #")
    assert CANARIES.found_in(everything(told)) == set()


def test_other_headers_stay():
    kept = {
        "date": "Sun, 06 Nov 1994 08:49:37 GMT",
        "www-authenticate": 'Basic realm="gateway"',
        "x-request-id": "3f0c1a52-6a5e-4f0e-9d8b-0c2d3e4f5a6b",
        "server": "nginx/1.24.0 (Ubuntu)",
    }
    told = answered({}, 401, headers=kept)
    assert told.answer is not None
    assert {n.decode(): v.decode() for n, v in told.answer.headers} == kept


def test_lengths_and_encodings_tell_of_what_is_shown():
    headers = {"content-length": "999", "content-encoding": "gzip", "transfer-encoding": "chunked"}
    told = answered(b"\x1f\x8b\x08\x00", headers=headers)
    assert told.answer is not None
    assert told.answer.body == b"[not shown: 4 bytes that are no text]"
    assert dict(told.answer.headers) == {b"content-length": str(len(told.answer.body)).encode()}


def test_an_error_page_is_shown_as_it_is():
    page = "<html><body><h1>403 Forbidden</h1><p>Zugriff für pricing-bot gesperrt</p></body></html>"
    for charset in ("utf-8", "latin-1"):
        told = answered(page.encode(charset), 403)
        assert told.answer is not None
        assert told.answer.body == page.encode(charset)


def test_an_error_page_is_bounded():
    told = answered(b"<p>words of no end</p>" * 1000, 502)
    assert told.answer is not None
    assert len(told.answer.body) < LONGEST_TEXT + 100
    assert told.answer.body.endswith(b"\n[and 13808 bytes more]")


def _as_attribute(secret: str) -> str:
    return f"<p title='{secret}'>"


ECHOES: dict[str, Callable[[str], str]] = {
    "whole": lambda secret: f"cannot read {secret}, sorry",
    "its end": lambda secret: f"…{secret[-20:]}",
    "a piece of the middle": lambda secret: f"at {secret[-30:-14]}!",
    "in a URL": lambda secret: f"https://sso.example/back?state={quote(secret, safe='')}&x=1",
    "in base64": lambda secret: base64.b64encode(f"x{secret}y".encode()).decode(),
    "in base64 for URLs": lambda secret: base64.urlsafe_b64encode(
        f"\xffx{secret}".encode()
    ).decode(),
    "in hex": lambda secret: secret.encode().hex(),
    "in capitals": str.upper,
    "in JSON in JSON": lambda secret: json.dumps({"x": secret}).replace("/", "\\/"),
    "as an attribute": _as_attribute,
    "as a cookie": lambda secret: f"skey={secret}; Path=/",
    "as a credential": lambda secret: f"Authorization: Bearer {secret}",
}


@pytest.mark.parametrize("how", ECHOES)
@pytest.mark.parametrize("what", ["assertion", "gateway key", "token", "opaque token"])
@pytest.mark.parametrize("where", ["message", "key", "page", "header", "header's name", "list"])
def test_an_answer_that_says_a_secret_back_does_not_show_it(how: str, what: str, where: str):
    secret = {
        "assertion": ASSERTION,
        "gateway key": GATEWAY_KEY,
        "token": SESSION,
        "opaque token": OPAQUE,
    }[what]
    said = ECHOES[how](secret)
    token = {"token": secret} if what in {"token", "opaque token"} else {}
    document: object = {"code": 401, **token}
    headers = {"session-token": secret} if token else {}
    match where:
        case "message":
            told = answered({"code": 401, "message": said, **token}, 401)
        case "key":
            told = answered({said: 1, **token}, 401)
        case "list":
            told = answered([[said], token], 401)
        case "page":
            told = answered(f"<html><p>{said}</p></html>".encode(), 401, headers=headers)
        case "header":
            told = answered(document, 401, headers={"x-debug": said})
        case _:
            told = answered(document, 401, headers={said.lower(): "1"})
    assert CANARIES.found_in(everything(told)) == set()
    assert pieces(secret, everything(told)) == set()


def pieces(secret: str, haystack: bytes) -> set[bytes]:
    """Every twelve bytes of a secret's own that are in there, in whatever letter case. Header
    and claims of a JWT are nothing of its own."""
    own = secret.rpartition(".")[2] if secret.startswith("eyJ") else secret
    octets, lower = own.lower().encode(), haystack.lower()
    return {octets[i : i + 12] for i in range(len(octets) - 11)} & {
        lower[i : i + 12] for i in range(len(lower) - 11)
    }


def test_what_looks_like_a_token_is_masked_whosever_it_is():
    strange, request_id = (
        "5f4dcc3b5aa765d61d8327deb882cf99ab",
        COOKIE[:8] + "-1b2c-4d5e-8f90-a1b2c3d4e5f6",
    )
    text = f"the session {strange} of request {request_id} has ended"
    shown_text = f"the session {masked(strange)} of request {request_id} has ended"
    assert body_of(answered({"message": text}, 401)) == {"message": shown_text}
    page = answered(text.encode(), 401).answer
    assert page is not None
    assert page.body == shown_text.encode()


def test_the_words_around_an_echo_stay():
    told = answered({"message": f"the token {ASSERTION} is not for this pod"}, 401)
    assert body_of(told) == {"message": f"the token {masked(ASSERTION)} is not for this pod"}


def test_a_token_inside_the_claims_of_another_is_not_shown():
    """The claims are shown, and could be decoded."""
    outer = jwt.encode({"sub": "pricing-bot", "inner": OPAQUE}, "k" * 64, "HS512")
    told = answered({"token": outer, "authToken": OPAQUE})
    for piece in body_of(told)["token"].split(".")[:2]:
        padded = piece.replace("[sealed]", "") + "==="
        assert OPAQUE.encode() not in base64.urlsafe_b64decode(padded[: len(padded) // 4 * 4])
    assert CANARIES.found_in(everything(told)) == set()


def test_an_answer_made_to_keep_us_busy_does_not():
    nested = b'{"token":' * 400 + b'["a","b"' + b',"c"' * 8000 + b"]" + b"}" * 400
    many = json.dumps({f"{n}": "x" for n in range(5000)}).encode()
    for body in (nested, many):
        begun = time.process_time()
        answered(body)
        assert time.process_time() - begun < 5


def test_doubles_that_a_parser_drops_are_shown_and_known_as_secrets():
    told = answered(
        f'{{"token": "{OPAQUE}", "token": "other", "message": "{OPAQUE[5:30]}"}}'.encode()
    )
    assert pieces(OPAQUE, everything(told)) == set()
    assert body_of(told)["token"] == [masked(OPAQUE), masked("other")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_json_in_other_encodings_is_read_and_pages_in_them_are_not_shown(encoding: str):
    told = answered(json.dumps({"token": OPAQUE}).encode(encoding))
    assert body_of(told) == {"token": masked(OPAQUE)}
    told = answered(f"<p>{OPAQUE}</p>".encode(encoding), 500)
    assert told.answer is not None
    assert told.answer.body.startswith(b"[not shown: ")


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": ' + b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 900 + b'{"token": "%b"}' % OPAQUE.encode() + b"}" * 900,
        b'{"token": "%b", "n": %b}' % (OPAQUE.encode(), b"9" * 5000),
        json.dumps({f"token{i}Token": f"{OPAQUE}{i}" for i in range(900)}).encode(),
        b'{"token": "\\ud800%b", "\\udfff": "\\ud800"}' % OPAQUE.encode(),
        b"ey" * 32_000,
        b"token" * 12_000,
        b'"token":"' * 7_000,
        b"{}",
        b"",
        b"null",
        b'"%b"' % ASSERTION.encode(),
        b"\x00\xff",
    ],
)
def test_junk_is_borne(body: bytes):
    told = answered(body, 200)
    assert told.answer is not None
    assert pieces(OPAQUE, everything(told)) == set()
    assert pieces(ASSERTION, everything(told)) == set()


def test_an_answer_of_nothing_but_secrets_is_not_searched_for_each_of_them():
    told = answered({f"token{number}Token": OPAQUE * 2 for number in range(500)})
    assert told.answer is not None
    assert told.answer.body == b"[not shown: too many secrets]"
    assert told.answer.headers == ()


def test_why_it_was_refused_is_told_without_what_the_refusal_quotes():
    error = LoginRejected(
        f"the login was refused (status 403, 'bad key {GATEWAY_KEY}')", hint="ask the gateway"
    )
    told = answered({}, 403, error=error)
    assert told.why == "the login was refused (status 403, 'bad key [sealed]'); ask the gateway"
    assert told.fingerprint == ""


@pytest.mark.parametrize("expiry", [1e400, 10**400, "soon", [1], None, 1e12])
def test_an_end_that_is_no_instant_is_not_told(expiry: object):
    token = jwt.encode({"sub": "x", "end": 1}, "k" * 64, "HS512")
    claims = json.dumps({"exp": expiry}).replace("Infinity", "1e400").encode()
    middle = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
    token = ".".join([token.split(".")[0], middle, token.split(".")[2]])
    assert answered({"token": token}).expires is None


# Anything at all

_DISGUISES: list[Callable[[str], str]] = [
    *ECHOES.values(),
    lambda secret: secret,
    lambda secret: secret[len(secret) // 2 :],
    lambda secret: secret[: len(secret) // 2],
]


@st.composite
def _texts(draw: st.DrawFn) -> str:
    plain = st.text(max_size=20)
    if draw(st.booleans()):
        return draw(plain)
    secret = draw(st.sampled_from([ASSERTION, SESSION, OPAQUE, GATEWAY_KEY]))
    return draw(plain) + draw(st.sampled_from(_DISGUISES))(secret) + draw(plain)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _texts(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.dictionaries(_texts(), _JSON, max_size=3), st.lists(_texts(), max_size=3))
def test_no_answer_shows_a_secret_wherever_it_stands(
    value: Any, more: dict[str, Any], headers: list[str]
):
    document = {"anything": value, **more, "token": SESSION, "authToken": OPAQUE}
    fields = {f"x-{number}": text for number, text in enumerate(headers)}
    told = answered(document, headers=fields)
    seen = everything(told)
    assert CANARIES.found_in(seen) == set()
    for secret in (ASSERTION, SESSION, OPAQUE, GATEWAY_KEY):
        assert pieces(secret, seen) == set()


@given(st.binary(max_size=200), st.sampled_from([ASSERTION, GATEWAY_KEY]), st.binary(max_size=200))
def test_no_bytes_show_what_was_sent(before: bytes, secret: str, after: bytes):
    seen = everything(answered(before + secret.encode() + after, 500))
    assert pieces(secret, seen) == set()
