"""Keys and certificates for tests. RSA keys are costly, so each is made once per run."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from symphony_auth_proxy.certificates import (
    CertificateWithKey,
    make_ca,
    make_csr,
    make_rsa_key,
    sign_csr,
)
from symphony_auth_proxy.keys import ClientCertificate


@cache
def rsa_key(bits: int = 2048, *, number: int = 0) -> RSAPrivateKey:
    """Return the same key for the same arguments; `number` tells several apart."""
    del number
    return make_rsa_key(bits)


@cache
def company_ca(name: str = "Company CA") -> CertificateWithKey:
    return make_ca(name, key=rsa_key(number=-len(name)))


def client_certificate(
    username: str,
    *,
    ca: CertificateWithKey | None = None,
    valid_from: datetime | None = None,
    days: int = 365,
) -> ClientCertificate:
    key = rsa_key()
    ca = ca or company_ca()
    certificate = sign_csr(make_csr(key, username), *ca, valid_from=valid_from, days=days)
    return ClientCertificate(key, "fingerprint", (), (certificate,))
