"""DOS: what a hostile or broken other side can make the proxy spend.

Bounded means: the same number of logins, files and bytes, however often and however long.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from attacks.origins import HANG_UP, RawOrigin, ScriptedSymphony, answer, server_tls, stranger
from attacks.raw import CLOSED, Http2Wire, Wire
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, agent_at, everything_at, pod_at
from attacks.witness import Witness
from support.proxy import Proxy
from symphony_auth_proxy.errors import LoginError
from symphony_auth_proxy.model import Component, Endpoint, LoginRequest, Origin, TokenKind
from symphony_auth_proxy.sandbox import FaultKind
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.tokens import provider
from symphony_auth_proxy.transport import MAXIMUM_BODY, Transport

MEGABYTE = 2**20


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait a quarter of a second for their tokens, not ten."""
    monkeypatch.setattr(provider, "PATIENCE", 0.25)


def test_an_upstream_that_always_says_401_costs_one_more_login(
    attacked: Attacked, start: Start
) -> None:
    """Else every request would be a login, until the account is locked (vm0 #10475)."""
    proxy = start(warm=True)
    pod = attacked.origin()
    attacked.sandbox.fail(Component.POD, status=401, path=SESSION_INFO)
    before = attacked.sandbox.logins(TokenKind.SESSION, "pricing-bot")
    with Wire.tunnel(proxy, pod) as wire:
        answers = [wire.request(SESSION_INFO, str(pod)).status for _ in range(30)]
    assert set(answers) <= {401, 503}
    assert attacked.sandbox.logins(TokenKind.SESSION, "pricing-bot") - before <= 1
    assert len(attacked.arrived) <= 32, "no request is sent more than twice"


def test_a_login_that_hangs_costs_its_client_a_clear_answer_in_time(
    attacked: Attacked, start: Start, impatient: None
) -> None:
    attacked.sandbox.fail(Component.POD, kind=FaultKind.HANG, path="/login/")
    proxy = start()
    pod = attacked.origin()
    with Wire.tunnel(proxy, pod) as wire:
        answered = wire.request(SESSION_INFO, str(pod))
    assert (answered.status, answered.reason) == (503, "login_unavailable")
    assert answered.values("retry-after")
    assert attacked.arrived == []


def test_many_clients_of_a_login_that_hangs_share_it(
    attacked: Attacked, start: Start, impatient: None
) -> None:
    attacked.sandbox.fail(Component.POD, kind=FaultKind.HANG, path="/login/")
    proxy = start()
    pod = attacked.origin()
    wires = [Wire.tunnel(proxy, pod) for _ in range(20)]
    for wire in wires:
        wire.send(f"GET {SESSION_INFO} HTTP/1.1\r\nHost: {pod}\r\n\r\n")
    assert {wire.answer().status for wire in wires} == {503}
    for wire in wires:
        wire.close()
    hung = [one for one in attacked.logins if one.path.startswith("/login/")]
    assert len(hung) <= 2, "one, or two if the first was given up meanwhile"


def test_the_first_of_many_that_leaves_takes_nobody_along(attacked: Attacked, start: Start) -> None:
    arrived = threading.Event()
    go_on = threading.Event()

    class Slow(ScriptedSymphony):
        def _answer(self, request: bytes) -> Any:
            if request.startswith(b"POST /login/"):
                arrived.set()
                go_on.wait(10)
            return super()._answer(request)

    with Slow(server_tls(attacked.sandbox.directory)) as symphony:
        proxy = start(everything_at(symphony.origin))
        first, second = (Wire.tunnel(proxy, symphony.origin) for _ in range(2))
        for wire in (first, second):
            wire.send(f"GET {ECHO} HTTP/1.1\r\nHost: {symphony.origin}\r\n\r\n")
        assert arrived.wait(10)
        first.close()
        go_on.set()
        assert second.answer().status == 200
        second.close()
        assert symphony.logins == 2, "one for each token"


@pytest.mark.parametrize("announced", [True, False])
def test_a_login_answer_without_end_is_not_read_to_its_end(
    attacked: Attacked, start: Start, impatient: None, announced: bool
) -> None:
    given = 0

    def bomb(_request: bytes) -> Iterator[bytes]:
        nonlocal given
        length = f"Content-Length: {64 * MEGABYTE}\r\n" if announced else ""
        yield f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n".encode()
        for _ in range(1024):
            given += MAXIMUM_BODY
            yield b" " * MAXIMUM_BODY

    with RawOrigin(server_tls(attacked.sandbox.directory), bomb) as pod:
        proxy = start(pod_at(pod.origin))
        with Wire.tunnel(proxy, pod.origin) as wire:
            answered = wire.request(SESSION_INFO, str(pod.origin))
    assert answered.status == 503
    assert given < 32 * MEGABYTE, "what fits into the sockets' buffers, and no more"


