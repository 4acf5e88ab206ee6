"""LOG: no sink holds a secret, whatever happens to a request on its way.

A witness stands where sinks stand and writes down the state of every flow at every hook;
everything is logged at debug level. Both are then searched for every token that exists.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from attacks.origins import HANG_UP, Http2Origin, ScriptedSymphony, answer, server_tls
from attacks.raw import Http2Wire, Wire
from attacks.seen import CLIENT_SECRETS, Seen
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, agent_at, everything_at
from support.proxy import Proxy
from symphony_auth_proxy.model import Component


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


@pytest.mark.parametrize("secret", CLIENT_SECRETS.values(), ids=CLIENT_SECRETS.keys())
def test_what_is_searched_for_would_be_found(seen: Seen, secret: str) -> None:
    seen.witness.states.append(b"before " + base64.b64encode(secret.encode()))
    assert seen.leaks()


def test_calls_of_the_bot(attacked: Attacked, seen: Seen, start: Start) -> None:
    proxy = start(prepare=seen.add_to)
    pod, agent = attacked.origin(), attacked.origin(Component.AGENT)
    echo = '{"message": "x"}'
    with Wire.tunnel(proxy, agent) as wire:
        assert wire.request(ECHO, str(agent), method="POST", body=echo).status == 200
        attacked.sandbox.revoke("pricing-bot")
        assert wire.request(ECHO, str(agent), method="POST", body=echo).status == 200
    with Wire.tunnel(proxy, pod) as wire:
        attacked.sandbox.revoke("pricing-bot")
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert {
        "requestheaders",
        "request",
        "responseheaders",
        "response",
        "update",
    } <= seen.witness.hooks
    assert len(attacked.tokens) >= 6
    assert seen.leaks() == set()


def test_calls_over_http2(attacked: Attacked, seen: Seen, start: Start) -> None:
    """hpack would log every header at debug level."""
    with Http2Origin(server_tls(attacked.sandbox.directory)) as agent:
        proxy = start(agent_at(agent.origin), prepare=seen.add_to)
        with Http2Wire.open(proxy, agent.origin) as wire:
            assert wire.fetch(ECHO, str(agent.origin)).status == 200
            wire.fetch("/agent/v1/info", str(agent.origin), _brought())
        assert agent.values("sessiontoken")[0] in attacked.tokens
    assert seen.leaks() == set()


def _brought() -> list[tuple[str, str]]:
    return [
        ("sessiontoken", CLIENT_SECRETS["the client's session token"]),
        ("keymanagertoken", CLIENT_SECRETS["the client's key manager token"]),
        ("authorization", f"Bearer {CLIENT_SECRETS["the client's bearer token"]}"),
        ("cookie", f"skey={CLIENT_SECRETS["the client's cookie"]}"),
        ("proxy-authorization", _basic()),
    ]


def _basic() -> str:
    password = CLIENT_SECRETS["the client's proxy password"]
    return f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}"


PATHS = [
    ECHO,
    "/pod/v1/sessioninfo",
    "/login/idm/tokens",
    "/agent/v1/info",
    "/profile-manager/v1/x",
    "/client/index.html",
    "/agent/%2e%2e/ambiguous",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["{origin}", "evil.example"], ids=["sent", "refused"])
def test_secrets_that_clients_bring(
    symphony: ScriptedSymphony, seen: Seen, start: Start, path: str, host: str
) -> None:
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    secret = CLIENT_SECRETS["the token in the client's query"]
    queries = [f"token={secret}", f"a=b&sessionToken={secret}", f"access_token={secret}&c=d"]
    queries += [f"keyManagerToken={secret}", f"session_token={secret}", f"Token={secret}"]
    for query in queries:
        with Wire(proxy) as wire:
            wire.connect(str(symphony.origin), f"Proxy-Authorization: {_basic()}")
            wire.start_tls()
            headers = [f"{name}: {value}" for name, value in _brought()]
            wire.request(f"{path}?{query}", host.format(origin=symphony.origin), *headers)
    if host == "{origin}" and "%2e" not in path:
        assert secret.encode() in symphony.received, "what passes, passes whole"
    assert seen.leaks() == set()


@pytest.mark.parametrize("component", ["other host", "pod"])
def test_secrets_in_plain_http(
    symphony: ScriptedSymphony, seen: Seen, start: Start, component: str
) -> None:
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    target = symphony.origin if component == "pod" else "127.0.0.1:9"
    headers = [f"{name}: {value}" for name, value in _brought()]
    with Wire(proxy) as wire:
        wire.request(f"http://{target}{ECHO}", str(target), *headers)
    assert seen.leaks() == set()


def login(symphony: ScriptedSymphony, host: str) -> str:
    body = f'{{"token": "{CLIENT_SECRETS["the client's assertion"]}"}}'
    return (
        f"POST /login/v1/username/login HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def _login_answer() -> bytes:
    token = CLIENT_SECRETS["the token of the client's login"]
    cookie = f"Set-Cookie: skey={CLIENT_SECRETS["the client's cookie"]}"
    return answer("200 OK", cookie, body=f'{{"token": "{token}"}}'.encode())


def test_a_clients_own_login(symphony: ScriptedSymphony, seen: Seen, start: Start) -> None:
    symphony.scripted = _login_answer()
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    with Wire.tunnel(proxy, symphony.origin) as wire:
        answered = wire.ask(login(symphony, str(symphony.origin)))
    assert CLIENT_SECRETS["the token of the client's login"].encode() in answered.body
    assert seen.leaks() == set()


def test_a_clients_own_login_that_is_refused(
    symphony: ScriptedSymphony, seen: Seen, start: Start
) -> None:
    """The refusal waits for the body, so that the connection can be used again: but it is
    kept nowhere."""
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.ask(login(symphony, "evil.example")).status == 421
    with Wire.tunnel(proxy, symphony.origin, sni="evil.example") as wire:
        assert wire.ask(login(symphony, str(symphony.origin))).status == 421
    proxy.call(lambda: proxy.master.options.update(ssl_insecure=True))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.ask(login(symphony, str(symphony.origin))).status == 503
    assert seen.leaks() == set()


def test_a_clients_own_login_while_streamed_bodies_are_to_be_stored(
    symphony: ScriptedSymphony, seen: Seen, start: Start
) -> None:
    """mitmweb's options can be changed at any time."""
    symphony.scripted = _login_answer()
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    proxy.call(lambda: proxy.master.options.update(store_streamed_bodies=True))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.ask(login(symphony, str(symphony.origin)))
    assert seen.leaks() == set()


