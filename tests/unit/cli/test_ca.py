"""The `ca` commands, as people and scripts run them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from pki import rsa_key
from support.environments import own_script, program
from support.processes import environment, running
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.ca.ca_files import CERTIFICATE_FILE, KEY_FILE
from symphony_auth_proxy.certificates import private_key_pem
from symphony_auth_proxy.cli.ca import ca as command
from symphony_auth_proxy.errors import ConfigError, SymphonyAuthProxyError

CONFIG = """\
host: acme.symphony.com
agent: {host: agent.acme.example}
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""
HOSTS = ["acme.symphony.com", "agent.acme.example"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "bot.pem").write_bytes(private_key_pem(rsa_key()))
    (tmp_path / "bot.pem").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(here: Path) -> Authority:
    return authority.ensure(here / "certs" / "ca", HOSTS)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit | SymphonyAuthProxyError):
        raise result.exception
    return result


def test_show_tells_what_one_compares_and_where_it_is(made: Authority) -> None:
    told = run("show")
    assert told.exit_code == 0
    for fact in (made.fingerprint, made.subject, str(made.certificate), *HOSTS):
        assert fact in told.stdout
    assert f"{made.not_after:%Y-%m-%d}" in told.stdout
    assert told.stderr == ""


def test_show_tells_programs_the_same(made: Authority) -> None:
    told = json.loads(run("show", "--json").stdout)
    assert told["fingerprint"] == made.fingerprint
    assert told["hosts"][:2] == HOSTS
    assert told["certificate"] == str(made.certificate)


def test_the_fingerprint_is_the_one_that_openssl_shows(made: Authority) -> None:
    told = subprocess.run(
        (program("openssl"), "x509", "-in", made.certificate, "-noout", "-fingerprint", "-sha256"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.strip().rpartition("=")[2] == made.fingerprint


def test_show_makes_none(here: Path) -> None:
    told = run("show")
    assert isinstance(told.exception, SymphonyAuthProxyError)
    assert "ca export" in told.exception.hint()
    assert not (here / "certs").exists()


def test_export_makes_the_first_one_and_writes_pem(here: Path) -> None:
    told = run("export")
    written = (here / "certs" / "ca" / CERTIFICATE_FILE).read_bytes()
    assert told.stdout_bytes == written


def test_export_writes_der(made: Authority) -> None:
    told = run("export", "--format", "der")
    assert x509.load_der_x509_certificate(told.stdout_bytes) == made.root


@pytest.mark.parametrize("password", [[], ["-storepass", "changeit"]], ids=["none", "any"])
def test_keytool_lists_the_trust_store_without_a_password_and_with_any(
    made: Authority, here: Path, password: list[str]
) -> None:
    run("export", "--format", "p12", "-o", "proxy-ca.p12")
    listed = subprocess.run(
        (program("keytool"), "-list", "-keystore", here / "proxy-ca.p12", *password),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "trustedCertEntry" in listed.stdout
    assert made.fingerprint in listed.stdout


def test_export_says_what_it_wrote(made: Authority, here: Path) -> None:
    told = run("export", "-o", "proxy-ca.pem")
    assert made.fingerprint in told.stdout
    assert (here / "proxy-ca.pem").read_bytes() == made.certificate.read_bytes()


def test_export_names_a_file_that_it_cannot_write(made: Authority) -> None:
    assert run("export", "-o", "nowhere/proxy-ca.pem").exit_code == 2


def test_no_export_holds_a_key(made: Authority) -> None:
    key = (made.directory / KEY_FILE).read_bytes().splitlines()[1]
    for form in ("pem", "der", "p12"):
        exported = run("export", "--format", form).stdout_bytes
        assert b"PRIVATE" not in exported
        assert key not in exported


def test_rotate_makes_a_new_one_for_the_configuration_as_it_is_now(
    made: Authority, here: Path
) -> None:
    (here / "config.yaml").write_text(CONFIG.replace("agent.acme.example", "new.example"))
    assert isinstance(run("export").exception, ConfigError)
    told = run("rotate", "--yes")
    found = authority.load(made.directory)
    assert found.covers("new.example")
    assert found.fingerprint != made.fingerprint
    assert "symphony-auth-proxy reload" in told.stdout
    kept = [line.split()[1] for line in told.stdout.splitlines() if line.startswith("kept")]
    assert len(kept) == 2
    assert all(Path(file).exists() for file in kept)


def test_rotate_does_nothing_where_nobody_can_be_asked(made: Authority) -> None:
    assert run("rotate").exit_code == 2
    assert authority.load(made.directory) == made


@pytest.mark.parametrize(("answer", "changed"), [("y", True), ("n", False)])
def test_rotate_asks_a_person(made: Authority, here: Path, answer: str, changed: bool) -> None:
    command = (own_script("symphony-auth-proxy"), "ca", "rotate")
    with running(*command, env=environment(here), cwd=here, terminal=True) as child:
        child.seen(r"\[y/N\]")
        child.press(f"{answer}\n")
        assert child.exit_code() == (0 if changed else 1)
    assert (authority.load(made.directory) != made) == changed


def test_a_ca_for_any_host_is_warned_of(made: Authority) -> None:
    from mitmproxy.certs import CertStore

    for file in made.directory.iterdir():
        file.unlink()
    CertStore.create_store(made.directory, "mitmproxy", 2048)
    told = run("show")
    assert "any host" in told.stdout
    assert "ca rotate" in told.stderr
