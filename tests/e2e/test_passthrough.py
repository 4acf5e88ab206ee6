"""What is not Symphony's keeps its end-to-end TLS; what is not ours passes untouched."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from support.clients import client_of
from support.proxy import Proxy, running_proxy
from support.wire import connect_proxy, recorded_origin
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.telemetry import Event

OWN = {"sessionToken": "a-session-of-my-own", "keyManagerToken": "and-a-key"}


def other_client(proxy: Proxy, sandbox: Sandbox) -> httpx.Client:
    """A client that does not trust the proxy's CA at all."""
    context = ssl.create_default_context(cafile=str(sandbox.ca))
    return httpx.Client(proxy=proxy.url, verify=context, trust_env=False)


def test_another_host_is_reached_with_its_own_certificate(
    sandbox: Sandbox, proxy: Proxy, prepared: Path
) -> None:
    with recorded_origin(prepared, http2=False) as other, other_client(proxy, sandbox) as client:
        assert client.get(f"{other.url}/agent/v1/util/echo").status_code == 200
        [request] = other.requests
        assert not {"sessiontoken", "keymanagertoken"} & {name for name, _ in request.headers}
    assert proxy.addon.state.telemetry.count(Event.PASSTHROUGH) == 1


def test_another_host_is_reached_through_the_corporate_proxy(
    sandbox: Sandbox, confdir: Path, prepared: Path
) -> None:
    with (
        connect_proxy(credentials="bank:secret") as corporate,
        recorded_origin(prepared, http2=False) as other,
    ):
        config = prepared / "corporate.yaml"
        config.write_text(
            sandbox.config.read_text()
            + f"proxy: {{host: 127.0.0.1, port: {corporate.port}, username: bank, "
            "password: secret}\n"
        )
        with running_proxy(config, confdir) as proxy, other_client(proxy, sandbox) as client:
            assert client.get(f"{other.url}/x").status_code == 200
            assert f"localhost:{other.port}" in corporate.targets
            client.get(f"http://127.0.0.1:{other.port}/plain")
            assert f"127.0.0.1:{other.port}" in corporate.targets


def test_other_hosts_can_be_refused(sandbox: Sandbox, confdir: Path, prepared: Path) -> None:
    config = prepared / "strict.yaml"
    config.write_text(
        sandbox.config.read_text().replace("authProxy:\n", "authProxy:\n  otherHosts: refuse\n")
    )
    with (
        recorded_origin(prepared, http2=False) as other,
        running_proxy(config, confdir) as proxy,
        other_client(proxy, sandbox) as client,
    ):
        with pytest.raises(httpx.ProxyError, match="403"):
            client.get(f"{other.url}/x")
        plain = httpx.get(f"http://localhost:{other.port}/x", proxy=proxy.url, trust_env=False)
        assert plain.json()["details"]["reason"] == "host_refused"
        with client_of(proxy) as ours:
            assert ours.get(sandbox.url(Component.POD) + "/pod/v2/sessioninfo").is_success
        assert other.requests == []


def test_a_clients_own_tokens_arrive_as_they_are(sandbox: Sandbox, client: httpx.Client) -> None:
    url = sandbox.url(Component.AGENT) + "/agent/v1/util/echo"
    answer = client.post(url, json={"message": "x"}, headers=OWN)
    assert answer.status_code == 401
    [call] = [r for r in sandbox.requests if r.path == "/agent/v1/util/echo"]
    assert call.values("sessionToken") == [OWN["sessionToken"]]
    assert call.values("keyManagerToken") == [OWN["keyManagerToken"]]


def test_a_login_of_the_clients_own_passes_and_brings_its_token(
    sandbox: Sandbox, client: httpx.Client, prepared: Path
) -> None:
    import time

    import jwt

    key = (prepared / "pricing-bot.pem").read_text()
    assertion = jwt.encode(
        {"sub": "pricing-bot", "exp": int(time.time()) + 240}, key, algorithm="RS512"
    )
    url = sandbox.url(Component.POD) + "/login/pubkey/authenticate"
    token = client.post(url, json={"token": assertion}).json()["token"]
    info = client.get(
        sandbox.url(Component.POD) + "/pod/v2/sessioninfo", headers={"sessionToken": token}
    )
    assert info.json()["username"] == "pricing-bot"
    [call] = [r for r in sandbox.requests if r.path == "/pod/v2/sessioninfo"]
    assert call.values("sessionToken") == [token]


def test_health_and_info_get_no_token(sandbox: Sandbox, client: httpx.Client) -> None:
    for path in ("/agent/v3/health", "/agent/v1/info"):
        assert client.get(sandbox.url(Component.AGENT) + path).status_code == 200
    for call in sandbox.requests:
        if call.path in {"/agent/v3/health", "/agent/v1/info"}:
            assert not call.values("sessionToken")
