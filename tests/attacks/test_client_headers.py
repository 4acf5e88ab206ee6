"""CLI: what clients send in the headers that are ours (CVE-2025-64484).

Exactly one of each token arrives, or the client's own alone: never a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attacks.origins import Http2Origin, ScriptedSymphony, server_tls
from attacks.raw import Http2Wire, Wire
from attacks.stage import ECHO, Attacked, Start, agent_at, everything_at
from symphony_auth_proxy.model import Component, TokenKind

OURS = {
    "sessionToken": ScriptedSymphony.session_token,
    "keyManagerToken": ScriptedSymphony.key_manager_token,
}
SPELLINGS = (
    "sessionToken",
    "SESSIONTOKEN",
    "sessiontoken",
    "session_token",
    "Session-Token",
    "session-token",
    "SESSION_TOKEN",
    "s-e-s-s-i-o-n_token",
    "keyManagerToken",
    "KeyManager-Token",
    "key_manager_token",
    "Key-Manager_Token",
)


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


def token_headers(request: bytes) -> list[tuple[str, str]]:
    """All headers that some server might read as a token."""
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return [
        (name, value)
        for name, value in fields
        if name.replace("-", "").replace("_", "").lower() in {"sessiontoken", "keymanagertoken"}
    ]


def replacing(symphony: ScriptedSymphony) -> Callable[[Any], None]:
    def configure(document: Any) -> None:
        everything_at(symphony.origin)(document)
        document["authProxy"]["clientTokens"] = "replace"

    return configure


@pytest.mark.parametrize("value", ["", " ", "[sealed pricing-bot #7f3a gen 3]"])
def test_placeholders_in_every_spelling_make_room_for_ours(
    symphony: ScriptedSymphony, start: Start, value: str
) -> None:
    proxy = start(everything_at(symphony.origin))
    headers = [f"{name}: {value}" for name in (*SPELLINGS, *SPELLINGS)]
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), *headers).status == 200
    (call,) = symphony.calls
    assert sorted(token_headers(call)) == sorted(OURS.items())


def test_replaced_tokens_in_every_spelling_make_room_for_ours(
    symphony: ScriptedSymphony, start: Start
) -> None:
    proxy = start(replacing(symphony))
    headers = [f"{name}: token-of-the-client" for name in (*SPELLINGS, *SPELLINGS)]
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), *headers).status == 200
    (call,) = symphony.calls
    assert sorted(token_headers(call)) == sorted(OURS.items())


def test_the_same_over_http2(attacked: Attacked, start: Start) -> None:
    with Http2Origin(server_tls(attacked.sandbox.directory)) as agent:
        proxy = start(agent_at(agent.origin))
        headers = [(name.lower(), "") for name in (*SPELLINGS, *SPELLINGS)]
        with Http2Wire.open(proxy, agent.origin) as wire:
            assert wire.fetch(ECHO, str(agent.origin), headers).status == 200
    (request,) = agent.requests
    tokens = [(k, v) for k, v in request if k.replace("-", "").replace("_", "").endswith("token")]
    assert sorted(name for name, _ in tokens) == ["keymanagertoken", "sessiontoken"]
    assert {value for _, value in tokens} <= attacked.tokens


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_token_of_the_clients_own_is_never_mixed_with_ours(
    symphony: ScriptedSymphony, start: Start, name: str
) -> None:
    """One foreign token makes the whole request foreign."""
    proxy = start(everything_at(symphony.origin))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        answered = wire.request(
            ECHO, str(symphony.origin), f"{name}: token-of-the-client", "keyManagerToken: "
        )
    assert answered.status == 200
    (call,) = symphony.calls
    assert (name, "token-of-the-client") in token_headers(call)
    assert symphony.with_tokens == []


@pytest.mark.parametrize("cookie", ["skey=abc", "a=b; kmsession=abc", "a=b;skey=abc; c=d"])
def test_a_browsers_session_is_a_token_of_its_own(
    symphony: ScriptedSymphony, start: Start, cookie: str
) -> None:
    proxy = start(everything_at(symphony.origin))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), f"Cookie: {cookie}").status == 200
    (call,) = symphony.calls
    assert f"Cookie: {cookie}".encode() in call
    assert symphony.with_tokens == []


@pytest.mark.parametrize("cookie", ["skey=abc; a=b", "a=b; kmsession=abc", "a=b;skey=;kmsession=x"])
def test_a_replaced_browser_session_is_gone_and_its_other_cookies_stay(
    symphony: ScriptedSymphony, start: Start, cookie: str
) -> None:
    proxy = start(replacing(symphony))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), f"Cookie: {cookie}").status == 200
    (call,) = symphony.with_tokens
    assert symphony.values("cookie") == ["a=b"]
    assert b"skey" not in call
    assert b"kmsession" not in call


def test_session_cookies_in_several_headers_are_all_gone(
    symphony: ScriptedSymphony, start: Start
) -> None:
    proxy = start(replacing(symphony))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.request(
            ECHO, str(symphony.origin), "Cookie: a=b", "cookie: skey=x", "COOKIE: kmsession=y"
        )
    (call,) = symphony.with_tokens
    assert b"skey" not in call
    assert b"kmsession" not in call


def test_refused_client_tokens_reach_nobody(symphony: ScriptedSymphony, start: Start) -> None:
    def configure(document: Any) -> None:
        everything_at(symphony.origin)(document)
        document["authProxy"]["clientTokens"] = "refuse"

    proxy = start(configure)
    for header in (*(f"{name}: token-of-the-client" for name in SPELLINGS), "Cookie: skey=x"):
        with Wire.tunnel(proxy, symphony.origin) as wire:
            answered = wire.request(ECHO, str(symphony.origin), header)
        assert (answered.status, answered.reason) == (403, "client_token_refused")
    assert symphony.calls == []


def test_a_clients_own_dead_token_leaves_our_cached_token_alone(
    attacked: Attacked, start: Start
) -> None:
    proxy = start(warm=True)
    pod, agent = attacked.origin(), attacked.origin(Component.AGENT)
    logins = attacked.sandbox.logins(TokenKind.SESSION, "pricing-bot")
    with Wire.tunnel(proxy, pod) as wire:
        for _ in range(3):
            dead = wire.request(
                "/pod/v2/sessioninfo", str(pod), "sessionToken: a-dead-token-of-mine"
            )
            assert dead.status == 401
        assert wire.request("/pod/v2/sessioninfo", str(pod)).status == 200
    with Wire.tunnel(proxy, agent) as wire:
        wire.request(
            "/agent/v4/stream/x/message", str(agent), "keyManagerToken: a-dead-token-of-mine"
        )
    assert attacked.sandbox.logins(TokenKind.SESSION, "pricing-bot") == logins
    active = proxy.addon.state.active
    assert active is not None
    status = proxy.call(lambda: active.provider.snapshot("pricing-bot"))
    assert status.session.generation == 1


def test_the_headers_that_choose_a_bot_stay_here(symphony: ScriptedSymphony, start: Start) -> None:
    proxy = start(everything_at(symphony.origin))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        for path in (ECHO, "/login/v1/whatever"):
            answered = wire.request(path, str(symphony.origin), "symphony-BOT: pricing-bot")
            assert answered.status == 200
    assert len(symphony.calls) == 2
    assert b"symphony-bot" not in b"".join(symphony.calls).lower()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Symphony-Bot: nobody",), 403),
        (("Symphony-Bot: pricing-bot", "Symphony-Bot: nobody"), 400),
        (("Symphony-Bot: pricing-bot", "symphony-bot: pricing-bot"), 400),
        (("Symphony-Bot: ",), 403),
        (("Symphony-On-Behalf-Of: alice",), 403),
        (("symphony-on-behalf-of:",), 400),
    ],
)
def test_a_bot_that_cannot_be_had(
    symphony: ScriptedSymphony, start: Start, headers: tuple[str, ...], status: int
) -> None:
    proxy = start(everything_at(symphony.origin))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), *headers).status == status
    assert symphony.calls == []


def test_credentials_for_this_proxy_go_no_further(symphony: ScriptedSymphony, start: Start) -> None:
    proxy = start(everything_at(symphony.origin))
    secret = "Proxy-Authorization: Basic bWU6c2VjcmV0LWNhbmFyeQ=="
    with Wire(proxy) as wire:
        assert wire.connect(str(symphony.origin), secret).status == 200
        wire.start_tls()
        assert wire.request(ECHO, str(symphony.origin), secret).status == 200
        assert wire.request("/login/v1/whatever", str(symphony.origin), secret).status == 200
    assert len(symphony.calls) == 2
    assert b"proxy-authorization" not in symphony.received.lower()


def test_connection_options_cannot_strip_our_headers(
    symphony: ScriptedSymphony, start: Start
) -> None:
    """`Connection: sessionToken` would make the next hop drop it (CVE-2022-31813)."""
    proxy = start(everything_at(symphony.origin))
    for headers in (
        ["Connection: sessionToken"],
        ["Connection: keep-alive, sessionToken, KEYMANAGERTOKEN"],
        ["connection:keep-alive,\tSession-Token ,key_manager_token"],
        ["Connection: keep-alive", "CONNECTION: sessiontoken"],
        ["Proxy-Connection: sessionToken", "Keep-Alive: sessionToken"],
        ["Connection: sessionToken", "Connection: sessionToken", "TE: sessionToken"],
    ):
        with Wire.tunnel(proxy, symphony.origin) as wire:
            assert wire.request(ECHO, str(symphony.origin), *headers).status == 200
        call = symphony.calls[-1]
        assert sorted(token_headers(call)) == sorted(OURS.items())
        options = [
            v
            for line in call.split(b"\r\n")
            for k, _, v in [line.partition(b":")]
            if k.lower() == b"connection"
        ]
        assert b"token" not in b",".join(options).lower()
