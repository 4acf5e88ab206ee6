"""Makes keys, certificate requests, certificates and PKCS#12 files.

Symphony's documentation walks people through openssl for this: a 4096-bit RSA key, a
request whose CN is the service account's username, a signature of the company's CA, a
PKCS#12 file. These functions are that walk, for the `keys` commands and for the sandbox's
own PKI. They return objects and bytes: nothing here reads, writes or prints.

Every certificate carries the extensions that RFC 5280 asks for (key identifiers, critical
basicConstraints and keyUsage, extendedKeyUsage on leaves), so that verifiers in strict mode
(`VERIFY_X509_STRICT`, the default of `ssl.create_default_context` since Python 3.13) accept
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from symphony_auth_proxy.secret import Secret

SYMPHONY_KEY_BITS = 4096
"""What Symphony's documentation asks of bots' keys and of the CAs above them."""

_CLOCK_TOLERANCE = timedelta(minutes=5)
"""A new certificate is valid a little into the past: the verifier's clock may be behind."""


_SUBJECT = (
    ("country", NameOID.COUNTRY_NAME),
    ("state", NameOID.STATE_OR_PROVINCE_NAME),
    ("locality", NameOID.LOCALITY_NAME),
    ("organization", NameOID.ORGANIZATION_NAME),
    ("unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("common_name", NameOID.COMMON_NAME),
    ("email", NameOID.EMAIL_ADDRESS),
)


class CertificateWithKey(NamedTuple):
    certificate: x509.Certificate
    key: RSAPrivateKey


class LimitedCa(NamedTuple):
    """A CA that signs for certain hosts only; see `make_limited_ca`."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate
    """What signs: it carries the name constraints."""
    root: x509.Certificate
    """What clients trust. Its key exists no more."""


def make_rsa_key(bits: int = SYMPHONY_KEY_BITS) -> RSAPrivateKey:
    """Generate a key. 4096 bits take a few seconds; tests are content with 2048."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def make_csr(
    key: RSAPrivateKey,
    username: str,
    *,
    organization: str = "",
    unit: str = "",
    country: str = "",
    state: str = "",
    locality: str = "",
    email: str = "",
) -> x509.CertificateSigningRequest:
    """Make a certificate request of a bot; CN = `username`, in the same letter case.

    Raises ValueError for a name that X.509 cannot hold, such as a country of three letters.
    """
    subject = _name(
        common_name=username,
        organization=organization,
        unit=unit,
        country=country,
        state=state,
        locality=locality,
        email=email,
    )
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())


