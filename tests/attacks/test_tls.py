"""TLS: tokens go over verified TLS ≥ 1.2 to the configured name, or nowhere."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attacks.origins import Http2Origin, RawOrigin, answer, server_tls, stranger
from attacks.raw import Http2Wire, Wire
from attacks.stage import ECHO, Attacked, Start, agent_at, pod_at
from pki import rsa_key
from support.proxy import Proxy
from symphony_auth_proxy.certificates import CertificateWithKey, make_ca
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.tokens import provider

LAST_YEAR = datetime.now(UTC) - timedelta(days=365)
NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)


def _self_signed() -> CertificateWithKey:
    return make_ca("localhost", key=rsa_key(number=8))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for a login no longer than its first failure."""
    monkeypatch.setattr(provider, "PATIENCE", 0.1)


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


class NoTls(RawOrigin):
    """Answers a TLS handshake as web servers without TLS do."""

    def converse(self, stream: socket.socket) -> None:
        self.heard(stream.recv(65536))
        stream.sendall(answer("400 Bad Request"))


UNACCEPTABLE: dict[str, Callable[[Path], ssl.SSLContext]] = {
    "of another name": lambda d: server_tls(d, "evil.example"),
    "of a name that begins alike": lambda d: server_tls(d, "localhost.evil.example"),
    "of a name below": lambda d: server_tls(d, "www.localhost"),
    "expired": lambda d: server_tls(d, valid_from=LAST_YEAR, days=30),
    "not yet valid": lambda d: server_tls(d, valid_from=NEXT_YEAR, days=30),
    "self-signed": lambda d: server_tls(d, ca=_self_signed()),
    "of a CA that nobody trusts": lambda d: server_tls(d, ca=stranger()),
}


@pytest.fixture(params=UNACCEPTABLE)
def unacceptable(request: pytest.FixtureRequest, attacked: Attacked) -> ssl.SSLContext:
    return UNACCEPTABLE[request.param](attacked.sandbox.directory)


def test_a_certificate_that_is_not_acceptable_gets_no_request(
    unacceptable: ssl.SSLContext, start: Start
) -> None:
    """502 in the tunnel: a CONNECT that fails ends the BDK for Python."""
    with RawOrigin(unacceptable) as agent:
        proxy = start(agent_at(agent.origin))
        with Wire.tunnel(proxy, agent.origin) as wire:
            answered = wire.request(ECHO, str(agent.origin))
        assert (answered.status, answered.reason) == (502, "upstream_certificate")
        assert agent.received == b""
        with Wire.tunnel(proxy, agent.origin) as wire:
            answered = wire.request("/agent/v1/info", str(agent.origin))
        assert answered.status == 502, "a call without tokens is not sent either"
        assert agent.received == b""


def test_a_certificate_that_is_not_acceptable_gets_no_assertion(
    unacceptable: ssl.SSLContext, start: Start, impatient: None
) -> None:
    with RawOrigin(unacceptable) as pod:
        proxy = start(pod_at(pod.origin))
        with Wire.tunnel(proxy, pod.origin) as wire:
            answered = wire.request("/pod/v2/sessioninfo", str(pod.origin))
        assert (answered.status, answered.reason) == (503, "login_unavailable")
        assert pod.received == b""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tls_version_server_min": "TLS1", "ciphers_server": "ALL:@SECLEVEL=0"},
        {"tls_version_server_min": "UNBOUNDED", "ciphers_server": "ALL:@SECLEVEL=0"},
    ],
)
def test_tls_before_1_2_gets_no_request(
    attacked: Attacked, start: Start, options: dict[str, str]
) -> None:
    """Not even when mitmproxy is told to accept it; a refusal to start would do as well."""
    with RawOrigin(_old(server_tls(attacked.sandbox.directory))) as agent:
        try:
            proxy = start(agent_at(agent.origin), options=options)
        except SymphonyAuthProxyError:
            return
        with Wire.tunnel(proxy, agent.origin) as wire:
            answered = wire.request(ECHO, str(agent.origin))
        assert answered.status in {502, 503}
        assert agent.received == b""


def test_plain_http_upstream_gets_no_request(attacked: Attacked, start: Start) -> None:
    with NoTls(None) as agent:
        proxy = start(agent_at(agent.origin))
        with Wire.tunnel(proxy, agent.origin) as wire:
            assert wire.request(ECHO, str(agent.origin)).status == 502
        with Wire(proxy) as wire:
            assert wire.request(f"http://{agent.origin}{ECHO}", str(agent.origin)).status == 502
        assert b"HTTP/1.1" not in agent.received
        assert not any(token.encode() in agent.received for token in attacked.tokens)


@pytest.mark.parametrize("option", ["ssl_insecure", "proxy_debug"])
def test_a_start_with_an_unsafe_option_is_refused(start: Start, option: str) -> None:
    with pytest.raises(SymphonyAuthProxyError, match=option):
        start(options={option: "true"})


@pytest.mark.parametrize("variable", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
def test_a_start_that_would_write_down_tls_keys_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "keys"))
    with pytest.raises(SymphonyAuthProxyError, match=variable):
        start()


@pytest.mark.parametrize("option", ["ssl_insecure", "proxy_debug"])
def test_an_unsafe_option_that_is_set_later_stops_all_requests(
    attacked: Attacked, start: Start, option: str
) -> None:
    """mitmweb's options can be changed at any time, also on a connection that is open."""
    with RawOrigin(server_tls(attacked.sandbox.directory)) as agent:
        proxy = start(agent_at(agent.origin))
        with Wire.tunnel(proxy, agent.origin) as wire:
            assert wire.request(ECHO, str(agent.origin)).status == 200
            proxy.call(lambda: proxy.master.options.update(**{option: True}))
            answered = wire.request(ECHO, str(agent.origin))
            assert (answered.status, answered.reason) == (503, "configuration")
            proxy.call(lambda: proxy.master.options.update(**{option: False}))
            assert wire.request(ECHO, str(agent.origin)).status == 200
        assert len(agent.requests) == 2


def test_a_connection_that_was_not_verified_is_never_used(attacked: Attacked, start: Start) -> None:
    """Opened while verification was off; the option is corrected, the connection is still
    there. What counts is how it was made."""
    with Http2Origin(server_tls(attacked.sandbox.directory, "evil.example")) as agent:
        proxy = start(agent_at(agent.origin))
        with Http2Wire.open(proxy, agent.origin) as wire:
            with behind_the_addons_back(proxy, "ssl_insecure"):
                opened = wire.fetch("/agent/v1/info", str(agent.origin))
            used_again = wire.fetch(ECHO, str(agent.origin))
        assert agent.connections >= 1
    assert (opened.status, used_again.status) == (502, 502)
    assert agent.requests == []


@contextmanager
def behind_the_addons_back(proxy: Proxy, option: str) -> Iterator[None]:
    """Set an option so that nobody is told."""
    options = proxy.master.options
    proxy.call(lambda: options._options[option].set(True))
    try:
        yield
    finally:
        proxy.call(lambda: options._options[option].set(False))
