"""Which CAs are trusted: the system's, and those that the configuration adds.

Adding, never replacing: bots whose trust store took the system's place broke when public
CAs changed (symphony-bdk-java #546 and #794). The result is one PEM text, used for logins
and for traffic.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import certifi
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from symphony_auth_proxy.config.document import Wrong
from symphony_auth_proxy.secret import Secret

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # what OpenSSL looks up in a directory
_JAVA_KEYSTORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")  # JKS and JCEKS
_MAX_SIZE = 16 * 1024 * 1024


def bundle(added: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return the system's CAs and `added` (each in PEM), every certificate once.

    Raises Wrong when SSL_CERT_FILE names a file without certificates.
    """
    return "".join(f"{pem}\n" for pem in dict.fromkeys((*_system(environ), *added)))


def read(path: Path | None, content: Secret | None, password: Secret | None) -> tuple[str, ...]:
    """Return the certificates of a trust store, each in PEM and known to parse.

    Raises Wrong.
    """
    if path is not None:
        data = _bytes(path)
    else:
        text = content.reveal() if content else ""
        data = text.encode() if "-----BEGIN" in text else _from_base64(text)
    if data.startswith(_JAVA_KEYSTORES):
        raise Wrong(
            "is a Java keystore; convert it with `keytool -importkeystore -srckeystore "
            f"{path or 'STORE.jks'} -destkeystore STORE.p12 -deststoretype PKCS12` and name "
            "STORE.p12 here"
        )
    found = _from_pem(data) if b"-----BEGIN" in data else _from_pkcs12(data, password)
    if not found:
        raise Wrong("holds no certificate")
    return tuple(found)


def _system(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what OpenSSL trusts by default, its environment variables honoured.

    Where Python brings no such store (macOS, Windows), Mozilla's list stands in.
    """
    places = ssl.get_default_verify_paths()
    named = environ.get(places.openssl_cafile_env)
    found = _blocks(Path(named or places.openssl_cafile))
    if named and not found:
        raise Wrong(f"{places.openssl_cafile_env} names a file without PEM certificates")
    directories = environ.get(places.openssl_capath_env) or places.openssl_capath
    for directory in directories.split(os.pathsep):
        for file in _hashed_files(Path(directory)):
            found += _blocks(file)
    yield from found or _blocks(Path(certifi.where()))


def _hashed_files(directory: Path) -> list[Path]:
    try:
        return sorted(file for file in directory.iterdir() if _HASHED_NAME.fullmatch(file.name))
    except OSError:
        return []


def _blocks(file: Path) -> list[str]:
    try:
        return _BLOCK.findall(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _MAX_SIZE:
        raise Wrong(f"{path} is too large for a trust store")
    return data


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise Wrong("has a `content` that is neither PEM nor base64") from None


def _from_pem(data: bytes) -> list[str]:
    blocks = _BLOCK.findall(data.decode(errors="replace"))
    for number, block in enumerate(blocks, start=1):
        try:
            load_pem_x509_certificate(block.encode())
        except ValueError:
            raise Wrong(f"holds a damaged certificate, number {number}") from None
    return blocks


def _from_pkcs12(data: bytes, password: Secret | None) -> list[str]:
    try:
        store = pkcs12.load_pkcs12(data, password.reveal().encode() if password else None)
    except ValueError:
        raise Wrong(
            "is neither PEM nor PKCS#12 that opens with the password given"
            if password
            else "is not PEM; if it is PKCS#12, it needs `passwordFile` or `password`"
        ) from None
    entries = (*([store.cert] if store.cert else ()), *store.additional_certs)
    return [entry.certificate.public_bytes(Encoding.PEM).decode().strip() for entry in entries]
