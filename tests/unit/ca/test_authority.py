"""The proxy's own CA: made once, limited, private, and never silently another one."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from mitmproxy.certs import CertStore

from pki import company_ca, rsa_key
from support.authorities import Stolen, mitmproxys_leaf
from support.settings import bot, cloud_pod, pod, settings
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.ca.authority import LOCAL_HOSTS, Authority, hosts_of
from symphony_auth_proxy.ca.ca_files import CERTIFICATE_FILE, KEY_FILE
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_limited_ca,
    make_server_certificate,
    private_key_pem,
)
from symphony_auth_proxy.errors import ConfigError

HOSTS = ("acme.symphony.com", "agent.acme.example")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "certs" / "ca"


@pytest.fixture
def ca(directory: Path) -> Authority:
    return authority.ensure(directory, HOSTS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(directory: Path, *hosts: str) -> str:
    with pytest.raises(ConfigError) as caught:
        authority.ensure(directory, hosts or HOSTS)
    return str(caught.value)


def write_ca(directory: Path, *, valid_from: datetime, days: int) -> None:
    """Put a CA there as an earlier start would have made it."""
    directory.mkdir(mode=0o700, parents=True)
    permitted = [x509.DNSName(host) for host in HOSTS]
    made = make_limited_ca("old", permitted, days=days, valid_from=valid_from)
    pem = private_key_pem(made.key) + certificates_pem([made.certificate, made.root])
    (directory / KEY_FILE).write_bytes(pem)
    (directory / KEY_FILE).chmod(0o600)


# --- the first use ---------------------------------------------------------------------


def test_the_first_use_makes_it_for_the_hosts_and_the_proxys_own_names(ca: Authority) -> None:
    assert ca.hosts == (*HOSTS, *LOCAL_HOSTS)
    assert ca.warnings == ()
    assert timedelta(days=700) < ca.not_after - datetime.now(UTC) < timedelta(days=731)


def test_only_this_user_can_read_the_key_and_everybody_what_clients_trust(
    ca: Authority, directory: Path
) -> None:
    assert mode(directory) == 0o700
    assert mode(directory / KEY_FILE) == 0o600
    assert mode(ca.certificate) == 0o644
    assert {file.name for file in directory.iterdir()} == {
        KEY_FILE,
        CERTIFICATE_FILE,
        "mitmproxy-ca-cert.cer",
        "mitmproxy-ca-cert.p12",
    }


def test_what_clients_trust_is_a_root_whose_key_nobody_has(ca: Authority, directory: Path) -> None:
    stolen = Stolen.of(directory)
    assert x509.load_pem_x509_certificates(ca.certificate.read_bytes()) == [ca.root]
    ca.root.verify_directly_issued_by(ca.root)
    assert stolen.chain[-1] == ca.root
    assert stolen.key.public_key() == stolen.chain[0].public_key() != ca.root.public_key()
    assert (directory / KEY_FILE).read_bytes().count(b"PRIVATE KEY-----") == 2  # begin and end


def test_what_signs_may_not_make_another_ca(directory: Path, ca: Authority) -> None:
    signing = Stolen.of(directory).chain[0]
    basic = signing.extensions.get_extension_for_class(x509.BasicConstraints)
    names = signing.extensions.get_extension_for_class(x509.NameConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert names.critical


def test_mitmproxy_loads_it_and_sends_the_certificates_between(
    directory: Path, ca: Authority
) -> None:
    leaf = mitmproxys_leaf(directory, ["acme.symphony.com"])
    leaf.verify_directly_issued_by(Stolen.of(directory).chain[0])


def test_each_installation_has_another_one(tmp_path: Path) -> None:
    made = [authority.ensure(tmp_path / name, HOSTS) for name in "ab"]
    assert made[0].fingerprint != made[1].fingerprint
    assert made[0].subject != made[1].subject


def test_those_who_start_at_once_agree(directory: Path) -> None:
    barrier = Barrier(8)

    def start(_: int) -> str:
        barrier.wait(10)
        return authority.ensure(directory, HOSTS).fingerprint

    with ThreadPoolExecutor(8) as pool:
        fingerprints = set(pool.map(start, range(8)))
    assert fingerprints == {authority.load(directory).fingerprint}
    assert not [file for file in directory.iterdir() if file.name.startswith(".")]


def test_where_it_cannot_be_written_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in refused(tmp_path / "file" / "ca")


# --- later uses --------------------------------------------------------------------------


def test_the_one_that_is_there_is_used_as_it_is(ca: Authority, directory: Path) -> None:
    before = {file: file.read_bytes() for file in directory.iterdir()}
    assert authority.ensure(directory, HOSTS[:1]) == ca
    assert {file: file.read_bytes() for file in directory.iterdir()} == before


def test_it_serves_names_below_its_hosts_but_none_that_look_alike(ca: Authority) -> None:
    covered = ["acme.symphony.com", "x.acme.symphony.com", "127.0.0.1", "::1", "symphony.proxy"]
    others = [
        "symphony.com",
        "evil-acme.symphony.com",
        "acme.symphony.com.evil.example",
        "10.0.0.1",
    ]
    assert all(map(ca.covers, covered))
    assert not any(map(ca.covers, others))


def test_hosts_that_it_is_not_for_are_named_with_the_way_out(
    ca: Authority, directory: Path
) -> None:
    message = refused(directory, *HOSTS, "new.symphony.com", "10.1.2.3")
    assert "is not for new.symphony.com, 10.1.2.3" in message
    assert "symphony-auth-proxy ca rotate" in message
    assert authority.load(directory) == ca


@pytest.mark.parametrize("host", ["10.1.2.3", "2001:db8::7"])
def test_a_host_that_is_an_address_is_one_of_its_hosts(directory: Path, host: str) -> None:
    ca = authority.ensure(directory, [host])
    assert ca.covers(host)
    assert ca.hosts is not None
    assert ca.hosts[0] == host


def test_mitmproxys_own_ca_is_used_and_warned_of(directory: Path) -> None:
    CertStore.create_store(directory, "mitmproxy", 2048)
    ca = authority.ensure(directory, HOSTS)
    assert ca.hosts is None
    assert ca.covers("anything.example")
    (warning,) = ca.warnings
    assert "any host" in warning
    assert "ca rotate" in warning


def test_a_companys_intermediate_is_used_and_its_root_stays_what_clients_trust(
    directory: Path,
) -> None:
    company = company_ca()
    theirs = make_server_certificate(["proxy ca"], *company, key=rsa_key())
    directory.mkdir(parents=True)
    (directory / KEY_FILE).write_bytes(
        private_key_pem(theirs.key) + certificates_pem([theirs.certificate])
    )
    (directory / KEY_FILE).chmod(0o600)
    (directory / CERTIFICATE_FILE).write_bytes(certificates_pem([company.certificate]))
    assert authority.ensure(directory, HOSTS).root == company.certificate


@pytest.mark.parametrize("stale", [b"", b"no certificate", certificates_pem([company_ca()[0]])])
def test_files_for_clients_that_belong_to_another_ca_are_written_anew(
    ca: Authority, stale: bytes
) -> None:
    ca.certificate.write_bytes(stale)
    assert authority.load(ca.directory) == ca
    assert x509.load_pem_x509_certificates(ca.certificate.read_bytes()) == [ca.root]


def test_one_that_has_expired_is_refused(directory: Path) -> None:
    write_ca(directory, valid_from=datetime.now(UTC) - timedelta(days=30), days=29)
    assert "expired on" in refused(directory)


def test_one_that_soon_expires_is_warned_of(directory: Path) -> None:
    write_ca(directory, valid_from=datetime.now(UTC) - timedelta(days=30), days=45)
    (warning,) = authority.ensure(directory, HOSTS).warnings
    assert "expires on" in warning


def test_what_is_no_ca_is_refused(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / KEY_FILE).write_text("no PEM")
    (directory / KEY_FILE).chmod(0o600)
    assert "no readable key and certificate" in refused(directory)


def test_a_key_of_another_certificate_is_refused(ca: Authority, directory: Path) -> None:
    stolen = Stolen.of(directory)
    pem = private_key_pem(stolen.key) + certificates_pem(reversed(stolen.chain))
    (directory / KEY_FILE).write_bytes(pem)
    assert "does not belong to the first certificate" in refused(directory)


# --- who else can get at it ----------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_can_get_at_is_refused(ca: Authority, directory: Path, mode: int) -> None:
    (directory / KEY_FILE).chmod(mode)
    assert f"chmod 600 {directory / KEY_FILE}" in refused(directory)


@pytest.mark.parametrize("name", ["mitmproxy-ca.p12", "old.pfx"])
def test_that_holds_for_keys_in_pkcs12_files(ca: Authority, directory: Path, name: str) -> None:
    data = pkcs12.serialize_key_and_certificates(None, rsa_key(), None, None, NoEncryption())
    (directory / name).write_bytes(data)
    (directory / name).chmod(0o644)
    assert f"chmod 600 {directory / name}" in refused(directory)


def test_a_pkcs12_file_that_cannot_be_looked_into_counts_as_one_with_a_key(
    ca: Authority, directory: Path
) -> None:
    (directory / "other.p12").write_bytes(b"?")
    (directory / "other.p12").chmod(0o644)
    assert "other.p12" in refused(directory)


def test_a_directory_in_which_others_could_put_their_ca_is_refused(
    ca: Authority, directory: Path
) -> None:
    directory.chmod(0o770)
    assert f"chmod 700 {directory}" in refused(directory)


# --- a new one -----------------------------------------------------------------------------


def test_rotating_makes_another_one_and_keeps_the_old_one(ca: Authority, directory: Path) -> None:
    old_key = (directory / KEY_FILE).read_bytes()
    made, kept = authority.rotate(directory, ["new.symphony.com"])
    assert made.fingerprint != ca.fingerprint
    assert made.covers("new.symphony.com")
    assert authority.ensure(directory, ["new.symphony.com"]) == made
    assert [file.read_bytes() for file in kept] == [old_key, certificates_pem([ca.root])]
    assert f"{datetime.now(UTC):%Y-%m-%d}" in kept[0].name
    assert mode(kept[0]) == 0o600


def test_rotating_twice_keeps_both(ca: Authority, directory: Path) -> None:
    kept = [file for _ in range(2) for file in authority.rotate(directory, HOSTS)[1]]
    assert len(set(kept)) == len([file for file in kept if file.exists()]) == 4


def test_rotating_mends_an_expired_one(directory: Path) -> None:
    write_ca(directory, valid_from=datetime.now(UTC) - timedelta(days=30), days=29)
    authority.rotate(directory, HOSTS)
    assert authority.ensure(directory, HOSTS).warnings == ()


def test_rotating_mends_one_that_others_could_read(directory: Path) -> None:
    CertStore.create_store(directory, "mitmproxy", 2048)
    for file in directory.iterdir():
        file.chmod(0o644)
    made, kept = authority.rotate(directory, HOSTS)
    assert authority.ensure(directory, HOSTS) == made
    assert made.warnings == ()
    assert not (directory / "mitmproxy-ca.p12").exists()
    assert {mode(file) for file in kept if "cert" not in file.name} == {0o600}


def test_a_configuration_needs_it_for_every_host_of_every_bot() -> None:
    other = bot("other-bot", cloud_pod("other.symphony.com"))
    assert hosts_of(settings(bot(pod_=pod()), other)) == (
        "acme.symphony.com",
        "agent.acme.example",
        "km.acme.example",
        "acme-api.symphony.com",
        "other.symphony.com",
    )
