"""Contexts of what is in memory; the handshakes themselves are in test_transport.py."""

from __future__ import annotations

import os
import ssl
import stat
import tempfile
from pathlib import Path

import pytest

from pki import client_certificate, company_ca
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.transport.tls import client_context

BUNDLE = certificates_pem([company_ca().certificate]).decode()


class Spy:
    """Stands in for `load_cert_chain` and keeps what OpenSSL was given to read."""

    def __init__(self) -> None:
        self.path = ""
        self.pem = b""
        self.mode = 0

    def __call__(self, path: str, password: object) -> None:
        assert callable(password)
        self.path = path
        self.pem = Path(path).read_bytes()
        self.mode = stat.S_IMODE(Path(path).stat().st_mode)
        ORIGINAL(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path, password=password)


ORIGINAL = ssl.SSLContext.load_cert_chain


@pytest.fixture
def spy(monkeypatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    return spy


@pytest.fixture
def temporary(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_context_verifies_certificate_and_name_and_speaks_tls_1_2_at_least():
    context = client_context(BUNDLE, None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd_create")
def test_a_key_reaches_openssl_encrypted_and_touches_no_disk(spy, temporary):
    client_context(BUNDLE, client_certificate("bot"))
    assert spy.path.startswith("/proc/self/fd/")
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in spy.pem
    assert b"BEGIN PRIVATE KEY" not in spy.pem
    assert not Path(spy.path).exists()
    assert list(temporary.iterdir()) == []


def test_where_there_is_no_memfd_an_encrypted_file_lives_for_a_moment(spy, temporary, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    client_context(BUNDLE, client_certificate("bot"))
    assert Path(spy.path).parent == temporary
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in spy.pem
    assert spy.mode == 0o600
    assert list(temporary.iterdir()) == []


def test_the_file_is_gone_even_when_openssl_refuses_it(temporary, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise ssl.SSLError("refused")

    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    with pytest.raises(ssl.SSLError):
        client_context(BUNDLE, client_certificate("bot"))
    assert list(temporary.iterdir()) == []


def test_each_context_has_a_password_of_its_own(spy):
    client_context(BUNDLE, client_certificate("bot"))
    first = spy.pem
    client_context(BUNDLE, client_certificate("bot"))
    assert spy.pem != first
