"""What is in this file? Recognises and opens the formats that keys come in.

By content, never by extension: `.pem`, `.key`, `.p12` and `.pfx` are used for everything.
What can be used (PEM, PKCS#12) is opened; what people give by mistake (a public key, a
request, a Java keystore, an OpenSSH key, …) is named, with the command that converts it.
Nothing here looks at the clock or asks whether a key is good enough: that is `keys`.

Opened keys are remembered by their exact bytes. A key file is read anew before each login,
so that a rotation is noticed, but checking the primes of a 4096-bit key takes 0.2 s in which
nothing else in this process runs.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509 import Certificate, CertificateSigningRequest

from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.secret import Secret

NEW_KEY_HINT = "make a key pair with `symphony-auth-proxy keys rsa`"
REPACK_HINT = (
    "repack it with `openssl pkcs12 -legacy -in OLD.p12 -nodes -out ALL.pem` and "
    "`openssl pkcs12 -export -in ALL.pem -out NEW.p12`, then delete ALL.pem"
)
_COPY_AGAIN_HINT = "copy the file again; each line of a PEM must stay a line of its own"
_OTHER_HALF_HINT = "the private key is in the other file of the pair"

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

_REQUEST_LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")

_PEM_MISTAKES = {
    "PUBLIC KEY": ("a public key", _OTHER_HALF_HINT),
    "RSA PUBLIC KEY": ("a public key", _OTHER_HALF_HINT),
    "CERTIFICATE": ("a certificate", "name the private key that it was made for"),
    **dict.fromkeys(
        _REQUEST_LABELS, ("a certificate request", "name the key that it was made with")
    ),
    "EC PRIVATE KEY": ("an elliptic-curve key", f"Symphony accepts RSA only: {NEW_KEY_HINT}"),
    "DSA PRIVATE KEY": ("a DSA key", f"Symphony accepts RSA only: {NEW_KEY_HINT}"),
    "OPENSSH PRIVATE KEY": (
        "a key in OpenSSH's own format",
        "convert a copy of it with `ssh-keygen -p -m PKCS8 -f COPY`",
    ),
}

_P12_START = re.compile(rb"\x30.{1,5}\x02\x01\x03\x30", re.DOTALL)
"""A SEQUENCE of the INTEGER 3 and a SEQUENCE (RFC 7292 §4)."""

_FORMATS = (
    (
        re.compile(rb"\xfe\xed\xfe\xed|\xce\xce\xce\xce"),
        "a Java keystore (JKS)",
        "convert it with `keytool -importkeystore -srckeystore OLD.jks "
        "-destkeystore NEW.p12 -deststoretype PKCS12` and use NEW.p12",
    ),
    (_P12_START, "a PKCS#12 file", "configure it under `certificate`, not under `privateKey`"),
    (
        re.compile(rb"\x30"),
        "binary (DER)",
        "convert it to PEM: a key with `openssl pkey -inform DER -in KEY -out KEY.pem`, "
        "a certificate with `openssl x509 -inform DER -in CERT -out CERT.pem`",
    ),
    (re.compile(rb"ssh-(rsa|ed25519) |ecdsa-sha2-"), "an OpenSSH public key", _OTHER_HALF_HINT),
    (
        re.compile(rb"PuTTY-User-Key-File"),
        "a PuTTY key",
        "convert it with `puttygen KEY.ppk -O private-openssh -o KEY` and then "
        "`ssh-keygen -p -m PKCS8 -f KEY`",
    ),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "UTF-16 text", "save it again as ASCII or UTF-8"),
    (re.compile(rb"\s*\Z"), "empty", f"check what wrote it; or {NEW_KEY_HINT}"),
    (re.compile(rb".*-----BEGIN", re.DOTALL), "a broken PEM", _COPY_AGAIN_HINT),
    (
        re.compile(rb""),
        "something in no known format",
        "a key is a text that starts with `-----BEGIN PRIVATE KEY-----`",
    ),
)
"""How a file starts, what that says, and the way out. The first row that matches counts."""

_RC2_40 = bytes.fromhex("2a864886f70d010c0106")
_TRIPLE_DES = bytes.fromhex("2a864886f70d010c0103")
"""How old PKCS#12 files are encrypted (RFC 7292 appendix C); the identifiers as they stand,
readable, in the file."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The bytes of a file or of an inline value, and what to call it in a message."""

    name: str
    data: bytes = field(repr=False)
    readable_by_all: bool = False

    def pem_blocks(self) -> list[tuple[str, bytes]]:
        """Return label and text of each whole PEM block, in the order of the file."""
        return [(match[1].decode(), match[0]) for match in _PEM_BLOCK.finditer(self.data)]

    def is_p12(self) -> bool:
        return _P12_START.match(self.data) is not None

    def is_outdated_p12(self) -> bool:
        """Whether parts are encrypted with RC2 or 3DES, which OpenSSL 3 calls legacy."""
        return self.is_p12() and (_RC2_40 in self.data or _TRIPLE_DES in self.data)

    def decoded(self) -> KeyFile:
        """Return what is behind base64, as BDK Java wants it in `certificate.content`."""
        try:
            data = base64.b64decode(b"".join(self.data.split()), validate=True)
        except binascii.Error:
            return self
        return replace(self, data=data)


