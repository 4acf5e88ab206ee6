"""The password for the proxy of `--mode upstream:…`: there, and nowhere else."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from mitmproxy import optmanager

from attacks.witness import Witness
from support.proxy import running_proxy
from symphony_auth_proxy.sandbox import Sandbox

CREDENTIALS = "bank:hunter2-canary"
BASIC = base64.b64encode(CREDENTIALS.encode()).decode()


@contextmanager
def recording_proxy() -> Iterator[tuple[int, list[str]]]:
    """A corporate proxy that answers every request itself. Yields its port, and what came."""
    heads: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            with connection, connection.makefile("rb") as lines:
                head = b"".join(iter(lines.readline, b"\r\n"))
                heads.append(head.decode())
                status = b"403 Forbidden" if head.startswith(b"CONNECT") else b"200 OK"
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heads
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_without_tls_it_is_sent_and_not_shown(sandbox: Sandbox) -> None:
    witness = Witness()
    with (
        recording_proxy() as (port, heads),
        running_proxy(
            sandbox.config,
            sandbox.directory / "proxy-ca",
            modes=[f"upstream:http://127.0.0.1:{port}"],
            options={"upstream_auth": CREDENTIALS},
            prepare=lambda master, _: master.addons.add(witness),
        ) as proxy,
    ):
        with httpx.Client(proxy=proxy.url, trust_env=False) as client:
            assert client.get("http://127.0.0.1:1/elsewhere").status_code == 200
        options = str(proxy.call(lambda: optmanager.dump_dicts(proxy.master.options)))

    assert f"Proxy-Authorization: Basic {BASIC}" in heads[0]
    shown = str([flow.get_state() for flow in witness.flows])
    assert "elsewhere" in shown
    assert "[sealed Proxy-Authorization #" in shown
    for text in (shown, options):
        assert BASIC not in text
        assert "hunter2" not in text


@pytest.mark.parametrize("own", [None, "somebody:else"])
def test_a_client_s_own_is_not_forwarded(sandbox: Sandbox, own: str | None) -> None:
    with (
        recording_proxy() as (port, heads),
        running_proxy(
            sandbox.config,
            sandbox.directory / "proxy-ca",
            modes=[f"upstream:http://127.0.0.1:{port}"],
            options={"upstream_auth": CREDENTIALS},
        ) as proxy,
    ):
        url = proxy.url if own is None else proxy.url.replace("//", f"//{own}@")
        with httpx.Client(proxy=url, trust_env=False) as client:
            client.get("http://127.0.0.1:1/elsewhere")

    lines = [line for line in heads[0].splitlines() if line.lower().startswith("proxy-auth")]
    assert lines == [f"Proxy-Authorization: Basic {BASIC}"]
