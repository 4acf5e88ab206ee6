"""HOST: where a request says it goes, by each witness there is, against where it does go.

CONNECT target, SNI, Host, absolute-form target and `:authority` must name the same place, or
nothing is sent (vm0 #14412, #19171; CVE-2019-9900).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from attacks.origins import Http2Origin, RawOrigin, server_tls
from attacks.raw import CLOSED, Http2Wire, Wire
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, agent_at
from support.proxy import Proxy
from symphony_auth_proxy.model import Component


@pytest.fixture(scope="module")
def elsewhere(module_sandbox: Attacked) -> Iterator[RawOrigin]:
    """A stranger on 127.0.0.1, with a certificate that the proxy trusts: for both names."""
    with RawOrigin(server_tls(module_sandbox.sandbox.directory, "127.0.0.1")) as origin:
        yield origin


def test_a_request_whose_witnesses_agree_gets_its_token(proxy: Proxy, attacked: Attacked) -> None:
    """The other tests here say «nothing arrived»; this one says that something could have."""
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert len(attacked.with_tokens) == 1


@pytest.mark.parametrize("sni", ["evil.example", "pod.localhost", "localhost.evil.example"])
def test_connect_to_the_pod_with_the_sni_of_another(
    proxy: Proxy, attacked: Attacked, sni: str
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod, sni=sni) as wire:
        answer = wire.request(SESSION_INFO, str(pod))
    assert (answer.status, answer.reason) == (421, "ambiguous_destination")
    assert attacked.arrived == []


def test_connect_to_the_pod_without_sni_is_decided_by_connect(
    proxy: Proxy, attacked: Attacked
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod, sni=None) as wire:
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert len(attacked.with_tokens) == 1


@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:1", "127.0.0.1:{port}"])
def test_connect_and_sni_of_the_pod_with_the_host_of_another(
    proxy: Proxy, attacked: Attacked, host: str
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        answer = wire.request(SESSION_INFO, host.format(port=pod.port))
    assert (answer.status, answer.reason) == (421, "ambiguous_destination")
    assert attacked.arrived == []


@pytest.mark.parametrize("sni", ["localhost", None, "evil.example"])
def test_connect_elsewhere_with_the_host_of_the_pod(
    proxy: Proxy, attacked: Attacked, elsewhere: RawOrigin, sni: str | None
) -> None:
    """With a foreign SNI the tunnel is left alone; what is sent in it is the client's own."""
    before = len(elsewhere.requests)
    with Wire.tunnel(proxy, f"127.0.0.1:{elsewhere.port}", sni=sni) as wire:
        answer = wire.request(SESSION_INFO, str(attacked.origin()))
    if sni == "localhost":
        assert (answer.status, answer.reason) == (421, "ambiguous_destination")
        assert len(elsewhere.requests) == before
    assert not any(token.encode() in elsewhere.received for token in attacked.tokens)
    assert attacked.arrived == []