def private_key(file: KeyFile, password: Secret | None) -> RSAPrivateKey:
    """Open the one PEM private key of `file`. Raises KeyMaterialError."""
    blocks = [one for one in file.pem_blocks() if one[0].endswith("PRIVATE KEY")]
    if not blocks or blocks[0][0] in _PEM_MISTAKES:
        raise unusable(file, "a private key")
    if len(blocks) > 1:
        raise _unfit(
            f"{file.name} holds {len(blocks)} private keys", "leave only the bot's own in it"
        )
    label, block = blocks[0]
    encrypted = label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block
    if encrypted and not password:
        raise KeyMaterialError(
            f"{file.name} is encrypted and no password is configured",
            hint="configure its password, best as passwordFile",
            diagnosis=Diagnosis.KEY_PASSWORD,
        )
    try:
        key = _load_pem_key(block, password if encrypted else None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unopened_key(file, error, encrypted=encrypted) from None
    return _rsa(file, key)


def certificates(file: KeyFile) -> list[Certificate]:
    """Return the PEM certificates of `file` in its order. Raises KeyMaterialError."""
    blocks = [block for label, block in file.pem_blocks() if label == "CERTIFICATE"]
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        raise _unfit(f"{file.name} holds a damaged certificate", _COPY_AGAIN_HINT) from None


def open_p12(file: KeyFile, password: Secret | None) -> tuple[RSAPrivateKey, list[Certificate]]:
    """Return a PKCS#12 file's key and its certificates, which come in no certain order.

    Raises KeyMaterialError.
    """
    try:
        key, certificate, others = _load_p12(file.data, password)
    except (ValueError, UnsupportedAlgorithm):
        raise _unopened_p12(file, password) from None
    if key is None:
        raise _unfit(
            f"{file.name} holds no private key",
            "export it again together with its private key, or pack both with "
            "`symphony-auth-proxy keys p12`",
        )
    return _rsa(file, key), [*([certificate] if certificate else ()), *others]


def issuer_chain(
    file: KeyFile, key: RSAPrivateKey, found: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """Order what was found in `file`: the certificate of `key`, its issuer, that one's issuer.

    Certificates that belong to neither (PKCS#12 files collect them) are left out. Raises
    KeyMaterialError when none is for `key`.
    """
    leaf = next((one for one in found if one.public_key() == key.public_key()), None)
    if leaf is None:
        raise _unfit(
            f"the private key does not belong to the certificate in {file.name}",
            "name the key that the certificate request was made with",
        )
    chain = [leaf]
    while issuer := next(
        (one for one in found if one.subject == chain[-1].issuer and one not in chain), None
    ):
        chain.append(issuer)
    return tuple(chain)


def certificate_request(file: KeyFile) -> CertificateSigningRequest:
    """Return the PEM certificate request of `file`. Raises KeyMaterialError."""
    block = next((one for one in file.pem_blocks() if one[0] in _REQUEST_LABELS), None)
    if block is None:
        raise unusable(file, "a certificate request")
    try:
        return x509.load_pem_x509_csr(block[1])
    except ValueError:
        raise _unfit(f"{file.name} holds a damaged certificate request", _COPY_AGAIN_HINT) from None


def unusable(file: KeyFile, wanted: str) -> KeyMaterialError:
    """Say what `file` is instead of `wanted`, which is named as in "a private key"."""
    mistakes = [_PEM_MISTAKES[label] for label, _ in file.pem_blocks() if label in _PEM_MISTAKES]
    formats = [(what, hint) for start, what, hint in _FORMATS if start.match(file.data)]
    what, hint = [*mistakes, *formats][0]
    return _unfit(f"{file.name} is not {wanted}, but {what}", hint)


def _unfit(message: str, hint: str) -> KeyMaterialError:
    return KeyMaterialError(message, hint=hint, diagnosis=Diagnosis.KEY_FORMAT)


def _unopened_key(file: KeyFile, error: Exception, *, encrypted: bool) -> KeyMaterialError:
    if not encrypted:
        return _unfit(f"{file.name} holds a damaged key", _COPY_AGAIN_HINT)
    if isinstance(error, UnsupportedAlgorithm) or "unknown cipher" in str(error):
        return _unfit(
            f"{file.name} is encrypted in an outdated way that OpenSSL 3 refuses",
            "encrypt it anew with `openssl pkcs8 -topk8 -provider legacy -provider default "
            "-in OLD.pem -out NEW.pem`",
        )
    return _wrong_password(file)


def _unopened_p12(file: KeyFile, password: Secret | None) -> KeyMaterialError:
    if not password:
        return KeyMaterialError(
            f"{file.name} is a PKCS#12 file and no password is configured",
            hint="configure its password, best as certificate.passwordFile",
            diagnosis=Diagnosis.KEY_PASSWORD,
        )
    if _RC2_40 in file.data:
        return KeyMaterialError(
            f"{file.name} cannot be opened: its password is wrong, or OpenSSL refuses its "
            "outdated encryption (RC2)",
            hint=f"check the password, or {REPACK_HINT}",
            diagnosis=Diagnosis.KEY_PASSWORD,
        )
    return _wrong_password(file)


def _wrong_password(file: KeyFile) -> KeyMaterialError:
    return KeyMaterialError(
        f"{file.name} does not open with the configured password",
        hint="check the password (letter case, a blank at its end), or whether the file was "
        "damaged on its way",
        diagnosis=Diagnosis.KEY_PASSWORD,
    )


def _rsa(file: KeyFile, key: PrivateKeyTypes) -> RSAPrivateKey:
    if isinstance(key, RSAPrivateKey):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey")
    raise _unfit(
        f"{file.name} holds a key of the kind {kind}, not RSA",
        f"Symphony accepts RSA only: {NEW_KEY_HINT}",
    )


@lru_cache(maxsize=64)
def _load_pem_key(pem: bytes, password: Secret | None) -> PrivateKeyTypes:
    return load_pem_private_key(pem, _bytes(password))


@lru_cache(maxsize=64)
def _load_p12(
    data: bytes, password: Secret | None
) -> tuple[PrivateKeyTypes | None, Certificate | None, list[Certificate]]:
    return pkcs12.load_key_and_certificates(data, _bytes(password))


def _bytes(password: Secret | None) -> bytes | None:
    return password.reveal().encode() if password else None
