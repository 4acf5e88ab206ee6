"""Which programs trust the proxy's CA: read off the files that they read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.environments import program
from support.settings import settings
from symphony_auth_proxy.ca import authority, truststores
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level
from symphony_auth_proxy.doctor.runtimes import examined


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority.ensure(tmp_path / "ca", ["acme.symphony.com"])


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with all runtimes on it; none of them is ever run."""
    directory = tmp_path / "jdk" / "bin"
    directory.mkdir(parents=True)
    for name in ("node", "java", "curl"):
        (directory / name).write_text("#!/bin/false\n")
        (directory / name).chmod(0o755)
    return directory


def look(ca: Authority, programs: Path, **environ: str | Path) -> dict[str, Finding]:
    told = {"PATH": str(programs)} | {name: str(value) for name, value in environ.items()}
    return {one.subject: one for one in examined(ca, settings(), told)}


def test_whoever_is_not_told_does_not_trust_it_and_that_is_a_note(
    ca: Authority, programs: Path
) -> None:
    found = look(ca, programs)
    assert set(found) == {"OpenSSL, Python's ssl", "Python requests", "Node.js", "Java", "curl"}
    for finding in found.values():
        assert finding.level is Level.NOTE
        assert finding.diagnosis is Diagnosis.CA_NOT_TRUSTED_HERE
        assert "symphony-auth-proxy env" in finding.what_to_do


def test_it_is_a_warning_where_programs_are_sent_to_the_proxy(
    ca: Authority, programs: Path
) -> None:
    found = look(ca, programs, HTTPS_PROXY="http://127.0.0.1:8080")
    assert {one.level for one in found.values()} == {Level.WARNING}
    assert all(one.why for one in found.values())
    elsewhere = look(ca, programs, HTTPS_PROXY="http://proxy.corp.example:8080")
    assert {one.level for one in elsewhere.values()} == {Level.NOTE}


def test_runtimes_that_are_not_installed_are_not_spoken_of(ca: Authority, tmp_path: Path) -> None:
    assert set(look(ca, tmp_path)) == {"OpenSSL, Python's ssl", "Python requests"}


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("SSL_CERT_FILE", "OpenSSL, Python's ssl"),
        ("REQUESTS_CA_BUNDLE", "Python requests"),
        ("NODE_EXTRA_CA_CERTS", "Node.js"),
        ("CURL_CA_BUNDLE", "curl"),
    ],
)
def test_each_reads_the_bundle_that_its_variable_names(
    ca: Authority, programs: Path, variable: str, name: str
) -> None:
    assert look(ca, programs, **{variable: ca.certificate})[name].level is Level.OK
    nowhere = ca.directory / "nowhere.pem"
    assert look(ca, programs, **{variable: nowhere})[name].level is Level.NOTE


def test_node_takes_the_systems_store_when_it_is_told_so(ca: Authority, programs: Path) -> None:
    system = {"SSL_CERT_FILE": ca.certificate}
    assert look(ca, programs, **system)["Node.js"].level is Level.NOTE
    told = look(ca, programs, **system, NODE_OPTIONS="--use-system-ca")
    assert told["Node.js"].level is Level.OK


def test_a_directory_counts_by_the_names_that_openssl_looks_up(
    ca: Authority, programs: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    (directory / "proxy.pem").write_bytes(ca.certificate.read_bytes())
    look_there = {"SSL_CERT_FILE": tmp_path / "none", "SSL_CERT_DIR": directory}
    assert look(ca, programs, **look_there)["OpenSSL, Python's ssl"].level is Level.NOTE
    (directory / "0123abcd.0").write_bytes(ca.certificate.read_bytes())
    assert look(ca, programs, **look_there)["OpenSSL, Python's ssl"].level is Level.OK


def test_java_is_asked_for_the_store_of_its_options_and_else_for_its_own(
    ca: Authority, programs: Path, tmp_path: Path
) -> None:
    store = tmp_path / "a b.p12"
    store.write_bytes(truststores.java([ca.root]))
    for option in (
        f'"-Djavax.net.ssl.trustStore={store}"',
        f"-Djavax.net.ssl.trustStore='{store}'",
    ):
        told = f"-Djavax.net.ssl.trustStore=earlier.p12 {option} -Xmx1g"
        assert look(ca, programs, JAVA_TOOL_OPTIONS=told)["Java"].level is Level.OK
    own = programs.parent / "lib" / "security" / "cacerts"
    own.parent.mkdir(parents=True)
    own.write_bytes(store.read_bytes())
    assert look(ca, programs)["Java"].level is Level.OK


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_stores_that_keytool_made_can_be_read(
    ca: Authority, programs: Path, tmp_path: Path, kind: str
) -> None:
    store = tmp_path / "store"
    subprocess.run(
        [
            *(program("keytool"), "-importcert", "-noprompt", "-alias", "proxy"),
            *("-file", ca.certificate, "-keystore", store),
            *("-storetype", kind, "-storepass", "changeit"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    told = f"-Djavax.net.ssl.trustStore={store}"
    assert look(ca, programs, JAVA_TOOL_OPTIONS=told)["Java"].level is Level.OK
    other = authority.ensure(tmp_path / "other", ["acme.symphony.com"])
    assert look(other, programs, JAVA_TOOL_OPTIONS=told)["Java"].level is Level.NOTE
