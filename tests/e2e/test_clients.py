"""Who may use the proxy: in every mode, from the first byte to the last reload."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from attacks.origins import RawOrigin, server_tls
from attacks.raw import Answer, Wire
from support.audit import audit_records
from support.clients import basic, client_of
from support.configuration import change, read_with
from support.environments import program
from support.proxy import Proxy, running_proxy
from support.settings import client
from support.wire import connect_proxy, recorded_origin
from symphony_auth_proxy.model import Client, Component
from symphony_auth_proxy.passwords import HashedPassword, hashed
from symphony_auth_proxy.sandbox import Received, Sandbox
from symphony_auth_proxy.secret import Secret

SESSION_INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"

NAME, PASSWORD = "pricing", "a:b c"
"""As they may be: with a colon and a space."""
BASIC = basic(f"{NAME}:{PASSWORD}")
AUTHORIZED = f"Proxy-Authorization: {BASIC}"


def pricing(*bots: str, password: str = PASSWORD) -> Client:
    return client(NAME, *(bots or ("pricing-bot",)), password=password)


@pytest.fixture
def values() -> dict[str, Any]:
    """What the proxy reads in place of the file's values; change it and `reload`."""
    return {"clients": (pricing(),)}


@pytest.fixture
def proxy(sandbox: Sandbox, confdir: Path, values: dict[str, Any]) -> Iterator[Proxy]:
    """A proxy that knows one client."""
    with running_proxy(sandbox.config, confdir, load=read_with(values)) as running:
        yield running


@contextmanager
def proxy_in(mode: str, sandbox: Sandbox, *clients: Client) -> Iterator[Proxy]:
    confdir = sandbox.directory / "proxy-ca"
    load = read_with({"clients": clients})
    with running_proxy(sandbox.config, confdir, modes=[mode], load=load) as running:
        yield running


def reload(proxy: Proxy) -> None:
    options = proxy.master.options
    proxy.call(lambda: options.update(symphony_config=options.symphony_config))


def calls(sandbox: Sandbox, path: str = SESSION_INFO) -> list[Received]:
    return [r for r in sandbox.requests if r.path == path]


def assert_challenge(answer: Answer) -> None:
    assert (answer.status, answer.reason) == (407, "client_unknown")
    assert answer.values("Proxy-Authenticate") == [
        'Basic realm="symphony-auth-proxy", charset="UTF-8"'
    ]


# --- tunnels -------------------------------------------------------------------------


def test_one_connect_with_credentials_stands_for_all_in_its_tunnel(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    pod = sandbox.origin(Component.POD)
    with Wire(proxy) as wire:
        assert wire.connect(str(pod), AUTHORIZED).status == 200
        wire.start_tls()
        for _ in range(3):
            assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert len(calls(sandbox)) == 3
    assert not any(call.values("Proxy-Authorization") for call in calls(sandbox))


def test_a_client_that_sends_them_at_once_is_served(sandbox: Sandbox, proxy: Proxy) -> None:
    with client_of(proxy, credentials=(NAME, PASSWORD)) as http:
        assert http.get(sandbox.url(Component.POD) + SESSION_INFO).is_success
        assert http.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "x"}).is_success


