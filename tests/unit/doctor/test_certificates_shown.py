"""What is said of the certificates that a host shows."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import company_ca, rsa_key
from symphony_auth_proxy.certificates import (
    CertificateWithKey,
    certificates_pem,
    make_ca,
    make_server_certificate,
)
from symphony_auth_proxy.doctor.certificates_shown import (
    called,
    inspector,
    issuers,
    missing_issuer,
    parsed,
)


def leaf(host: str, ca: CertificateWithKey) -> x509.Certificate:
    return make_server_certificate([host], *ca, key=rsa_key()).certificate


def pem(*certificates: x509.Certificate) -> str:
    return certificates_pem(certificates).decode()


def test_a_ca_that_is_shown_but_not_trusted_is_named() -> None:
    ca = company_ca()
    chain = [leaf("acme.example", ca), ca.certificate]
    assert issuers(chain) == "Company CA"
    assert missing_issuer(chain, "") == "the CA Company CA is not among the trusted ones"


def test_a_certificate_that_signed_itself_is_told_from_a_ca() -> None:
    chain = [company_ca().certificate]
    assert "(the host's own, signed by itself)" in missing_issuer(chain, "")


def test_an_issuer_that_nobody_shows_is_missed_by_its_name() -> None:
    chain = [leaf("acme.example", company_ca())]
    assert "the certificate of Company CA" in missing_issuer(chain, "")
    assert "neither shown by the host nor among the trusted" in missing_issuer(chain, "")


def test_a_ca_that_was_renewed_under_its_name_is_told_from_one_that_is_missing() -> None:
    chain = [leaf("acme.example", company_ca())]
    renewed = make_ca("Company CA", key=rsa_key(number=77)).certificate
    assert "has another key" in missing_issuer(chain, pem(renewed))


@pytest.mark.parametrize(
    "name", ["Zscaler Intermediate Root CA", "ACME SSL Inspection", "mitmproxy"]
)
def test_devices_that_inspect_tls_are_known_by_their_names(name: str) -> None:
    ca = make_ca(name, key=rsa_key())
    assert inspector([leaf("km.acme.example", ca)], "km.acme.example") == name


def test_a_company_that_signs_for_symphonys_cloud_inspects_tls_whatever_its_name() -> None:
    ca = company_ca()
    chain = [leaf("acme.symphony.com", ca), ca.certificate]
    assert inspector(chain, "acme.symphony.com") == "Company CA"
    assert inspector(chain, "symphony.acme.example") is None
    assert inspector(chain[:1], "acme.symphony.com") is None, "one certificate says too little"


def test_no_name_in_a_certificate_reaches_a_terminal_as_it_is() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "\x1b[2J\u202eroot\nok")])
    assert called(name).isprintable()


def test_what_cannot_be_read_ends_the_chain() -> None:
    good = company_ca().certificate.public_bytes(Encoding.DER)
    assert len(parsed([good, b"no certificate", good])) == 1
    assert parsed([b""]) == ()
