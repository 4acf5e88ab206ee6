"""ORA, LOG: placeholders are good for whom they were given, and logins leave no trace.

What is asserted is what Symphony received: never a placeholder, never a login that a junk key
signed for one of our bots, and no real token for anybody who was not answered here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode
from mitmproxy import http

from attacks.origins import ScriptedSymphony, server_tls
from attacks.raw import CLOSED, Answer, Http2Wire, Wire
from attacks.seen import CLIENT_SECRETS, Seen
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, everything_at
from attacks.witness import Witness
from support.clients import basic
from support.proxy import Proxy
from symphony_auth_proxy.core.placeholder import Placeholders, is_placeholder
from symphony_auth_proxy.model import Component, Origin, TokenKind

LOGIN, RELAY = "/login/pubkey/authenticate", "/relay/pubkey/authenticate"
CANARY = CLIENT_SECRETS["the client's assertion"]
STRANGERS = Placeholders(bytes(32), lambda: 1_700_000_000.0)


def answering(document: Any) -> None:
    document["authProxy"]["answerLogins"] = True


def answering_at(symphony: ScriptedSymphony) -> Callable[[Any], None]:
    def configure(document: Any) -> None:
        everything_at(symphony.origin)(document)
        answering(document)

    return configure


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


@pytest.fixture
def proxy(symphony: ScriptedSymphony, start: Start) -> Proxy:
    return start(answering_at(symphony))


def assertion(user: str) -> str:
    """With a canary where the signature stands, which is looked at by nobody."""
    head = base64url_encode(b'{"alg":"RS512","typ":"JWT"}').decode()
    claims = base64url_encode(json.dumps({"sub": user, "exp": 2**31}).encode()).decode()
    return f"{head}.{claims}.{CANARY}abc"


def body(user: str, *, padding: int = 0) -> str:
    return json.dumps({"token": assertion(user), "padding": "x" * padding})


def chunked(text: str) -> str:
    parts = [text[at : at + 60_000] for at in range(0, len(text), 60_000)]
    return "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts) + "0\r\n\r\n"


def login(origin: Origin, text: str, *, path: str = LOGIN, chunks: bool = False) -> str:
    head = f"POST {path} HTTP/1.1\r\nHost: {origin}\r\n"
    if chunks:
        return f"{head}Transfer-Encoding: chunked\r\n\r\n{chunked(text)}"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}"


def log_in(
    proxy: Proxy, origin: Origin, text: str, *, path: str = LOGIN, chunks: bool = False
) -> Answer:
    with Wire.tunnel(proxy, origin) as wire:
        return wire.ask(login(origin, text, path=path, chunks=chunks))


def held(proxy: Proxy, symphony: ScriptedSymphony) -> dict[str, str]:
    """The placeholders of the bot."""
    return {
        str(given["name"]): str(given["token"])
        for given in (
            json.loads(log_in(proxy, symphony.origin, body("pricing-bot"), path=path).body)
            for path in (LOGIN, RELAY)
        )
    }


def call(
    proxy: Proxy, symphony: ScriptedSymphony, *headers: str, path: str = ECHO, method: str = "POST"
) -> Answer:
    with Wire.tunnel(proxy, symphony.origin) as wire:
        text = "" if method == "POST" else None
        return wire.request(path, str(symphony.origin), *headers, method=method, body=text)


# --- forgery ------------------------------------------------------------------------------


def forged(placeholders: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, header and value of what is not quite a placeholder."""
    session, key_manager = placeholders["sessionToken"], placeholders["keyManagerToken"]
    head, claims, mac = session.split(".")
    others = STRANGERS.issue(TokenKind.SESSION, "pricing-bot", None)
    admin = base64url_encode(b'{"sub": "compliance-bot", "exp": 9999999999}').decode()
    yield "no MAC", "sessionToken", f"{head}.{claims}."
    yield "no MAC and no dot", "sessionToken", f"{head}.{claims}"
    yield "another subject", "sessionToken", f"{head}.{admin}.{mac}"
    yield "another key's MAC", "sessionToken", others
    yield "another MAC", "sessionToken", f"{head}.{claims}.{others.rpartition('.')[2]}"
    yield "one letter", "sessionToken", session[:-2] + ("A" if session[-2] != "A" else "B") + "A"
    yield "a line more", "sessionToken", f"{session}.x"
    yield "the wrong case", "keyManagerToken", key_manager[:42] + key_manager[42:].upper()
    yield "a digit", "keyManagerToken", key_manager[:-1] + "1"
    yield "cut off", "keyManagerToken", key_manager[:-2]
    yield "lengthened", "keyManagerToken", key_manager + "20"
    yield "a space", "keyManagerToken", f"{key_manager[:110]} {key_manager[110:]}"
    yield "no digits", "keyManagerToken", key_manager[:42] + "z" * 348
    yield (
        "another key's",
        "keyManagerToken",
        STRANGERS.issue(TokenKind.KEY_MANAGER, "pricing-bot", None),
    )


