"""CA: whoever gets hold of the proxy's CA key poses as nobody but Symphony (Superfish).

The attacker has the file with the key, and signs what they like. Real verifiers have only
what clients are told to trust: the root.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509

from support.authorities import Stolen, mitmproxys_leaf, server_context
from support.environments import java_for_sources, program
from support.processes import environment
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.errors import ConfigError

PROGRAMS = Path(__file__).with_name("programs")

HOST, ADDRESS = "acme.symphony.com", "192.0.2.7"
EVIL = "evil.example"


class Presented(NamedTuple):
    """What a server presents, and for which host the client takes it."""

    host: str
    pem: bytes


def honest(ca: Authority) -> list[Presented]:
    """As mitmproxy makes them: for the name that a client sends, and without one for the
    address that it came in by and for where it goes."""
    named = [(HOST, [HOST]), ("localhost", ["localhost"]), ("symphony.proxy", ["symphony.proxy"])]
    nameless = [("127.0.0.1", ["127.0.0.1", HOST]), (ADDRESS, ["127.0.0.1", ADDRESS])]
    stolen = Stolen.of(ca.directory)
    return [
        Presented(host, stolen.pem(mitmproxys_leaf(ca.directory, names)))
        for host, names in (*named, *nameless)
    ]


def forged(ca: Authority) -> list[Presented]:
    stolen = Stolen.of(ca.directory)

    def signed(host: str, *names: str, common_name: str = "") -> Presented:
        return Presented(host, stolen.pem(stolen.leaf(names, common_name=common_name)))

    between = stolen.leaf([], common_name="a CA below", is_ca=True)
    below = stolen.leaf([HOST], ca=between)
    return [
        signed(EVIL, EVIL),
        signed(EVIL, EVIL, common_name=EVIL),
        signed(EVIL, common_name=EVIL),
        signed(EVIL, EVIL, HOST),
        signed(EVIL, EVIL, common_name=HOST),
        signed(EVIL, "127.0.0.1", common_name=EVIL),
        signed("symphony.com", "symphony.com"),
        signed("other.symphony.com", "*.symphony.com"),
        signed("evil-acme.symphony.com", "evil-acme.symphony.com"),
        signed("acme.symphony.com.evil.example", "acme.symphony.com.evil.example"),
        signed("10.0.0.1", "10.0.0.1"),
        signed("10.0.0.1", "10.0.0.1", common_name="10.0.0.1"),
        signed("::2", "::2"),
        Presented(HOST, stolen.pem(below, between)),
    ]


@contextmanager
def serving(presented: list[Presented]) -> Iterator[list[int]]:
    """Serve each on a port of its own."""

    def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connection, _ = listener.accept()
                connection.settimeout(10)
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)

    with ExitStack() as stack:
        ports = []
        for one in presented:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            arguments = (listener, server_context(one.pem))
            threading.Thread(target=serve, args=arguments, daemon=True).start()
            ports.append(listener.getsockname()[1])
        yield ports


def run(*command: str, **variables: str) -> str:
    ended = subprocess.run(
        command,
        env=environment(PROGRAMS, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout + ended.stderr


def says_python(presented: list[Presented], ca: Authority, _: Path) -> list[str]:
    context = ssl.create_default_context(cafile=ca.certificate)

    def verdict(port: int, host: str) -> str:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 10) as connection,
                context.wrap_socket(connection, server_hostname=host),
            ):
                return "accepted"
        except ssl.SSLCertVerificationError as error:
            return error.verify_message

    with serving(presented) as ports:
        return [verdict(port, one.host) for port, one in zip(ports, presented, strict=True)]


def says_openssl(presented: list[Presented], ca: Authority, directory: Path) -> list[str]:
    openssl = program("openssl")
    verdicts = []
    for one in presented:
        leaf, *others = x509.load_pem_x509_certificates(one.pem)
        (directory / "leaf.pem").write_bytes(certificates_pem([leaf]))
        (directory / "others.pem").write_bytes(certificates_pem(others))
        kind = "ip" if ":" in one.host or one.host[-1].isdigit() else "hostname"
        told = run(
            *(openssl, "verify", "-x509_strict", "-CAfile", str(ca.certificate)),
            *("-untrusted", str(directory / "others.pem"), f"-verify_{kind}", one.host),
            str(directory / "leaf.pem"),
        )
        verdicts.append("accepted" if told.endswith("leaf.pem: OK\n") else told)
    return verdicts


def says_java(presented: list[Presented], ca: Authority, _: Path) -> list[str]:
    store = ca.certificate.with_suffix(".p12")
    with serving(presented) as ports:
        told = run(
            *(java_for_sources(), f"-Djavax.net.ssl.trustStore={store}"),
            str(PROGRAMS / "Handshake.java"),
            *(f"{port}={one.host}" for port, one in zip(ports, presented, strict=True)),
        )
    return told.splitlines()


def says_node(presented: list[Presented], ca: Authority, _: Path) -> list[str]:
    with serving(presented) as ports:
        told = run(
            *(program("node"), str(PROGRAMS / "handshake.cjs")),
            *(f"{port}={one.host}" for port, one in zip(ports, presented, strict=True)),
            NODE_EXTRA_CA_CERTS=str(ca.certificate),
        )
    return told.splitlines()


type Verifier = Callable[[list[Presented], Authority, Path], list[str]]

VERIFIERS = {
    "python": (says_python, "permitted subtree violation"),
    "openssl": (says_openssl, "permitted subtree violation"),
    "java": (says_java, "name constraints check failed"),
    "node": (says_node, "permitted subtree violation"),
}
"""Each with what it says of a name that the CA is not for."""


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority.ensure(tmp_path / "ca", (HOST, ADDRESS))


@pytest.mark.parametrize(("says", "_violation"), VERIFIERS.values(), ids=VERIFIERS)
def test_the_proxys_certificates_for_its_own_hosts_are_accepted(
    ca: Authority, tmp_path: Path, says: Verifier, _violation: str
) -> None:
    presented = honest(ca)
    assert says(presented, ca, tmp_path) == ["accepted"] * len(presented)


@pytest.mark.parametrize(("says", "violation"), VERIFIERS.values(), ids=VERIFIERS)
def test_no_forged_certificate_is_accepted(
    ca: Authority, tmp_path: Path, says: Verifier, violation: str
) -> None:
    *outside, below = says(forged(ca), ca, tmp_path)
    assert [verdict for verdict in outside if violation not in verdict] == []
    assert below != "accepted"


def test_a_copy_of_one_installations_key_is_worth_nothing_at_another(
    ca: Authority, tmp_path: Path
) -> None:
    other = authority.ensure(tmp_path / "other", (HOST, ADDRESS))
    verdicts = says_python(honest(other), ca, tmp_path)
    assert set(verdicts) == {"self-signed certificate in certificate chain"}


@pytest.mark.parametrize("name", ["mitmproxy-ca.pem", "mitmproxy-ca.p12"])
def test_a_key_that_others_can_read_is_not_used(ca: Authority, name: str) -> None:
    file = ca.directory / name
    file.touch(0o600)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read the key"):
        authority.ensure(ca.directory, [HOST])


def test_hosts_outside_of_it_are_refused_and_it_stays_as_it_is(ca: Authority) -> None:
    before = {file: file.read_bytes() for file in ca.directory.iterdir()}
    with pytest.raises(ConfigError, match=r"is not for evil\.example.*ca rotate"):
        authority.ensure(ca.directory, [HOST, EVIL])
    assert {file: file.read_bytes() for file in ca.directory.iterdir()} == before
