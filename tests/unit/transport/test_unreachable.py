"""Every way in which a login does not get through, over real sockets and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from loopback import (
    CA,
    PROXY_PASSWORD,
    ConnectProxy,
    Pod,
    demanding_context,
    listening,
    login,
    refusing_handshakes,
    run,
    server_context,
    silence,
    transport,
    trouble_with,
)
from pki import client_certificate, company_ca
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.model import UpstreamProxy
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable

# Certificates of the server


def test_a_server_of_an_unknown_ca_gets_no_request():
    pod = Pod()
    tls = server_context(trustme.CA().issue_cert("localhost"))
    trouble, message = trouble_with(pod, tls)
    assert trouble is Trouble.CERTIFICATE_UNTRUSTED
    assert "ssl.trustStore" in message
    assert pod.received == []


def test_a_server_with_another_name_gets_no_request():
    pod = Pod()
    trouble, message = trouble_with(pod, server_context(CA.issue_cert("evil.example")))
    assert trouble is Trouble.CERTIFICATE_NAME
    assert "localhost" in message
    assert pod.received == []


def test_a_server_with_another_address_gets_no_request():
    pod = Pod()
    tls = server_context(CA.issue_cert("127.0.0.2"))
    trouble, _ = trouble_with(pod, tls, host="127.0.0.1")
    assert trouble is Trouble.CERTIFICATE_NAME
    assert pod.received == []


def test_a_server_with_an_expired_certificate_gets_no_request():
    pod = Pod()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tls = server_context(CA.issue_cert("localhost", not_after=yesterday))
    trouble, message = trouble_with(pod, tls)
    assert trouble is Trouble.CERTIFICATE_EXPIRED
    assert "clock" in message
    assert pod.received == []


def test_tls_older_than_1_2_is_not_spoken():
    tls = server_context()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with refusing_handshakes(tls) as port, pytest.raises(Unreachable) as caught:
        run(transport().send(login(port)))
    assert caught.value.trouble is Trouble.TLS_FAILED
    assert "TLS 1.2" in caught.value.hint()


def test_a_port_that_speaks_plain_http_is_named_as_such():
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    trouble, _ = trouble_with(plain, None)
    assert trouble is Trouble.NOT_TLS


# Client certificates

TLS_VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@TLS_VERSIONS
def test_the_client_certificate_is_shown_in_the_handshake(version):
    pod = Pod()
    tls = demanding_context()
    tls.maximum_version = version

    async def main():
        async with listening(pod, tls) as port:
            return await transport().send(
                login(port, json=None, certificate=client_certificate("pricing-bot"))
            )

    assert run(main()).status == 200
    (peer,) = pod.peer_names
    assert isinstance(peer, dict)
    assert peer["subject"] == ((("commonName", "pricing-bot"),),)


@TLS_VERSIONS
@pytest.mark.parametrize(
    ("ca", "way_out"), [(None, "none is configured"), ("Another CA", "Admin portal")]
)
def test_a_client_certificate_that_is_not_accepted_is_named(version, ca, way_out):
    certificate = client_certificate("pricing-bot", ca=company_ca(ca)) if ca else None
    tls = demanding_context()
    tls.maximum_version = version
    with refusing_handshakes(tls) as port, pytest.raises(Unreachable) as caught:
        run(transport().send(login(port, certificate=certificate)))
    assert caught.value.trouble is Trouble.CLIENT_CERTIFICATE
    assert way_out in f"{caught.value} {caught.value.hint()}"


@TLS_VERSIONS
def test_a_client_certificate_that_has_expired_is_named(version):
    begun = datetime.now(UTC) - timedelta(days=2)
    certificate = client_certificate("pricing-bot", valid_from=begun, days=1)
    tls = demanding_context()
    tls.maximum_version = version
    with refusing_handshakes(tls) as port, pytest.raises(Unreachable) as caught:
        run(transport().send(login(port, certificate=certificate)))
    assert caught.value.diagnosis is Diagnosis.BOT_CERTIFICATE_EXPIRED


def test_a_server_that_drops_the_connection_instead_may_mean_the_certificate():
    pod = Pod()
    trouble, message = trouble_with(pod, demanding_context())
    assert trouble is Trouble.CLOSED
    assert "client certificate" in message
    assert pod.received == []


def test_a_client_certificate_that_is_not_asked_for_does_no_harm():
    async def main():
        async with listening(Pod(), server_context()) as port:
            return await transport().send(login(port, certificate=client_certificate("bot")))

    assert run(main()).status == 200


# Networks that fail


def test_a_name_that_does_not_resolve_is_named(monkeypatch):
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)

    async def main():
        with pytest.raises(Unreachable, match=r"pod\.example") as caught:
            await transport().send(login(443, host="pod.example"))
        return caught.value.trouble

    assert run(main()) is Trouble.DNS


def test_a_port_where_nothing_listens_is_named():
    async def main():
        async with listening(silence) as port:
            pass
        with pytest.raises(Unreachable, match=f"localhost:{port} refuses") as caught:
            await transport().send(login(port))
        return caught.value.trouble

    assert run(main()) is Trouble.REFUSED


def test_a_connection_that_is_never_accepted_is_given_up():
    async def main():
        # A listener whose queue is full drops what comes, as a firewall does.
        with (
            socket.create_server(("127.0.0.1", 0), backlog=0) as full,
            socket.create_connection(full.getsockname()),
        ):
            request = login(full.getsockname()[1], host="127.0.0.1")
            with pytest.raises(Unreachable) as caught:
                await transport().send(request, connect_timeout=0.2)
        return caught.value

    error = run(main())
    assert error.trouble is Trouble.CONNECT_TIMEOUT
    assert "8444" in error.hint()


def test_a_server_that_never_finishes_the_handshake_is_given_up():
    trouble, _ = trouble_with(silence, None, connect_timeout=0.2)
    assert trouble is Trouble.TLS_TIMEOUT


def test_a_server_that_never_answers_is_given_up():
    trouble, _ = trouble_with(silence, server_context(), read_timeout=0.2)
    assert trouble is Trouble.READ_TIMEOUT


def test_a_server_that_keeps_busy_without_answering_is_given_up_as_a_whole():
    """Each read succeeds at once, so only the limit on the whole exchange can end it."""

    async def hold_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()

    trouble, _ = trouble_with(hold_on, server_context(), connect_timeout=0.1, read_timeout=0.2)
    assert trouble is Trouble.READ_TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"],
    ids=["nothing", "half a status line", "half a body"],
)
def test_an_answer_that_breaks_off_is_named(answer):
    trouble, _ = trouble_with(Pod(answer), server_context())
    assert trouble is Trouble.CLOSED


def test_an_answer_in_another_protocol_is_named():
    trouble, message = trouble_with(Pod(b"SSH-2.0-OpenSSH_9.2 canary\r\n\r\n"), server_context())
    assert trouble is Trouble.NOT_HTTP
    assert "canary" not in message


# Corporate proxies


def through_proxy(
    pod: Pod,
    tls: ssl.SSLContext,
    *,
    password: Secret = PROXY_PASSWORD,
    refuse: bytes = b"",
    **changes: Any,
) -> tuple[ConnectProxy, int | Trouble]:
    """Log in at pod.example, which only the proxy can find."""

    async def main():
        async with listening(pod, tls) as port:
            connect_proxy = ConnectProxy(port, refuse)
            async with listening(connect_proxy) as proxy_port:
                proxy = UpstreamProxy("127.0.0.1", proxy_port, "häns", password)
                request = login(8444, host="pod.example", proxy=proxy, **changes)
                try:
                    response = await transport().send(request)
                except Unreachable as error:
                    return connect_proxy, error.trouble
                return connect_proxy, response.status

    return run(main())


def test_a_login_goes_through_a_proxy_with_credentials_and_a_client_certificate():
    pod = Pod()
    tls = demanding_context()
    CA.issue_cert("pod.example").configure_cert(tls)
    proxy, outcome = through_proxy(pod, tls, certificate=client_certificate("pricing-bot"))
    assert outcome == 200
    assert proxy.requests[0].startswith(b"CONNECT pod.example:8444 HTTP/1.1\r\n")
    assert b"assertion" in pod.received[0]
    assert b"proxy-authorization" not in pod.received[0].lower()


def test_the_proxy_is_told_nothing_but_where_to():
    pod = Pod()
    proxy, _ = through_proxy(
        pod,
        server_context(CA.issue_cert("pod.example")),
        default_headers=(("X-Key", Secret("canary")),),
    )
    assert b"canary" in pod.received[0]
    assert b"canary" not in proxy.requests[0]


def test_the_name_is_verified_behind_a_proxy_too():
    pod = Pod()
    _, outcome = through_proxy(pod, server_context(CA.issue_cert("other.example")))
    assert outcome is Trouble.CERTIFICATE_NAME
    assert pod.received == []


def test_wrong_proxy_credentials_are_named():
    pod = Pod()
    _, outcome = through_proxy(pod, server_context(), password=Secret("wrong"))
    assert outcome is Trouble.PROXY_CREDENTIALS
    assert pod.received == []


def test_a_proxy_that_forbids_the_destination_is_named():
    pod = Pod()
    _, outcome = through_proxy(pod, server_context(), refuse=b"403 Forbidden")
    assert outcome is Trouble.PROXY_REFUSED
    assert pod.received == []


def test_a_proxy_that_is_not_there_is_named():
    async def main():
        async with listening(silence) as port:
            pass
        proxy = UpstreamProxy("127.0.0.1", port)
        with pytest.raises(Unreachable, match=f"the proxy 127.0.0.1:{port}") as caught:
            await transport().send(login(443, host="pod.example", proxy=proxy))
        return caught.value.trouble

    assert run(main()) is Trouble.PROXY_UNREACHABLE
