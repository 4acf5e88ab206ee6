"""Looking at certificates that are not trusted: nothing is sent, and nothing is believed."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from cryptography import x509

from loopback import (
    PROXY_PASSWORD,
    ConnectProxy,
    demanding_context,
    listening,
    run,
    server_context,
    silence,
)
from symphony_auth_proxy.model import Endpoint, Origin, UpstreamProxy
from symphony_auth_proxy.transport import chain, network

WHOLE_CHAIN = hasattr(ssl.SSLObject, "get_unverified_chain")
"""From Python 3.13 on."""


def look(port: int, host: str = "localhost", proxy: UpstreamProxy | None = None, wait: float = 5):
    return chain.shown(Endpoint(Origin(host, port), proxy=proxy), wait)


def subjects(shown: tuple[bytes, ...]) -> list[str]:
    return [x509.load_der_x509_certificate(one).issuer.rfc4514_string() for one in shown]


class Recording:
    """Whatever comes after the handshake."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(await reader.read())


def test_certificates_that_nobody_trusts_are_shown_and_nothing_is_sent() -> None:
    host = Recording()

    async def main() -> tuple[bytes, ...]:
        async with listening(host, server_context()) as port:
            return await look(port)

    shown = run(main())
    assert "trustme" in subjects(shown)[0]
    assert b"".join(host.received) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_host_that_insists_on_a_client_certificate_shows_its_own(
    version: ssl.TLSVersion,
) -> None:
    tls = demanding_context()
    tls.minimum_version = tls.maximum_version = version

    async def main() -> tuple[bytes, ...]:
        async with listening(silence, tls) as port:
            return await look(port)

    shown = run(main())
    # Before 3.13, Python tells of no certificates when the handshake has failed.
    if WHOLE_CHAIN or version is ssl.TLSVersion.TLSv1_3:
        assert "trustme" in subjects(shown)[0]


def test_the_way_through_a_corporate_proxy_is_taken_with_its_credentials() -> None:
    host = Recording()

    async def main() -> tuple[tuple[bytes, ...], list[bytes]]:
        async with listening(host, server_context()) as port:
            corporate = ConnectProxy(port)
            async with listening(corporate) as proxy_port:
                way = UpstreamProxy("127.0.0.1", proxy_port, "häns", PROXY_PASSWORD)
                return await look(443, "acme.symphony.com", way), corporate.requests

    shown, requests = run(main())
    assert "trustme" in subjects(shown)[0]
    assert requests[0].startswith(b"CONNECT acme.symphony.com:443 ")


def test_no_way_means_no_certificates_and_no_error() -> None:
    async def main() -> list[tuple[bytes, ...]]:
        async with listening(silence) as silent, listening(ConnectProxy(1)) as refusing:
            proxy = UpstreamProxy("127.0.0.1", refusing)  # without credentials: 407
            return [await look(silent, wait=0.2), await look(443, "acme.symphony.com", proxy)]

    assert run(main()) == [(), ()]


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1"])
def test_a_forbidden_address_is_never_connected_to(host: str) -> None:
    assert run(look(443, host)) == ()


def test_neither_is_one_that_a_name_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same check as of requests: by the address, not by the name."""
    host = Recording()
    monkeypatch.setattr(network, "forbidden_address", lambda address: address == "127.0.0.1")

    async def main() -> tuple[bytes, ...]:
        async with listening(host, server_context()) as port:
            return await look(port)

    assert run(main()) == ()
    assert host.received == []
