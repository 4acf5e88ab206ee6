"""Trust stores for the programs that use the proxy: what they trust already, and its CA.

Most programs are told of CAs by a file that takes the place of the system's. So that other
hosts keep working, such a file holds all that the program would trust without it. What one
variable was set to stays with that variable: no program trusts more than before, but for the
proxy's CA.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from symphony_auth_proxy.certificates import certificates_pem, common_name
from symphony_auth_proxy.files import replace

_REPLACED = {
    "SSL_CERT_FILE": (),
    "REQUESTS_CA_BUNDLE": ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "CURL_CA_BUNDLE": ("CURL_CA_BUNDLE",),
}
"""Variables that name a bundle, and those that say what it replaces (as requests and curl look
them up); otherwise it is what OpenSSL trusts by itself, an inherited SSL_CERT_FILE included."""

_ADDING = "NODE_EXTRA_CA_CERTS"
"""Node's built-in CAs stay in force."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """Where they were written."""

    pem: Mapping[str, Path]
    """By the variable that names each."""
    java: Path


def write(
    directory: Path, inherited: Mapping[str, str], system: str, ca: x509.Certificate
) -> TrustFiles:
    """Write the trust stores of a program that has the variables `inherited`.

    `system`: PEM of what OpenSSL trusts. Raises OSError.
    """
    own = certificates_pem([ca]).decode()
    texts = {
        variable: next(filter(None, (_pem(inherited.get(name)) for name in replaced)), system)
        for variable, replaced in _REPLACED.items()
    }
    texts[_ADDING] = _pem(inherited.get(_ADDING))
    files = {}
    for variable, text in texts.items():
        pem = text if own in text else f"{text}\n{own}"
        files[variable] = directory / f"{variable.lower().replace('_', '-')}.pem"
        replace(files[variable], pem.encode(), private=False)
    store = directory / "java.p12"
    replace(store, java([*_readable(system), ca]), private=False)
    return TrustFiles(files, store)


def java(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return a PKCS#12 trust store that Java opens without a password, and with any.

    It holds nothing secret, and a password that stands in every manual protects nothing. Java
    reads one that is neither encrypted nor authenticated (JDK-8076190).
    """
    entries = [
        pkcs12.PKCS12Certificate(one, f"{common_name(one)} {number}".strip().encode())
        for number, one in enumerate(certificates, start=1)
    ]
    return _without_mac(pkcs12.serialize_java_truststore(entries, NoEncryption()))


def _without_mac(pfx: bytes) -> bytes:
    """Leave out the MAC, which is optional (RFC 7292 §4): it would be one of an empty password,
    and Java would refuse every other password."""
    start, _ = _bounds(pfx, 0)  # PFX ::= SEQUENCE {
    _, version_end = _bounds(pfx, start)  # version INTEGER,
    _, safe_end = _bounds(pfx, version_end)  # authSafe ContentInfo,
    content = pfx[start:safe_end]  # macData MacData OPTIONAL }
    size = (len(content).bit_length() + 7) // 8
    length = [len(content)] if len(content) < 0x80 else [0x80 | size, *len(content).to_bytes(size)]
    return bytes([0x30, *length]) + content


def _bounds(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of an element of DER begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size]), start + size
    return start, start + length


def _pem(place: str | None) -> str:
    """Read a bundle, or a directory of CAs as requests takes one, too."""
    if not place:
        return ""
    path = Path(place)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    except OSError:
        return ""
    return "\n".join(dict.fromkeys(block for text in texts for block in _BLOCK.findall(text)))


def _readable(bundle: str) -> list[x509.Certificate]:
    """Return the certificates that can be read. Among the oldest CAs there are some whose
    serial number is not one by RFC 5280; Java takes them."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in _BLOCK.findall(bundle):
            with suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(block.encode()))
    return found
