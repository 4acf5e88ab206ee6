"""mitmproxy's own tools with the addon in them: what they save, show and log holds no
secret, not even those of a bot that logs in by itself."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jwt
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from support.bdk import VERSIONS, quotes, waits_for_events
from support.canaries import Canaries, canaries_of, issuing_noted
from support.configuration import change
from support.processes import free_port
from support.stock_tools import Tool, stock_tool
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
LAST = "/agent/v3/health"
LOGIN, TOKENS = "/login/pubkey/authenticate", "/login/idm/tokens"

KINDS = {"session", "key manager", "access token", "assertion", "private key", "password"}
BROUGHT = {
    "sessionToken": "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJzb21lYm9keSJ9.YS1zdHJhbmdlcidzLXNlc3Npb24",
    "Authorization": "Bearer a-bearer-token-of-the-client-itself",
    "Cookie": "skey=the-session-cookie-of-a-browser",
}
"""Secrets that clients send, which the proxy has to pass on but not to show."""


@pytest.fixture(autouse=True)
def issued() -> Iterator[list[tuple[str, str]]]:
    with issuing_noted() as noted:
        yield noted


@contextmanager
def client_of(tool: Tool) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=tool.ca)
    with httpx.Client(proxy=tool.url, verify=trust, trust_env=False, timeout=30) as client:
        yield client


def traffic(sandbox: Sandbox, tool: Tool) -> None:
    """Everything in which a secret is on its way: added, healed, brought, asked for."""
    pod, agent = sandbox.url(Component.POD), sandbox.url(Component.AGENT)
    with client_of(tool) as client:
        for _ in range(2):
            assert client.get(pod + INFO).status_code == 200
            assert client.post(agent + ECHO, json={"message": "hello"}).status_code == 200
            sandbox.revoke()
        for name, value in BROUGHT.items():
            client.get(f"{pod}{INFO}?token=a-token-in-a-query", headers={name: value})

        claims = {"sub": KEY_BOT, "exp": int(time.time()) + 240}
        key = (sandbox.directory / f"{KEY_BOT}.pem").read_text()
        assertion = jwt.encode(claims, key, algorithm="RS512")
        session = client.post(pod + LOGIN, json={"token": assertion}).raise_for_status().json()
        own = {"sessionToken": session["token"]}
        assert client.get(pod + INFO, headers=own).status_code == 200
        client.post(pod + TOKENS, headers=own).raise_for_status()
        wrong = client.post(pod + LOGIN, json={"token": f"{assertion}-which-is-wrong"})
        assert wrong.status_code == 401
        assert client.get(f"{agent}{LAST}").status_code == 200


def secrets_of(sandbox: Sandbox, issued: list[tuple[str, str]]) -> Canaries:
    canaries = canaries_of(sandbox, issued)
    for name, value in BROUGHT.items():
        canaries.add(f"brought {name}", value.removeprefix("Bearer ").removeprefix("skey="))
    canaries.add("brought in a query", "a-token-in-a-query")
    return canaries


@pytest.mark.parametrize("version", VERSIONS)
def test_what_mitmdump_saves_and_logs_holds_no_secret(
    sandbox: Sandbox, issued: list[tuple[str, str]], tmp_path: Path, version: str
) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["drainSeconds"] = 0.1
    dump, har = tmp_path / "dump", tmp_path / "flows.har"
    sinks = ("-w", str(dump), "--set", f"hardump={har}")
    with stock_tool("mitmdump", sandbox, *sinks) as mitmdump:
        traffic(sandbox, mitmdump)
        with quotes(version, sandbox, mitmdump.port, mitmdump.ca) as bot:
            sandbox.post("bonds")
            bot.seen("answered bonds")
            # A read is in flight at the end: flows that are not finished are saved as well.
            sandbox.wait_for(waits_for_events)
            assert mitmdump.child.terminate() == 0

    canaries = secrets_of(sandbox, issued)
    assert canaries.kinds >= KINDS
    for sink in (dump.read_bytes(), har.read_bytes(), mitmdump.child.output.encode()):
        assert b"[sealed pricing-bot #" in sink
        assert b"message/create" in sink
        assert canaries.found_in(sink) == set()


def test_the_same_search_finds_the_secrets_when_the_addon_is_missing(
    sandbox: Sandbox, issued: list[tuple[str, str]], tmp_path: Path
) -> None:
    dump, har = tmp_path / "dump", tmp_path / "flows.har"
    sinks = ("-w", str(dump), "--set", f"hardump={har}")
    with stock_tool("mitmdump", sandbox, *sinks, addon=None) as mitmdump:
        with quotes(VERSIONS[0], sandbox, mitmdump.port, mitmdump.ca) as bot:
            sandbox.post("bonds")
            bot.seen("answered bonds")
        mitmdump.child.terminate()

    canaries = secrets_of(sandbox, issued)
    for sink in (dump.read_bytes(), har.read_bytes(), mitmdump.child.output.encode()):
        found = canaries.found_in(sink)
        assert found >= {f"{kind}, whole" for kind in KINDS - {"private key", "password"}}
        assert found >= {"session, its signature", "assertion, its end"}


def test_what_mitmweb_shows_holds_no_secret(
    sandbox: Sandbox, issued: list[tuple[str, str]]
) -> None:
    port, password = free_port(), "the-password-of-the-screen"
    screen = ("--no-web-open-browser", "--web-port", str(port), "--set", f"web_password={password}")
    base, login = f"//127.0.0.1:{port}", {"Authorization": f"Bearer {password}"}

    async def updates_during(tool: Tool) -> list[str]:
        """What the screen is sent while the traffic runs."""
        websocket = await websocket_connect(HTTPRequest(f"ws:{base}/updates", headers=login))
        await websocket.write_message(
            json.dumps({"type": "flows/updateFilter", "payload": {"name": "search", "expr": ".*"}})
        )
        seen = [""]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(traffic, sandbox, tool))
            while LAST not in seen[-1] or '"status_code": 200' not in seen[-1]:
                message = await websocket.read_message()
                assert isinstance(message, str)
                seen.append(message)
        websocket.close()
        while await websocket.read_message() is not None:
            pass
        return seen

    with stock_tool("mitmweb", sandbox, *screen) as mitmweb:
        mitmweb.child.seen("Web server listening")
        pages = asyncio.run(updates_during(mitmweb))
        with httpx.Client(base_url=f"http:{base}", headers=login, trust_env=False) as web:
            flows = web.get("/flows").raise_for_status()
            pages += [web.get(page).raise_for_status().text for page in ("/events", "/options")]
            pages.append(web.get("/flows/dump").raise_for_status().text)
            for flow in flows.json():
                for message in ("request", "response"):
                    pages.append(web.get(f"/flows/{flow['id']}/{message}/content.data").text)
        assert mitmweb.child.terminate() == 0
    pages += [flows.text, mitmweb.child.output]

    assert len(flows.json()) > 8
    assert any("[sealed pricing-bot #" in page for page in pages)
    canaries = secrets_of(sandbox, issued)
    assert set().union(*(canaries.found_in(page.encode()) for page in pages)) == set()


def test_what_mitmproxy_shows_on_a_terminal_and_saves_holds_no_secret(
    sandbox: Sandbox, issued: list[tuple[str, str]], tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    calls_first = ("--set", "view_order=method")  # the proxy's own logins are POST requests
    with stock_tool("mitmproxy", sandbox, "-w", str(dump), *calls_first) as mitmproxy:
        with client_of(mitmproxy) as client:
            assert client.get(sandbox.url(Component.POD) + INFO).status_code == 200
        mitmproxy.child.seen("sessioninfo")
        mitmproxy.child.seen("authenticate")
        mitmproxy.child.press("g\r")  # opens the first flow
        mitmproxy.child.seen("sealed pricing-bot #")
        traffic(sandbox, mitmproxy)
        assert mitmproxy.child.terminate() == 0

    canaries = secrets_of(sandbox, issued)
    for sink in (dump.read_bytes(), mitmproxy.child.output.encode()):
        assert canaries.found_in(sink) == set()


def test_a_stock_tool_that_everybody_can_reach_hands_out_nothing(sandbox: Sandbox) -> None:
    """Which is what stock tools do unless they are told where to listen."""
    everywhere = "0.0.0.0"
    with stock_tool("mitmdump", sandbox, listen_host=everywhere) as tool, client_of(tool) as client:
        refused = client.get(sandbox.url(Component.POD) + INFO)
    assert (refused.status_code, refused.json()["details"]["reason"]) == (403, "clients_required")
    assert [one for one in sandbox.requests if one.path == INFO] == []


def test_a_stock_tool_with_a_broken_configuration_refuses_and_says_why(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["clientTokens"] = "perhaps"
    with stock_tool("mitmdump", sandbox) as tool, client_of(tool) as client:
        refused = client.get(sandbox.url(Component.POD) + INFO)
    assert (refused.status_code, refused.json()["details"]["reason"]) == (503, "configuration")
    assert "authProxy.clientTokens" in refused.json()["message"]
    assert "authProxy.clientTokens" in tool.child.output
    assert sandbox.requests == ()
