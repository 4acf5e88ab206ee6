"""The proxy's own CA, and certificates that whoever holds its key can make."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from mitmproxy.certs import CertStore

from symphony_auth_proxy.ca.ca_files import KEY_FILE
from symphony_auth_proxy.certificates import certificates_pem, private_key_pem


class Stolen(NamedTuple):
    """What is in the file with the key."""

    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]

    @classmethod
    def of(cls, directory: Path) -> Stolen:
        data = (directory / KEY_FILE).read_bytes()
        key = load_pem_private_key(data, None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return cls(key, x509.load_pem_x509_certificates(data))

    def leaf(
        self,
        names: Sequence[str],
        *,
        common_name: str = "",
        ca: x509.Certificate | None = None,
        is_ca: bool = False,
    ) -> x509.Certificate:
        """Sign a server certificate for any names."""
        start = datetime.now(UTC) - timedelta(hours=1)
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        issuer = ca or self.chain[0]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if is_ca:
            identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=not subject)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self, *certificates: x509.Certificate) -> bytes:
        """What a server presents, with its key."""
        return private_key_pem(self.key) + certificates_pem([*certificates, *self.chain])


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def mitmproxys_leaf(directory: Path, names: Sequence[str]) -> x509.Certificate:
    """The certificate that mitmproxy itself makes for these names."""
    store = CertStore.from_store(directory, "mitmproxy", 2048)
    entry = store.get_cert(names[0], [general_name(name) for name in names])
    assert entry.chain_file is not None, "the certificates between would not be sent"
    return entry.cert.to_cryptography()


def server_context(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
