"""Logins by certificate, which tells who a bot is and proves nothing."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from mitmproxy import http

from attacks.raw import Wire
from support.clients import client_of, trust_of
from support.logins import (
    CERTIFICATE,
    HEADERS,
    answering_proxy,
    calls,
    log_in_by_certificate,
    reason,
    tls_with_certificate,
    who,
)
from support.proxy import Proxy
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox

KINDS = pytest.mark.parametrize("kind", list(TokenKind))


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with answering_proxy(sandbox) as running:
        yield running


def offering(proxy: Proxy, user: str, directory: Path) -> httpx.Client:
    """A client with a certificate of its own making."""
    context = tls_with_certificate(proxy, user, directory)
    return httpx.Client(proxy=proxy.url, verify=context, trust_env=False, timeout=30)


@KINDS
def test_a_bot_that_logs_in_with_a_certificate_is_told_by_its_cn(
    sandbox: Sandbox, proxy: Proxy, tmp_path: Path, kind: TokenKind
) -> None:
    for user in ("compliance-bot", "pricing-bot"):
        with offering(proxy, user, tmp_path) as client:
            answer = log_in_by_certificate(client, sandbox, kind)
            assert (answer.status_code, answer.json()["name"]) == (200, HEADERS[kind])
            headers = {HEADERS[kind]: answer.json()["token"]}
            assert who(client, sandbox, headers) == user


def test_a_certificate_of_somebody_else_ends_here(
    sandbox: Sandbox, proxy: Proxy, tmp_path: Path
) -> None:
    """The login passes, without what only the owner of its key could show."""
    with offering(proxy, "jane", tmp_path) as client:
        answer = log_in_by_certificate(client, sandbox, TokenKind.KEY_MANAGER)
    assert answer.status_code == 401
    names = {one.client_name for one in calls(sandbox, CERTIFICATE[TokenKind.KEY_MANAGER][1])}
    assert names - {"compliance-bot"} == {None}


def test_without_a_certificate_several_bots_cannot_be_told_apart(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    for kind in TokenKind:
        answer = log_in_by_certificate(client, sandbox, kind)
        assert (answer.status_code, reason(answer)) == (403, "unknown_bot")
        names = {one.client_name for one in calls(sandbox, CERTIFICATE[kind][1])}
        assert names <= {"compliance-bot"}, "only the proxy's own logins"


def test_without_a_certificate_the_header_tells(sandbox: Sandbox, client: httpx.Client) -> None:
    answer = log_in_by_certificate(
        client, sandbox, TokenKind.SESSION, Symphony_Bot="compliance-bot"
    )
    assert who(client, sandbox, {"sessionToken": answer.json()["token"]}) == "compliance-bot"


def test_without_a_certificate_the_only_bot_is_meant(sandbox: Sandbox) -> None:
    with answering_proxy(sandbox, bots=[]) as proxy, client_of(proxy) as client:
        answer = log_in_by_certificate(client, sandbox, TokenKind.SESSION)
        assert answer.json()["name"] == "sessionToken"


class Offered:
    """Whose certificates the proxy was shown, by port."""

    def __init__(self) -> None:
        self.by_port: dict[int, set[str | None]] = {}

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        shown = {one.cn for one in flow.client_conn.certificate_list}
        self.by_port.setdefault(flow.request.port, set()).update(shown)


@pytest.mark.parametrize("answers", [True, False])
def test_certificates_are_asked_for_only_where_bots_log_in_by_them(
    sandbox: Sandbox, tmp_path: Path, answers: bool
) -> None:
    offered = Offered()
    with (
        answering_proxy(
            sandbox, answerLogins=answers, prepare=lambda m, _: m.addons.add(offered)
        ) as proxy,
        offering(proxy, "compliance-bot", tmp_path) as client,
    ):
        for component in Component:
            client.get(sandbox.url(component) + "/")
    asking = {Component.SESSION_AUTH, Component.KEY_MANAGER} if answers else set()
    assert offered.by_port == {
        sandbox.origin(component).port: {"compliance-bot"} if component in asking else set()
        for component in Component
    }


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("certificate", [True, False])
def test_a_client_that_resumes_tls_sessions_can_connect_again(
    sandbox: Sandbox, proxy: Proxy, tmp_path: Path, version: ssl.TLSVersion, certificate: bool
) -> None:
    """Java, Node and curl do; OpenSSL would end their second handshake."""
    offering_one = tls_with_certificate(proxy, "compliance-bot", tmp_path)
    context = offering_one if certificate else trust_of(proxy)
    context.minimum_version = context.maximum_version = version
    origin = sandbox.origin(Component.SESSION_AUTH)
    session = None
    for _ in range(3):
        with Wire(proxy) as wire:
            wire.connect(str(origin))
            tls = context.wrap_socket(wire.socket, server_hostname="localhost", session=session)
            wire.socket = tls
            answered = wire.request(
                "/sessionauth/v1/authenticate", str(origin), "Content-Length: 0", method="POST"
            )
            assert answered.status == (200 if certificate else 403)
            session = tls.session
            tls.close()


@contextmanager
def strict_origin(directory: Path) -> Iterator[int]:
    """Says in an alert that it misses a client certificate, and then nothing more: its
    connection stays open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    kept: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = context.wrap_bio(incoming, outgoing, server_side=True)
                with suppress(ssl.SSLCertVerificationError, ssl.SSLError):
                    while True:
                        try:
                            tls.do_handshake()
                            break
                        except ssl.SSLWantReadError:
                            connection.sendall(outgoing.read())
                            incoming.write(connection.recv(65536))
                connection.sendall(outgoing.read())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


def test_a_server_that_misses_a_certificate_leaves_nobody_waiting(sandbox: Sandbox) -> None:
    with (
        strict_origin(sandbox.directory) as port,
        answering_proxy(
            sandbox, configure=lambda d: d.update(sessionAuth={"host": "localhost", "port": port})
        ) as proxy,
        client_of(proxy) as client,
    ):
        answer = client.post(f"https://localhost:{port}/sessionauth/v1/logout", timeout=10)
        assert (answer.status_code, reason(answer)) == (502, "upstream_broken")
