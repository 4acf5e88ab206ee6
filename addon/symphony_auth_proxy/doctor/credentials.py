"""What bots and apps log in with: format, strength, validity, name, and who may read it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from symphony_auth_proxy.certificates import SYMPHONY_KEY_BITS, common_name
from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, of_error
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.key_formats import REPACK_HINT
from symphony_auth_proxy.keys import (
    EXPIRY_WARNING,
    CertificateFile,
    ClientCertificate,
    KeyMaterial,
    KeySource,
    read_file,
)

_AREA = Area.CREDENTIALS
_NO_LOGIN = "without it {} cannot log in, and none of its calls gets a token"


def examined(owner: str, source: KeySource, now: float) -> tuple[KeyMaterial | None, list[Finding]]:
    """Open a key or certificate and look into it. `now`: seconds since the epoch.

    Nothing comes back in the first place when it cannot be used.
    """
    try:
        keys = source.load()
    except KeyMaterialError as error:
        return None, [of_error(_AREA, owner, error, _NO_LOGIN.format(owner))]
    findings = [Finding(_AREA, owner, Level.OK, _description(keys))]
    findings += _strength(owner, keys)
    findings += _expiry(owner, keys, datetime.fromtimestamp(now, UTC))
    findings += _format(owner, source)
    return keys, findings


def _description(keys: KeyMaterial) -> str:
    bits = f"{keys.key.key_size} bit RSA key"
    if not isinstance(keys, ClientCertificate):
        return f"{bits}, fingerprint {keys.fingerprint}"
    leaf = keys.chain[0]
    issuer = harmless(leaf.issuer.rfc4514_string())
    return (
        f"certificate for CN={harmless(common_name(leaf))}, issued by {issuer}, valid until "
        f"{leaf.not_valid_after_utc:%Y-%m-%d}; {bits}"
    )


def _strength(owner: str, keys: KeyMaterial) -> Iterator[Finding]:
    if keys.key.key_size < SYMPHONY_KEY_BITS:
        yield Finding(
            _AREA,
            owner,
            Level.WARNING,
            f"the key has {keys.key.key_size} bits",
            f"Symphony's documentation asks for {SYMPHONY_KEY_BITS}; pods may refuse less",
            "make a new pair with `symphony-auth-proxy keys rsa` when the key is renewed next",
            Diagnosis.KEY_LENGTH,
        )


def _expiry(owner: str, keys: KeyMaterial, now: datetime) -> Iterator[Finding]:
    if not isinstance(keys, ClientCertificate):
        return
    left = keys.chain[0].not_valid_after_utc - now
    if left < EXPIRY_WARNING:
        yield Finding(
            _AREA,
            owner,
            Level.WARNING,
            f"the certificate expires in {max(left.days, 0)} days",
            "logins fail from that day on, and a company's CA often takes weeks",
            "have a new one signed: `symphony-auth-proxy keys csr` makes the request",
            Diagnosis.BOT_CERTIFICATE_EXPIRED,
        )


def _format(owner: str, source: KeySource) -> Iterator[Finding]:
    if not isinstance(source, CertificateFile) or source.path is None:
        return
    if read_file(source.path).is_outdated_p12():
        yield Finding(
            _AREA,
            owner,
            Level.WARNING,
            f"{source.path} is encrypted in an outdated way (RC2 or 3DES)",
            "OpenSSL 3 opens such files on some machines only, and they are easy to break",
            REPACK_HINT,
            Diagnosis.KEY_FORMAT,
        )


def access(file: Path) -> Finding | None:
    """Say who else may read a file with a secret; None where there is nothing to say."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return None  # whoever needs the file has said so
    if os.name != "posix" or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    everybody = bool(mode & stat.S_IROTH)
    return Finding(
        _AREA,
        str(file),
        Level.WARNING if everybody else Level.NOTE,
        f"{'every user' if everybody else 'its group'} may read it (mode {mode & 0o777:04o})",
        "it holds a key or a password: whoever reads it can pose as its owner",
        f"`chmod 600 {file}`"
        + ("" if everybody else ", unless the group is there for this program alone"),
        Diagnosis.KEY_PERMISSIONS,
    )
