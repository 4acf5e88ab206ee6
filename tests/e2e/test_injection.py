"""Every way in which a client can reach Symphony through the proxy."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import httpx

from support.clients import client_of
from support.proxy import Proxy, running_proxy
from support.wire import connect_proxy, recorded_origin
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox

ECHO, SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"


def test_agent_and_pod_calls_get_the_tokens_of_the_default_bot(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    echo = client.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "hello"})
    info = client.get(sandbox.url(Component.POD) + SESSION_INFO)
    assert (echo.status_code, echo.json()) == (200, {"message": "hello"})
    assert info.json()["username"] == "pricing-bot"


def test_the_certificate_bot_logs_in_with_its_certificate_and_without_a_body(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    headers = {"Symphony-Bot": "compliance-bot"}
    url = sandbox.url(Component.AGENT) + ECHO
    assert client.post(url, json={"message": "x"}, headers=headers).status_code == 200
    logins = [r for r in sandbox.requests if r.client_name == "compliance-bot"]
    assert {r.path for r in logins} == {
        "/sessionauth/v1/authenticate",
        "/keyauth/v1/authenticate",
    }
    assert all(r.body_size == 0 and not r.values("Content-Type") for r in logins)


def test_the_header_that_chooses_the_bot_does_not_reach_symphony(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    client.get(
        sandbox.url(Component.POD) + SESSION_INFO, headers={"Symphony-Bot": "compliance-bot"}
    )
    [call] = [r for r in sandbox.requests if r.path == SESSION_INFO]
    assert not call.values("Symphony-Bot")
    assert len(call.values("sessionToken")) == 1
    assert call.values("keyManagerToken") == []


def test_ten_calls_cost_two_logins(sandbox: Sandbox, client: httpx.Client) -> None:
    for number in range(10):
        url = sandbox.url(Component.AGENT) + ECHO
        assert client.post(url, json={"message": str(number)}).status_code == 200
    assert sandbox.logins(TokenKind.SESSION, "pricing-bot") == 1
    assert sandbox.logins(TokenKind.KEY_MANAGER, "pricing-bot") == 1


def test_on_one_host_a_pod_call_carries_the_key_manager_token_once_it_is_at_hand(
    prepared_directory: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(prepared_directory, tmp_path / "one")
    with (
        Sandbox(directory, one_host=True) as sandbox,
        running_proxy(sandbox.config, directory / "proxy-ca") as proxy,
        client_of(proxy) as client,
    ):
        base = sandbox.url(Component.POD)
        assert client.post(base + ECHO, json={"message": "x"}).status_code == 200
        assert client.get(base + SESSION_INFO).status_code == 200
        [call] = [r for r in sandbox.requests if r.path == SESSION_INFO]
        assert len(call.values("keyManagerToken")) == 1


def test_a_browsers_absolute_form_request_is_upgraded_to_https(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    port = sandbox.origin(Component.AGENT).port
    target = f"http://localhost:{port}{ECHO}"
    body = b'{"message": "plain"}'
    request = (
        f"POST {target} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(request + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    [call] = [r for r in sandbox.requests if r.path == ECHO]
    assert call.values("Host") == [f"localhost:{port}"]


def test_http_without_a_port_finds_the_components_port_by_the_path(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with httpx.Client(proxy=proxy.url, trust_env=False) as plain:
        echo = plain.post(f"http://localhost{ECHO}", json={"message": "x"})
        info = plain.get(f"http://localhost{SESSION_INFO}")
        nowhere = plain.get("http://localhost/")
    assert (echo.status_code, info.status_code, nowhere.status_code) == (200, 200, 421)
    assert nowhere.json()["details"]["reason"] == "ambiguous_destination"


def test_reverse_mode_serves_programs_that_cannot_take_a_proxy(
    sandbox: Sandbox, confdir: Path
) -> None:
    mode = f"reverse:{sandbox.url(Component.AGENT)}"
    with running_proxy(sandbox.config, confdir, modes=[mode]) as proxy:
        answer = httpx.post(proxy.url + ECHO, json={"message": "reverse"}, trust_env=False)
        assert (answer.status_code, answer.json()) == (200, {"message": "reverse"})


def test_upstream_mode_goes_through_the_other_proxy(sandbox: Sandbox, confdir: Path) -> None:
    with connect_proxy() as corporate:
        mode = f"upstream:http://127.0.0.1:{corporate.port}"
        with running_proxy(sandbox.config, confdir, modes=[mode]) as proxy, client_of(proxy) as c:
            answer = c.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "up"})
            assert (answer.status_code, answer.json()) == (200, {"message": "up"})
        assert str(sandbox.origin(Component.AGENT)) in corporate.targets


def test_a_corporate_proxy_with_credentials_is_used_for_logins_and_for_traffic(
    sandbox: Sandbox, confdir: Path, prepared: Path
) -> None:
    with connect_proxy(credentials="bank:s3:cret") as corporate:
        config = prepared / "with-proxy.yaml"
        config.write_text(
            sandbox.config.read_text()
            + f"proxy: {{host: 127.0.0.1, port: {corporate.port}, username: bank, "
            "password: 's3:cret'}\n"
        )
        with running_proxy(config, confdir) as proxy, client_of(proxy) as client:
            for bot in ("pricing-bot", "compliance-bot"):
                answer = client.post(
                    sandbox.url(Component.AGENT) + ECHO,
                    json={"message": "x"},
                    headers={"Symphony-Bot": bot},
                )
                assert answer.status_code == 200
        assert corporate.targets >= {str(sandbox.origin(component)) for component in Component}
        assert corporate.refused == 0


def test_a_component_with_proxy_null_is_reached_directly(
    sandbox: Sandbox, confdir: Path, prepared: Path
) -> None:
    port = sandbox.origin(Component.KEY_MANAGER).port
    with connect_proxy() as corporate:
        config = prepared / "direct-km.yaml"
        config.write_text(
            sandbox.config.read_text().replace(
                f"keyManager: {{host: localhost, port: {port}}}",
                f"keyManager: {{host: localhost, port: {port}, proxy: null}}",
            )
            + f"proxy: {{host: 127.0.0.1, port: {corporate.port}}}\n"
        )
        with running_proxy(config, confdir) as proxy, client_of(proxy) as client:
            url = sandbox.url(Component.AGENT) + ECHO
            assert client.post(url, json={"message": "x"}).status_code == 200
        assert str(sandbox.origin(Component.AGENT)) in corporate.targets
        assert str(sandbox.origin(Component.KEY_MANAGER)) not in corporate.targets


def test_an_http2_client_reaches_an_http2_symphony(
    sandbox: Sandbox, confdir: Path, prepared: Path
) -> None:
    with recorded_origin(prepared, http2=True) as agent:
        config = prepared / "http2.yaml"
        config.write_text(
            sandbox.config.read_text().replace(
                f"agent: {{host: localhost, port: {sandbox.origin(Component.AGENT).port}}}",
                f"agent: {{host: localhost, port: {agent.port}}}",
            )
        )
        with running_proxy(config, confdir) as proxy:
            with client_of(proxy, http2=True) as first:
                assert first.get(f"{agent.url}{ECHO}").http_version == "HTTP/1.1"
            with client_of(proxy, http1=False, http2=True) as client:
                answers = [client.get(f"{agent.url}{ECHO}") for _ in range(3)]
        assert [answer.http_version for answer in answers] == ["HTTP/2"] * 3
        assert [answer.status_code for answer in answers] == [200] * 3
        for request in agent.requests:
            names = [name for name, _ in request.headers]
            assert names.count("sessiontoken") == names.count("keymanagertoken") == 1


def test_http2_is_offered_only_when_the_upstream_has_been_seen_to_speak_it(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with client_of(proxy, http2=True) as both:
        answers = [both.get(sandbox.url(Component.POD) + SESSION_INFO) for _ in range(2)]
    assert [answer.http_version for answer in answers] == ["HTTP/1.1"] * 2
