"""Many requests at little cost: a client and an origin that do nothing but count bytes."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CONNECTIONS = 2
_PATIENCE = 600.0


def send(proxy_port: int, url: str, count: int, body: bytes) -> None:
    """POST `body` to an `http://` URL through the proxy, so often, over kept connections.

    Raises AssertionError unless every answer is a 200.
    """
    command = [sys.executable, str(Path(__file__).with_name("posts.py"))]
    command += [str(proxy_port), url, str(count), str(_CONNECTIONS)]
    done = subprocess.run(command, input=body, capture_output=True, timeout=_PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def plain_origin(answer: bytes) -> Iterator[str]:
    """An HTTP server, without TLS, with one answer for everything. Yields its URL."""
    response = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    response += b"Content-Length: %d\r\n\r\n" % len(answer) + answer
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as requests:
            while requests.readline():
                length = 0
                while (line := requests.readline()) not in (b"\r\n", b""):
                    name, _, value = line.lower().partition(b":")
                    if name == b"content-length":
                        length = int(value)
                requests.read(length)
                connection.sendall(response)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/plain"
    finally:
        listener.close()


def resident(pid: int) -> float:
    """The memory that a process holds, in MiB. Skips the test where nobody tells."""
    if not sys.platform.startswith("linux"):
        pytest.skip("what a process holds is in a file on Linux only")
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
