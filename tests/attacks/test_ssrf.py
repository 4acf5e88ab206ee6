"""SSRF: addresses that no client has business with, by whatever name (CVE-2025-23217).

Metadata services hand out credentials to whoever asks from the inside; the proxy's own
listeners would speak as the bot for whoever gets through. Names are judged by where they
really lead: DNS is made to lie here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

import pytest

from attacks.origins import RawOrigin, server_tls
from attacks.raw import CLOSED, Answer, Wire
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, agent_at, pod_at
from support.proxy import Proxy
from symphony_auth_proxy.core import addresses
from symphony_auth_proxy.tokens import provider

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::]",
]

OTHER_SPELLINGS = ["2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376"]


class Dns:
    """What the proxy's loop is told; each name answers with its addresses in turn, the last
    one for ever."""

    def __init__(self, proxy: Proxy, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self.asked: list[str] = []
        self.strayed: list[str] = []
        """Where connections went, but for the sandbox's own address."""
        self._names = {name: list(answers) for name, answers in (names or {}).items()}
        proxy.call(self._install)

    def _install(self) -> None:
        loop: Any = asyncio.get_running_loop()
        original, connect = loop.getaddrinfo, loop.sock_connect

        async def getaddrinfo(host: Any, port: Any, **more: Any) -> Any:
            self.asked.append(str(host))
            answers = self._names.get(str(host))
            if answers is None:
                return await original(host, port, **more)
            address = answers.pop(0) if len(answers) > 1 else answers[0]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            place = (address, port, 0, 0) if ":" in address else (address, port)
            return [(family, socket.SOCK_STREAM, 6, "", place)]

        async def sock_connect(sock: Any, address: Any) -> None:
            if address[0] != "127.0.0.1":
                self.strayed.append(str(address[0]))
            if not address[0].startswith("127."):
                raise ConnectionRefusedError(address[0])
            await connect(sock, address)

        loop.getaddrinfo, loop.sock_connect = getaddrinfo, sock_connect