def test_what_is_not_quite_a_placeholder_is_refused(
    proxy: Proxy, symphony: ScriptedSymphony
) -> None:
    good = held(proxy, symphony)
    for name, header, value in forged(good):
        answered = call(proxy, symphony, f"{header}: {value}")
        assert (answered.status, answered.reason) == (401, "placeholder_expired"), name
        # Nor does a good one beside it help.
        rest = [f"{key}: {token}" for key, token in good.items() if key != header]
        assert call(proxy, symphony, f"{header}: {value}", *rest).status == 401, name
        assert call(proxy, symphony, *rest, f"{header}: {value}").status == 401, name
    assert symphony.calls == []


@pytest.mark.parametrize("algorithm", ["none", "RS512", "HS512"])
def test_a_token_with_another_head_is_somebody_elses(
    proxy: Proxy, symphony: ScriptedSymphony, algorithm: str
) -> None:
    """It passes as it is, if tokens of clients do, and Symphony judges it."""
    claims = held(proxy, symphony)["sessionToken"].split(".")[1]
    head = base64url_encode(
        json.dumps({"alg": algorithm, "kid": "symphony-auth-proxy", "typ": "JWT"}).encode()
    ).decode()
    token = f"{head}.{claims}."
    assert not is_placeholder(token)
    assert call(proxy, symphony, f"sessionToken: {token}").status == 200
    assert symphony.values("sessionToken") == [token]
    assert symphony.with_tokens == []


def test_nobody_can_make_one_without_the_key(proxy: Proxy, symphony: ScriptedSymphony) -> None:
    header = jwt.get_unverified_header(held(proxy, symphony)["sessionToken"])
    for key in (b"", b"symphony-auth-proxy", bytes(32)):
        token = jwt.encode(
            {"sub": "pricing-bot", "exp": 2**31}, key.ljust(32, b"\0"), "HS256", header
        )
        assert call(proxy, symphony, f"sessionToken: {token}").status == 401
    assert symphony.calls == []


# --- mixtures -----------------------------------------------------------------------------

FOREIGN = "a-session-of-somebody-else"


@pytest.mark.parametrize("own", ["sessionToken", "keyManagerToken", "session_token"])
@pytest.mark.parametrize("path", [ECHO, "/keyauth/v1/logout", "/login/idm/tokens"])
def test_one_foreign_token_makes_the_whole_request_foreign(
    proxy: Proxy, symphony: ScriptedSymphony, own: str, path: str
) -> None:
    good = held(proxy, symphony)
    for placeholder in good.items():
        fields = [f"{own}: {FOREIGN}", ": ".join(placeholder)]
        for headers in (fields, fields[::-1]):
            assert call(proxy, symphony, *headers, path=path).status == 200
    assert symphony.with_tokens == []
    assert len(symphony.calls) == 4
    assert symphony.values(own) == [FOREIGN] * 4
    assert not any(token.encode() in symphony.received for token in good.values())


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer {}",
        "Authorization: {}",
        "Cookie: a=b; skey={}",
        "Cookie: token={}",
        "Session-Token: {}",
        "KEY_MANAGER_TOKEN: {}",
    ],
)
@pytest.mark.parametrize(
    "path", [ECHO, SESSION_INFO, "/agent/v1/info", "/client/x", "/login/v1/x", "/at2/v1/x"]
)
def test_wherever_a_placeholder_stands_it_stays_here(
    proxy: Proxy, symphony: ScriptedSymphony, path: str, header: str
) -> None:
    good = held(proxy, symphony)
    for token in good.values():
        call(proxy, symphony, header.format(token), path=path)
        call(proxy, symphony, header.format(token), "sessionToken: x", path=path)
    assert not any(token.encode() in symphony.received for token in good.values())