def make_ca(
    common_name: str,
    *,
    organization: str = "",
    country: str = "",
    days: int = 3650,
    key: RSAPrivateKey | None = None,
) -> CertificateWithKey:
    """Make a self-signed CA that signs leaves only (path length 0), with its key."""
    key = key or make_rsa_key()
    subject = _name(common_name=common_name, organization=organization, country=country)
    start = datetime.now(UTC) - _CLOCK_TOLERANCE
    builder = (
        _builder(subject, key.public_key(), issuer=subject, start=start, days=days)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return CertificateWithKey(builder.sign(key, hashes.SHA256()), key)


def make_limited_ca(
    common_name: str,
    permitted: Iterable[x509.GeneralName],
    *,
    organization: str = "",
    days: int = 730,
    valid_from: datetime | None = None,
) -> LimitedCa:
    """Make a CA that can sign for the `permitted` names only, and for all names of a kind
    (DNS, address) of which there is none among them.

    The constraints (RFC 5280 §4.2.1.10) stand in a certificate below the root: a verifier
    takes a root as it is and need not look at its constraints (RFC 5280 §6.1.1), and Java
    does not. The root's key signs this once and is forgotten, so that nobody can sign another
    without. A permitted DNS name includes the names below it.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    start = valid_from or datetime.now(UTC) - _CLOCK_TOLERANCE
    root_name = _name(common_name=common_name, organization=organization)
    name = _name(common_name=f"{common_name}, limited", organization=organization)
    from_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    root, certificate = (
        _builder(subject, public_key, issuer=root_name, start=start, days=days)
        .add_extension(from_root, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        for subject, public_key, length in (
            (root_name, root_key.public_key(), 1),
            (name, key.public_key(), 0),
        )
    )
    limited = certificate.add_extension(
        x509.NameConstraints(permitted_subtrees=list(permitted), excluded_subtrees=None),
        critical=True,
    )
    return LimitedCa(
        key, limited.sign(root_key, hashes.SHA256()), root.sign(root_key, hashes.SHA256())
    )


def sign_csr(
    csr: x509.CertificateSigningRequest,
    ca_certificate: x509.Certificate,
    ca_key: RSAPrivateKey,
    *,
    days: int = 365,
    valid_from: datetime | None = None,
) -> x509.Certificate:
    """Sign a bot's request as a TLS client certificate with a random serial number.

    Only subject and public key are taken from the request: extensions that it asks for
    (to be a CA, for one) are not its to choose. Raises ValueError when the request was not
    signed with its own key.
    """
    if not csr.is_signature_valid:
        raise ValueError("the certificate request is not signed with its own key")
    public_key = csr.public_key()
    if not isinstance(public_key, RSAPublicKey):
        raise ValueError("the certificate request is not one for an RSA key")  # noqa: TRY004 (an unfit value, not a caller's mistake)
    builder = _leaf(
        csr.subject,
        public_key,
        ca_certificate,
        ca_key,
        purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
        days=days,
        valid_from=valid_from,
    )
    return builder.sign(ca_key, hashes.SHA256())


def make_server_certificate(
    hosts: Iterable[str],
    ca_certificate: x509.Certificate,
    ca_key: RSAPrivateKey,
    *,
    days: int = 365,
    key: RSAPrivateKey | None = None,
    valid_from: datetime | None = None,
) -> CertificateWithKey:
    """Make a TLS server certificate for `hosts` (DNS names and IP addresses), with its key."""
    names = list(hosts)
    key = key or make_rsa_key(2048)
    builder = _leaf(
        _name(common_name=names[0]),
        key.public_key(),
        ca_certificate,
        ca_key,
        purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        days=days,
        valid_from=valid_from,
    ).add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
    return CertificateWithKey(builder.sign(ca_key, hashes.SHA256()), key)


def pack_p12(
    certificate: x509.Certificate,
    key: RSAPrivateKey,
    password: Secret,
    *,
    chain: Iterable[x509.Certificate] = (),
) -> bytes:
    """Pack a PKCS#12 file: AES-256, PBKDF2 and a MAC with SHA-256.

    Java ≥ 8u301 and OpenSSL 3 open it. The entry's friendly name is the certificate's CN.
    """
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.reveal().encode())
    )
    name = common_name(certificate).encode() or None
    return pkcs12.serialize_key_and_certificates(name, key, certificate, list(chain), encryption)


def common_name(named: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return the subject's CN, or an empty text. The last one counts, as in OpenSSL."""
    attributes = named.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[-1].value) if attributes else ""


def private_key_pem(
    key: RSAPrivateKey | EllipticCurvePrivateKey, password: Secret | None = None
) -> bytes:
    """Return PKCS#8 PEM, encrypted (AES-256, PBKDF2) when there is a password."""
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password.reveal().encode())
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def public_key_pem(key: RSAPrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo PEM that Symphony's Admin portal takes."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def csr_pem(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(serialization.Encoding.PEM)


def _name(**parts: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(oid, parts[part]) for part, oid in _SUBJECT if parts.get(part)]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _leaf(
    subject: x509.Name,
    public_key: RSAPublicKey,
    ca_certificate: x509.Certificate,
    ca_key: RSAPrivateKey,
    *,
    purpose: x509.ObjectIdentifier,
    days: int,
    valid_from: datetime | None,
) -> x509.CertificateBuilder:
    if ca_certificate.public_key() != ca_key.public_key():
        raise ValueError("the CA's certificate and key do not belong together")
    start = valid_from or datetime.now(UTC) - _CLOCK_TOLERANCE
    return (
        _builder(subject, public_key, issuer=ca_certificate.subject, start=start, days=days)
        .add_extension(_authority_key_identifier(ca_certificate, ca_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )


def _builder(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    *,
    issuer: x509.Name,
    start: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _authority_key_identifier(
    ca_certificate: x509.Certificate, ca_key: RSAPrivateKey
) -> x509.AuthorityKeyIdentifier:
    """Point at the CA by the identifier it gave itself: a company's CA may have computed it
    in another way than we would (RFC 5280 §4.2.1.2 leaves the method open)."""
    try:
        identifier = ca_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
