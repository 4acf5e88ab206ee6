"""What is said of the proxy's own CA. It is looked at, never made."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.ca.ca_files import KEY_FILE
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_limited_ca,
    private_key_pem,
)
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level
from symphony_auth_proxy.doctor.own_ca import examined

HOST = "acme.symphony.com"
DAY = 86_400.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    authority.ensure(tmp_path / "ca", [HOST])
    return tmp_path / "ca"


def look(directory: Path, *hosts: str, days: float = 0) -> list[Finding]:
    now = authority.load(directory).not_after.timestamp() - 730 * DAY
    return examined(directory, hosts or (HOST,), now + days * DAY)[1]


def test_none_is_no_problem_and_none_is_made(tmp_path: Path) -> None:
    found, (finding,) = examined(tmp_path / "ca", [HOST], 0.0)
    assert found is None
    assert finding.level is Level.NOTE
    assert not (tmp_path / "ca").exists()


def test_one_that_is_private_and_for_all_hosts_is_well(directory: Path) -> None:
    (finding,) = look(directory)
    assert finding.level is Level.OK


def test_hosts_that_it_is_not_for_are_a_problem(directory: Path) -> None:
    (finding,) = look(directory, HOST, "agent.acme.example")
    assert finding.level is Level.PROBLEM
    assert "agent.acme.example" in finding.what
    assert "ca rotate" in finding.what_to_do


def test_an_end_that_is_near_is_worth_a_warning(directory: Path) -> None:
    (finding,) = look(directory, days=720)
    assert (finding.level, finding.diagnosis) == (Level.WARNING, Diagnosis.CA_EXPIRES)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_key_that_others_can_read_is_a_problem(directory: Path) -> None:
    (directory / KEY_FILE).chmod(0o644)
    found, (finding,) = examined(directory, [HOST], 0.0)
    assert found is None
    assert finding.level is Level.PROBLEM
    assert "chmod 600" in finding.what


def test_one_that_has_expired_is_a_problem(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    directory.mkdir(mode=0o700)
    long_ago = datetime.now(UTC) - timedelta(days=800)
    made = make_limited_ca("Old CA", [x509.DNSName(HOST)], days=730, valid_from=long_ago)
    pem = private_key_pem(made.key) + certificates_pem([made.certificate, made.root])
    (directory / KEY_FILE).write_bytes(pem)
    (directory / KEY_FILE).chmod(0o600)
    _, (finding,) = examined(directory, [HOST], datetime.now(UTC).timestamp())
    assert (finding.level, finding.diagnosis) == (Level.PROBLEM, Diagnosis.CA_EXPIRES)
    assert "ca rotate" in finding.what


def test_a_file_that_holds_no_ca_is_a_problem_with_a_way_out(directory: Path) -> None:
    (directory / KEY_FILE).write_text("nothing")
    _, (finding,) = examined(directory, [HOST], 0.0)
    assert (finding.level, finding.diagnosis) == (Level.PROBLEM, Diagnosis.CONFIGURATION)
    assert "ca rotate" in finding.what + finding.what_to_do