def test_a_placeholder_in_a_query_stays_here(proxy: Proxy, symphony: ScriptedSymphony) -> None:
    token = held(proxy, symphony)["sessionToken"]
    call(proxy, symphony, path=f"/v1/channelco/x?a=1&token={token}&b=2", method="GET")
    (passed,) = symphony.calls
    assert passed.startswith(b"GET /v1/channelco/x?a=1&token=")
    assert token.encode() not in symphony.received


def test_no_placeholder_goes_out_whatever_it_is_sent_along_with(
    attacked: Attacked, start: Start
) -> None:
    """A placeholder of one bot, the header of another: the header counts, and the tokens are
    that bot's."""
    proxy = start(answering)
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        answered = wire.request(LOGIN, str(pod), method="POST", body=body("pricing-bot"))
        token = json.loads(answered.body)["token"]
        info = wire.request(
            SESSION_INFO, str(pod), f"sessionToken: {token}", "Symphony-Bot: compliance-bot"
        )
    assert json.loads(info.body)["username"] == "compliance-bot"
    (arrived,) = attacked.arrived
    assert arrived.values("sessionToken") != [token]
    assert not any(CANARY.encode() in (login.body or b"") for login in attacked.logins)


# --- logins -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (LOGIN + "/", "POST"),
        ("/" + LOGIN, "POST"),
        ("/login/./pubkey/authenticate", "POST"),
        ("/login/pubkey/%61uthenticate", "POST"),
        ("/login/pubkey;x/authenticate", "POST"),
        ("/LOGIN/pubkey/authenticate", "POST"),
        ("/login/pubkey/authenticate/x", "POST"),
        ("/pod" + LOGIN, "POST"),
        (LOGIN, "PUT"),
    ],
)
def test_what_is_not_exactly_a_login_is_answered_only_if_symphony_would_read_one(
    proxy: Proxy, symphony: ScriptedSymphony, path: str, method: str
) -> None:
    """An answer here is worth nothing but a call with it, so either is safe."""
    text = body("pricing-bot")
    with Wire.tunnel(proxy, symphony.origin) as wire:
        answered = wire.request(path, str(symphony.origin), method=method, body=text)
    assert symphony.with_tokens == []
    if b"sessionToken" in answered.body:
        assert not any(CANARY.encode() in request for request in symphony.requests)


@pytest.mark.parametrize("header", ["Sec-Fetch-Site: cross-site", "Origin: https://evil.example"])
def test_a_web_page_gets_no_placeholder(
    proxy: Proxy, symphony: ScriptedSymphony, header: str
) -> None:
    with Wire.tunnel(proxy, symphony.origin) as wire:
        for path, text in ((LOGIN, body("pricing-bot")), ("/sessionauth/v1/authenticate", "")):
            answered = wire.request(path, str(symphony.origin), header, method="POST", body=text)
            assert (answered.status, answered.reason) == (403, "cross_site")
    assert CANARY.encode() not in symphony.received


