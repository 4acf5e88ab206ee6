"""What those who watch are told of an exchange: what was connected to, and what became of it."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time

import pytest
import trustme
from cryptography import x509

from loopback import (
    CA,
    PROXY_PASSWORD,
    ConnectProxy,
    Pod,
    demanding_context,
    listening,
    login,
    run,
    server_context,
    silence,
)
from pki import client_certificate
from symphony_auth_proxy.errors import LoginProtocolError, LoginRejected
from symphony_auth_proxy.model import LoginRequest, UpstreamProxy
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import MAXIMUM_BODY, Exchange, Transport
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable


class Watched:
    """A transport, and what it tells."""

    def __init__(self) -> None:
        self.told: list[Exchange] = []
        self.transport = Transport(CA.cert_pem.bytes().decode(), watch=self.told.append)

    @property
    def one(self) -> Exchange:
        assert len(self.told) == 1, "an exchange is told of exactly once"
        return self.told[0]

    def sending(self, request: LoginRequest, **timeouts: float) -> Exchange:
        """Send, and return what was told: after it has ended."""
        return run(self._sent(request, timeouts))

    async def _sent(self, request: LoginRequest, timeouts: dict[str, float]) -> Exchange:
        with pytest.raises(Unreachable):
            await self.transport.send(request, **timeouts)
        return self.one


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_an_answered_request_is_told_with_its_connection(watched: Watched):
    async def main():
        async with listening(Pod(), server_context()) as port:
            request = login(port)
            begun = time.time()
            response = await watched.transport.send(request)
            return port, request, response, begun

    port, request, response, begun = run(main())
    told = watched.one
    assert told.request is request
    assert told.response is response
    assert told.error is None
    made = told.connection
    assert made is not None
    assert made.peer == ("127.0.0.1", port)
    assert made.local[0] == "127.0.0.1"
    assert made.local[1] not in {0, port}
    assert made.encrypted is not None
    assert made.answered is not None
    instants = [begun, told.begun, made.connected, made.encrypted, made.answered, told.ended]
    assert instants == sorted(instants)
    assert told.ended <= time.time()


def test_the_facts_of_tls_are_those_of_the_connection(watched: Watched):
    seen: list[tuple[str | None, str | None]] = []

    class Looking(Pod):
        async def __call__(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            tls = writer.get_extra_info("ssl_object")
            seen.append((tls.version(), tls.cipher()[0]))
            await super().__call__(reader, writer)

    leaf = CA.issue_cert("localhost")

    async def main():
        tls = server_context(leaf)
        tls.set_alpn_protocols(["http/1.1"])
        async with listening(Looking(), tls) as port:
            await watched.transport.send(login(port))

    run(main())
    made = watched.one.connection
    assert made is not None
    assert [(made.tls_version, made.cipher)] == seen
    assert made.tls_version == "TLSv1.3"
    assert made.alpn == "http/1.1"
    shown = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert x509.load_der_x509_certificate(made.certificates[0]) == shown


def test_an_older_tls_is_told_as_what_it_is(watched: Watched):
    async def main():
        tls = server_context()
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        async with listening(Pod(), tls) as port:
            await watched.transport.send(login(port))

    run(main())
    made = watched.one.connection
    assert made is not None
    assert (made.tls_version, made.alpn) == ("TLSv1.2", None)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python 3.12 shows no chain")
def test_every_certificate_that_the_host_shows_is_told(watched: Watched):
    intermediate = CA.create_child_ca()
    leaf = intermediate.issue_cert("localhost")

    async def main():
        async with listening(Pod(), server_context(leaf)) as port:
            await watched.transport.send(login(port))

    run(main())
    made = watched.one.connection
    assert made is not None
    told = [x509.load_der_x509_certificate(der) for der in made.certificates]
    shown = [x509.load_pem_x509_certificate(pem.bytes()) for pem in leaf.cert_chain_pems]
    assert told == shown
    assert len(told) == 2


def test_behind_a_corporate_proxy_the_connection_is_the_proxys_and_tls_the_hosts(
    watched: Watched,
):
    leaf = CA.issue_cert("pod.example")

    async def main():
        async with listening(Pod(), server_context(leaf)) as pod:
            proxy = ConnectProxy(pod)
            async with listening(proxy) as port:
                way = UpstreamProxy("127.0.0.1", port, "häns", PROXY_PASSWORD)
                await watched.transport.send(login(443, host="pod.example", proxy=way))
                return port

    port = run(main())
    made = watched.one.connection
    assert made is not None
    assert made.peer == ("127.0.0.1", port)
    assert made.tls_version == "TLSv1.3"
    name = x509.load_der_x509_certificate(made.certificates[0])
    assert name == x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


def test_a_proxy_that_refuses_the_tunnel_was_connected_to_and_no_more(watched: Watched):
    async def main():
        async with listening(ConnectProxy(0, b"403 Forbidden")) as port:
            way = UpstreamProxy("127.0.0.1", port)
            return port, await watched._sent(login(443, host="pod.example", proxy=way), {})

    port, told = run(main())
    assert told.connection is not None
    assert told.connection.peer == ("127.0.0.1", port)
    assert told.connection.encrypted is told.connection.answered is None
    assert isinstance(told.error, Unreachable)
    assert told.error.trouble is Trouble.PROXY_REFUSED


def test_where_nothing_listens_there_was_no_connection(watched: Watched):
    told = watched.sending(login(9, host="127.0.0.1"))
    assert told.connection is told.response is None
    assert isinstance(told.error, Unreachable)
    assert told.error.trouble is Trouble.REFUSED
    assert told.begun <= told.ended


def test_a_refused_address_was_never_connected_to(watched: Watched):
    told = watched.sending(login(443, host="169.254.169.254"))
    assert told.connection is None
    assert isinstance(told.error, Unreachable)
    assert told.error.trouble is Trouble.ADDRESS_REFUSED


def test_a_failed_handshake_was_connected_to_but_never_encrypted(watched: Watched):
    async def main():
        stranger = server_context(trustme.CA().issue_cert("localhost"))
        async with listening(Pod(), stranger) as port:
            return port, await watched._sent(login(port), {})

    port, told = run(main())
    assert told.connection is not None
    assert told.connection.peer == ("127.0.0.1", port)
    assert told.connection.encrypted is told.connection.tls_version is None
    assert told.connection.certificates == ()
    assert isinstance(told.error, Unreachable)
    assert told.error.trouble is Trouble.CERTIFICATE_UNTRUSTED


def test_a_host_that_never_answers_was_encrypted_but_never_answered(watched: Watched):
    async def main():
        async with listening(silence, server_context()) as port:
            return await watched._sent(login(port), {"read_timeout": 0.05})

    told = run(main())
    assert told.connection is not None
    assert told.connection.encrypted is not None
    assert told.connection.answered is told.response is None
    assert isinstance(told.error, Unreachable)
    assert told.error.trouble is Trouble.READ_TIMEOUT


def test_an_answer_that_is_too_large_is_an_error_without_a_response(watched: Watched):
    size = MAXIMUM_BODY + 1
    pod = Pod(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size))

    async def main():
        async with listening(pod, server_context()) as port:
            with pytest.raises(LoginProtocolError) as caught:
                await watched.transport.send(login(port))
            return caught.value

    error = run(main())
    told = watched.one
    assert told.response is None
    assert told.error is error
    assert told.connection is not None
    assert told.connection.answered is not None


def test_a_request_that_cannot_be_sent_is_told_too(watched: Watched):
    async def main():
        with pytest.raises(LoginProtocolError) as caught:
            await watched.transport.send(
                login(9, default_headers=(("X-Key", Secret("line\nbreak")),))
            )
        return caught.value

    error = run(main())
    assert watched.one.error is error
    assert watched.one.connection is None


def test_a_caller_that_leaves_leaves_an_exchange_without_an_end(watched: Watched):
    async def main():
        begun = asyncio.Event()

        async def watch(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            begun.set()
            await reader.read()

        async with listening(watch, server_context()) as port, asyncio.TaskGroup() as group:
            caller = group.create_task(watched.transport.send(login(port)))
            await begun.wait()
            caller.cancel()

    run(main())
    assert watched.one.response is watched.one.error is None
    assert watched.one.connection is not None


def test_a_client_certificate_that_is_missed_is_the_error_of_one_exchange(watched: Watched):
    async def main():
        async with listening(Pod(), demanding_context()) as port:
            first = await watched._sent(login(port), {})
            watched.told.clear()
            await watched.transport.send(login(port, certificate=client_certificate("bot")))
            return first

    told = run(main())
    assert told.response is None
    assert told.error is not None
    assert watched.one.response is not None


def test_what_the_reader_says_of_an_answer_is_what_became_of_the_exchange(watched: Watched):
    async def read(port: int) -> None:
        async with watched.transport.exchange(login(port), "pricing-bot"):
            assert watched.told == [], "it has not ended yet"
            raise LoginRejected("not with this key")

    async def main():
        async with listening(Pod(), server_context()) as port:
            with pytest.raises(LoginRejected) as caught:
                await read(port)
            return caught.value

    error = run(main())
    assert watched.one.error is error
    assert watched.one.response is not None
    assert watched.one.account == "pricing-bot"


def test_nobody_needs_to_watch():
    async def main():
        async with listening(Pod(), server_context()) as port:
            return await Transport(CA.cert_pem.bytes().decode()).send(login(port))

    assert run(main()).status == 200
