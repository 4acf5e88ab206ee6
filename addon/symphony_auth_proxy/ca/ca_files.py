"""The files of the proxy's own CA, under mitmproxy's names: who may read and write them.

Modes are checked where the system has them (POSIX).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import pkcs12

from symphony_auth_proxy.ca import truststores
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.errors import ConfigError, Problem
from symphony_auth_proxy.files import replace

KEY_FILE = "mitmproxy-ca.pem"
CERTIFICATE_FILE = "mitmproxy-ca-cert.pem"
_FURTHER_KEY_FILE = "mitmproxy-ca.p12"
"""mitmproxy writes one beside a CA of its own."""

_PLACE = "authProxy.ca.directory"
_PEM_FOR_ANDROID = "mitmproxy-ca-cert.cer"
_TRUST_STORE = "mitmproxy-ca-cert.p12"


@contextmanager
def problems_of(directory: Path) -> Iterator[None]:
    """Turn what the system refuses into ConfigError."""
    try:
        yield
    except OSError as error:
        place = error.filename or directory
        raise ConfigError([Problem(_PLACE, f"{place}: {error.strerror or error}")]) from error


def make_private(directory: Path) -> None:
    """Make a directory for this user alone, unless it is there; check it if so."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    check_directory(directory)


def check_directory(directory: Path) -> None:
    """Refuse a directory in which others could put a CA of theirs. (That they see the names of
    the files in it does no harm.) Raises ConfigError."""
    if _allows(directory, stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            [Problem(_PLACE, f"others can change files in {directory}: `chmod 700 {directory}`")]
        )


def check_keys(directory: Path) -> None:
    """Refuse private keys that others can read, in PEM and PKCS#12 files alike, kept ones of
    earlier CAs included. Raises ConfigError."""
    problems = [
        Problem(
            _PLACE,
            f"others can read the key in {file}: `chmod 600 {file}`, and `symphony-auth-proxy ca "
            "rotate` in case somebody did",
        )
        for file in sorted(directory.iterdir())
        # By its name first: what another process is about to write may be gone already.
        if file.suffix in {".pem", ".p12", ".pfx"}
        and _allows(file, stat.S_IRWXG | stat.S_IRWXO)
        and _holds_key(file)
    ]
    if problems:
        raise ConfigError(problems)


def _allows(path: Path, others: int) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & others)


def _holds_key(file: Path) -> bool:
    if not file.is_file():
        return False
    if file.suffix == ".pem":
        return b"PRIVATE KEY" in file.read_bytes()
    try:
        return pkcs12.load_pkcs12(file.read_bytes(), None).key is not None
    except ValueError:  # it has a password, and so most likely a key
        return True


def publish(directory: Path, top: x509.Certificate) -> x509.Certificate:
    """Return what clients trust. Written anew unless it is there and leads to `top`, the last
    certificate of the CA's chain."""
    found = _anchor(directory / CERTIFICATE_FILE, top)
    if found is not None:
        return found
    pem = certificates_pem([top])
    replace(directory / _TRUST_STORE, truststores.java([top]), private=False)
    replace(directory / _PEM_FOR_ANDROID, pem, private=False)
    replace(directory / CERTIFICATE_FILE, pem, private=False)
    return top


def _anchor(file: Path, top: x509.Certificate) -> x509.Certificate | None:
    """Return `top` itself or (a company's CA above ours) its issuer, as a file has it."""
    try:
        trusted = x509.load_pem_x509_certificates(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return next((one for one in trusted if one == top or _has_issued(one, top)), None)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def keep_aside(directory: Path, now: datetime) -> tuple[Path, ...]:
    """Copy the CA's files to names with the date in them. Returns these."""
    files = [directory / name for name in (KEY_FILE, _FURTHER_KEY_FILE, CERTIFICATE_FILE)]
    content = {file: file.read_bytes() for file in files if file.exists()}
    # Two CAs of one day do not share a name.
    which = hashlib.sha256(b"".join(content.values())).hexdigest()[:8]
    kept = []
    for file, data in content.items():
        aside = file.with_stem(f"{file.stem}-{now:%Y-%m-%d}-{which}")
        replace(aside, data, private=file.name != CERTIFICATE_FILE)
        kept.append(aside)
    (directory / _FURTHER_KEY_FILE).unlink(missing_ok=True)
    return tuple(kept)
