"""SMUG, from HTTP/2 to HTTP/1: one header of the former can hold what the latter reads as
several, and so can a path or a method (CVE-2021-39214)."""

from __future__ import annotations

import pytest

from attacks.origins import ScriptedSymphony
from attacks.raw import CLOSED, Http2Wire
from attacks.stage import ECHO
from support.proxy import Proxy


@pytest.mark.parametrize(
    "field",
    [
        ("x-a", "b\r\nsessionToken: smuggled"),
        ("x-a", "b\nsessionToken: smuggled"),
        ("x-a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\n"),
        ("x-a", "b\x00c"),
        ("x-a: b\r\nsessiontoken", "smuggled"),
        ("x-a\r\n\r\nget /smuggled http/1.1", "x"),
        ("x a", "b"),
        ("transfer-encoding", "chunked"),
        ("connection", "sessionToken"),
        ("upgrade", "h2c"),
        ("content-length", "3"),
        ("", "nameless"),
    ],
)
def test_a_header_that_would_be_two(
    one_host: Proxy, symphony: ScriptedSymphony, field: tuple[str, str]
) -> None:
    before = len(symphony.calls)
    with Http2Wire.open(one_host, symphony.origin) as wire:
        answered = wire.fetch(
            ECHO, str(symphony.origin), [field], method="POST", body=b"0\r\n\r\nGET /smuggled"
        )
    assert answered == CLOSED or answered.status == 400
    assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "path",
    [
        f"{ECHO} HTTP/1.1\r\nX-Smuggled: 1",
        f"{ECHO}?x HTTP/1.1\r\n\r\nGET /smuggled",
        f"{ECHO}?x HTTP/1.1",
        f"{ECHO}?x\ty",
        f"{ECHO}?x\x00y",
        f"{ECHO}?x\x7fy",
        "agent/v1/util/echo",
        "http://evil.example/agent/v1/util/echo",
        "",
        "*",
    ],
)
def test_a_path_that_would_end_its_line(
    one_host: Proxy, symphony: ScriptedSymphony, path: str
) -> None:
    before = len(symphony.calls)
    with Http2Wire.open(one_host, symphony.origin) as wire:
        answered = wire.fetch(path, str(symphony.origin))
    if path == "*":
        assert symphony.with_tokens == [] or len(symphony.calls) == before
    else:
        assert answered == CLOSED or answered.status == 400
        assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "method",
    [
        "GET /smuggled HTTP/1.1\r\nX: y\r\n\r\nGET",
        "GET /login/idm/tokens",
        "",
        "G\x00T",
        "CONNECT",
    ],
)
def test_a_method_that_would_be_a_line(
    one_host: Proxy, symphony: ScriptedSymphony, method: str
) -> None:
    before = len(symphony.calls)
    with Http2Wire.open(one_host, symphony.origin) as wire:
        answered = wire.fetch(ECHO, str(symphony.origin), method=method)
    assert answered == CLOSED or answered.status == 400
    assert len(symphony.calls) == before


@pytest.mark.parametrize("scheme", ["http", "ftp", "https\r\nX: y", ""])
def test_a_scheme_of_another_place(
    one_host: Proxy, symphony: ScriptedSymphony, scheme: str
) -> None:
    """The scheme of a tunnel is the tunnel's; what the client claims changes nothing."""
    before = len(symphony.calls)
    with Http2Wire.open(one_host, symphony.origin) as wire:
        answered = wire.fetch(ECHO, str(symphony.origin), scheme=scheme)
    if answered.status == 200:
        (request,) = symphony.calls[before:]
        assert request.startswith(f"GET {ECHO} HTTP/1.1\r\n".encode())
        assert b"X: y" not in request
    else:
        assert len(symphony.calls) == before
