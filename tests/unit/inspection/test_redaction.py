"""What becomes of secrets in recorded texts: wherever they stand, however they are written."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, urlencode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.canaries import Canaries
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.inspection.redaction import Redactor
from symphony_auth_proxy.inspection.secret_kinds import Kind, kind_of
from symphony_auth_proxy.secret import Secret

SESSION = jwt.encode({"sub": "pricing-bot", "exp": 4_102_444_800}, "k" * 64, "HS512")
SIGNATURE = SESSION.rpartition(".")[2]
OPAQUE = "0100" + "8c3fd17be2" * 38
KEY_LINES = "\n".join(
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQ" + 14 * c for c in "abcdef"
)
KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINES}\n-----END PRIVATE KEY-----\n"


def sealed(secret: str) -> str:
    return f"[sealed #{Secret(secret).fingerprint()}]"


def body(text: str) -> str:
    return Redactor().body(text.encode()).decode()


def test_of_a_jwt_header_and_claims_stay_as_in_live_flows() -> None:
    assert body(f"it was {SESSION}, I think") == f"it was {masked(SESSION)}, I think"
    assert SIGNATURE not in masked(SESSION)


@pytest.mark.parametrize(
    "name",
    [
        *("token", "authorizationToken", "access_token", "symphonyToken", "appToken", "authToken"),
        *("sessionToken", "keyManagerToken", "session_token", "Key-Manager-Token", "password"),
    ],
)
def test_json_fields_are_told_by_their_names(name: str) -> None:
    shown = body(json.dumps({"a": [{name: "s3cret/of=it"}], "message": "Invalid token: expired"}))
    assert json.loads(shown) == {
        "a": [{name: sealed("s3cret/of=it")}],
        "message": "Invalid token: expired",
    }


@pytest.mark.parametrize(
    ("template", "written", "secret"),
    [
        ('{"token":"*"}', "a\\/b", "a/b"),
        ('{"token" : "*", "a": 1}', "é\\u00e9", "éé"),
        ('{"token": "*', "it is cut o", "it is cut o"),
        ('{"name": "X-Api-Key", "value": "*"}', "k1", "k1"),
        ("{'sessionToken': '*'}", "abc", "abc"),
        ("<token>*</token>", "abc", "abc"),
        ("sessionToken: *\r\nAccept: text/plain", OPAQUE, OPAQUE),
        ('form-data; name="token"\r\nContent-Type: text/plain\r\n\r\n*\r\n--x', "abc", "abc"),
        ("Cookie: a=*; path", "abc", "abc"),
        ("curl -H 'Authorization: Bearer *'", OPAQUE, OPAQUE),
        ('var page = {csrfToken: "*"}', "abc", "abc"),
        ("password: '*'", "abc", "abc"),
        ("{'token': b'*'}", "abc", "abc"),
        ('{"token" => "*"}', "abc", "abc"),
        ("<a token='*'/>", "abc", "abc"),
        ('<Password Type="#PasswordText">*</Password>', "abc", "abc"),
        ("<token><![CDATA[*]]></token>", "abc", "abc"),
        ('<input name="SAMLResponse" type="hidden" value="*">', "abc", "abc"),
        ('<meta name="csrf-token" content="*">', "abc", "abc"),
        ('<a data-page="{&quot;token&quot;:&quot;*&quot;}">', "abc", "abc"),
        ('[{"key": "token", "value": "*"}]', "abc", "abc"),
    ],
)
def test_it_reads_what_texts_are_written_in(template: str, written: str, secret: str) -> None:
    assert body(template.replace("*", written)) == template.replace("*", sealed(secret))


@pytest.mark.parametrize(
    "template",
    [
        *("a=1&token=*&c=2", "/x?token=*#y", "http://me:*@proxy/"),
        *("user[password]=*&a=1", "token[]=*", "user%5Bpassword%5D=*&a=1"),
    ],
)
def test_in_urls_the_mask_is_one_that_urls_can_hold(template: str) -> None:
    shown = template.replace("*", f"sealed-{Secret('a/b').fingerprint()}")
    assert body(template.replace("*", "a%2Fb")) == shown


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ('{"tok\\u0065n": "abc"}', {"token": sealed("abc")}),
        ('\ufeff{"tok\\u0065n": "abc"}', {"token": sealed("abc")}),
        ('{"appToken": ["x1", {"a": "y2"}]}', {"appToken": [sealed("x1"), {"a": sealed("y2")}]}),
        ('{"token": 123456}', {"token": sealed("123456")}),
        ('{"token": null, "appToken": "", "b": 1.0}', {"token": None, "appToken": "", "b": 1.0}),
    ],
)
def test_in_json_the_structure_tells_what_the_text_does_not(document: str, shown: object) -> None:
    assert json.loads(body(document)) == shown


@pytest.mark.parametrize(
    "text",
    [
        '{"code":401,"message":"Invalid session token: not found"}',
        "Basic authentication is required, Bearer tokens are not",
        '{"message": "Authorization: required", "tokenType": "Bearer", "expires_in": 300}',
        'WWW-Authenticate: Basic realm="symphony"',
        f"eyewear.example.com [sealed pricing-bot #7f3a gen 3] {masked(SESSION)}",
        "GET /pod/v2/sessioninfo?token=sealed-7f3a&uid=71811853189212",
    ],
)
def test_what_is_no_secret_stays_letter_by_letter(text: str) -> None:
    assert body(text) == text


@pytest.mark.parametrize("text", [KEY, json.dumps({"x": KEY}), quote(KEY), KEY[:-60]])
def test_private_keys_go_as_a_whole(text: str) -> None:
    shown = body(text)
    assert "PRIVATE KEY" not in shown
    assert not any(line in shown for line in KEY_LINES.split("\n"))
    assert Secret(KEY_LINES).fingerprint() in shown or text == KEY[:-60]


def test_headers_keep_their_form() -> None:
    redactor = Redactor()

    def header(name: str, value: str) -> str:
        return redactor.member(name, value.encode()).decode()

    assert header("session_token", SESSION) == masked(SESSION)
    assert header("Authorization", f"Bearer {SESSION}") == f"Bearer {masked(SESSION)}"
    credentials = base64.b64encode(b"pricing:open sesame").decode()
    assert header("Proxy-Authorization", f"Basic {credentials}") == (
        f"Basic [sealed pricing #{Secret(credentials).fingerprint()}]"
    )
    key_alone = base64.b64encode(b"an-api-key:").decode()
    assert header("Authorization", f"Basic {key_alone}") == f"Basic {sealed(key_alone)}"
    assert header("Cookie", "skey=abc; lang=en") == f"skey={sealed('abc')}; lang={sealed('en')}"
    assert header("Set-Cookie", "skey=abc; Path=/; Expires=Wed, 21 Oct 2026") == (
        f"skey={sealed('abc')}; Path=/; Expires=Wed, 21 Oct 2026"
    )
    assert header("Cookie", f"{OPAQUE}; lang") == f"{sealed(OPAQUE)}; lang"
    assert header("X-Trace-Id", "Ab3xY9") == "Ab3xY9"
    assert header("Location", f"https://x/?access_token={SESSION}").endswith(
        f".sealed-{Secret(SESSION).fingerprint()}"
    )


def test_names_are_told_in_every_spelling_and_nothing_else_is() -> None:
    for name in ("sessionToken", "session-token", "SESSION_TOKEN", "sessiontoken"):
        assert kind_of(name) is Kind.SESSION_TOKEN
    for name in ("X-JWT-Assertion", "X-Forwarded-Authorization", "Set-Cookie2", "token[0]"):
        assert kind_of(name) is not None
    for name in ("token_type", "tokens", "messageId", "publicKey", "X-Trace-Id", "name", "ackId"):
        assert kind_of(name) is None


def test_a_secret_in_two_segments_is_found_and_the_segments_stay() -> None:
    head = b"GET / HTTP/1.1\r\nsessionToken: "
    parts = [head + OPAQUE[:100].encode(), OPAQUE[100:].encode() + b"\r\n\r\n", b"next"]
    assert Redactor().stream(parts) == [head + sealed(OPAQUE).encode(), b"\r\n\r\n", b"next"]


def test_what_is_known_is_found_where_nothing_tells_it() -> None:
    redactor = Redactor()
    redactor.member("keyManagerToken", OPAQUE.encode())
    redactor.member("sessionToken", SESSION.encode())
    redactor.seek_echoes()
    for secret, part in ((OPAQUE, OPAQUE), (OPAQUE, OPAQUE[-40:]), (SESSION, SIGNATURE)):
        assert redactor.text(f"echo {part}!".encode()).decode() == f"echo {sealed(secret)}!"
    assert [finding.kind for finding in redactor.findings] == [
        Kind.KEY_MANAGER_TOKEN,
        Kind.SESSION_TOKEN,
    ]


def test_what_is_short_or_a_name_is_masked_in_its_place_only() -> None:
    redactor = Redactor()
    redactor.body(b'{"token": "keyManagerToken", "password": "yes"}')
    redactor.member("Cookie", b"user=pricing-bot")
    redactor.seek_echoes()
    text = b"yes, pricing-bot sends a keyManagerToken"
    assert redactor.text(text) == text


def test_a_password_that_sounds_like_a_name_is_looked_for_all_the_same() -> None:
    redactor = Redactor()
    redactor.body(b'{"password": "not-a-good-password"}')
    redactor.seek_echoes()
    assert b"not-a-good" not in redactor.text(b"wrong: not-a-good-password")


TOKENS = (
    st.text("0123456789abcdef", min_size=24, max_size=400)
    | st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=24, max_size=90)
    | st.binary(min_size=24, max_size=60).map(lambda octets: base64.b64encode(octets).decode())
    | st.binary(min_size=32, max_size=64).map(
        lambda key: jwt.encode({"sub": "pricing-bot", "iss": "Pod 1"}, key, "HS256")
    )
)
TELLERS = st.sampled_from(
    [
        lambda secret: ("sessionToken", secret),
        lambda secret: ("Authorization", f"Bearer {secret}"),
        lambda secret: (
            "Authorization",
            f"Basic {base64.b64encode(f'bot:{secret}'.encode()).decode()}",
        ),
        lambda secret: ("Cookie", f"a=b; skey={secret}"),
        lambda secret: ("x", json.dumps({"a": {"symphonyToken": secret}})),
        lambda secret: ("x", json.dumps(json.dumps({"token": secret}))),
        lambda secret: ("x", urlencode({"uid": 1, "access_token": secret})),
        lambda secret: ("x", f"https://acme/?back={quote(f'https://b/?token={secret}', safe='')}"),
    ]
)
DISGUISES = st.sampled_from(
    [
        str,
        lambda secret: f"Invalid session {secret}.",
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps({"said": secret}),
        lambda secret: json.dumps(json.dumps({"said": secret})),
        lambda secret: base64.b64encode(f"x{secret}y".encode()).decode(),
        lambda secret: base64.b64encode(f"ab{secret}y".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: secret.encode().hex(),
        lambda secret: secret[-40:],
        lambda secret: secret.rpartition(".")[2],
    ]
)


@given(TOKENS, TELLERS, st.lists(DISGUISES, max_size=4), st.booleans())
def test_no_form_of_a_secret_is_left_anywhere(secret, teller, disguises, told_last) -> None:
    name, telling = teller(secret)
    texts = [disguise(secret) for disguise in disguises]
    redactor = Redactor()

    def everything() -> str:
        told = redactor.member(name, telling.encode())
        shown = [redactor.body(text.encode()) for text in texts]
        return b"\n".join([*shown, told] if told_last else [told, *shown]).decode()

    everything()
    redactor.seek_echoes()
    shown = everything()
    canaries = Canaries()
    canaries.add("token", secret)
    assert canaries.found_in(shown.encode()) == set()
    again = Redactor()
    assert again.body(shown.encode()).decode() == shown
    assert again.findings == ()


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_texts_without_secrets_survive_as_they_are(data: bytes) -> None:
    redactor = Redactor()
    if redactor.body(data) != data:
        assert redactor.findings, "what is changed is told"


@pytest.mark.parametrize(
    "data",
    [
        *(b"A" * 500_000, b'"' * 500_000, b'\\"' * 250_000, b"%41" * 160_000, b'token":"' * 60_000),
        *(b"eyJhbGciOi" * 50_000, b"-----BEGIN PRIVATE KEY-----" * 20_000, b"cookie=a=b;" * 50_000),
        *(b"token" + b"form-data; name=" * 30_000, b"token form-data; name=a\n" * 20_000),
    ],
    ids=lambda data: data[:12].decode(),
)
def test_hostile_texts_cost_no_more_than_their_length(data: bytes) -> None:
    begun = time.process_time()
    Redactor().body(data)
    assert time.process_time() - begun < 10, "half a megabyte takes a second at most"