@pytest.mark.parametrize("user", ["pricing-bot", "jane"])
@pytest.mark.parametrize("chunks", [False, True], ids=["whole", "chunked"])
def test_logins_are_kept_nowhere(
    symphony: ScriptedSymphony, seen: Seen, start: Start, user: str, chunks: bool
) -> None:
    proxy = start(answering_at(symphony), prepare=seen.add_to)
    answered = log_in(proxy, symphony.origin, body(user), chunks=chunks)
    assert answered.status == 200
    assert (CANARY.encode() in symphony.received) is (user == "jane")
    assert is_placeholder(json.loads(answered.body)["token"]) is (user == "pricing-bot")
    assert "request" in seen.witness.hooks
    assert seen.leaks() == set()
    assert b"[sealed body #" in seen.witness.everything


def test_an_addon_that_comes_before_ours_sees_nothing_either(
    symphony: ScriptedSymphony, seen: Seen, start: Start
) -> None:
    """In stock tools another script may stand before this one."""

    def before(master: Any, addon: Any) -> None:
        master.addons.chain.insert(0, master.addons.register(seen.witness))
        assert master.addons.chain.index(addon) > 0

    proxy = start(answering_at(symphony), prepare=before)
    for user in ("pricing-bot", "jane"):
        assert log_in(proxy, symphony.origin, body(user)).status == 200
    assert "request" in seen.witness.hooks
    assert seen.leaks() == set()


def test_logins_that_are_refused_are_kept_nowhere(
    symphony: ScriptedSymphony, seen: Seen, start: Start
) -> None:
    def configure(document: Any) -> None:
        everything_at(symphony.origin)(document)
        answering(document)
        own = document["authProxy"]
        own["bots"] = [{**document["bot"], "username": "archive-bot"}]
        own["clients"] = [
            {"name": "archive", "password": "a long enough password", "bots": ["archive-bot"]}
        ]

    proxy = start(configure, prepare=seen.add_to)
    credentials = basic("archive:a long enough password")
    for chunks in (False, True):
        with Wire(proxy) as wire:
            wire.connect(str(symphony.origin), f"Proxy-Authorization: {credentials}")
            wire.start_tls(alpn=("http/1.1",))
            answered = wire.ask(login(symphony.origin, body("pricing-bot"), chunks=chunks))
        assert (answered.status, answered.reason) == (403, "not_granted")
        assert answered.values("Connection") == [], "all of it has been read"
    assert CANARY.encode() not in symphony.received
    assert seen.leaks() == set()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("size", [70_000, 1_100_000, 9_000_000])
@pytest.mark.parametrize("chunks", [False, True], ids=["whole", "chunked"])
def test_logins_beyond_all_size_pass_and_are_kept_nowhere(
    attacked: Attacked, seen: Seen, start: Start, *, chunks: bool, size: int, stored: bool
) -> None:
    """Beyond 8 MiB, a body of unknown length is let through while it still comes."""
    proxy = start(answering, prepare=seen.add_to)
    proxy.call(lambda: proxy.master.options.update(store_streamed_bodies=stored))
    text = body("pricing-bot", padding=size)
    log_in(proxy, attacked.origin(), text, chunks=chunks)
    (arrived,) = [one for one in attacked.logins if one.body_size > size]
    assert arrived.body_size == len(text)
    assert arrived.body_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert arrived.values("Content-Length") == ([] if chunks else [str(len(text))])
    assert seen.leaks() == set()


@pytest.mark.parametrize("user", ["pricing-bot", "jane"])
def test_logins_over_http2(symphony: ScriptedSymphony, seen: Seen, start: Start, user: str) -> None:
    proxy = start(answering_at(symphony), prepare=seen.add_to)
    text = body(user)
    with Http2Wire.open(proxy, symphony.origin) as wire:
        authority = str(symphony.origin)
        streams = [
            wire.open_stream(path, authority, headers, method="POST", body=text.encode())
            for path in (LOGIN, RELAY)
            for headers in ([], [("content-length", str(len(text)))])
        ]
        answers = wire.answers(*streams)
    assert [answered.status for answered in answers] == [200] * 4
    assert (CANARY.encode() in symphony.received) is (user == "jane")
    assert seen.leaks() == set()


