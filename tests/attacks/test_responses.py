"""RESP: what an upstream says back must not carry the bot's secrets to anybody.

Bodies pass unchanged: that is a limit which is written down. Everything else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mitmproxy import http

from attacks.origins import HANG_UP, Http2Origin, ScriptedSymphony, answer, server_tls
from attacks.raw import CLOSED, Http2Wire, Wire
from attacks.stage import ECHO, Attacked, Start, agent_at, everything_at
from attacks.witness import Witness
from support.proxy import Proxy
from symphony_auth_proxy.mitm.bodies import HELD_BYTES

TOKEN = ScriptedSymphony.session_token


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def one_host(start: Start, symphony: ScriptedSymphony, witness: Witness) -> Proxy:
    return start(
        everything_at(symphony.origin), prepare=lambda master, _: master.addons.add(witness)
    )


@pytest.mark.parametrize(
    "said",
    [
        answer("200 OK", f"X-Echo: {TOKEN}"),
        answer("200 OK", f"sessionToken: {TOKEN}"),
        answer("200 OK", f"X-Echo: a={TOKEN};b={TOKEN}"),
        answer("200 OK", f"X-{TOKEN}: in a name"),
        answer(f"200 {TOKEN}"),
        answer("403 Forbidden", f"WWW-Authenticate: Bearer realm={TOKEN}"),
        answer("302 Found", f"Location: /?sessionToken={TOKEN}"),
        answer("401 Unauthorized", f"X-Echo: {TOKEN}"),
        answer("500 Oops", f"X-Echo: {TOKEN}"),
    ],
    ids=lambda said: said.split(b"\r\n")[1].decode()[:20],
)
def test_a_token_that_is_echoed_in_the_head_is_masked(
    one_host: Proxy, symphony: ScriptedSymphony, witness: Witness, said: bytes
) -> None:
    symphony.scripted = said
    with Wire.tunnel(one_host, symphony.origin) as wire:
        wire.send(f"GET {ECHO} HTTP/1.1\r\nHost: {symphony.origin}\r\nConnection: close\r\n\r\n")
        heard = _everything(wire)
    assert heard.startswith(b"HTTP/1.1 ")
    assert TOKEN.encode() not in heard
    assert TOKEN.encode() not in witness.everything


@pytest.mark.parametrize(
    "said",
    [
        f"HTTP/1.1 200 OK\r\nX-Echo: {TOKEN}\r\n",  # and the connection ends here
        f"{TOKEN} is no status line\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nno colon but {TOKEN}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {TOKEN}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{TOKEN} x: y\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX-Echo: {TOKEN}\r\nx y: z\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 {TOKEN}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n",
        f"HTTP/1.1 103 Early Hints\r\nX-Echo: {TOKEN}\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "cut",
        "status line",
        "header line",
        "length",
        "encoding",
        "name",
        "beside a name that is none",
        "more than asked",
        "chunk",
        "hints",
    ],
)
def test_a_token_in_an_answer_that_is_none_goes_nowhere(
    one_host: Proxy,
    symphony: ScriptedSymphony,
    witness: Witness,
    caplog: pytest.LogCaptureFixture,
    said: str,
) -> None:
    """mitmproxy quotes such answers in its log, in the flow's error and in its error page."""
    caplog.set_level("DEBUG")
    symphony.scripted = lambda _request: [said.encode(), HANG_UP]
    with Wire.tunnel(one_host, symphony.origin) as wire:
        wire.send(f"GET {ECHO} HTTP/1.1\r\nHost: {symphony.origin}\r\nConnection: close\r\n\r\n")
        heard = _everything(wire)
    assert TOKEN.encode() in symphony.received
    assert TOKEN.encode() not in heard
    assert TOKEN.encode() not in witness.everything
    assert TOKEN not in caplog.text


