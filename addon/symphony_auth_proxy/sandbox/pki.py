"""The sandbox's keys and certificates: made once per directory, reused afterwards.

One CA signs the servers' certificate and the bots'; on a real pod those are two, but either
is trusted for what it is used for only. Nothing here is worth protecting, and yet private
keys are written with mode 0600: a test environment is copied from more often than one thinks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from symphony_auth_proxy.certificates import (
    SYMPHONY_KEY_BITS,
    certificates_pem,
    make_ca,
    make_csr,
    make_rsa_key,
    make_server_certificate,
    pack_p12,
    private_key_pem,
    public_key_pem,
    sign_csr,
)
from symphony_auth_proxy.secret import Secret

KEY_BOT = "pricing-bot"
CERTIFICATE_BOT = "compliance-bot"
HOSTS = ("localhost", "127.0.0.1", "::1")

_INTERNAL_KEY_BITS = 2048
"""For the servers and the pod's token signatures: nobody checks their length, every
handshake and login waits for them."""

_NAMES = (
    "ca.pem",
    "ca.key.pem",
    f"{KEY_BOT}.pem",
    f"{KEY_BOT}.public.pem",
    f"{CERTIFICATE_BOT}.p12",
    f"{CERTIFICATE_BOT}.password",
    f"{CERTIFICATE_BOT}.pem",
    "server.pem",
    "pod.pem",
)
_MARK = "README.txt"
_README = f"""\
Made by `symphony-auth-proxy sandbox`: throw-away keys of a simulated Symphony.
They open nothing anywhere else. The whole directory may be deleted.

ca.pem              signed the servers' certificate and the bot's; ca.key.pem is its key
{KEY_BOT}.pem     the RSA bot's private key; the pod knows its public half
{CERTIFICATE_BOT}.p12  the certificate bot's key and certificate; {CERTIFICATE_BOT}.password
                    opens it, {CERTIFICATE_BOT}.pem is the same as the Python BDK reads it
server.pem          the servers' certificate and key
pod.pem             what the pod signs session tokens with
config.yaml         for the proxy and for BDK bots; written anew at each start
"""


@dataclass(frozen=True, slots=True)
class Pki:
    """What the sandbox itself needs of the directory."""

    directory: Path
    pod_key: RSAPrivateKey = field(repr=False)
    bot_key: RSAPublicKey

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def server(self) -> Path:
        """The servers' certificate and key, one PEM file."""
        return self.directory / "server.pem"


def prepare(directory: Path, key_bits: int = SYMPHONY_KEY_BITS) -> Pki:
    """Make the directory's keys and certificates unless they are there and still valid.

    Raises FileExistsError rather than to overwrite what somebody else put there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = [name for name in (*_NAMES, _MARK, "config.yaml") if (directory / name).exists()]
    if taken and not _ours(directory):
        raise FileExistsError(
            f"{directory} holds {', '.join(taken)} already, and not from a sandbox: "
            "choose another directory"
        )
    if not _still_good(directory):
        _write(directory, _make(key_bits))
    pod_key = load_pem_private_key(
        (directory / "pod.pem").read_bytes(),
        None,
        unsafe_skip_rsa_key_validation=True,  # our own file; the check costs most of the start
    )
    bot_key = load_pem_public_key((directory / f"{KEY_BOT}.public.pem").read_bytes())
    if not isinstance(pod_key, RSAPrivateKey) or not isinstance(bot_key, RSAPublicKey):
        raise TypeError(f"{directory} holds other keys than RSA keys")
    return Pki(directory, pod_key, bot_key)


def _still_good(directory: Path) -> bool:
    if not _ours(directory) or not all((directory / name).exists() for name in _NAMES):
        return False
    certificate = x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())
    return certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)


def _ours(directory: Path) -> bool:
    mark = directory / _MARK
    return mark.exists() and mark.read_bytes().startswith(_README.encode().splitlines()[0])


def _make(key_bits: int) -> Mapping[str, bytes]:
    """Return file names and contents. A 4096-bit key takes about a second, so they are
    made side by side."""
    sizes = (key_bits, key_bits, key_bits, _INTERNAL_KEY_BITS, _INTERNAL_KEY_BITS)
    with ThreadPoolExecutor() as pool:
        ca_key, bot_key, client_key, server_key, pod_key = pool.map(make_rsa_key, sizes)
    ca = make_ca("Symphony sandbox CA", organization="Sandbox", key=ca_key).certificate
    server = make_server_certificate(HOSTS, ca, ca_key, key=server_key).certificate
    client = sign_csr(make_csr(client_key, CERTIFICATE_BOT, organization="Sandbox"), ca, ca_key)
    password = secrets.token_urlsafe(16)
    contents = (
        certificates_pem([ca]),
        private_key_pem(ca_key),
        private_key_pem(bot_key),
        public_key_pem(bot_key),
        pack_p12(client, client_key, Secret(password), chain=[ca]),
        password.encode(),
        certificates_pem([client]) + private_key_pem(client_key),
        certificates_pem([server]) + private_key_pem(server_key),
        private_key_pem(pod_key),
    )
    return dict(zip(_NAMES, contents, strict=True))


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in {_MARK: _README.encode(), **files}.items():
        path = directory / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