def test_a_login_that_breaks_off_is_kept_nowhere(
    symphony: ScriptedSymphony, seen: Seen, start: Start
) -> None:
    proxy = start(answering_at(symphony), prepare=seen.add_to)
    text = body("jane")
    for head in ("Content-Length: 4000\r\n\r\n", f"Transfer-Encoding: chunked\r\n\r\n{900:x}\r\n"):
        with Wire.tunnel(proxy, symphony.origin) as wire:
            wire.send(f"POST {LOGIN} HTTP/1.1\r\nHost: {symphony.origin}\r\n{head}{text}")
            proxy.call(seen.witness.look_again)
    proxy.stop()
    assert seen.leaks() == set()


class Rewriter:
    """An addon after ours that takes a body and puts it back, or changes it."""

    def __init__(self, change: Callable[[http.Request], None]) -> None:
        self._change = change

    def request(self, flow: http.HTTPFlow) -> None:
        self._change(flow.request)


def _same_again(request: http.Request) -> None:
    request.content = request.content


def _wrong_length(request: http.Request) -> None:
    request.headers["content-length"] = "3"


@pytest.mark.parametrize("change", [_same_again, _wrong_length])
def test_the_length_that_is_sent_is_the_bodys(
    symphony: ScriptedSymphony, start: Start, change: Callable[[http.Request], None]
) -> None:
    """What is shown is shorter than what is sent: the rest would be another request."""
    witness = Witness()
    proxy = start(
        answering_at(symphony), prepare=lambda m, _: m.addons.add(Rewriter(change), witness)
    )
    before = len(symphony.requests)
    text = body("jane")
    assert log_in(proxy, symphony.origin, text).status == 200
    logins = [one for one in symphony.requests[before:] if CANARY.encode() in one]
    (login,) = logins
    assert login.endswith(f"\r\n\r\n{text}".encode())
    assert login.lower().count(b"content-length:") == 1
    assert f"content-length: {len(text)}\r\n".encode() in login.lower()


def test_an_addon_that_writes_another_body_has_that_one_sent(
    symphony: ScriptedSymphony, start: Start
) -> None:
    def another(request: http.Request) -> None:
        request.content = b'{"token": "edited"}'

    proxy = start(answering_at(symphony), prepare=lambda m, _: m.addons.add(Rewriter(another)))
    assert log_in(proxy, symphony.origin, body("jane")).status == 200
    assert CANARY.encode() not in symphony.received
    assert any(one.endswith(b'{"token": "edited"}') for one in symphony.requests)


@pytest.mark.parametrize(
    "head",
    [
        "Transfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 9000000\r\n\r\n",
    ],
)
@pytest.mark.parametrize("path", ["/sessionauth/v1/authenticate", "/sessionauth/v1/logout"])
def test_an_answer_of_our_own_waits_for_no_endless_body(
    proxy: Proxy, symphony: ScriptedSymphony, path: str, head: str
) -> None:
    """mitmproxy cannot answer what has begun to stream, and would hang."""
    token = held(proxy, symphony)["sessionToken"]
    text = chunked("x" * 9_000_000) if "chunked" in head else "x" * 9_000_000
    with Wire.tunnel(proxy, symphony.origin) as wire:
        answered = wire.ask(
            f"POST {path} HTTP/1.1\r\nHost: {symphony.origin}\r\nsessionToken: {token}\r\n"
            f"{head}{text}"
        )
    assert answered == CLOSED or answered.status == 200
    assert b"/sessionauth/" not in symphony.received
    assert call(proxy, symphony, f"sessionToken: {token}").status == 200


def test_an_agent_of_another_bot_gives_no_placeholder(
    attacked: Attacked, symphony: ScriptedSymphony, start: Start
) -> None:
    """A bot's login is answered where it has business, and nowhere else."""

    proxy = start(answering_at(symphony))
    agent = attacked.origin(Component.AGENT)
    with Wire.tunnel(proxy, agent) as wire:
        answered = wire.request(LOGIN, str(agent), method="POST", body=body("pricing-bot"))
    assert answered == CLOSED or b"sessionToken" not in answered.body
