"""`symphony-auth-proxy serve` as a process: how it starts, and how it ends."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.environments import own_script
from support.processes import Child, environment, running
from support.wire import connect_proxy
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Received, Sandbox

SERVE = (own_script("symphony-auth-proxy"), "serve", "--listen", "127.0.0.1:0")
FEEDS = "/agent/v5/datafeeds"


@contextmanager
def serving(sandbox: Sandbox, *arguments: str) -> Iterator[tuple[Child, httpx.Client]]:
    """Run it and yield it, with a client that uses it."""
    command = (*SERVE, "--config", str(sandbox.config), *arguments)
    with running(*command, env=environment(sandbox.directory)) as child:
        address = child.seen(r"Listening on (\S+) ")[1]
        trust = ssl.create_default_context(
            cafile=sandbox.directory / "proxy-ca" / "mitmproxy-ca-cert.pem"
        )
        with httpx.Client(proxy=f"http://{address}", verify=trust, trust_env=False) as client:
            yield child, client


@contextmanager
def held_read(sandbox: Sandbox, client: httpx.Client) -> Iterator[Future[httpx.Response]]:
    """A long poll that is in flight."""
    agent = sandbox.url(Component.AGENT)
    feed = client.post(agent + FEEDS, json={}).raise_for_status().json()["id"]
    path = f"{FEEDS}/{feed}/read"

    def arrived(requests: Sequence[Received]) -> bool:
        return any(one.path == path and one.status is None for one in requests)

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.post, agent + path, json={}, timeout=60)
        sandbox.wait_for(arrived)
        yield answer


def test_in_upstream_mode_logins_go_through_the_other_proxy_too(sandbox: Sandbox) -> None:
    credentials = "bank:the-password-of-the-bank"
    with connect_proxy(credentials) as corporate:
        mode = ("--mode", f"upstream:http://127.0.0.1:{corporate.port}")
        with serving(sandbox, *mode, "--set", f"upstream_auth={credentials}") as (_, client):
            pod = sandbox.url(Component.POD)
            assert client.get(pod + "/pod/v2/sessioninfo").status_code == 200
            sandbox.wait_for(lambda _: sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT) == 1)
    # Traffic went to the pod alone; a login went to the key manager.
    assert str(sandbox.origin(Component.KEY_MANAGER)) in corporate.targets
    assert corporate.refused == 0


def test_a_request_in_flight_is_finished_before_the_end(sandbox: Sandbox) -> None:
    with serving(sandbox) as (child, client), held_read(sandbox, client) as answer:
        child.signal(signal.SIGTERM)
        child.seen("Stopping: waiting")
        sandbox.post("the last one")
        assert answer.result().status_code == 200
        assert "the last one" in answer.result().text
        assert child.exit_code() == 0


def test_a_new_connection_is_refused_while_it_stops(sandbox: Sandbox) -> None:
    with serving(sandbox) as (child, client), held_read(sandbox, client) as answer:
        child.signal(signal.SIGINT)
        child.seen("Stopping: waiting")
        with pytest.raises(httpx.ConnectError):
            client.get(sandbox.url(Component.POD) + "/pod/v2/sessioninfo")
        sandbox.post("the last one")
        assert answer.result().status_code == 200
        assert child.exit_code() == 0


def test_a_second_signal_ends_it_at_once(sandbox: Sandbox) -> None:
    with serving(sandbox) as (child, client), held_read(sandbox, client) as answer:
        child.signal(signal.SIGTERM)
        child.seen("Stopping: waiting")
        child.signal(signal.SIGTERM)
        assert child.exit_code(timeout=5) == 1
        assert "Stopped at once" in child.output
        assert "Traceback" not in child.output
        # The client is cut off, or told to come back if there is time for that.
        assert answer.exception() is not None or answer.result().status_code == 503


def test_it_ends_with_0_when_there_is_nothing_to_wait_for(sandbox: Sandbox) -> None:
    with serving(sandbox) as (child, client):
        assert client.get(sandbox.url(Component.POD) + "/pod/v2/sessioninfo").status_code == 200
        assert child.terminate() == 0
    assert "Traceback" not in child.output


FIVE_MISTAKES = """\
host: acme symphony com
agent: {prot: 443}
bot:
  username: pricing-bot
  privateKey: {path: nowhere.pem}
authProxy:
  clientTokens: hunter2
  admin: {listen: nowhere}
proxy: {host: proxy.corp.example, port: 3128, username: bank, password: hunter2}
"""


def test_a_configuration_with_five_mistakes_is_told_all_of_them(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(FIVE_MISTAKES)
    with running(*SERVE, "--config", str(config), env=environment(tmp_path)) as child:
        assert child.exit_code() == 78
    mistaken = (
        "host",
        "agent.prot",
        "bot.privateKey",
        "authProxy.clientTokens",
        "authProxy.admin.listen",
    )
    assert "has 5 problems" in child.output
    assert all(f"- {place}: " in child.output for place in mistaken)
    assert "hunter2" not in child.output
    assert "Traceback" not in child.output
