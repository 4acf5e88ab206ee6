"""Bots that log in by themselves, and are answered with placeholders."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from attacks.raw import Wire
from pki import rsa_key
from support.clients import client_of
from support.logins import (
    HEADERS,
    RSA,
    answering_config,
    answering_proxy,
    arrived,
    assertion,
    calls,
    log_in_by_key,
    placeholders_of,
    reason,
    who,
)
from support.proxy import Proxy
from support.stock_tools import stock_tool
from symphony_auth_proxy.certificates import public_key_pem
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.placeholder_key import NAME
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.telemetry import Event

ECHO, SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with answering_proxy(sandbox) as running:
        yield running


def flush(proxy: Proxy) -> None:
    """Forget the failures of logins, and the tokens."""
    active = proxy.addon.state.active
    assert active is not None
    proxy.call(active.provider.flush)


# --- our own bots -------------------------------------------------------------------------


def test_a_bot_with_a_junk_key_speaks_as_itself(sandbox: Sandbox, client: httpx.Client) -> None:
    headers = placeholders_of(client, sandbox)
    assert who(client, sandbox, headers) == "pricing-bot"
    # What arrived: the proxy's own logins, and real tokens.
    for kind in TokenKind:
        assert sandbox.logins(kind, "pricing-bot") == 1
        assert len(calls(sandbox, RSA[kind][1])) == 1
    seen = arrived(sandbox)
    assert not any(placeholder.encode() in seen for placeholder in headers.values())
    [echo] = calls(sandbox, ECHO)
    assert [len(echo.values(name)) for name in HEADERS.values()] == [1, 1]


def test_its_answers_are_symphonys_in_shape(sandbox: Sandbox, client: httpx.Client) -> None:
    answer = log_in_by_key(client, sandbox, TokenKind.SESSION)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"token", "name"}
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    info = client.get(
        sandbox.url(Component.POD) + SESSION_INFO, headers={"sessionToken": answer.json()["token"]}
    ).json()
    assert (claims["sub"], claims["userId"]) == (info["username"], info["id"])


def test_how_a_bot_logs_in_here_need_not_be_how_it_is_logged_in(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    headers = placeholders_of(client, sandbox, "compliance-bot")
    assert who(client, sandbox, headers) == "compliance-bot"
    assert {r.client_name for r in sandbox.requests if r.path.endswith("/v1/authenticate")} == {
        "compliance-bot"
    }


def test_one_of_the_two_placeholders_is_enough(sandbox: Sandbox, client: httpx.Client) -> None:
    headers = placeholders_of(client, sandbox, "compliance-bot")
    for name, value in headers.items():
        assert who(client, sandbox, {name: value}) == "compliance-bot"
        other = next(one for one in headers if one != name)
        assert who(client, sandbox, {name: value, other: ""}) == "compliance-bot"


def test_a_login_waits_for_the_real_one(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.fail(Component.POD, path="/login/pubkey/authenticate")
    answer = log_in_by_key(client, sandbox, TokenKind.SESSION)
    assert (answer.status_code, reason(answer)) == (503, "login_unavailable")
    assert answer.json()["details"]["bot"] == "pricing-bot"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_login_to_the_key_manager_waits_for_the_key_manager(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.fail(Component.KEY_MANAGER, status=401, path="/relay/pubkey/authenticate")
    assert log_in_by_key(client, sandbox, TokenKind.SESSION).status_code == 200
    answer = log_in_by_key(client, sandbox, TokenKind.KEY_MANAGER)
    assert (answer.status_code, reason(answer)) == (503, "login_rejected")


def test_a_chunked_login_is_answered_and_refused_on_a_connection_that_goes_on(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    """The older Node SDK sends chunks."""
    component, path = RSA[TokenKind.SESSION]
    origin = sandbox.origin(component)
    body = json.dumps({"token": assertion("pricing-bot")}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {origin}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"0\r\n\r\n"
    )
    with Wire.tunnel(proxy, origin) as wire:
        sandbox.fail(Component.POD, path=path)
        assert wire.ask(request).reason == "login_unavailable"
        sandbox.recover()
        flush(proxy)
        answered = wire.ask(request)
        assert json.loads(answered.body)["name"] == "sessionToken"


def test_a_bot_on_simplified_key_delivery_still_gets_both(sandbox: Sandbox) -> None:
    """It was told nothing of it, so it asks for both; Symphony gets the session token only."""
    sandbox.set_simplified_key_delivery("pricing-bot")
    with answering_proxy(sandbox) as proxy, client_of(proxy) as client:
        headers = placeholders_of(client, sandbox)
        assert who(client, sandbox, headers) == "pricing-bot"
    [echo] = calls(sandbox, ECHO)
    assert echo.values("keyManagerToken") == []
    assert sandbox.logins(TokenKind.KEY_MANAGER, "pricing-bot") == 0


def test_a_login_that_a_reload_overtakes_is_to_be_tried_again(sandbox: Sandbox) -> None:
    """What was decided about its first half need not be true of its second."""
    begun = threading.Event()

    class Begun:
        def requestheaders(self, _flow: object) -> None:
            begun.set()

    component, path = RSA[TokenKind.SESSION]
    origin, text = sandbox.origin(component), json.dumps({"token": assertion("pricing-bot")})
    with (
        answering_proxy(sandbox, prepare=lambda m, _: m.addons.add(Begun())) as proxy,
        Wire.tunnel(proxy, origin) as wire,
    ):
        wire.send(f"POST {path} HTTP/1.1\r\nHost: {origin}\r\nContent-Length: {len(text)}\r\n\r\n")
        assert begun.wait(10)
        proxy.call(proxy.addon.reload)
        answered = wire.ask(text)
        assert (answered.status, answered.reason) == (503, "draining")
        assert wire.request(path, str(origin), method="POST", body=text).status == 200


def test_answers_are_in_the_audit_record(
    sandbox: Sandbox, proxy: Proxy, client: httpx.Client
) -> None:
    placeholders_of(client, sandbox)
    count = proxy.addon.state.telemetry.count
    for kind in TokenKind:
        assert count(Event.LOGIN_ANSWERED, bot="pricing-bot", kind=kind) == 1
    assert count(Event.PASSED) == 0


# --- users that are not ours --------------------------------------------------------------


@pytest.fixture
def person(sandbox: Sandbox) -> str:
    """A user whose key Symphony knows and the proxy does not."""
    sandbox.add_bot("reporting-bot", public_key_pem(rsa_key(number=5)).decode())
    return "reporting-bot"


def test_a_login_of_somebody_else_passes_untouched(
    sandbox: Sandbox, client: httpx.Client, person: str
) -> None:
    for kind in TokenKind:
        component, path = RSA[kind]
        body = json.dumps({"token": assertion(person)}).encode()
        answer = client.post(sandbox.url(component) + path, content=body)
        assert answer.json()["name"] == HEADERS[kind]
        [login] = [one for one in calls(sandbox, path) if one.body == body]
        assert login.values("Content-Length") == [str(len(body))]


def test_a_chunked_login_of_somebody_else_arrives_whole(
    sandbox: Sandbox, client: httpx.Client, person: str
) -> None:
    component, path = RSA[TokenKind.SESSION]
    body = json.dumps({"token": assertion(person)}).encode()
    answer = client.post(sandbox.url(component) + path, content=iter([body[:50], body[50:]]))
    assert answer.status_code == 200
    [login] = [one for one in calls(sandbox, path) if one.body == body]
    assert login.values("Transfer-Encoding") == ["chunked"]
    assert login.values("Content-Length") == []


@pytest.mark.parametrize("policy", ["keep", "replace", "refuse"])
def test_their_tokens_follow_client_tokens(sandbox: Sandbox, person: str, policy: str) -> None:
    with answering_proxy(sandbox, clientTokens=policy) as proxy, client_of(proxy) as client:
        token = log_in_by_key(client, sandbox, TokenKind.SESSION, person).json()["token"]
        url, headers = sandbox.url(Component.POD) + SESSION_INFO, {"sessionToken": token}
        answer = client.get(url, headers=headers)
        if policy == "refuse":
            assert reason(answer) == "client_token_refused"
        else:
            expected = person if policy == "keep" else "pricing-bot"
            assert answer.json()["username"] == expected


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"no json", b'{"token": 7}', b"\x1f\x8b\xff\x00", b'"' + b"x" * 70_000]
)
def test_what_cannot_be_read_is_left_to_symphony(
    sandbox: Sandbox, client: httpx.Client, body: bytes
) -> None:
    component, path = RSA[TokenKind.SESSION]
    answer = client.post(sandbox.url(component) + path, content=body)
    assert answer.status_code in {400, 401, 500}
    assert "; error=" not in answer.headers["Proxy-Status"]
    assert len(body) in [one.body_size for one in calls(sandbox, path)]


def test_other_logins_pass(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.add_app("portal", public_key_pem(rsa_key(number=5)).decode())
    pod = sandbox.url(Component.POD)
    app = client.post(
        f"{pod}/login/pubkey/app/authenticate", json={"token": assertion("portal")}
    ).json()["token"]
    user = client.post(
        f"{pod}/login/pubkey/app/username/alice/authenticate", headers={"sessionToken": app}
    ).json()["token"]
    info = client.get(pod + SESSION_INFO, headers={"sessionToken": user})
    assert info.json()["username"] == "alice"


# --- stock tools --------------------------------------------------------------------------


def test_stock_mitmdump_answers_logins_too(sandbox: Sandbox, tmp_path: Path) -> None:
    config = answering_config(sandbox)
    sandbox.config.write_bytes(config.read_bytes())
    with stock_tool("mitmdump", sandbox) as tool:
        context = ssl.create_default_context(cafile=str(tool.ca))
        with httpx.Client(proxy=tool.url, verify=context, trust_env=False, timeout=30) as client:
            headers = placeholders_of(client, sandbox, "compliance-bot")
            assert who(client, sandbox, headers) == "compliance-bot"
        tool.child.terminate()
        assert "/login/pubkey/authenticate" in tool.child.output
    assert (sandbox.directory / "proxy-ca" / NAME).stat().st_mode & 0o077 == 0
