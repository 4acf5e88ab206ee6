"""TLS contexts made of what is in memory.

Python's ssl module takes CAs as text, but a certificate and its key only by path. Here they
reach OpenSSL as a PEM that is encrypted with a random password, through a file that has no
name: the unencrypted key never touches a disk, and neither does anything else where the
system has memfd_create.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate

from symphony_auth_proxy.certificates import certificates_pem, private_key_pem
from symphony_auth_proxy.keys import ClientCertificate
from symphony_auth_proxy.secret import Secret


def client_context(trust_bundle: str, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name against `trust_bundle` (PEM),
    offers TLS ≥ 1.2 and shows `certificate` to a server that asks for one.

    The lack of `ssl.create_default_context` is intentional. It would write all session keys
    to the file that SSLKEYLOGFILE names, and it would demand of every CA the extensions of
    RFC 5280, which those of many companies' TLS inspection lack; Java and mitmproxy, which
    speak to the same hosts, do not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=trust_bundle)
    if certificate is not None:
        load_identity(context, certificate.key, certificate.chain)
    return context


def load_identity(
    context: ssl.SSLContext, key: RSAPrivateKey, chain: Sequence[Certificate]
) -> None:
    """Give `context` a key and its certificates, leaf first, as `load_cert_chain` does."""
    password = Secret(secrets.token_urlsafe(32))
    pem = private_key_pem(key, password) + certificates_pem(chain)
    with _nameless_file(pem) as path:
        context.load_cert_chain(path, password=password.reveal)


@contextmanager
def _nameless_file(data: bytes) -> Iterator[str]:
    """Yield a path at which OpenSSL can open `data` while the context lasts."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor has no path)
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        # Created with mode 0600, and gone before anything is sent.
        with tempfile.NamedTemporaryFile(delete_on_close=False) as file:
            file.write(data)
            file.close()
            yield file.name