def test_connect_to_the_pods_address_with_its_name_as_sni(proxy: Proxy, attacked: Attacked) -> None:
    """The address may be the pod's today and anybody's tomorrow: names are configured."""
    pod = attacked.origin()
    with Wire.tunnel(proxy, f"127.0.0.1:{pod.port}") as wire:
        answer = wire.request(SESSION_INFO, str(pod))
    assert (answer.status, answer.reason) == (421, "ambiguous_destination")
    assert attacked.arrived == []


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/pod/v2/sessioninfo",
        "http://evil.example/pod/v2/sessioninfo",
        "https://127.0.0.1:{port}/pod/v2/sessioninfo",
        "https://localhost@evil.example/pod/v2/sessioninfo",
    ],
)
def test_an_absolute_target_inside_the_tunnel_names_another(
    proxy: Proxy, attacked: Attacked, target: str
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        answer = wire.request(target.format(port=pod.port), str(pod))
    assert answer.status in {400, 421}
    assert attacked.arrived == []


def test_an_absolute_target_of_the_pod_with_the_host_of_another(
    proxy: Proxy, attacked: Attacked
) -> None:
    pod = attacked.origin()
    with Wire(proxy) as wire:
        answer = wire.request(f"http://{pod}{SESSION_INFO}", "evil.example")
    assert (answer.status, answer.reason) == (421, "ambiguous_destination")
    assert attacked.arrived == []


def test_an_absolute_target_elsewhere_with_the_host_of_the_pod(
    proxy: Proxy, attacked: Attacked
) -> None:
    with RawOrigin(None) as plain, Wire(proxy) as wire:
        target = f"http://127.0.0.1:{plain.port}{SESSION_INFO}"
        answer = wire.request(target, str(attacked.origin()))
        assert (answer.status, answer.reason) == (421, "ambiguous_destination")
        assert plain.received == b""
    assert attacked.arrived == []


def test_two_hosts(proxy: Proxy, attacked: Attacked) -> None:
    pod = attacked.origin()
    for hosts in ([str(pod), "evil.example"], ["evil.example", str(pod)], [str(pod), str(pod)]):
        with Wire.tunnel(proxy, pod) as wire:
            answer = wire.request(SESSION_INFO, hosts[0], f"Host: {hosts[1]}")
        assert (answer.status, answer.reason) == (400, "malformed_request")
    assert attacked.arrived == []


@pytest.mark.parametrize("spelling", ["LOCALHOST", "Localhost", "localhost."])
def test_another_spelling_of_the_same_name_is_the_same_place(
    proxy: Proxy, attacked: Attacked, spelling: str
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, f"{spelling}:{pod.port}") as wire:
        assert wire.request(SESSION_INFO, f"{spelling}:{pod.port}").status == 200
    (arrived,) = attacked.with_tokens
    assert arrived.values("host") == [str(pod)], "one spelling goes upstream, the configured one"


@pytest.mark.parametrize(
    "spelling",
    [
        "localhost%2e",
        "%6cocalhost",
        "localhost\\.evil.example",
        "user@localhost",
        "localhost:1@localhost",
        "local host",
        "localhost\x00.evil.example",
        "_localhost",
        "localhost..",
        ".localhost",
        "localhost。",  # the ideographic full stop that IDNA folds into a dot
        "ｌocalhost",  # a full-width l
        "localhoſt",  # a long s, which lower() keeps and NFKC folds
        "xn--localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::1%25lo]",
        "[::1]",
        "localhost.evil.example",
        "evil-localhost",
        "evil.localhost",
    ],
)
def test_a_host_that_only_looks_like_the_pods_gets_no_token(
    proxy: Proxy, attacked: Attacked, spelling: str
) -> None:
    """In CONNECT, in an absolute target and in Host."""
    pod = attacked.origin()
    place = f"{spelling}:{pod.port}"
    with Wire.tunnel(proxy, pod) as wire:
        answer = wire.request(SESSION_INFO, place)
        assert answer == CLOSED or answer.status in {400, 421}
    with Wire(proxy) as wire:
        answer = wire.request(f"http://{place}{SESSION_INFO}", place)
        assert answer == CLOSED or answer.status >= 400
    with Wire(proxy) as wire:
        answer = wire.connect(place)
        if answer.status == 200:
            try:
                wire.start_tls("localhost", ["http/1.1"])
            except (ssl.SSLError, ConnectionError):
                pass
            else:
                answer = wire.request(SESSION_INFO, str(pod))
                assert answer == CLOSED or answer.status >= 400
    assert attacked.with_tokens == []


def test_the_pods_host_on_another_port_is_another_place(
    proxy: Proxy, attacked: Attacked, elsewhere: RawOrigin
) -> None:
    with Wire.tunnel(proxy, f"localhost:{elsewhere.port}") as wire:
        wire.request(SESSION_INFO, f"localhost:{elsewhere.port}")
    assert not any(token.encode() in elsewhere.received for token in attacked.tokens)


def test_every_request_of_a_connection_is_decided_by_itself(
    proxy: Proxy, attacked: Attacked
) -> None:
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        assert wire.request(SESSION_INFO, str(pod)).status == 200
        assert wire.request(SESSION_INFO, "evil.example").status == 421
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert len(attacked.arrived) == 2


def test_requests_sent_in_one_packet_are_decided_one_by_one(
    proxy: Proxy, attacked: Attacked
) -> None:
    pod = attacked.origin()
    first, second = (
        f"GET {SESSION_INFO} HTTP/1.1\r\nHost: {host}\r\n\r\n" for host in (pod, "evil.example")
    )
    with Wire.tunnel(proxy, pod) as wire:
        assert wire.ask(first + second).status == 200
        assert wire.answer().status == 421
    assert len(attacked.arrived) == 1


class TestHttp2:
    """Streams share a connection, and each names its own authority."""

    def test_each_stream_is_decided_by_its_own_authority(
        self, attacked: Attacked, start: Start
    ) -> None:
        with Http2Origin(server_tls(attacked.sandbox.directory)) as agent:
            proxy = start(agent_at(agent.origin))
            with Http2Wire.open(proxy, agent.origin) as wire:
                good, bad, again = (
                    wire.open_stream(ECHO, authority)
                    for authority in (str(agent.origin), "evil.example", str(agent.origin))
                )
                answers = wire.answers(good, bad, again)
        assert [answer.status for answer in answers] == [200, 421, 200]
        assert answers[1].reason == "ambiguous_destination"
        assert agent.connections == 1, "the connection is used again"
        assert agent.values(":authority") == [str(agent.origin)] * 2

    @pytest.mark.parametrize("authority", ["127.0.0.1:{port}", "localhost", "localhost:1", "evil"])
    def test_an_authority_of_another_place(
        self, proxy: Proxy, attacked: Attacked, authority: str
    ) -> None:
        pod = attacked.origin()
        with Http2Wire.open(proxy, pod) as wire:
            answer = wire.fetch(SESSION_INFO, authority.format(port=pod.port))
        assert (answer.status, answer.reason) == (421, "ambiguous_destination")
        assert attacked.arrived == []

    def test_a_host_header_beside_another_authority(self, proxy: Proxy, attacked: Attacked) -> None:
        pod = attacked.origin()
        for authority, host in ((str(pod), "evil.example"), ("evil.example", str(pod))):
            with Http2Wire.open(proxy, pod) as wire:
                answer = wire.fetch(SESSION_INFO, authority, [("host", host)])
                assert answer == CLOSED or answer.status in {400, 421}
        assert attacked.arrived == []

    def test_the_sni_of_another(self, proxy: Proxy, attacked: Attacked) -> None:
        pod = attacked.origin(Component.AGENT)
        with Http2Wire.open(proxy, pod, sni="evil.example") as wire:
            answer = wire.fetch(ECHO, str(pod))
        assert (answer.status, answer.reason) == (421, "ambiguous_destination")
        assert attacked.arrived == []


def test_upstream_is_asked_for_the_configured_name(attacked: Attacked, start: Start) -> None:
    """Not for the client's spelling of it: what the client says decides nothing there."""
    with RawOrigin(server_tls(attacked.sandbox.directory)) as agent:
        proxy = start(agent_at(agent.origin))
        with Wire.tunnel(proxy, agent.origin, sni="LOCALHOST") as wire:
            assert wire.request(ECHO, str(agent.origin)).status == 200
        assert agent.snis == ["localhost"]


def test_the_upstream_certificate_is_checked_against_the_decided_name(
    attacked: Attacked, start: Start
) -> None:
    """mitmproxy alone would ask upstream for the client's SNI, and check against that."""
    with RawOrigin(server_tls(attacked.sandbox.directory, "evil.example")) as agent:
        proxy = start(agent_at(agent.origin), warm=False)
        with Wire.tunnel(proxy, agent.origin, sni="evil.example") as wire:
            assert wire.request(ECHO, str(agent.origin)).status == 421
        with Wire.tunnel(proxy, agent.origin, sni=None) as wire:
            answer = wire.request(ECHO, str(agent.origin))
        assert (answer.status, answer.reason) == (502, "upstream_certificate")
        assert agent.received == b""
