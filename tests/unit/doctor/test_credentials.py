"""What is said of keys and certificates of bots."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from pki import client_certificate, rsa_key
from symphony_auth_proxy.certificates import pack_p12, private_key_pem
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level, credentials
from symphony_auth_proxy.doctor.credentials import access, examined
from symphony_auth_proxy.keys import CertificateFile, KeySource, PrivateKeyFile
from symphony_auth_proxy.secret import Secret

NOW = datetime.now(UTC).timestamp()
DAY = 86_400.0


def levels(findings: list[Finding]) -> dict[Diagnosis | None, Level]:
    return {one.diagnosis: one.level for one in findings}


def key_file(directory: Path) -> PrivateKeyFile:
    path = directory / "bot.pem"
    path.write_bytes(private_key_pem(rsa_key()))
    return PrivateKeyFile(path)


def p12_file(directory: Path, data: bytes | None = None, **certificate: int) -> CertificateFile:
    made = client_certificate("pricing-bot", **certificate)  # type: ignore[arg-type]
    path, password = directory / "bot.p12", Secret("changeit")
    path.write_bytes(data or pack_p12(made.chain[0], made.key, password))
    return CertificateFile("pricing-bot", path, password=password)


def look(source: KeySource, now: float = NOW) -> list[Finding]:
    return examined("pricing-bot", source, now)[1]


def test_a_good_key_is_described_by_what_is_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "SYMPHONY_KEY_BITS", 2048)  # longer ones take long to make
    keys, (finding,) = examined("pricing-bot", key_file(tmp_path), NOW)
    assert keys is not None
    assert finding.level is Level.OK
    assert finding.what == f"2048 bit RSA key, fingerprint {keys.fingerprint}"


def test_a_key_of_2048_bits_is_worth_a_warning(tmp_path: Path) -> None:
    assert levels(look(key_file(tmp_path))) == {
        None: Level.OK,
        Diagnosis.KEY_LENGTH: Level.WARNING,
    }


def test_what_cannot_be_used_is_the_problem_and_brings_no_key(tmp_path: Path) -> None:
    keys, (finding,) = examined("pricing-bot", PrivateKeyFile(tmp_path / "none.pem"), NOW)
    assert keys is None
    assert (finding.level, finding.diagnosis) == (Level.PROBLEM, Diagnosis.KEY_FILE)
    assert "pricing-bot cannot log in" in finding.why
    assert finding.what_to_do


def test_a_certificate_is_described_by_name_issuer_and_end(tmp_path: Path) -> None:
    what = look(p12_file(tmp_path))[0].what
    assert what.startswith("certificate for CN=pricing-bot, issued by CN=Company CA, valid until 2")


@pytest.mark.parametrize(("days", "warned"), [(364, True), (300, False)])
def test_an_end_that_is_near_is_worth_a_warning(tmp_path: Path, days: int, warned: bool) -> None:
    found = levels(look(p12_file(tmp_path), NOW + days * DAY))
    assert (Diagnosis.BOT_CERTIFICATE_EXPIRED in found) is warned


def test_an_outdated_p12_is_worth_a_warning(tmp_path: Path) -> None:
    made = client_certificate("pricing-bot")
    old = (
        PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 (what old files have)
        .build(b"changeit")
    )
    data = pkcs12.serialize_key_and_certificates(None, made.key, made.chain[0], None, old)
    found = levels(look(p12_file(tmp_path, data)))
    assert found[Diagnosis.KEY_FORMAT] is Level.WARNING


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, None), (0o640, Level.NOTE), (0o604, Level.WARNING)]
)
def test_who_else_may_read_a_secret_is_told(tmp_path: Path, mode: int, level: Level | None) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    file.chmod(mode)
    finding = access(file)
    assert (finding.level if finding else None) == level
    if finding:
        assert f"chmod 600 {file}" in finding.what_to_do


def test_a_file_that_is_not_there_is_somebody_elses_finding(tmp_path: Path) -> None:
    assert access(tmp_path / "nothing") is None
