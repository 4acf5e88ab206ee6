"""`admin.listen`: health, readiness and metrics for probes, on a port of their own."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from loopback import run
from support.environments import own_script
from support.processes import environment, free_port, running
from symphony_auth_proxy.mitm import runner
from symphony_auth_proxy.model import Component, Origin
from symphony_auth_proxy.operations.admin import Admin
from symphony_auth_proxy.operations.pages import Pages
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.telemetry import Telemetry

PROGRAM = own_script("symphony-auth-proxy")


def look() -> Status:
    return Status("1", 0, 0, Path("ca.pem"), listeners=(Origin("127.0.0.1", 8080),))


def opened() -> Admin:
    return Admin(Pages(look, Telemetry()), Origin("127.0.0.1", 0))


async def get(admin: Admin, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    return await AsyncHTTPClient(force_instance=True).fetch(
        f"http://127.0.0.1:{admin.port}{path}",
        method=method,
        headers=headers,
        raise_error=False,
        allow_nonstandard_methods=True,
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 404),
        ("/status.css", 404),
        ("/status.json", 404),
        ("/ca.pem", 404),
        ("/healthz/", 404),
        ("/../status.json", 404),
    ],
)
def test_it_offers_three_pages_and_no_other(path: str, status: int) -> None:
    async def main() -> HTTPResponse:
        admin = opened()
        try:
            return await get(admin, path)
        finally:
            await admin.close()

    answer = run(main())
    assert answer.code == status
    assert answer.headers["Cache-Control"] == "no-store"
    if status == 404:
        assert json.loads(answer.body)["code"] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9090", 200),
        ("[::1]:9090", 200),
        ("evil.example:9090", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_on_loopback_it_is_no_page_of_a_name_that_was_bound_to_it(host: str, status: int) -> None:
    async def main() -> HTTPResponse:
        admin = opened()
        try:
            return await get(admin, "/metrics", Host=host)
        finally:
            await admin.close()

    answer = run(main())
    assert (answer.code, bool(answer.body)) == (status, status == 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_its_pages_are_only_read(method: str) -> None:
    async def main() -> HTTPResponse:
        admin = opened()
        try:
            return await get(admin, "/healthz", method)
        finally:
            await admin.close()

    answer = run(main())
    assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_one_connection_serves_many_requests_also_head() -> None:
    """As Prometheus and load balancers use it."""

    def talk(port: int) -> list[tuple[int, int]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        seen = []
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, "/metrics", headers={"Accept-Encoding": "gzip"})
            assert connection.sock is not None
            local = connection.sock.getsockname()
            answer = connection.getresponse()
            answer.read()
            seen.append((answer.status, local[1]))
        connection.close()
        return seen

    async def main() -> list[tuple[int, int]]:
        admin = opened()
        try:
            return await asyncio.to_thread(talk, admin.port)
        finally:
            await admin.close()

    seen = run(main())
    assert [status for status, _ in seen] == [200, 200, 200]
    assert len({port for _, port in seen}) == 1


def test_a_probe_that_speaks_http_1_0_without_a_host_is_answered() -> None:
    async def main() -> bytes:
        admin = opened()
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await admin.close()
        return answer

    assert run(main()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_too_much_or_no_http_ends_the_connection_and_nothing_else(sent: bytes) -> None:
    async def main() -> int:
        admin = opened()
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
        writer.write(sent)
        with suppress(ConnectionError):  # what was not read turns the end into a reset
            assert not (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        answer = await get(admin, "/healthz")
        await admin.close()
        return answer.code

    assert run(main()) == 200


def test_it_ends_at_once_with_connections_open() -> None:
    async def main() -> bytes:
        admin = opened()
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await admin.close()
        rest = await reader.read()
        writer.close()
        return rest

    assert run(main()).strip() == b'{"healthy": true}'


def configured(sandbox: Sandbox, lines: str) -> Path:
    path = sandbox.directory / "admin.yaml"
    text = sandbox.config.read_text()
    path.write_text(text.replace("authProxy:\n", f"authProxy:\n{lines}"))
    return path


def test_it_lives_as_long_as_the_proxy_and_tells_that_it_stops(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    port = free_port()
    config = configured(sandbox, f"  admin: {{listen: '127.0.0.1:{port}'}}\n")
    serve = (PROGRAM, "serve", "--config", str(config), "--listen", "127.0.0.1:0")
    with running(*serve, env=environment(tmp_path)) as child, httpx.Client() as probe:

        def page(path: str) -> httpx.Response:
            return probe.get(f"http://127.0.0.1:{port}{path}")

        url = f"http://{child.seen(r'Listening on (\S+) ')[1]}"
        assert page("/healthz").status_code == 200
        assert page("/metrics").text.startswith("# HELP symphony_auth_proxy_logins_total")
        with long_poll(sandbox, url) as answer:
            assert page("/readyz").json() == {"ready": True, "reasons": []}
            child.signal(signal.SIGTERM)
            child.seen("Stopping: waiting")
            stopping = page("/readyz")
            assert stopping.status_code == 503
            assert stopping.json() == {"ready": False, "reasons": ["the proxy is stopping"]}
            assert page("/healthz").status_code == 200
            sandbox.post("the last one")
            assert answer.result().status_code == 200
        assert child.exit_code() == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


@contextmanager
def long_poll(sandbox: Sandbox, proxy: str) -> Iterator[Future[httpx.Response]]:
    """A request that is answered when somebody writes a message. Both bots are logged in."""
    trust = ssl.create_default_context(
        cafile=sandbox.directory / "proxy-ca" / "mitmproxy-ca-cert.pem"
    )
    feeds = f"{sandbox.url(Component.AGENT)}/agent/v5/datafeeds"
    with (
        httpx.Client(proxy=proxy, verify=trust, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor() as pool,
    ):
        client.post(feeds, headers={"Symphony-Bot": "compliance-bot"}).raise_for_status()
        feed = client.post(feeds).raise_for_status().json()["id"]
        answer = pool.submit(client.post, f"{feeds}/{feed}/read", json={})
        sandbox.wait_for(lambda arrived: any(one.path.endswith("/read") for one in arrived))
        yield answer


def test_a_port_that_is_taken_while_it_starts_ends_the_start(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "_require_free", lambda *_: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(sandbox.directory))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        config = configured(sandbox, f"  admin: {{listen: '{place}'}}\n")
        confdir = str(sandbox.directory / "proxy-ca")
        run_ = runner.Run(str(config), Origin("127.0.0.1", 0), confdir, control=True)
        with pytest.raises(SystemExit):
            asyncio.run(runner.serve(run_, ready=lambda _: None))
    assert "Cannot listen on admin.listen: Address already in use" in caplog.text


def test_a_port_that_is_taken_is_told_at_the_start(sandbox: Sandbox, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        config = configured(sandbox, f"  admin: {{listen: '{place}'}}\n")
        serve = (PROGRAM, "serve", "--config", str(config), "--listen", "127.0.0.1:0")
        with running(*serve, env=environment(tmp_path)) as child:
            assert child.exit_code() == 1
            output = child.output
    assert f"cannot listen on {place}: Address already in use" in output
    assert "authProxy.admin.listen" in output
    assert "Traceback" not in output
