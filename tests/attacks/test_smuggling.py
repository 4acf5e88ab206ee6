"""SMUG: bytes that two parsers read as different requests (CVE-2022-24766, CVE-2021-39214).

What is refused is refused before anything of it is sent, and ends the connection: whatever
follows such a request cannot be told from its body.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from mitmproxy.proxy import layer

from attacks.origins import Http2Origin, ScriptedSymphony, server_tls
from attacks.raw import CLOSED, Http2Wire, Wire
from attacks.stage import ECHO, Attacked, Start, agent_at, everything_at
from support.proxy import Proxy

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def head(symphony: ScriptedSymphony, *lines: str, start: str = f"POST {ECHO} HTTP/1.1") -> str:
    return "\r\n".join([start, f"Host: {symphony.origin}", *lines]) + "\r\n\r\n"


CHUNKED_BODY = f"0\r\n\r\n{SMUGGLED}"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 0", "transfer-encoding: CHUNKED"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 05"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5 5"],
        ["Content-Length: 5_0"],
        ["Content-Length: ٥"],
        ["Content-Length: five"],
        ["Content-Length: " + "9" * 5000],
        ["Content-Length : 5"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: gzip"],
        ['Transfer-Encoding: "chunked"'],
        ["Transfer-Encoding: chunked;x=y"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding\t: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked", "transfer-encoding: chunked"],
        ["Transfer-Encoding:", " chunked"],
        ["Transfer-Encoding: ſhunked", "Content-Length: 5"],
    ],
)
def test_a_body_whose_length_is_arguable(
    one_host: Proxy, symphony: ScriptedSymphony, lines: list[str]
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.ask((head(symphony, *lines) + CHUNKED_BODY).encode())
        assert answered == CLOSED or answered.status == 400
        assert wire.ended()
    assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "line",
    [
        "X-Folded: a\r\n sessionToken: smuggled",
        "X-Folded: a\r\n\tb",
        " X-First: folded",
        "sessionToken : smuggled",
        "session Token: smuggled",
        "X-Bare: a\rsessionToken: smuggled",
        "X-Bare: a\r\rGET /smuggled HTTP/1.1",
        "X-Nul: a\x00b",
        "X-N\x00l: a",
        "X-Control: a\x01b",
        "X-Vertical: a\x0bsessionToken: smuggled",
        ": nameless",
        "no colon here",
        "X(Y): z",
        "X-Umlaut-ä: z",
    ],
)
def test_a_header_that_two_parsers_split_differently(
    one_host: Proxy, symphony: ScriptedSymphony, line: str
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.ask(head(symphony, line, start=f"GET {ECHO} HTTP/1.1").encode())
    assert answered == CLOSED or answered.status in {400, 421}
    assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "start",
    [
        f"GET  {ECHO} x HTTP/1.1",
        f"GET {ECHO} HTTP/1.1 HTTP/1.1",
        f"GET {ECHO}",
        f"GET {ECHO} HTTP/9.9",
        f"GET {ECHO} HTTP/0.9",
        f"GET {ECHO} HTTP/2.0",
        f"GET {ECHO} HTTP/3.0",
        f"GET {ECHO} http/1.1",
        f"GET {ECHO} ICAP/1.0",
        f"G\x00T {ECHO} HTTP/1.1",
        f"G(T {ECHO} HTTP/1.1",
        f"GET\x0b{ECHO}\x0bHTTP/1.1",
        f"CONNECT {ECHO} HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        "PRI * HTTP/2.0",
    ],
)
def test_a_request_line_that_is_none(
    one_host: Proxy, symphony: ScriptedSymphony, start: str
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.ask(head(symphony, start=start).encode())
    if answered.status == 200:
        (request,) = symphony.calls[before:]
        assert request.startswith(f"GET {ECHO} HTTP/1.1\r\n".encode()), "made proper, or refused"
    else:
        assert answered == CLOSED or answered.status in {400, 421}
        assert len(symphony.calls) == before


def test_bare_line_feeds_become_proper_line_ends(
    one_host: Proxy, symphony: ScriptedSymphony
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        text = head(symphony, "X-A: b", start=f"GET {ECHO} HTTP/1.1").replace("\r\n", "\n")
        answered = wire.ask(text)
    if answered.status == 200:
        (request,) = symphony.calls[before:]
        assert request.count(b"\n") == request.count(b"\r\n")
        assert request.lower().count(b"\r\nsessiontoken: ") == 1
    else:
        assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "body",
    [
        "5\r\nhello\r\n0\r\n\r\n",
        "5;extension=1\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_what_follows_a_body_is_a_request_of_its_own(
    one_host: Proxy, symphony: ScriptedSymphony, body: str
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        evil = f"GET {ECHO} HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        answered = wire.ask(head(symphony, "Transfer-Encoding: chunked") + body + evil)
        assert answered.status == 200
        assert wire.answer().status == 421
    (request,) = symphony.calls[before:]
    assert b"evil.example" not in request


@pytest.mark.parametrize(
    "body",
    [
        "-1\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_chunk_that_is_none_ends_the_connection(
    one_host: Proxy, symphony: ScriptedSymphony, body: str
) -> None:
    before = len(symphony.received)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.ask(head(symphony, "Transfer-Encoding: chunked") + body + SMUGGLED)
        assert answered == CLOSED or answered.status in {400, 502}
        assert wire.ended()
    assert b"/smuggled" not in symphony.received[before:]


class TestTrailers:
    """Trailers are headers that come after the decision."""

    OURS = ("sessiontoken", "sessionToken", "session_token", "Session-Token", "keymanagertoken")

    def test_over_http1(self, one_host: Proxy, symphony: ScriptedSymphony) -> None:
        with Wire.tunnel(one_host, symphony.origin) as wire:
            wire.socket.settimeout(3)
            body = "5\r\nhello\r\n0\r\nsessionToken: from-a-trailer\r\n\r\n"
            answered = wire.ask(
                head(symphony, "Transfer-Encoding: chunked", "Trailer: sessionToken") + body
            )
        assert answered == CLOSED or answered.status in {200, 400, 501, 502}
        assert b"from-a-trailer" not in symphony.received

    def test_over_http2(self, attacked: Attacked, start: Start) -> None:
        with Http2Origin(server_tls(attacked.sandbox.directory)) as agent:
            proxy = start(agent_at(agent.origin))
            with Http2Wire.open(proxy, agent.origin) as wire:
                trailers = [(name.lower(), "from-a-trailer") for name in self.OURS]
                answered = wire.fetch(
                    ECHO,
                    str(agent.origin),
                    method="POST",
                    body=b"hello",
                    trailers=[*trailers, ("x-checksum", "kept")],
                )
        assert answered.status == 200
        assert "from-a-trailer" not in [value for _, value in agent.request_trailers]
        assert agent.request_trailers == [("x-checksum", "kept")]

    def test_from_http2_to_http1(self, one_host: Proxy, symphony: ScriptedSymphony) -> None:
        with Http2Wire.open(one_host, symphony.origin) as wire:
            wire.socket.settimeout(3)
            answered = wire.fetch(
                ECHO,
                str(symphony.origin),
                method="POST",
                body=b"hello",
                trailers=[("sessiontoken", "from-a-trailer"), ("x-checksum", "dropped")],
            )
        assert answered == CLOSED or answered.status in {200, 502}
        assert b"from-a-trailer" not in symphony.received


class TestUpgrades:
    """After an upgrade bytes would pass without being looked at."""

    @pytest.mark.parametrize(
        "lines",
        [
            ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
            ["Connection: upgrade", "upgrade: WebSocket", "Sec-WebSocket-Version: 13"],
            ["Upgrade: anything"],
            ["Connection: Upgrade", "Upgrade: TLS/1.3, HTTP/1.1"],
        ],
    )
    def test_are_refused(
        self, one_host: Proxy, symphony: ScriptedSymphony, lines: list[str]
    ) -> None:
        before = len(symphony.calls)
        with Wire.tunnel(one_host, symphony.origin) as wire:
            answered = wire.ask(head(symphony, *lines, start=f"GET {ECHO} HTTP/1.1"))
        assert (answered.status, answered.reason) == (400, "malformed_request")
        assert len(symphony.calls) == before

    @pytest.mark.parametrize("method", ["TRACE", "trace", "Trace"])
    def test_trace_is_refused(
        self, one_host: Proxy, symphony: ScriptedSymphony, method: str
    ) -> None:
        """It would hand back the headers that we add."""
        before = len(symphony.calls)
        with Wire.tunnel(one_host, symphony.origin) as wire:
            answered = wire.ask(head(symphony, start=f"{method} {ECHO} HTTP/1.1"))
        assert (answered.status, answered.reason) == (400, "malformed_request")
        assert len(symphony.calls) == before

    def test_that_nobody_asked_for_carry_no_token(self, attacked: Attacked, start: Start) -> None:
        switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
        with ScriptedSymphony(server_tls(attacked.sandbox.directory), switching) as symphony:
            proxy = start(everything_at(symphony.origin))
            with Wire.tunnel(proxy, symphony.origin) as wire:
                wire.socket.settimeout(3)
                wire.ask(head(symphony, start=f"GET {ECHO} HTTP/1.1"))
                with suppress(OSError):
                    wire.send(head(symphony, start=f"GET {ECHO}/behind HTTP/1.1"))
                wire.ended()
        assert all(symphony.received.count(token.encode()) == 1 for token in symphony.tokens)


class TestBytesThatDoNotLookLikeHttp:
    """mitmproxy relays them as they are, unless told otherwise."""

    def test_a_request_in_small_pieces_passes_the_hooks(
        self, symphony: ScriptedSymphony, start: Start
    ) -> None:
        """Without ALPN, mitmproxy guesses the protocol by the first bytes that arrive."""
        guessed = threading.Event()

        class Guess:
            def next_layer(self, nextlayer: layer.NextLayer) -> None:
                if nextlayer.data_client() == b"G":
                    guessed.set()

        proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(Guess()))
        before = len(symphony.calls)
        with Wire.tunnel(proxy, symphony.origin, alpn=()) as wire:
            wire.send("G")
            assert guessed.wait(10)
            wire.socket.settimeout(3)
            answered = wire.ask(f"ET {ECHO} HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert answered.status == 421
        assert len(symphony.calls) == before

    @pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
    @pytest.mark.parametrize(
        "data", ["\x16\x03\x01\x02", "SSH-2.0-x\r\n", "12 /x\r\n\r\n", "\x00\x00\x00\r\n\r\n"]
    )
    def test_never_reach_the_pod(
        self, one_host: Proxy, symphony: ScriptedSymphony, alpn: tuple[str, ...], data: str
    ) -> None:
        with Wire.tunnel(one_host, symphony.origin, alpn=alpn) as wire:
            wire.socket.settimeout(0.5)
            with suppress(TimeoutError):  # it waits for more
                wire.ask(data + "smuggled-bytes")
        assert b"smuggled-bytes" not in symphony.received

    def test_never_reach_the_pod_in_a_tunnel_without_tls(
        self, one_host: Proxy, symphony: ScriptedSymphony
    ) -> None:
        connections = symphony.connections
        with Wire(one_host) as wire:
            wire.socket.settimeout(0.5)
            assert wire.connect(str(symphony.origin)).status == 200
            with suppress(TimeoutError):
                wire.ask("SSH-2.0-x\r\n")
        assert symphony.connections == connections


@pytest.mark.parametrize("filler", ["\r\n", "\n", "\x00"])
@pytest.mark.parametrize("token", ["a{}sessionToken: b", "{}", "token-with-an-end{}"])
def test_a_token_that_holds_line_ends_is_no_token(
    attacked: Attacked, start: Start, token: str, filler: str
) -> None:
    """A hostile pod's login answer must not write headers into our requests
    (CVE-2024-45410 is about such values)."""
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as symphony:
        symphony.session_token = token.format(filler)
        proxy = start(everything_at(symphony.origin))
        with Wire.tunnel(proxy, symphony.origin) as wire:
            answered = wire.request(ECHO, str(symphony.origin))
        assert (answered.status, answered.reason) == (503, "login_protocol")
        assert symphony.calls == []


def test_an_answer_that_two_parsers_split_differently_ends_here(
    attacked: Attacked, start: Start
) -> None:
    for said in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX y: z\r\nContent-Length: 2\r\n\r\n{}",
    ):
        with ScriptedSymphony(server_tls(attacked.sandbox.directory), said) as symphony:
            proxy = start(everything_at(symphony.origin))
            with Wire.tunnel(proxy, symphony.origin) as wire:
                answered = wire.request(ECHO, str(symphony.origin))
            assert (answered.status, answered.reason) == (502, "upstream_broken")
