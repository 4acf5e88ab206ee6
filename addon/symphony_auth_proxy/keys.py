"""Keys and certificates: read, checked, fingerprinted.

This module turns what a configuration names (a path, an inline PEM, a PKCS#12 file) into
objects of `cryptography`, and says in plain words what is wrong when it cannot. Unencrypted
keys never touch the disk here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate

from symphony_auth_proxy import key_formats
from symphony_auth_proxy.certificates import SYMPHONY_KEY_BITS, common_name
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.key_formats import KeyFile
from symphony_auth_proxy.secret import Secret

MINIMUM_KEY_BITS = 2048
"""Shorter RSA keys are refused (NIST SP 800-131A)."""

EXPIRY_WARNING = timedelta(days=30)
"""A company's CA often takes weeks to issue the next certificate."""

_MAXIMUM_SIZE = 1024 * 1024
"""Bytes. Larger files are not keys: perhaps a device, perhaps the wrong path."""


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """A private key in hand. `fingerprint` tells one version of the file from the next."""

    key: RSAPrivateKey = field(repr=False)
    fingerprint: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientCertificate(KeyMaterial):
    """A private key with its certificate and the chain above it, leaf first."""

    chain: tuple[Certificate, ...] = ()


class KeySource(Protocol):
    """Where a key or certificate comes from. `load` reads it anew each time."""

    def load(self) -> KeyMaterial:
        """Read and check. Raises KeyMaterialError."""
        ...


@dataclass(frozen=True, slots=True)
class PrivateKeyFile:
    """An RSA private key: PEM, PKCS#1 or PKCS#8, encrypted or not; by path or inline."""

    path: Path | None = None
    content: Secret | None = None
    password: Secret | None = None

    def load(self) -> KeyMaterial:
        """Read and check. The fingerprint is that of the public key (SHA-256).

        Raises KeyMaterialError.
        """
        file = _read("the private key", self.path, self.content)
        key = key_formats.private_key(file, self.password)
        warnings = (*_access_warnings(file), *_strength_warnings(file, key))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return KeyMaterial(key, _fingerprint([public]), warnings)


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """A client certificate with its key: PKCS#12, one combined PEM, or a PEM pair."""

    username: str
    """The certificate's CN must be this, in the same letter case."""
    path: Path | None = None
    content: Secret | None = None
    """PEM text, or base64 of PKCS#12 as in BDK Java."""
    key_path: Path | None = None
    """The private key of a PEM pair, when it is not in the certificate's own file."""
    password: Secret | None = None

    def load(self) -> ClientCertificate:
        """Read and check. The fingerprint is that of the whole chain (SHA-256).

        Raises KeyMaterialError.
        """
        file = _read("the certificate", self.path, self.content)
        if self.content is not None:
            file = file.decoded()
        key_file, key, found = self._open(file)
        chain = key_formats.issuer_chain(file, key, found)
        warnings = (
            *_access_warnings(key_file),
            *_strength_warnings(key_file, key),
            *_outdated_warnings(file),
            *_expiry_warnings(file, chain[0], datetime.now(UTC)),
        )
        _check_name(file, chain[0], self.username)
        fingerprint = _fingerprint([one.public_bytes(Encoding.DER) for one in chain])
        return ClientCertificate(key, fingerprint, warnings, chain)

    def _open(self, file: KeyFile) -> tuple[KeyFile, RSAPrivateKey, list[Certificate]]:
        """Return the file that holds the key, the key, and all certificates."""
        if file.is_p12():
            if self.key_path is not None:
                raise KeyMaterialError(
                    f"{file.name} is a PKCS#12 file, which brings its own key, and "
                    f"{self.key_path} is configured as another",
                    hint="leave the key's path out",
                )
            return file, *key_formats.open_p12(file, self.password)
        found = key_formats.certificates(file)
        has_key = any(label.endswith("PRIVATE KEY") for label, _ in file.pem_blocks())
        if not found and not has_key:
            raise key_formats.unusable(file, "a client certificate")
        if not found:
            raise KeyMaterialError(
                f"{file.name} holds a private key, but no certificate",
                hint="append the certificate to the file; to log in with the key alone, "
                "configure it under `privateKey`",
                diagnosis=Diagnosis.KEY_FORMAT,
            )
        if self.key_path is not None:
            key_file = read_file(self.key_path)
            return key_file, key_formats.private_key(key_file, self.password), found
        if not has_key:
            raise KeyMaterialError(
                f"{file.name} holds a certificate, but not its private key",
                hint="append the key to the file, configure the key's path too, or pack both "
                "with `symphony-auth-proxy keys p12`",
                diagnosis=Diagnosis.KEY_FORMAT,
            )
        return file, key_formats.private_key(file, self.password), found


