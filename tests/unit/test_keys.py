"""Keys and certificates as they are found on people's disks, mistakes included."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from pki import client_certificate, company_ca, rsa_key
from support.environments import program
from symphony_auth_proxy.certificates import (
    certificates_pem,
    csr_pem,
    make_csr,
    pack_p12,
    private_key_pem,
    public_key_pem,
    sign_csr,
)
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import KeyMaterialError, Reason
from symphony_auth_proxy.keys import CertificateFile, PrivateKeyFile
from symphony_auth_proxy.secret import Secret

PASSWORD = Secret("correct horse")
WRONG = Secret("battery staple")


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.fixture
def saved(tmp_path) -> Callable[[bytes], Path]:
    return lambda data: save(tmp_path / "bot.pem", data)


def refused(source: PrivateKeyFile | CertificateFile) -> str:
    """Return the sentence and the way out with which `source` is refused."""
    with pytest.raises(KeyMaterialError) as caught:
        source.load()
    error = caught.value
    assert error.reason is Reason.KEY_MATERIAL
    assert error.hint(), f"no way out of: {error}"
    for password in (PASSWORD, WRONG):
        assert password.reveal() not in f"{error!r} {error} {error.hint()}"
    return f"{error} | {error.hint()}"


def pkcs1(key: RSAPrivateKey, password: Secret | None = None) -> bytes:
    encryption = BestAvailableEncryption(password.reveal().encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption)


# Private keys that work

KEY_FORMATS = pytest.mark.parametrize(
    ("pem", "password"),
    [
        (pkcs1(rsa_key()), None),
        (pkcs1(rsa_key(), PASSWORD), PASSWORD),
        (private_key_pem(rsa_key()), None),
        (private_key_pem(rsa_key(), PASSWORD), PASSWORD),
        (private_key_pem(rsa_key()), PASSWORD),
        (b"Bag Attributes\n  friendlyName: bot\n" + private_key_pem(rsa_key()), None),
        (private_key_pem(rsa_key()).replace(b"\n", b"\r\n"), None),
        (private_key_pem(rsa_key()).replace(b"\n", b""), None),
        (public_key_pem(rsa_key()) + private_key_pem(rsa_key()), None),
    ],
    ids=[
        "PKCS#1",
        "PKCS#1 encrypted",
        "PKCS#8",
        "PKCS#8 encrypted",
        "password not needed",
        "with text around it",
        "Windows line ends",
        "all in one line",
        "with its public key",
    ],
)


@KEY_FORMATS
def test_a_private_key_is_read_from_a_file(saved, pem, password):
    loaded = PrivateKeyFile(path=saved(pem), password=password).load()
    assert loaded.key.private_numbers() == rsa_key().private_numbers()


@KEY_FORMATS
def test_a_private_key_is_read_from_inline_content(pem, password):
    loaded = PrivateKeyFile(content=Secret(pem.decode()), password=password).load()
    assert loaded.key.private_numbers() == rsa_key().private_numbers()


def test_the_fingerprint_stays_through_conversions_and_changes_with_the_key(saved):
    source = PrivateKeyFile(path=saved(pkcs1(rsa_key())), password=PASSWORD)
    first = source.load().fingerprint
    saved(private_key_pem(rsa_key(), PASSWORD))
    assert source.load().fingerprint == first
    saved(private_key_pem(rsa_key(number=1)))
    assert source.load().fingerprint != first
    assert len(first) == 16


def test_a_key_never_shows_in_a_repr(saved):
    path = saved(private_key_pem(rsa_key()))
    source = PrivateKeyFile(path=path, content=None, password=PASSWORD)
    shown = f"{source!r} {source.load()!r}"
    assert PASSWORD.reveal() not in shown
    assert "RSAPrivateKey" not in shown


# Private keys that are worth a word


def test_a_key_of_2048_bits_works_with_a_warning(saved):
    (warning,) = PrivateKeyFile(path=saved(private_key_pem(rsa_key()))).load().warnings
    assert "2048 bits" in warning
    assert "4096" in warning


def test_a_key_of_4096_bits_works_without_a_word(saved):
    pem = private_key_pem(rsa_key(4096))
    assert PrivateKeyFile(path=saved(pem)).load().warnings == ()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_everybody_may_read_works_with_a_warning(saved):
    path = saved(private_key_pem(rsa_key(4096)))
    path.chmod(0o604)
    (warning,) = PrivateKeyFile(path=path).load().warnings
    assert "chmod 600" in warning
    assert str(path) in warning


# Private keys that do not work


def test_a_key_under_2048_bits_is_refused(saved):
    message = refused(PrivateKeyFile(path=saved(private_key_pem(rsa_key(1024)))))
    assert "1024 bits" in message
    assert "symphony-auth-proxy keys rsa" in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    message = refused(PrivateKeyFile(path=tmp_path / "none.pem"))
    assert "none.pem" in message
    assert "no such file" in message


def test_a_directory_is_named_as_one(tmp_path):
    assert "is a directory" in refused(PrivateKeyFile(path=tmp_path))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(saved):
    path = saved(private_key_pem(rsa_key()))
    path.chmod(0)
    assert "may not read it" in refused(PrivateKeyFile(path=path))


def test_a_device_is_not_read_for_ever():
    assert "too large" in refused(PrivateKeyFile(path=Path("/dev/zero")))


@pytest.mark.parametrize("pem", [pkcs1, private_key_pem], ids=["PKCS#1", "PKCS#8"])
def test_a_missing_and_a_wrong_password_are_told_apart(saved, pem):
    path = saved(pem(rsa_key(), PASSWORD))
    assert "no password is configured" in refused(PrivateKeyFile(path=path))
    assert "does not open" in refused(PrivateKeyFile(path=path, password=WRONG))


def _elliptic(encoding: PrivateFormat) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, encoding, NoEncryption()
    )


@pytest.mark.parametrize(
    ("data", "sentence", "way_out"),
    [
        (public_key_pem(rsa_key()), "a public key", "the other file"),
        (
            rsa_key().public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.PKCS1),
            "a public key",
            "the other file",
        ),
        (certificates_pem([company_ca().certificate]), "a certificate", "private key"),
        (csr_pem(make_csr(rsa_key(), "bot")), "a certificate request", "the key"),
        (_elliptic(PrivateFormat.TraditionalOpenSSL), "elliptic-curve", "keys rsa"),
        (_elliptic(PrivateFormat.PKCS8), "EC, not RSA", "keys rsa"),
        (
            rsa_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
            "OpenSSH's own format",
            "ssh-keygen -p -m PKCS8",
        ),
        (b"ssh-rsa AAAAB3NzaC1yc2E bot@host\n", "an OpenSSH public key", "the other file"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\n", "a PuTTY key", "puttygen"),
        (
            rsa_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            "binary (DER)",
            "openssl pkey -inform DER",
        ),
        (
            pack_p12(client_certificate("bot").chain[0], rsa_key(), PASSWORD),
            "a PKCS#12 file",
            "`certificate`",
        ),
        (b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "Java keystore", "keytool -importkeystore"),
        (private_key_pem(rsa_key()).decode().encode("utf-16"), "UTF-16", "UTF-8"),
        (b"", "empty", "keys rsa"),
        (b" \r\n", "empty", "keys rsa"),
        (private_key_pem(rsa_key())[:500], "a broken PEM", "copy the file again"),
        (private_key_pem(rsa_key()).replace(b"\n", b"\\n"), "damaged", "a line of its own"),
        (private_key_pem(rsa_key()).replace(b"M", b"N"), "damaged", "copy the file again"),
        (private_key_pem(rsa_key()) * 2, "2 private keys", "leave only"),
        (b"hello", "no known format", "BEGIN PRIVATE KEY"),
    ],
)
def test_what_is_no_usable_private_key_is_named_with_the_way_out(saved, data, sentence, way_out):
    message = refused(PrivateKeyFile(path=saved(data)))
    said, _, hint = message.partition(" | ")
    assert sentence in said
    assert way_out in hint


@given(st.binary(max_size=300))
def test_garbage_is_always_refused_with_a_sentence(data):
    refused(PrivateKeyFile(content=Secret(data.decode("latin-1"))))
    refused(CertificateFile("bot", content=Secret(data.decode("latin-1"))))
    refused(CertificateFile("bot", content=Secret(base64.b64encode(data).decode())))


@given(st.data())
def test_a_key_that_lost_some_bytes_is_refused_or_whole(data):
    pem = private_key_pem(rsa_key())
    start = data.draw(st.integers(0, len(pem) - 1))
    end = data.draw(st.integers(start + 1, len(pem)))
    try:
        loaded = PrivateKeyFile(content=Secret((pem[:start] + pem[end:]).decode())).load()
    except KeyMaterialError:
        return
    assert loaded.key.private_numbers() == rsa_key().private_numbers()


def test_path_and_content_exclude_each_other(saved):
    pem = private_key_pem(rsa_key())
    both = PrivateKeyFile(path=saved(pem), content=Secret(pem.decode()))
    assert "configured twice" in refused(both)
    assert "not configured" in refused(PrivateKeyFile())


# Client certificates that work

BOT = client_certificate("Pricing-Bot")
LEAF = certificates_pem(BOT.chain)
KEY = private_key_pem(rsa_key())
P12 = pack_p12(BOT.chain[0], rsa_key(), PASSWORD, chain=[company_ca().certificate])


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (P12, PASSWORD),
        (LEAF + KEY, None),
        (KEY + LEAF, None),
        (LEAF + private_key_pem(rsa_key(), PASSWORD), PASSWORD),
    ],
    ids=["PKCS#12", "certificate, key", "key, certificate", "encrypted key"],
)
def test_a_certificate_is_recognised_by_its_content(tmp_path, data, password):
    for name in ("bot.p12", "bot.pem", "bot"):
        path = save(tmp_path / name, data)
        loaded = CertificateFile("Pricing-Bot", path=path, password=password).load()
        assert loaded.chain[0] == BOT.chain[0]
        assert loaded.key.private_numbers() == rsa_key().private_numbers()


def test_a_pem_pair_is_read_from_two_files(tmp_path):
    source = CertificateFile(
        "Pricing-Bot",
        path=save(tmp_path / "bot.crt", LEAF),
        key_path=save(tmp_path / "bot.key", private_key_pem(rsa_key(), PASSWORD)),
        password=PASSWORD,
    )
    assert source.load().chain == BOT.chain


def test_inline_content_is_pem_or_base64_of_pkcs12():
    pem = CertificateFile("Pricing-Bot", content=Secret((LEAF + KEY).decode()))
    wrapped = base64.encodebytes(P12).decode()
    p12 = CertificateFile("Pricing-Bot", content=Secret(wrapped), password=PASSWORD)
    assert pem.load().chain[0] == p12.load().chain[0] == BOT.chain[0]


def test_the_chain_is_put_in_order_and_strangers_are_left_out(tmp_path):
    stranger = company_ca("Another CA").certificate
    shuffled = [stranger, company_ca().certificate, *BOT.chain]
    path = save(tmp_path / "bot.pem", certificates_pem(shuffled) + KEY)
    loaded = CertificateFile("Pricing-Bot", path=path).load()
    assert loaded.chain == (BOT.chain[0], company_ca().certificate)


def test_a_pkcs12_file_without_a_password_opens(tmp_path):
    plain = pkcs12.serialize_key_and_certificates(
        None, rsa_key(), BOT.chain[0], None, NoEncryption()
    )
    path = save(tmp_path / "bot.p12", plain)
    assert CertificateFile("Pricing-Bot", path=path).load().chain == BOT.chain


def test_a_renewed_certificate_of_the_same_key_has_another_fingerprint(tmp_path):
    path = save(tmp_path / "bot.pem", LEAF + KEY)
    source = CertificateFile("Pricing-Bot", path=path)
    first = source.load().fingerprint
    assert source.load().fingerprint == first
    save(path, certificates_pem(client_certificate("Pricing-Bot").chain) + KEY)
    assert source.load().fingerprint != first


def test_an_outdated_pkcs12_file_opens_with_a_warning(tmp_path):
    path = _outdated_p12(tmp_path)
    warnings = CertificateFile("Pricing-Bot", path=path, password=PASSWORD).load().warnings
    assert any("openssl pkcs12 -legacy" in warning for warning in warnings)


def test_an_outdated_pkcs12_file_is_explained_where_openssl_refuses_it(tmp_path):
    """Whether OpenSSL has its legacy ciphers is decided once per process."""
    path = _outdated_p12(tmp_path)
    load = (
        "import sys; from pathlib import Path\n"
        "from symphony_auth_proxy.keys import CertificateFile\n"
        "from symphony_auth_proxy.secret import Secret\n"
        "try:\n"
        "    CertificateFile('b', path=Path(sys.argv[1]), password=Secret(sys.argv[2])).load()\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error, error.hint())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", load, path, PASSWORD.reveal()],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"},
        timeout=60,
    ).stdout
    assert said.startswith("KeyMaterialError")
    assert "RC2" in said
    assert "openssl pkcs12 -legacy" in said


def _outdated_p12(directory: Path) -> Path:
    """Make what Windows and Java 8 used to export."""
    pem = save(directory / "both.pem", LEAF + KEY)
    subprocess.run(
        [
            *(program("openssl"), "pkcs12", "-export", "-legacy", "-in", pem),
            *("-out", directory / "old.p12", "-passout", f"pass:{PASSWORD.reveal()}"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return directory / "old.p12"


# Client certificates that do not work


def test_the_cn_must_be_the_username_in_the_same_letter_case(tmp_path):
    path = save(tmp_path / "bot.pem", LEAF + KEY)
    message = refused(CertificateFile("pricing-bot", path=path))
    assert "'Pricing-Bot'" in message
    assert "'pricing-bot'" in message
    assert "letter case" in message
    assert "letter case" not in refused(CertificateFile("other-bot", path=path))


def _dated(tmp_path: Path, start: timedelta, days: int) -> CertificateFile:
    certificate = client_certificate("bot", valid_from=datetime.now(UTC) + start, days=days)
    path = save(tmp_path / "bot.pem", certificates_pem(certificate.chain) + KEY)
    return CertificateFile("bot", path=path)


def test_an_expired_certificate_is_refused(tmp_path):
    message = refused(_dated(tmp_path, timedelta(days=-10), days=9))
    assert "expired on" in message
    assert "keys csr" in message


def test_a_certificate_of_the_future_is_refused_and_the_clock_named(tmp_path):
    message = refused(_dated(tmp_path, timedelta(hours=1), days=9))
    assert "not valid before" in message
    assert "clock" in message


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
def test_a_certificate_is_worth_a_word_30_days_before_its_end(tmp_path, days, warned):
    warnings = _dated(tmp_path, timedelta(minutes=-1), days=days).load().warnings
    assert any("expires on" in warning for warning in warnings) == warned


def test_a_key_that_belongs_to_another_certificate_is_refused(tmp_path):
    other = private_key_pem(rsa_key(number=1))
    path = save(tmp_path / "bot.pem", LEAF + other)
    assert "does not belong" in refused(CertificateFile("Pricing-Bot", path=path))


def test_a_certificate_for_a_short_key_is_refused(tmp_path):
    key = rsa_key(1024)
    certificate = sign_csr(make_csr(key, "bot"), *company_ca())
    path = save(tmp_path / "bot.pem", certificates_pem([certificate]) + private_key_pem(key))
    assert "1024 bits" in refused(CertificateFile("bot", path=path))


@pytest.mark.parametrize(
    ("data", "password", "sentence", "way_out"),
    [
        (P12, WRONG, "does not open", "check the password"),
        (P12, None, "no password is configured", "passwordFile"),
        (LEAF, None, "not its private key", "keys p12"),
        (KEY, None, "no certificate", "privateKey"),
        (public_key_pem(rsa_key()), None, "a public key", "the other file"),
        (csr_pem(make_csr(rsa_key(), "bot")), None, "a certificate request", "the key"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", None, "Java keystore", "-deststoretype PKCS12"),
        (b"\xce\xce\xce\xce\0\0\0\2", PASSWORD, "Java keystore", "-deststoretype PKCS12"),
        (BOT.chain[0].public_bytes(Encoding.DER), None, "binary (DER)", "openssl x509"),
        (LEAF.replace(b"MII", b"NII", 1) + KEY, None, "damaged certificate", "copy the file"),
        (P12[:300], PASSWORD, "does not open", "damaged"),
        (b"", None, "empty", ""),
        (b"hello", None, "no known format", ""),
    ],
)
def test_what_is_no_usable_certificate_is_named_with_the_way_out(
    saved, data, password, sentence, way_out
):
    source = CertificateFile("Pricing-Bot", path=saved(data), password=password)
    said, _, hint = refused(source).partition(" | ")
    assert sentence in said
    assert way_out in hint


def test_a_pkcs12_file_without_a_key_says_so(saved):
    only_certificates = pkcs12.serialize_key_and_certificates(
        None, None, None, [BOT.chain[0]], BestAvailableEncryption(PASSWORD.reveal().encode())
    )
    source = CertificateFile("Pricing-Bot", path=saved(only_certificates), password=PASSWORD)
    assert "holds no private key" in refused(source)


def test_a_pkcs12_file_of_another_kind_of_key_says_so(saved):
    key = ec.generate_private_key(ec.SECP256R1())
    packed = pkcs12.serialize_key_and_certificates(
        None, key, None, None, BestAvailableEncryption(PASSWORD.reveal().encode())
    )
    assert "not RSA" in refused(CertificateFile("bot", path=saved(packed), password=PASSWORD))


def test_a_pkcs12_file_and_a_key_of_its_own_exclude_each_other(tmp_path):
    source = CertificateFile(
        "Pricing-Bot",
        path=save(tmp_path / "bot.p12", P12),
        key_path=save(tmp_path / "bot.key", KEY),
        password=PASSWORD,
    )
    assert "brings its own key" in refused(source)


# What is the matter, by its name


def diagnosed(source: PrivateKeyFile | CertificateFile) -> Diagnosis:
    with pytest.raises(KeyMaterialError) as caught:
        source.load()
    return caught.value.diagnosis


@pytest.mark.parametrize(
    ("data", "diagnosis"),
    [
        (private_key_pem(rsa_key(1024)), Diagnosis.KEY_LENGTH),
        (private_key_pem(rsa_key(), PASSWORD), Diagnosis.KEY_PASSWORD),
        (public_key_pem(rsa_key()), Diagnosis.KEY_FORMAT),
        (_elliptic(PrivateFormat.PKCS8), Diagnosis.KEY_FORMAT),
        (private_key_pem(rsa_key()) * 2, Diagnosis.KEY_FORMAT),
        (private_key_pem(rsa_key())[:500], Diagnosis.KEY_FORMAT),
        (private_key_pem(rsa_key()).replace(b"M", b"N"), Diagnosis.KEY_FORMAT),
        (b"x" * 2_000_000, Diagnosis.KEY_FILE),
    ],
)
def test_trouble_with_a_private_key_has_a_name(saved, data, diagnosis):
    assert diagnosed(PrivateKeyFile(path=saved(data))) is diagnosis


@pytest.mark.parametrize(
    ("data", "password", "diagnosis"),
    [
        (P12, WRONG, Diagnosis.KEY_PASSWORD),
        (P12, None, Diagnosis.KEY_PASSWORD),
        (LEAF, None, Diagnosis.KEY_FORMAT),
        (KEY, None, Diagnosis.KEY_FORMAT),
        (LEAF + private_key_pem(rsa_key(number=1)), None, Diagnosis.KEY_FORMAT),
        (b"\xfe\xed\xfe\xed\0\0\0\2", None, Diagnosis.KEY_FORMAT),
    ],
)
def test_trouble_with_a_certificate_has_a_name(saved, data, password, diagnosis):
    source = CertificateFile("Pricing-Bot", path=saved(data), password=password)
    assert diagnosed(source) is diagnosis


def test_trouble_with_what_a_certificate_says_has_a_name(tmp_path):
    named = save(tmp_path / "named.pem", LEAF + KEY)
    future, past = timedelta(hours=1), timedelta(days=-10)
    assert diagnosed(CertificateFile("other", path=named)) is Diagnosis.BOT_CERTIFICATE_NAME
    assert diagnosed(_dated(tmp_path, past, days=9)) is Diagnosis.BOT_CERTIFICATE_EXPIRED
    assert diagnosed(_dated(tmp_path, future, days=9)) is Diagnosis.BOT_CERTIFICATE_NOT_YET_VALID


@pytest.mark.parametrize(
    ("error", "diagnosis"),
    [
        (PermissionError(errno.EACCES, "denied"), Diagnosis.KEY_PERMISSIONS),
        (FileNotFoundError(errno.ENOENT, "none"), Diagnosis.KEY_FILE),
        (OSError(errno.EIO, "broken"), Diagnosis.KEY_FILE),
    ],
)
def test_trouble_with_the_file_itself_has_a_name(saved, monkeypatch, error, diagnosis):
    def refuse(*_: object) -> None:
        raise error

    source = PrivateKeyFile(path=saved(KEY))
    monkeypatch.setattr(Path, "open", refuse)
    assert diagnosed(source) is diagnosis