@pytest.mark.parametrize("said", ["", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_login_whose_answer_breaks_off(
    symphony: ScriptedSymphony, seen: Seen, start: Start, said: str
) -> None:
    symphony.scripted = lambda _request: [said.encode() or HANG_UP, HANG_UP]
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.send(login(symphony, str(symphony.origin)))
        wire.ended()
    assert seen.leaks() == set()


@pytest.mark.parametrize("tunnel", [False, True], ids=["to the proxy", "in a tunnel"])
@pytest.mark.parametrize(
    "begun",
    [
        "GET /agent/v1/util/echo HTTP/1.1\r\nsessionToken: {token}\r\n",
        "GET /agent/v1/util/echo?token={token} HTTP/1.1\r\n",
        "GET /agent/v1/util/echo?token={token} HTTP/1.1 nonsense\r\n\r\n",
        "GET /agent/v1/util/echo?token={token}\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon {token}\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n",
        "{token}",
    ],
)
def test_a_request_that_breaks_off_or_is_none(
    attacked: Attacked, seen: Seen, start: Start, begun: str, tunnel: bool
) -> None:
    """mitmproxy logs what it had of it, and quotes it in its error page."""
    token = CLIENT_SECRETS["the client's session token"]
    disconnected = Disconnected()
    proxy = start(prepare=seen.behind(disconnected))
    wire = Wire.tunnel(proxy, attacked.origin(), alpn=()) if tunnel else Wire(proxy)
    wire.send(begun.format(token=token))
    wire.close()
    disconnected.wait()
    assert seen.leaks() == set()


class Disconnected:
    def __init__(self) -> None:
        self._event = threading.Event()

    def client_disconnected(self, _client: object) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(10)


@pytest.mark.parametrize(
    "fields",
    [
        [("sessionToken", "{token}")],
        [("sessiontoken", " {token}")],
        [("sessiontoken", "{token}\r\n")],
        [("x y", "{token}")],
        [("{token}\x00", "x")],
        [(":unknown", "{token}")],
    ],
)
def test_an_http2_request_that_is_none(
    attacked: Attacked, seen: Seen, start: Start, fields: list[tuple[str, str]]
) -> None:
    token = CLIENT_SECRETS["the client's session token"]
    proxy = start(prepare=seen.add_to)
    with Http2Wire.open(proxy, attacked.origin()) as wire:
        headers = [(name.format(token=token), value.format(token=token)) for name, value in fields]
        wire.fetch(SESSION_INFO, str(attacked.origin()), headers)
    assert seen.leaks() == set()


@pytest.mark.parametrize(
    "path",
    [
        "/agent/v1/util/echo?x=%0d%0aevent=started",
        "/agent/v1/util/echo?x=%1b[31m",
        "/agent/v1/\x1b[31mred",
        "/agent/%0aevent=started",
    ],
)
def test_nothing_that_is_sent_breaks_a_line_of_the_log_or_colours_it(
    symphony: ScriptedSymphony,
    seen: Seen,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.request(path, str(symphony.origin), "Symphony-Bot: x\x1b[31m\ty")
    for record in caplog.records:
        if record.name.startswith("symphony_auth_proxy"):
            assert "\x1b" not in record.getMessage()
            assert "\n" not in record.getMessage()


def test_a_request_still_under_way_shows_nothing(
    attacked: Attacked, seen: Seen, start: Start
) -> None:
    """A flow is saved in whatever state it is in when the proxy stops."""
    held = _held_answers(attacked)
    with held as symphony:
        proxy: Proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
        with Wire.tunnel(proxy, symphony.origin) as wire:
            wire.send(f"GET {ECHO} HTTP/1.1\r\nHost: {symphony.origin}\r\n\r\n")
            assert symphony.asked.wait(10)
            proxy.call(seen.witness.look_again)
            symphony.release.set()
            assert wire.answer().status == 200
    assert symphony.with_tokens
    assert seen.leaks() == set()


def _held_answers(attacked: Attacked) -> Any:
    class Held(ScriptedSymphony):
        def __init__(self) -> None:
            self.asked, self.release = threading.Event(), threading.Event()
            super().__init__(server_tls(attacked.sandbox.directory), self._hold)

        def _hold(self, _request: bytes) -> bytes:
            self.asked.set()
            self.release.wait(10)
            return answer()

    return Held()