def _read(what: str, path: Path | None, content: Secret | None) -> KeyFile:
    if path is not None and content is not None:
        raise KeyMaterialError(
            f"{what} is configured twice, by path and by content", hint="remove one of the two"
        )
    if content is not None:
        return KeyFile(f"the content of {what}", content.reveal().encode())
    if path is None:
        raise KeyMaterialError(
            f"{what} is not configured", hint="configure its path, or its content"
        )
    return read_file(path)


def read_file(path: Path) -> KeyFile:
    """Read what may be a key or a certificate. Raises KeyMaterialError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_SIZE + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise KeyMaterialError(
            f"{path} cannot be read: {_READ_ERRORS.get(error.errno or 0, error.strerror)}",
            hint="check the path (a relative one starts at the configuration file's directory) "
            "and the permissions of the user that runs the proxy",
            diagnosis=_READ_DIAGNOSES.get(error.errno or 0, Diagnosis.KEY_FILE),
        ) from None
    if len(data) > _MAXIMUM_SIZE:
        raise KeyMaterialError(
            f"{path} is too large for a key",
            hint="check the path",
            diagnosis=Diagnosis.KEY_FILE,
        )
    return KeyFile(str(path), data, os.name == "posix" and bool(mode & stat.S_IROTH))


_READ_ERRORS = {
    errno.ENOENT: "there is no such file",
    errno.EISDIR: "it is a directory",
    errno.EACCES: "this user may not read it",
}
_READ_DIAGNOSES = {
    errno.EACCES: Diagnosis.KEY_PERMISSIONS,
    errno.EPERM: Diagnosis.KEY_PERMISSIONS,
}


def _access_warnings(file: KeyFile) -> Iterator[str]:
    """Warn rather than refuse: the mode of a mounted secret is often not ours to choose."""
    if file.readable_by_all:
        yield f"{file.name} can be read by every user of this machine: `chmod 600` it"


def _strength_warnings(file: KeyFile, key: RSAPrivateKey) -> Iterator[str]:
    if key.key_size < MINIMUM_KEY_BITS:
        raise KeyMaterialError(
            f"{file.name} holds a key of {key.key_size} bits, which is too short to be safe",
            hint=f"{key_formats.NEW_KEY_HINT} ({SYMPHONY_KEY_BITS} bits)",
            diagnosis=Diagnosis.KEY_LENGTH,
        )
    if key.key_size < SYMPHONY_KEY_BITS:
        yield (
            f"{file.name} holds a key of {key.key_size} bits; Symphony's documentation asks "
            f"for {SYMPHONY_KEY_BITS}"
        )


def _outdated_warnings(file: KeyFile) -> Iterator[str]:
    if file.is_outdated_p12():
        yield f"{file.name} is encrypted in an outdated way: {key_formats.REPACK_HINT}"


def _expiry_warnings(file: KeyFile, leaf: Certificate, now: datetime) -> Iterator[str]:
    starts, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < starts:
        raise KeyMaterialError(
            f"the certificate in {file.name} is not valid before {starts:%Y-%m-%d %H:%M} UTC",
            hint="check the clock of this machine; otherwise wait, or ask for a new certificate",
            diagnosis=Diagnosis.BOT_CERTIFICATE_NOT_YET_VALID,
        )
    if now > ends:
        raise KeyMaterialError(
            f"the certificate in {file.name} expired on {ends:%Y-%m-%d %H:%M} UTC",
            hint="have a new one signed: `symphony-auth-proxy keys csr` makes the request",
            diagnosis=Diagnosis.BOT_CERTIFICATE_EXPIRED,
        )
    if ends - now < EXPIRY_WARNING:
        yield (
            f"the certificate in {file.name} expires on {ends:%Y-%m-%d}, in "
            f"{(ends - now).days} days: have a new one signed"
        )


def _check_name(file: KeyFile, leaf: Certificate, username: str) -> None:
    """Symphony finds the service account by the CN, in the same letter case."""
    name = common_name(leaf)
    if name == username:
        return
    difference = " (only the letter case differs)" if name.lower() == username.lower() else ""
    raise KeyMaterialError(
        f"the certificate in {file.name} is for CN={name!r}, but the bot's username is "
        f"{username!r}{difference}",
        hint="correct the username, or have a certificate signed whose CN is the username",
        diagnosis=Diagnosis.BOT_CERTIFICATE_NAME,
    )


def _fingerprint(public_parts: Sequence[bytes]) -> str:
    """Shorten the SHA-256 to 16 hex digits: public, for people and for comparing versions."""
    return hashlib.sha256(b"".join(public_parts)).hexdigest()[:16]