def test_a_token_that_comes_back_in_a_trailer_is_masked(
    attacked: Attacked, start: Start, witness: Witness
) -> None:
    with Http2Origin(server_tls(attacked.sandbox.directory)) as agent:
        agent.trailers = lambda asked: [("x-echo", asked["sessiontoken"]), ("x-kept", "yes")]
        proxy = start(agent_at(agent.origin), prepare=lambda master, _: master.addons.add(witness))
        with Http2Wire.open(proxy, agent.origin) as wire:
            answered = wire.fetch(ECHO, str(agent.origin))
    assert answered.status == 200
    assert ("x-kept", "yes") in answered.trailers
    canaries = attacked.canaries()
    assert canaries.found_in(answered.wire) == set()
    assert canaries.found_in(witness.everything) == set()


def test_trailers_of_an_http1_answer_do_not_hang_the_client(
    one_host: Proxy, symphony: ScriptedSymphony
) -> None:
    symphony.scripted = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\n\r\n"
        b"2\r\n{}\r\n0\r\nx-checksum: 1\r\n\r\n"
    )
    with Wire.tunnel(one_host, symphony.origin) as wire:
        wire.socket.settimeout(3)
        answered = wire.request(ECHO, str(symphony.origin))
    assert answered == CLOSED or answered.status in {200, 502}


@pytest.mark.parametrize("name", ["skey", "kmsession"])
def test_a_session_cookie_of_the_bot_is_nobodys(
    one_host: Proxy, symphony: ScriptedSymphony, witness: Witness, name: str
) -> None:
    symphony.scripted = answer(
        "200 OK",
        f"Set-Cookie: {name}=cookie-canary; Path=/; HttpOnly",
        f"set-cookie:  {name} = cookie-canary",
        "Set-Cookie: anti-csrf-cookie=other; Path=/",
    )
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert [v.partition("=")[0] for v in answered.values("set-cookie")] == ["anti-csrf-cookie"]
    assert b"cookie-canary" not in answered.wire
    assert b"cookie-canary" not in witness.everything


def test_a_clients_own_login_gets_its_answer_whole_but_flows_do_not_show_it(
    one_host: Proxy, symphony: ScriptedSymphony, witness: Witness
) -> None:
    symphony.scripted = answer(
        "200 OK", "Set-Cookie: skey=cookie-canary", body=b'{"token": "token-of-the-clients-login"}'
    )
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(
            "/login/v1/username/login",
            str(symphony.origin),
            method="POST",
            body='{"token": "assertion-of-the-client"}',
        )
    assert answered.values("set-cookie") == ["skey=cookie-canary"]
    assert b"token-of-the-clients-login" in answered.body
    for secret in (b"cookie-canary", b"token-of-the-clients-login", b"assertion-of-the-client"):
        assert secret not in witness.everything


def test_a_401_is_not_held_beyond_the_limit_of_all_answers(
    one_host: Proxy, symphony: ScriptedSymphony, witness: Witness
) -> None:
    """It waits for the resend, but a hostile upstream must not fill the memory with it."""
    megabyte = b"x" * 2**20

    def huge(_request: bytes) -> Iterator[bytes]:
        yield f"HTTP/1.1 401 No\r\nContent-Length: {24 * 2**20}\r\n\r\n".encode()
        for _ in range(24):
            yield megabyte

    symphony.scripted = huge
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert answered.status in {401, 502, 503}
    assert max(_held(witness)) <= HELD_BYTES


def test_an_answer_without_end_is_not_held_without_end(
    one_host: Proxy, symphony: ScriptedSymphony, witness: Witness
) -> None:
    """Answers in JSON wait until they are whole, whatever their length: up to the limit."""

    def endless(_request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        yield b"Transfer-Encoding: chunked\r\n\r\n"
        for _ in range(24):
            yield b"100000\r\n" + b" " * 2**20 + b"\r\n"
        yield b"0\r\n\r\n"

    symphony.scripted = endless
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert answered == CLOSED or answered.status in {200, 502}
    assert max(_held(witness)) <= HELD_BYTES


def _held(witness: Witness) -> list[int]:
    """The bytes of each answer that a flow holds."""
    return [
        len(one.response.raw_content or b"")
        for one in witness.flows
        if isinstance(one, http.HTTPFlow) and one.response is not None
    ]


def _everything(wire: Wire) -> bytes:
    heard = bytearray()
    try:
        while data := wire.socket.recv(65536):
            heard += data
    except OSError:
        pass
    return bytes(heard)