def test_a_tunnel_without_credentials_is_challenged_and_the_connection_ended(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with Wire(proxy) as wire:
        answer = wire.connect(str(sandbox.origin(Component.POD)))
        assert_challenge(answer)
        assert answer.values("Connection") == ["close"]
        assert wire.ended()
    assert sandbox.requests == ()


@pytest.mark.parametrize("flags", [["--proxy-anyauth"], ["--proxy-basic"]], ids=lambda f: f[0])
def test_curl_answers_the_challenge_and_needs_none(
    sandbox: Sandbox, proxy: Proxy, flags: list[str]
) -> None:
    command = [program("curl"), "--silent", "--show-error", "--noproxy", "", *flags]
    command += ["--proxy", proxy.url, "--proxy-user", f"{NAME}:{PASSWORD}"]
    command += ["--cacert", str(proxy.ca), "--write-out", "%{http_connect} %{http_code}"]
    command += ["--output", "-", sandbox.url(Component.POD) + SESSION_INFO]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.endswith("200 200")
    assert "pricing-bot" in done.stdout


def test_other_hosts_are_no_open_relay(sandbox: Sandbox, proxy: Proxy, prepared: Path) -> None:
    trust = ssl.create_default_context(cafile=str(sandbox.ca))
    with recorded_origin(prepared, http2=False) as other:
        with (
            httpx.Client(proxy=proxy.url, verify=trust, trust_env=False) as stranger,
            pytest.raises(httpx.ProxyError, match="407"),
        ):
            stranger.get(other.url)
        way = httpx.Proxy(proxy.url, auth=(NAME, PASSWORD))
        with httpx.Client(proxy=way, verify=trust, trust_env=False) as known:
            assert known.get(f"{other.url}/relayed").is_success
        assert [request.path for request in other.requests] == ["/relayed"]


@pytest.mark.parametrize("speaks", ["TLS", "something else"])
def test_a_tunnel_whose_client_is_gone_is_not_relayed(
    sandbox: Sandbox, proxy: Proxy, values: dict[str, Any], speaks: str
) -> None:
    tls = server_tls(sandbox.directory) if speaks == "TLS" else None
    with RawOrigin(tls) as other, Wire(proxy) as wire:
        # By an address, as the sandbox has the name.
        host = f"127.0.0.1:{other.port}"
        assert wire.connect(host, AUTHORIZED).status == 200
        values["clients"] = (client("another"),)
        reload(proxy)
        if tls is not None:
            wire.start_tls(sni=None)
            assert_challenge(wire.request("/", host))
        else:
            wire.send("\0 is no HTTP\r\n\r\n")
            assert wire.ended()
        assert other.connections == 0


def test_the_portal_is_for_clients_but_for_what_they_need_before(proxy: Proxy) -> None:
    host = "symphony.proxy"
    for path in ("/", "/status.json"):
        with Wire(proxy) as wire:
            assert_challenge(wire.request(f"http://{host}{path}", host))
            assert wire.request(f"http://{host}{path}", host, AUTHORIZED).status == 200
    for path in ("/ca.pem", "/healthz"):
        with Wire(proxy) as wire:
            assert wire.request(f"http://{host}{path}", host).status == 200
    with Wire(proxy) as wire:
        assert_challenge(wire.connect(f"{host}:443"))


# --- requests outside of tunnels -----------------------------------------------------


def test_each_absolute_form_request_speaks_for_itself(sandbox: Sandbox, proxy: Proxy) -> None:
    pod = sandbox.origin(Component.POD)
    target = f"http://{pod}{SESSION_INFO}"
    with Wire(proxy) as wire:
        assert wire.request(target, str(pod), AUTHORIZED).status == 200
        assert_challenge(wire.request(target, str(pod)))
        assert wire.request(target, str(pod), AUTHORIZED).status == 200
    assert len(calls(sandbox)) == 2
    assert not any(call.values("Proxy-Authorization") for call in calls(sandbox))


def test_plain_requests_to_other_hosts_need_credentials_too(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        host = f"127.0.0.1:{other.getsockname()[1]}"
        with Wire(proxy) as wire:
            assert_challenge(wire.request(f"http://{host}/", host))
            wire.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{AUTHORIZED}\r\n\r\n")
            connection, _ = other.accept()
        with connection:
            assert b"Proxy-Authorization" not in connection.recv(65536)


# --- modes ---------------------------------------------------------------------------


def test_a_reverse_proxys_clients_may_say_it_as_to_a_server(sandbox: Sandbox) -> None:
    with proxy_in(f"reverse:{sandbox.url(Component.POD)}", sandbox, pricing()) as proxy:
        with Wire(proxy) as wire:
            host = f"127.0.0.1:{proxy.port}"
            assert_challenge(wire.request(SESSION_INFO, host))
            assert_challenge(wire.request(SESSION_INFO, host, f"Authorization: {BASIC}x"))
            assert wire.request(SESSION_INFO, host, AUTHORIZED).status == 200
            assert wire.request(SESSION_INFO, host, f"Authorization: {BASIC}").status == 200
            bearer = "Authorization: Bearer mine"
            wire.request(SESSION_INFO, host, AUTHORIZED, bearer)
        *ours, theirs = calls(sandbox)
    assert len(ours) == 2
    assert not any(call.values("Authorization") for call in ours)
    assert theirs.values("Authorization") == ["Bearer mine"]
    assert theirs.values("sessionToken") == []


def test_a_reverse_proxys_clients_may_call_it_by_a_name_of_its_own(sandbox: Sandbox) -> None:
    """No web page can: it does not know the password. Another of Symphony's hosts is none."""
    with (
        proxy_in(f"reverse:{sandbox.url(Component.POD)}", sandbox, pricing()) as proxy,
        Wire(proxy) as wire,
    ):
        assert wire.request(SESSION_INFO, "proxy.bank.example:8443", AUTHORIZED).status == 200
        other = str(sandbox.origin(Component.AGENT))
        assert wire.request(SESSION_INFO, other, AUTHORIZED).status == 421
    assert len(calls(sandbox)) == 1


def test_a_reverse_proxy_without_clients_leaves_authorization_alone(sandbox: Sandbox) -> None:
    with (
        proxy_in(f"reverse:{sandbox.url(Component.POD)}", sandbox) as proxy,
        Wire(proxy) as wire,
    ):
        host = f"127.0.0.1:{proxy.port}"
        wire.request(SESSION_INFO, host, f"Authorization: {BASIC}", AUTHORIZED)
    (call,) = calls(sandbox)
    assert call.values("Authorization") == [BASIC]
    assert call.values("Proxy-Authorization") == []


def test_upstream_mode_keeps_our_credentials_from_the_other_proxy(sandbox: Sandbox) -> None:
    pod = sandbox.origin(Component.POD)
    # The other one would answer 407 to anything but its own credentials.
    with connect_proxy() as corporate:
        mode = f"upstream:http://127.0.0.1:{corporate.port}"
        with proxy_in(mode, sandbox, pricing()) as proxy:
            with Wire(proxy) as wire:
                assert_challenge(wire.connect(str(pod)))
            assert corporate.targets == set()
            with client_of(proxy, credentials=(NAME, PASSWORD)) as http:
                assert http.get(f"https://{pod}{SESSION_INFO}").is_success
            with Wire(proxy) as wire:
                target = f"http://{pod}{SESSION_INFO}"
                assert_challenge(wire.request(target, str(pod)))
                assert wire.request(target, str(pod), AUTHORIZED).status == 200
        assert corporate.targets == {str(pod)}


def test_off_loopback_it_works_with_clients(sandbox: Sandbox, confdir: Path) -> None:
    load = read_with({"clients": (pricing(),)})
    with (
        running_proxy(sandbox.config, confdir, listen_host="0.0.0.0", load=load) as proxy,
        client_of(proxy, credentials=(NAME, PASSWORD)) as http,
    ):
        assert http.get(sandbox.url(Component.POD) + SESSION_INFO).is_success


def test_without_clients_credentials_are_dropped_and_ignored(sandbox: Sandbox) -> None:
    with (
        proxy_in("regular", sandbox) as proxy,
        client_of(proxy, credentials=("any", "body")) as http,
    ):
        headers = {"Proxy-Authorization": BASIC}
        assert http.get(sandbox.url(Component.POD) + SESSION_INFO, headers=headers).is_success
    (call,) = calls(sandbox)
    assert call.values("Proxy-Authorization") == []


# --- the same caller, later ----------------------------------------------------------


@pytest.mark.parametrize("mode", ["regular", "reverse"])
def test_a_resend_speaks_as_the_same_client(sandbox: Sandbox, mode: str) -> None:
    pod = sandbox.origin(Component.POD)
    spec = f"reverse:{sandbox.url(Component.POD)}" if mode == "reverse" else mode
    with proxy_in(spec, sandbox, pricing("compliance-bot")) as proxy, Wire(proxy) as wire:
        host = f"127.0.0.1:{proxy.port}" if mode == "reverse" else str(pod)
        if mode == "regular":
            assert wire.connect(host, AUTHORIZED).status == 200
            wire.start_tls()
        for _ in range(2):
            answer = wire.request(SESSION_INFO, host, *([AUTHORIZED] * (mode == "reverse")))
            assert answer.status == 200
            assert b'"compliance-bot"' in answer.body
            sandbox.revoke("compliance-bot")
    assert [call.status for call in calls(sandbox)] == [200, 401, 200]


def test_a_reload_counts_in_open_tunnels(
    sandbox: Sandbox, proxy: Proxy, values: dict[str, Any]
) -> None:
    pod = str(sandbox.origin(Component.POD))
    with Wire(proxy) as wire:
        assert wire.connect(pod, AUTHORIZED).status == 200
        wire.start_tls()
        assert b'"pricing-bot"' in wire.request(SESSION_INFO, pod).body

        values["clients"] = (pricing("compliance-bot"),)
        reload(proxy)
        refused = wire.request(SESSION_INFO, pod, "Symphony-Bot: pricing-bot")
        assert (refused.status, refused.reason) == (403, "not_granted")
        assert b'"compliance-bot"' in wire.request(SESSION_INFO, pod).body

        values["clients"] = (client("another", "pricing-bot"),)
        reload(proxy)
        assert_challenge(wire.request(SESSION_INFO, pod))
    assert len(calls(sandbox)) == 2


def test_a_tunnel_from_before_there_were_clients_is_challenged_inside(
    sandbox: Sandbox, proxy: Proxy, values: dict[str, Any]
) -> None:
    pod = str(sandbox.origin(Component.POD))
    values["clients"] = ()
    reload(proxy)
    with Wire.tunnel(proxy, pod) as wire:
        assert wire.request(SESSION_INFO, pod).status == 200
        values["clients"] = (pricing(),)
        reload(proxy)
        assert_challenge(wire.request(SESSION_INFO, pod))


# --- as a person configures it -------------------------------------------------------


def test_clients_of_the_file_with_a_password_in_each_of_its_forms(
    sandbox: Sandbox, confdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = {name: f"the password of {name}, which is long" for name in ("file", "hash", "env")}
    kept = sandbox.directory / "client.password"
    kept.touch(0o600)
    kept.write_text(passwords["file"] + "\n")
    monkeypatch.setenv("CLIENT_PASSWORD", passwords["env"])
    forms = {
        "file": {"passwordFile": "client.password"},
        "hash": {"passwordHash": hashed(Secret(passwords["hash"]))},
        "env": {"password": "${CLIENT_PASSWORD}"},
    }
    with change(sandbox.config) as document:
        document["authProxy"]["clients"] = [
            {"name": name, "bots": ["pricing-bot"]} | form for name, form in forms.items()
        ]
    url = sandbox.url(Component.POD) + SESSION_INFO
    with running_proxy(sandbox.config, confdir) as proxy:
        for name, password in passwords.items():
            with client_of(proxy, credentials=(name, password)) as http:
                assert http.get(url).is_success
            for wrong in (passwords["file" if name != "file" else "env"], ""):
                with (
                    client_of(proxy, credentials=(name, wrong)) as http,
                    pytest.raises(httpx.ProxyError, match="407"),
                ):
                    http.get(url)


# --- hashes --------------------------------------------------------------------------


def test_a_hashed_password_is_hashed_once(
    sandbox: Sandbox, confdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    matches = HashedPassword.matches
    monkeypatch.setattr(
        HashedPassword, "matches", lambda self, text: asked.append(text) or matches(self, text)
    )
    phc = Secret(hashed(Secret(PASSWORD)))
    clients = (Client(NAME, HashedPassword(phc), ("pricing-bot",)),)
    with running_proxy(sandbox.config, confdir, load=read_with({"clients": clients})) as proxy:
        for _ in range(3):
            with client_of(proxy, credentials=(NAME, PASSWORD)) as http:
                assert http.get(sandbox.url(Component.POD) + SESSION_INFO).is_success
        with Wire(proxy) as wire:
            wrong = f"Proxy-Authorization: {basic(f'{NAME}:wrong')}"
            assert_challenge(wire.connect(str(sandbox.origin(Component.POD)), wrong))
    assert asked == [PASSWORD, "wrong"]


# --- records -------------------------------------------------------------------------


def test_records_tell_which_client_did_what(
    sandbox: Sandbox, proxy: Proxy, prepared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "symphony_auth_proxy.audit")  # as it is unless told otherwise
    pod = sandbox.url(Component.POD)
    with client_of(proxy, credentials=(NAME, PASSWORD)) as http:
        assert http.get(pod + SESSION_INFO).is_success
        http.get(pod + "/pod/v1/admin/user/list", headers={"Authorization": "Bearer mine"})
        http.get(pod + SESSION_INFO, headers={"Symphony-Bot": "compliance-bot"})
        sandbox.revoke("pricing-bot")
        assert http.get(pod + SESSION_INFO).is_success
    trust = ssl.create_default_context(cafile=str(sandbox.ca))
    way = httpx.Proxy(proxy.url, auth=(NAME, PASSWORD))
    with (
        recorded_origin(prepared, http2=False) as other,
        httpx.Client(proxy=way, verify=trust, trust_env=False) as http,
    ):
        http.get(other.url)
    for event in ("injected", "passed", "refused", "resent", "passthrough"):
        records = audit_records(caplog, event)
        assert records, event
        assert {record["client"] for record in records} == {NAME}, event
