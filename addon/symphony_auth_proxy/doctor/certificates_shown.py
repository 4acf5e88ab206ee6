"""What the certificates of a host tell: until when, from whom, and what is missing in between.

Pure: certificates in, words out. What is written in a certificate is somebody else's text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from symphony_auth_proxy.core.spans import harmless

_INSPECTORS = re.compile(
    r"\b(zscaler|netskope|blue ?coat|symantec web|palo ?alto|forcepoint|websense|fortinet|fortigate"
    r"|sophos|umbrella|check ?point|watchguard|mcafee web|skyhigh|barracuda|menlo|iboss|cato"
    r"|contentkeeper|smoothwall|squid|mitmproxy|charles proxy|fiddler|portswigger|burp"
    r"|kaspersky|avast|eset ssl|bitdefender|tls.?inspection|ssl.?inspection|ssl.?decrypt\w*)\b",
    re.IGNORECASE,
)
"""Makers of what opens TLS on the way, as they call themselves in the certificates they sign."""

_CLOUD = ".symphony.com"

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


def parsed(certificates: Iterable[bytes]) -> tuple[x509.Certificate, ...]:
    """Read certificates (DER), as far as they can be read."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for der in certificates:
            try:
                found.append(x509.load_der_x509_certificate(der))
            except ValueError:
                break  # what follows an unreadable one proves nothing
    return tuple(found)


def called(name: x509.Name) -> str:
    """Return what people call the owner of a name: CN and organisation."""
    parts = [
        str(attribute.value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        for attribute in name.get_attributes_for_oid(oid)[-1:]
    ]
    return harmless(" of ".join(parts) or name.rfc4514_string() or "nobody")


def issuers(chain: Sequence[x509.Certificate]) -> str:
    """Tell who signed a host's certificate, up to the last one shown."""
    return ", signed by ".join(dict.fromkeys(called(one.issuer) for one in chain[:3]))


def missing_issuer(chain: Sequence[x509.Certificate], trust_bundle: str) -> str:
    """Say what is missing for a chain to be trusted: whose certificate, and who ought to
    have brought it."""
    top = chain[-1]
    name = called(top.issuer)
    if top.issuer == top.subject:
        own = " (the host's own, signed by itself)" if len(chain) == 1 else ""
        return f"the CA {name}{own} is not among the trusted ones"
    if any(one.subject == top.issuer for one in _trusted(trust_bundle)):
        return f"a CA of the name {name} is trusted, but has another key than the one that signed"
    return (
        f"the certificate of {name}, who signed the last one shown, is neither shown by the host "
        "nor among the trusted ones"
    )


def inspector(chain: Sequence[x509.Certificate], host: str) -> str | None:
    """Return the name of the device that inspects TLS before a host; None: there seems none.

    Its own name says so, or it signs for a host of Symphony's cloud, whose certificates come
    from public CAs.
    """
    for one in chain:
        if _INSPECTORS.search(name := called(one.issuer)):
            return name
    # A single certificate says too little: nobody has shown who signed its issuer's.
    if len(chain) > 1 and f".{host}".endswith(_CLOUD) and not _is_public(chain[-1]):
        return called(chain[0].issuer)
    return None


def _is_public(top: x509.Certificate) -> bool:
    public = Path(certifi.where()).read_text(encoding="utf-8")
    return any(one.subject == top.issuer for one in _trusted(public))


def _trusted(bundle: str) -> Iterable[x509.Certificate]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in _BLOCK.findall(bundle):
            try:
                yield x509.load_pem_x509_certificate(block.encode())
            except ValueError:
                continue
