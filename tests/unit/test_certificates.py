"""What openssl, Python's strict verifier and Java read back is what counts."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pki import company_ca, rsa_key
from support.environments import program
from symphony_auth_proxy.certificates import (
    certificates_pem,
    common_name,
    csr_pem,
    make_csr,
    make_server_certificate,
    pack_p12,
    private_key_pem,
    public_key_pem,
    sign_csr,
)
from symphony_auth_proxy.secret import Secret

PASSWORD = Secret("pass wörd")


def openssl(*arguments: str | Path) -> str:
    """Run openssl and return all that it says; fail when it fails."""
    done = subprocess.run(
        [program("openssl"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def write(directory: Path, **files: bytes) -> None:
    for name, data in files.items():
        (directory / name).write_bytes(data)


def bot_certificate(username: str = "Pricing-Bot") -> x509.Certificate:
    return sign_csr(make_csr(rsa_key(), username), *company_ca())


def test_openssl_finds_the_key_pair_sound(tmp_path):
    write(
        tmp_path,
        key=private_key_pem(rsa_key()),
        encrypted=private_key_pem(rsa_key(), PASSWORD),
        public=public_key_pem(rsa_key()),
        password=PASSWORD.reveal().encode(),
    )
    assert "RSA key ok" in openssl("rsa", "-check", "-noout", "-in", tmp_path / "key")
    assert (tmp_path / "key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    from_password = f"file:{tmp_path / 'password'}"
    openssl("rsa", "-check", "-noout", "-in", tmp_path / "encrypted", "-passin", from_password)
    public = openssl("rsa", "-in", tmp_path / "key", "-pubout")
    assert (tmp_path / "public").read_text().strip() in public


def test_a_request_has_the_username_in_its_own_letter_case(tmp_path):
    request = make_csr(
        rsa_key(),
        "Pricing-Bot",
        organization="Acme Ltd",
        unit="Pricing",
        country="GB",
        state="London",
        locality="City",
        email="bots@acme.example",
    )
    write(tmp_path, csr=csr_pem(request))
    text = openssl("req", "-verify", "-noout", "-text", "-in", tmp_path / "csr")
    assert "verify OK" in text
    assert (
        "Subject: C = GB, ST = London, L = City, O = Acme Ltd, OU = Pricing, CN = Pricing-Bot, "
        "emailAddress = bots@acme.example"
    ) in text
    assert "sha256WithRSAEncryption" in text


def test_a_country_of_three_letters_is_refused():
    with pytest.raises(ValueError, match="length"):
        make_csr(rsa_key(), "bot", country="GBR")


def test_openssl_accepts_the_certificates_in_strict_mode(tmp_path):
    server = make_server_certificate(["localhost", "127.0.0.1", "::1"], *company_ca())
    write(
        tmp_path,
        ca=certificates_pem([company_ca().certificate]),
        bot=certificates_pem([bot_certificate()]),
        server=certificates_pem([server.certificate]),
    )
    strict = ("verify", "-x509_strict", "-CAfile", tmp_path / "ca")
    openssl(*strict, "-purpose", "sslclient", tmp_path / "bot")
    for name in (
        ["-verify_hostname", "localhost"],
        ["-verify_ip", "127.0.0.1"],
        ["-verify_ip", "::1"],
    ):
        openssl(*strict, "-purpose", "sslserver", *name, tmp_path / "server")
    with pytest.raises(AssertionError, match="unsuitable certificate purpose"):
        openssl(*strict, "-purpose", "sslserver", tmp_path / "bot")


def test_python_accepts_them_in_strict_mode_on_the_wire(tmp_path):
    """The default of ssl.create_default_context since Python 3.13."""
    server = make_server_certificate(["localhost"], *company_ca(), key=rsa_key(number=1))
    write(tmp_path, pem=private_key_pem(server.key) + certificates_pem([server.certificate]))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "pem")
    client_side = ssl.create_default_context(
        cadata=certificates_pem([company_ca().certificate]).decode()
    )
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    serving = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, serving, client, serving):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = client.getpeercert()
    assert certificate
    assert ("DNS", "localhost") in certificate["subjectAltName"]


def test_serial_numbers_are_random_and_positive():
    serials = {bot_certificate().serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_a_certificate_is_valid_now_and_on_a_clock_that_is_a_little_behind():
    certificate = sign_csr(make_csr(rsa_key(), "bot"), *company_ca(), days=30)
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(minutes=4)
    assert timedelta(days=29) < certificate.not_valid_after_utc - now < timedelta(days=30)


def test_what_a_request_wants_to_be_is_ignored():
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pod.example")]), critical=False)
        .sign(rsa_key(), hashes.SHA256())
    )
    extensions = sign_csr(greedy, *company_ca()).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_request_that_was_tampered_with_is_not_signed():
    der = bytearray(make_csr(rsa_key(), "bot").public_bytes(Encoding.DER))
    der[-1] ^= 1
    tampered = x509.load_der_x509_csr(bytes(der))
    with pytest.raises(ValueError, match="not signed with its own key"):
        sign_csr(tampered, *company_ca())


def test_a_ca_whose_key_is_another_ones_signs_nothing():
    with pytest.raises(ValueError, match="belong together"):
        sign_csr(make_csr(rsa_key(), "bot"), company_ca().certificate, rsa_key(number=9))


def test_a_pkcs12_file_is_aes_256_and_opens_in_openssl(tmp_path):
    certificate = bot_certificate()
    packed = pack_p12(certificate, rsa_key(), PASSWORD, chain=[company_ca().certificate])
    write(tmp_path, p12=packed, password=PASSWORD.reveal().encode())
    text = openssl(
        "pkcs12", "-info", "-nokeys", "-in", tmp_path / "p12",
        "-passin", f"file:{tmp_path / 'password'}",
    )  # fmt: skip
    assert "MAC: sha256" in text
    assert "Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC" in text
    assert "PKCS7 Encrypted data: PBES2, PBKDF2, AES-256-CBC" in text
    assert text.count("BEGIN CERTIFICATE") == 2
    assert "friendlyName: Pricing-Bot" in text


def test_a_pkcs12_file_opens_in_java(tmp_path):
    write(tmp_path, p12=pack_p12(bot_certificate(), rsa_key(), Secret("changeit")))
    listing = subprocess.run(
        [
            program("keytool"),
            *("-list", "-keystore", tmp_path / "p12", "-storepass:env", "P12_PASSWORD"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"P12_PASSWORD": "changeit", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert "PrivateKeyEntry" in listing


def test_the_common_name_is_read_back_as_it_is():
    assert common_name(bot_certificate("Pricing-Bot")) == "Pricing-Bot"
    assert common_name(make_csr(rsa_key(), "x")) == "x"
