"""Clients that go away at any moment leave nothing behind: no noise, no stuck request."""

import socket
import ssl
from contextlib import ExitStack, closing, suppress

import pytest

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import FaultKind, Sandbox


@pytest.fixture
def running(directory, caplog):
    """A sandbox that must end without anything having been logged as an error."""
    with Sandbox(directory) as sandbox:
        yield sandbox
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def connect(sandbox):
    context = ssl.create_default_context(cafile=sandbox.ca)
    plain = socket.create_connection(("127.0.0.1", sandbox.origin(Component.POD).port), 10)
    return closing(context.wrap_socket(plain, server_hostname="localhost"))


def wait_for_end(client):
    """Return when the other side has closed or reset the connection."""
    with suppress(ConnectionResetError):
        while client.recv(1024):
            pass


def test_in_the_middle_of_a_request(running):
    with connect(running) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")


def test_while_the_sandbox_still_waits_for_the_rest(running):
    with connect(running) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        running.outage(Component.POD)
        wait_for_end(client)


def test_before_the_request_is_looked_at(running):
    for _ in range(100):  # the sandbox's thread may be faster than one of them
        with connect(running) as client:
            client.sendall(b"GET /pod/v2/sessioninfo HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.CUT])
def test_while_they_wait_for_the_answer(running, kind):
    running.fail(Component.POD, kind=kind)
    with connect(running) as client:
        client.sendall(b"GET /pod/v2/sessioninfo HTTP/1.1\r\nHost: x\r\n\r\n")
        running.wait_for(lambda requests: len(requests) == 1)


def test_while_a_slow_answer_is_on_its_way(running):
    running.slow(Component.POD, 0.05)
    with connect(running) as client:
        client.sendall(b"GET /pod/v2/sessioninfo HTTP/1.1\r\nHost: x\r\n\r\n")
        running.wait_for(lambda requests: len(requests) == 1)


def test_before_the_handshake(running):
    with socket.create_connection(("127.0.0.1", running.origin(Component.POD).port), 10) as client:
        client.sendall(b"this is not TLS")
        wait_for_end(client)


def test_the_sandbox_may_end_while_requests_hang(directory, caplog):
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(directory))
        sandbox.fail(Component.POD, kind=FaultKind.HANG)
        with connect(sandbox) as client:
            client.sendall(b"GET /pod/v2/sessioninfo HTTP/1.1\r\nHost: x\r\n\r\n")
            sandbox.wait_for(lambda requests: len(requests) == 1)
            stack.close()
            wait_for_end(client)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
