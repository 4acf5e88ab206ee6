"""What broken set-ups are made of: calls, certificates, and servers that do what they should not.

See `support.broken`, where they are put together.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import httpcore
import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki import company_ca, rsa_key
from support.authorities import server_context
from support.configuration import change
from support.wire import connect_proxy
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_csr,
    make_server_certificate,
    pack_p12,
    private_key_pem,
    sign_csr,
)
from symphony_auth_proxy.config import load as load_file
from symphony_auth_proxy.keys import ClientCertificate, KeyMaterial, KeySource
from symphony_auth_proxy.model import Component, Settings
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport.network import CheckedNetwork

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"


@dataclass(frozen=True)
class Scene:
    """One broken set-up, running."""

    sandbox: Sandbox
    config: Path
    url: str
    """What the client asks for: `INFO` by GET, or `ECHO` by POST."""
    headers: Mapping[str, str] = field(default_factory=dict)
    later: Callable[[], None] = lambda: None
    """What breaks only when the configuration has been read; may be called again."""
    read: Callable[[Path | None], Settings] = load_file

    def ask(self, client: httpx.Client) -> httpx.Response:
        """Send the request."""
        if self.url.endswith(ECHO):
            return client.post(self.url, json={"message": "hello"}, headers=self.headers)
        return client.get(self.url, headers=self.headers)

    def load(self, path: Path | None) -> Settings:
        """Read the configuration, as the proxy does at its start."""
        settings = self.read(path)
        self.later()
        return settings


def scene(sandbox: Sandbox, component: Component = Component.POD, **changes: Any) -> Scene:
    """The call of the bot with an RSA key to a component."""
    path = ECHO if component is Component.AGENT else INFO
    return Scene(sandbox, sandbox.config, sandbox.url(component) + path, **changes)


def certificate_scene(sandbox: Sandbox, **changes: Any) -> Scene:
    """The same of the bot with a certificate."""
    return scene(sandbox, headers={"Symphony-Bot": CERTIFICATE_BOT}, **changes)


def only_the_key_bot(document: Any) -> None:
    document["authProxy"].pop("bots")


@cache
def _authority(directory: Path) -> tuple[x509.Certificate, RSAPrivateKey]:
    certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    key = load_pem_private_key((directory / "ca.key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return certificate, key


def certificate_for(
    sandbox: Sandbox, name: str, *, valid_from: datetime | None = None, days: int = 365
) -> x509.Certificate:
    """One that the pod trusts, for `rsa_key()`."""
    request = make_csr(rsa_key(), name)
    return sign_csr(request, *_authority(sandbox.directory), valid_from=valid_from, days=days)


def expired_certificate(sandbox: Sandbox) -> x509.Certificate:
    begun = datetime.now(UTC) - timedelta(days=30)
    return certificate_for(sandbox, CERTIFICATE_BOT, valid_from=begun, days=29)


def install(sandbox: Sandbox, certificate: x509.Certificate, password: str | None = None) -> None:
    """Put a certificate into the bot's PKCS#12 file, under the password that is configured."""
    configured = (sandbox.directory / f"{CERTIFICATE_BOT}.password").read_text()
    packed = pack_p12(certificate, rsa_key(), Secret(password or configured))
    (sandbox.directory / f"{CERTIFICATE_BOT}.p12").write_bytes(packed)


class Outlived:
    """A certificate that was good when it was read, and has expired in the meantime."""

    def __init__(self, material: ClientCertificate, source: KeySource) -> None:
        self._held: KeyMaterial | None = material
        self._source = source

    def load(self) -> KeyMaterial:
        held, self._held = self._held, None
        return held or self._source.load()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers nothing at all, as behind a firewall that drops packets: its queue
    of connections is full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        yield full.getsockname()[1]


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port where nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def host_of_another_company() -> Iterator[int]:
    """A server whose certificate comes from a CA that the configuration does not name."""
    ca = company_ca("Another company's CA")
    server = make_server_certificate(["localhost"], *ca, key=rsa_key())
    context = server_context(certificates_pem([server.certificate]) + private_key_pem(server.key))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    while tls.recv(65536):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def impatient(stack: ExitStack) -> None:
    """Wait a moment, instead of seconds, for connections that nobody accepts."""
    connect = CheckedNetwork.connect_tcp

    async def soon(self: CheckedNetwork, **arguments: Any) -> httpcore.AsyncNetworkStream:
        return await connect(self, **arguments | {"timeout": 0.3})

    stack.enter_context(mock.patch.object(CheckedNetwork, "connect_tcp", soon))


def wrong_credentials(stack: ExitStack) -> dict[str, object]:
    """The section `proxy` for a corporate proxy that wants another password."""
    corporate = stack.enter_context(connect_proxy("jane:the right one"))
    return {
        "host": "127.0.0.1",
        "port": corporate.port,
        "username": "jane",
        "password": "last year's",
    }


def without_key_manager(sandbox: Sandbox) -> None:
    """Where none is configured, the pod's own host is taken for it."""
    with change(sandbox.config) as document:
        document.pop("keyManager")
    for bot in (KEY_BOT, CERTIFICATE_BOT):
        sandbox.set_simplified_key_delivery(bot)


def server_trusts(scene: Scene) -> ssl.SSLContext:
    """What a client trusts that has never heard of the proxy's CA."""
    return ssl.create_default_context(cafile=str(scene.sandbox.ca))