@pytest.fixture
def forbidden_loopback(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address that is treated as a metadata service and that a test can listen on."""
    address = "127.0.0.77"
    forbidden = addresses._METADATA | {ip_address(address)}
    monkeypatch.setattr(addresses, "_METADATA", forbidden)
    return address


def by_tunnel(proxy: Proxy, host: str, port: int) -> Answer:
    with Wire(proxy) as wire:
        answered = wire.connect(f"{host}:{port}")
        if answered.status != 200:
            return answered
        with suppress(OSError):
            wire.start_tls(None)
            return wire.request("/latest/meta-data", host)
    return CLOSED


def by_plain_http(proxy: Proxy, host: str, port: int) -> Answer:
    with Wire(proxy) as wire:
        return wire.request(f"http://{host}:{port}/latest/meta-data", f"{host}:{port}")


def by_plain_tunnel(proxy: Proxy, host: str, port: int) -> Answer:
    with Wire(proxy) as wire:
        answered = wire.connect(f"{host}:{port}")
        if answered.status != 200:
            return answered
        return wire.request("/latest/meta-data", host)


WAYS = [by_tunnel, by_plain_http, by_plain_tunnel]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", METADATA + OTHER_SPELLINGS)
def test_metadata_addresses_are_refused_in_every_spelling(
    start: Start, address: str, way: Any
) -> None:
    proxy = start()
    dns = Dns(proxy)
    answered = way(proxy, address, 80)
    assert answered == CLOSED or answered.status in {400, 403, 502}
    assert dns.strayed == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
def test_names_that_lead_to_metadata_addresses_are_refused(
    start: Start, address: str, way: Any
) -> None:
    proxy = start()
    dns = Dns(proxy, {"rebound.example": [address]})
    answered = way(proxy, "rebound.example", 80)
    assert answered == CLOSED or answered.status in {403, 502}
    assert "rebound.example" in dns.asked
    assert dns.strayed == []


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_changes_its_mind_between_check_and_use(
    start: Start, forbidden_loopback: str, way: Any
) -> None:
    with RawOrigin(None, host=forbidden_loopback) as metadata:
        proxy = start()
        dns = Dns(proxy, {"rebound.example": ["127.0.0.1", forbidden_loopback]})
        answered = way(proxy, "rebound.example", metadata.port)
        assert answered == CLOSED or answered.status in {403, 502}
        assert forbidden_loopback in dns.strayed, "it did change its mind"
        assert metadata.received == b""


@contextmanager
def configured_name(attacked: Attacked, host: str) -> Iterator[RawOrigin]:
    with RawOrigin(server_tls(attacked.sandbox.directory, "rebound.example"), host=host) as origin:
        yield origin


def test_the_agents_name_that_changes_its_mind(
    attacked: Attacked, start: Start, forbidden_loopback: str
) -> None:
    with configured_name(attacked, forbidden_loopback) as metadata:
        place = type(metadata.origin)("rebound.example", metadata.port)
        proxy = start(agent_at(place))
        dns = Dns(proxy, {"rebound.example": ["127.0.0.1", forbidden_loopback]})
        with Wire.tunnel(proxy, place, sni="rebound.example") as wire:
            answered = wire.request(ECHO, str(place))
        assert answered == CLOSED or answered.status in {403, 502}
        assert forbidden_loopback in dns.strayed
        assert metadata.received == b""


def test_a_resend_to_a_name_that_changes_its_mind(
    attacked: Attacked, start: Start, forbidden_loopback: str
) -> None:
    """The resend makes a connection of its own."""
    tls = server_tls(attacked.sandbox.directory, "rebound.example")
    refused = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    with (
        RawOrigin(tls, refused) as agent,
        configured_name(attacked, forbidden_loopback) as metadata,
    ):
        place = type(agent.origin)("rebound.example", agent.port)
        proxy = start(agent_at(place))
        Dns(proxy, {"rebound.example": [*["127.0.0.1"] * 3, forbidden_loopback]})
        with Wire.tunnel(proxy, place, sni="rebound.example") as wire:
            agent.answering = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            assert wire.request(ECHO, str(place)).status == 200
            agent.answering = refused
            answered = wire.request(ECHO, str(place))
        assert answered.status in {401, 403, 502}
        assert metadata.received == b""


@pytest.mark.parametrize("answers", [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"]])
def test_a_login_to_a_metadata_address_is_not_made(
    attacked: Attacked, start: Start, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    monkeypatch.setattr(provider, "PATIENCE", 0.2)
    with configured_name(attacked, "127.0.0.1") as pod:
        place = type(pod.origin)("rebound.example", pod.port)
        proxy = start(pod_at(place))
        Dns(proxy, {"rebound.example": answers})
        with Wire.tunnel(proxy, place, sni="rebound.example") as wire:
            answered = wire.request(SESSION_INFO, str(place))
        assert answered.status == 503
        assert b"/login/" not in pod.received or len(answers) > 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "self.example",
        "mapped.example",
    ],
)
def test_the_proxys_own_listener_is_no_target(start: Start, host: str, way: Any) -> None:
    proxy = start()
    clients: list[object] = []
    proxy.call(lambda: proxy.master.addons.add(_Counting(clients)))
    Dns(proxy, {"self.example": ["127.0.0.1"], "mapped.example": ["::ffff:127.0.0.1"]})
    answered = way(proxy, host, proxy.port)
    assert answered == CLOSED or answered.status in {400, 403, 502}
    assert len(clients) == 1, "only the client itself has connected"


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1", "[::ffff:127.0.0.2]"])
def test_a_listener_on_all_interfaces_is_no_target_by_any_of_its_addresses(
    start: Start, host: str
) -> None:
    """Else a request without an end could be made to run in circles."""
    proxy = start(listen_host="0.0.0.0")
    clients: list[object] = []
    proxy.call(lambda: proxy.master.addons.add(_Counting(clients)))
    with Wire(proxy) as wire:
        wire.socket.settimeout(3)
        answered = wire.connect(f"{host}:{proxy.port}")
        if answered.status == 200:
            answered = wire.request("/", f"{host}:{proxy.port}")
    assert answered == CLOSED or answered.status in {400, 403, 502}
    assert len(clients) == 1


class _Counting:
    def __init__(self, clients: list[object]) -> None:
        self._clients = clients

    def client_connected(self, client: object) -> None:
        self._clients.append(client)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "host", ["a" * 64 + ".example", "xn--", "xn--a-ecp.example", "no.such.invalid"]
)
def test_a_name_that_cannot_be_looked_up_is_answered(start: Start, host: str, way: Any) -> None:
    """Some make the resolver raise what is no OSError."""
    proxy = start()
    answered = way(proxy, host, 443)
    assert answered == CLOSED or answered.status in {400, 403, 502}


class TestOtherHostsRefused:
    """`otherHosts: refuse` holds for every way to reach another host."""

    @pytest.fixture
    def strict(self, start: Start) -> Proxy:
        def configure(document: Any) -> None:
            document["authProxy"]["otherHosts"] = "refuse"

        return start(configure)

    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_is_sent_there(self, strict: Proxy, way: Any) -> None:
        with RawOrigin(None) as other:
            answered = way(strict, "127.0.0.1", other.port)
            assert answered.status == 403
            assert other.connections == 0

    def test_not_even_by_name_of_the_pod(self, strict: Proxy, attacked: Attacked) -> None:
        with RawOrigin(None) as other, Wire(strict) as wire:
            assert wire.connect(f"localhost:{other.port}").status == 403
            assert other.connections == 0


def test_our_own_logins_take_no_proxy_and_no_password_from_the_environment(
    attacked: Attacked, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """`*_PROXY` and .netrc (CVE-2024-47081)."""
    with RawOrigin(None) as thief:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{thief.port}")
        netrc = tmp_path / "netrc"
        netrc.write_text("machine localhost login me password netrc-canary\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        start(warm=True)
        assert thief.connections == 0
    assert attacked.sandbox.requests
    for request in attacked.sandbox.requests:
        assert request.values("authorization") == []
