"""The system's CAs and the configured ones, as one bundle."""

from __future__ import annotations

import base64
import ssl

import certifi
import pytest

from pki import company_ca
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.config import trust

BDK = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""


def subjects(bundle: str) -> set[str]:
    """Return the CNs that OpenSSL itself finds in the bundle."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    return {
        dict(part[0] for part in certificate["subject"]).get("commonName", "")
        for certificate in context.get_ca_certs()
    }


def test_without_a_trust_store_the_system_is_trusted(workplace):
    assert subjects(workplace.load(BDK).trust_bundle) == {"System CA"}


@pytest.mark.parametrize(
    "store",
    [
        "trustStore: {path: ca.pem}",
        "trustStore: {path: trust.p12}",
        "trustStore: {content: '${CA}'}",
        "trustStore: {content: '${CA_BASE64}'}",
        "trustStore: {content: '${P12_BASE64}', password: ''}",
        "trustStorePath: trust.p12",
    ],
)
def test_a_trust_store_is_added_to_the_system_s_cas(workplace, store):
    ca = (workplace.directory / "ca.pem").read_bytes()
    p12 = (workplace.directory / "trust.p12").read_bytes()

    settings = workplace.load(
        f"{BDK}ssl: {{{store}}}",
        CA=ca.decode(),
        CA_BASE64=base64.b64encode(ca).decode(),
        P12_BASE64=base64.b64encode(p12).decode(),
    )

    assert subjects(settings.trust_bundle) == {"System CA", "Company CA"}


def test_a_pkcs12_trust_store_opens_with_its_password(workplace):
    """A keystore serves as a trust store too: its certificates count, its key does not."""
    store = "ssl: {trustStore: {path: bot.p12, passwordFile: password}}"

    bundle = workplace.load(BDK + store).trust_bundle

    assert bundle.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in bundle


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("{path: bot.p12}", "passwordFile"),
        ("{path: bot.p12, password: wrong}", "opens with the password given"),
        ("{path: damaged.pem}", "damaged certificate, number 2"),
        ("{content: not base64!}", "neither PEM nor base64"),
        ("{path: .}", "cannot be read"),
    ],
)
def test_a_trust_store_that_does_not_open_is_a_problem(workplace, store, words):
    ca = (workplace.directory / "ca.pem").read_text()
    lines = ca.splitlines()
    damaged = "\n".join([*lines[:2], *lines[3:]])
    (workplace.directory / "damaged.pem").write_text(f"{ca}\n{damaged}\n")

    assert words in workplace.problems(f"{BDK}ssl: {{trustStore: {store}}}")["ssl.trustStore"]


def test_a_ca_that_the_system_has_already_comes_once(workplace):
    bundle = workplace.load(f"{BDK}ssl: {{trustStore: {{path: system.pem}}}}").trust_bundle

    assert bundle.count("BEGIN CERTIFICATE") == 1


def test_a_directory_of_hashed_certificates_counts_as_the_system_s(workplace):
    hashed = workplace.directory / "no-hashed-certificates"
    (hashed / "0a1b2c3d.0").write_bytes(certificates_pem([company_ca("Hashed CA").certificate]))
    (hashed / "README").write_bytes(certificates_pem([company_ca("Stray CA").certificate]))

    assert subjects(workplace.load(BDK).trust_bundle) == {"System CA", "Hashed CA"}


def test_where_the_system_has_none_mozilla_s_list_stands_in(tmp_path, monkeypatch):
    nothing = ssl.get_default_verify_paths()._replace(
        openssl_cafile=str(tmp_path / "none.pem"), openssl_capath=str(tmp_path / "none")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)

    with open(certifi.where(), encoding="utf-8") as file:  # noqa: PTH123 (certifi gives a text)
        expected = file.read().count("BEGIN CERTIFICATE")
    assert trust.bundle((), {}).count("BEGIN CERTIFICATE") == expected


def test_an_ssl_cert_file_that_is_none_is_a_problem(workplace):
    assert workplace.problems(BDK, SSL_CERT_FILE="/nowhere.pem") == {
        "": "SSL_CERT_FILE names a file without PEM certificates"
    }