def test_a_login_answer_that_is_packed_is_not_unpacked(
    attacked: Attacked, start: Start, impatient: None
) -> None:
    """A megabyte of zeros is a kilobyte of gzip."""
    packed = gzip.compress(b" " * MEGABYTE + b'{"token": "x"}')
    said = answer("200 OK", "Content-Type: application/json", "Content-Encoding: gzip", body=packed)
    with RawOrigin(server_tls(attacked.sandbox.directory), said) as pod:
        proxy = start(pod_at(pod.origin))
        with Wire.tunnel(proxy, pod.origin) as wire:
            answered = wire.request(SESSION_INFO, str(pod.origin))
        assert (answered.status, answered.reason) in {
            (503, "login_protocol"),
            (503, "wrong_endpoint"),
        }


@pytest.mark.parametrize("nesting", [b"[", b'{"a":'])
def test_a_login_answer_that_is_nested_too_deeply(
    attacked: Attacked, start: Start, impatient: None, nesting: bytes
) -> None:
    said = answer("200 OK", "Content-Type: application/json", body=nesting * 10_000)
    with RawOrigin(server_tls(attacked.sandbox.directory), said) as pod:
        proxy = start(pod_at(pod.origin))
        with Wire.tunnel(proxy, pod.origin) as wire:
            assert wire.request(SESSION_INFO, str(pod.origin)).status == 503


class TestUploadsToRefusedDestinations:
    SIZE = 20 * MEGABYTE

    @pytest.fixture
    def witness(self) -> Witness:
        return Witness()

    @pytest.fixture
    def watched(self, start: Start, witness: Witness) -> Proxy:
        return start(warm=True, prepare=lambda master, _: master.addons.add(witness))

    def held(self, witness: Witness) -> int:
        return max(
            len(one.request.raw_content or b"")
            for one in witness.flows
            if isinstance(one, http.HTTPFlow)
        )

    @pytest.mark.parametrize("chunked", [False, True])
    def test_are_not_waited_for(
        self, watched: Proxy, witness: Witness, attacked: Attacked, chunked: bool
    ) -> None:
        agent = attacked.origin(Component.AGENT)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {self.SIZE}"
        head = f"POST {ECHO} HTTP/1.1\r\nHost: evil.example\r\n{length}\r\n\r\n".encode()
        chunk = b"x" * MEGABYTE
        sent = 0
        with Wire.tunnel(watched, agent) as wire:
            wire.send(head)
            with suppress(OSError):
                for _ in range(20):
                    wire.send(b"100000\r\n" + chunk + b"\r\n" if chunked else chunk)
                    sent += 1
            answered = wire.answer()
            assert answered == CLOSED or answered.status == 421
            assert wire.ended()
        assert sent < 20, "the connection was closed while the body was still coming"
        assert attacked.arrived == []
        assert self.held(witness) < MEGABYTE

    @pytest.mark.parametrize("length", ["Content-Length: 70000", "Transfer-Encoding: chunked"])
    def test_are_refused_before_they_begin(
        self, watched: Proxy, attacked: Attacked, length: str
    ) -> None:
        agent = attacked.origin(Component.AGENT)
        with Wire.tunnel(watched, agent) as wire:
            answered = wire.request(ECHO, "evil.example", length, method="POST")
            assert answered.status == 421
            assert wire.ended()
        assert attacked.arrived == []

    def test_are_not_waited_for_over_http2(
        self, watched: Proxy, witness: Witness, attacked: Attacked
    ) -> None:
        agent = attacked.origin(Component.AGENT)
        with Http2Wire.open(watched, agent) as wire:
            stream = wire.open_stream(
                ECHO,
                "evil.example",
                [("content-length", str(self.SIZE))],
                method="POST",
                body=b"x" * 16_384,
                trailers=(),
            )
            answered = wire.answers(stream)[0]
        assert answered == CLOSED or answered.status == 421
        assert attacked.arrived == []
        assert self.held(witness) < MEGABYTE

    def test_to_other_hosts_are_not_even_begun(self, start: Start, attacked: Attacked) -> None:
        def configure(document: Any) -> None:
            document["authProxy"]["otherHosts"] = "refuse"

        proxy = start(configure)
        with RawOrigin(None) as other, Wire(proxy) as wire:
            assert wire.connect(f"127.0.0.1:{other.port}").status == 403
            assert other.connections == 0


