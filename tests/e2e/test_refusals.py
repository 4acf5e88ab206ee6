"""What the proxy answers itself: clear, in Symphony's shape, and with nothing sent."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from mitmproxy import http, master

from support.clients import client_of
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.errors import ConfigError, Reason, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.sandbox.faults import FaultKind

ECHO = "/agent/v1/util/echo"


def echo(sandbox: Sandbox, client: httpx.Client, **arguments: object) -> httpx.Response:
    url = sandbox.url(Component.AGENT) + ECHO
    return client.post(url, json={"message": "x"}, **arguments)  # type: ignore[arg-type]


def assert_answer(answer: httpx.Response, status: int, reason: Reason) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"], body["details"]["reason"]) == (
        status,
        status,
        reason,
    )
    assert body["message"]
    assert answer.headers["Proxy-Status"].startswith("symphony-auth-proxy; error=")


def agent_calls(sandbox: Sandbox) -> list[str]:
    return [r.path for r in sandbox.requests if r.component is Component.AGENT]


def test_an_unknown_bot_is_a_403(sandbox: Sandbox, client: httpx.Client) -> None:
    answer = echo(sandbox, client, headers={"Symphony-Bot": "nobody"})
    assert_answer(answer, 403, Reason.UNKNOWN_BOT)
    assert "pricing-bot, compliance-bot" in answer.json()["details"]["hint"]
    assert agent_calls(sandbox) == []


def test_a_page_of_another_site_is_a_403(sandbox: Sandbox, client: httpx.Client) -> None:
    answer = echo(sandbox, client, headers={"Origin": "https://evil.example"})
    assert_answer(answer, 403, Reason.CROSS_SITE)
    assert agent_calls(sandbox) == []


def test_a_refused_login_is_a_503_that_is_not_repeated(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.fail(Component.POD, status=401, path="/login")
    for _ in range(3):
        answer = echo(sandbox, client)
        assert_answer(answer, 503, Reason.LOGIN_REJECTED)
        assert answer.json()["details"]["bot"] == "pricing-bot"
        assert int(answer.headers["Retry-After"]) > 30
    logins = [r for r in sandbox.requests if r.path == "/login/pubkey/authenticate"]
    assert len(logins) == 1
    assert agent_calls(sandbox) == []


def test_a_login_that_hangs_is_a_503_within_the_requests_patience(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.fail(Component.POD, kind=FaultKind.HANG, path="/login")
    answer = echo(sandbox, client)
    assert_answer(answer, 503, Reason.LOGIN_UNAVAILABLE)
    assert answer.elapsed.total_seconds() < 12
    assert agent_calls(sandbox) == []


def test_a_key_manager_outage_stops_agent_calls_but_not_pod_calls(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.fail(Component.KEY_MANAGER, status=401)
    assert client.get(sandbox.url(Component.POD) + "/pod/v2/sessioninfo").status_code == 200
    assert_answer(echo(sandbox, client), 503, Reason.LOGIN_REJECTED)


def test_an_agent_that_is_down_is_a_502_inside_the_tunnel(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.outage(Component.AGENT)
    assert_answer(echo(sandbox, client), 502, Reason.UPSTREAM_UNREACHABLE)
    sandbox.recover()
    assert echo(sandbox, client).status_code == 200


def test_an_upstream_certificate_that_nobody_vouches_for_is_a_502(
    sandbox: Sandbox, confdir: Path, prepared: Path
) -> None:
    config = prepared / "wrong-name.yaml"
    port = sandbox.origin(Component.AGENT).port
    # The sandbox's certificate does not name this spelling of loopback.
    config.write_text(
        sandbox.config.read_text().replace(
            f"agent: {{host: localhost, port: {port}}}",
            f"agent: {{host: 127.0.0.2, port: {port}}}",
        )
    )
    with running_proxy(config, confdir) as proxy, client_of(proxy) as client:
        with socket.create_server(("127.0.0.2", 0)):
            pass
        answer = client.post(f"https://127.0.0.2:{port}{ECHO}", json={})
        assert answer.status_code == 502


def test_a_hook_that_raises_sends_nothing(
    sandbox: Sandbox, proxy: Proxy, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = proxy.addon.state.active
    assert active is not None

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a message with a secret in it")

    monkeypatch.setattr(active.provider, "get", broken)
    answer = echo(sandbox, client)
    assert_answer(answer, 503, Reason.INTERNAL)
    assert "secret" not in answer.text
    assert agent_calls(sandbox) == []


def test_an_addon_that_turns_a_request_to_another_host_gets_no_tokens_out(
    sandbox: Sandbox, confdir: Path
) -> None:
    class Turner:
        def request(self, flow: http.HTTPFlow) -> None:
            flow.request.port = sandbox.origin(Component.KEY_MANAGER).port

    def prepare(proxy: master.Master, _: SymphonyAuth) -> None:
        proxy.addons.add(Turner())

    with (
        running_proxy(sandbox.config, confdir, prepare=prepare) as proxy,
        client_of(proxy) as client,
    ):
        assert_answer(echo(sandbox, client), 502, Reason.INSECURE_UPSTREAM)
    assert not [r for r in sandbox.requests if r.path == ECHO]


def test_a_large_upload_that_is_refused_is_not_read_to_its_end(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    url = sandbox.url(Component.AGENT) + ECHO
    try:
        answer = client.post(url, content=bytes(20_000_000), headers={"Symphony-Bot": "nobody"})
    except httpx.TransportError:
        return  # the connection was closed before the answer could be read
    assert_answer(answer, 403, Reason.UNKNOWN_BOT)
    assert answer.headers["Connection"] == "close"


def test_refusals_leave_nothing_behind(
    sandbox: Sandbox, proxy: Proxy, client: httpx.Client
) -> None:
    """Neither an error's traceback nor the last words to a client may hold its flow."""

    def chunks() -> Iterator[bytes]:
        yield b"x"

    def flows() -> int:
        gc.collect()
        return sum(type(one) is http.HTTPFlow for one in gc.get_objects())

    url = sandbox.url(Component.AGENT) + ECHO
    proxy.addon.state.trouble = SymphonyAuthProxyError("as with an unsafe option")
    before = flows()
    for _ in range(20):
        assert client.post(url, json={}).status_code == 503
        with suppress(httpx.TransportError):  # the connection is closed under the upload
            client.post(url, content=chunks())
    assert flows() - before <= 4


def test_a_configuration_that_cannot_be_used_starts_nothing(confdir: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("host: acme.symphony.com\nbot: {username: x}\nauthProxy: {liste: 1}\n")
    with pytest.raises(ConfigError) as refused, running_proxy(config, confdir):
        pass
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    "mode", ["socks5", "transparent", "reverse:tcp://localhost:1", "regular@0.0.0.0:0", "nonsense"]
)
def test_modes_without_guarantees_refuse_to_start(sandbox: Sandbox, mode: str) -> None:
    from symphony_auth_proxy.mitm.runner import check_modes

    assert len(check_modes([mode])) == 1