def test_a_large_upload_streams(attacked: Attacked, start: Start) -> None:
    witness = Witness()
    proxy = start(warm=True, prepare=lambda master, _: master.addons.add(witness))
    agent = attacked.origin(Component.AGENT)
    size = 8 * MEGABYTE
    with Wire.tunnel(proxy, agent) as wire:
        head = f"POST {ECHO} HTTP/1.1\r\nHost: {agent}\r\nContent-Length: {size}\r\n\r\n"
        wire.ask(head.encode() + b"x" * size, method="POST")
    (arrived,) = attacked.with_tokens
    assert arrived.body_size == size
    held = [
        len(f.request.raw_content or b"") for f in witness.flows if isinstance(f, http.HTTPFlow)
    ]
    assert max(held) <= MEGABYTE


class HangsUp(RawOrigin):
    """Reads the beginning of a handshake, and leaves."""

    def converse(self, stream: socket.socket) -> None:
        self.heard(stream.recv(65536))


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them"
)
class TestFailedLogins:
    """Vault #25712: failures that each left a file open, until none was left."""

    COUNT = 1000

    def files_after(self, send: Any) -> tuple[int, int]:
        async def main() -> tuple[int, int]:
            await self._failing(send, 20)
            before = _open_files()
            await self._failing(send, self.COUNT)
            return before, _open_files()

        return asyncio.run(main())

    async def _failing(self, send: Any, count: int) -> None:
        async def one() -> None:
            with suppress(LoginError):
                response = await send()
                assert response.status != 200

        for _ in range(count // 20):
            await asyncio.gather(*(one() for _ in range(20)))

    def test_keep_no_files_open(self, attacked: Attacked) -> None:
        trust = (attacked.sandbox.directory / "ca.pem").read_text()
        with HangsUp(None) as no_tls:
            transport = Transport(trust)
            request = _login(no_tls.port)
            before, after = self.files_after(lambda: transport.send(request, connect_timeout=2))
        assert after <= before + 2

    def test_keep_no_files_open_when_the_handshake_fails(self, attacked: Attacked) -> None:
        trust = (attacked.sandbox.directory / "ca.pem").read_text()
        untrusted = server_tls(attacked.sandbox.directory, ca=stranger())
        with RawOrigin(untrusted) as pod:
            transport = Transport(trust)
            request = _login(pod.port)
            self.COUNT = 200
            before, after = self.files_after(lambda: transport.send(request, connect_timeout=5))
        assert after <= before + 2

    def test_keep_no_files_open_when_they_are_rejected(self, attacked: Attacked) -> None:
        trust = (attacked.sandbox.directory / "ca.pem").read_text()
        rejected = answer("401 Unauthorized", body=b'{"message": "no"}')
        with RawOrigin(server_tls(attacked.sandbox.directory), rejected) as pod:
            transport = Transport(trust)
            request = _login(pod.port)
            self.COUNT = 200
            before, after = self.files_after(lambda: transport.send(request, connect_timeout=5))
        assert after <= before + 2


def _login(port: int) -> LoginRequest:
    return LoginRequest(
        Endpoint(Origin("localhost", port)),
        "/login/pubkey/authenticate",
        json={"token": Secret("an-assertion")},
    )


def test_clients_that_send_their_request_byte_by_byte_hold_up_nobody(
    attacked: Attacked, start: Start
) -> None:
    proxy = start(warm=True)
    pod = attacked.origin()
    slow = [Wire.tunnel(proxy, pod) for _ in range(20)]
    for wire in slow:
        wire.send("GET /pod/v2/se")
    with Wire.tunnel(proxy, pod) as wire:
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    for wire in slow:
        wire.socket.shutdown(socket.SHUT_RDWR)
        wire.close()
    assert len(attacked.arrived) == 1


def test_answers_that_break_off_are_answered(attacked: Attacked, start: Start) -> None:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory), HANG_UP) as symphony:
        proxy = start(agent_at(symphony.origin))
        with Wire.tunnel(proxy, symphony.origin) as wire:
            answered = wire.request(ECHO, str(symphony.origin))
        assert (answered.status, answered.reason) == (502, "upstream_broken")
