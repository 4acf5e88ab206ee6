"""The `keys` commands, run as people run them; openssl reads back what they wrote."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pki import rsa_key
from support.environments import program
from symphony_auth_proxy import certificates
from symphony_auth_proxy.cli.keys import (
    KEY_PASSWORD_VARIABLE,
    PASSWORD_VARIABLE,
    keys,
)
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import CertificateFile, PrivateKeyFile
from symphony_auth_proxy.secret import Secret

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty directory, with keys that are made quickly but are as long as ever."""
    monkeypatch.chdir(tmp_path)
    made = iter(range(100))
    monkeypatch.setattr(
        certificates, "make_rsa_key", lambda bits=4096: rsa_key(bits, number=next(made) % 2)
    )
    for variable in (PASSWORD_VARIABLE, KEY_PASSWORD_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(*arguments: str, typed: str = "") -> Result:
    result = CliRunner().invoke(keys, arguments, input=typed, catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit | KeyMaterialError):
        raise result.exception
    return result


def done(*arguments: str, typed: str = "") -> str:
    result = run(*arguments, typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


def openssl(*arguments: str) -> str:
    finished = subprocess.run(
        [program("openssl"), *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return finished.stdout + finished.stderr


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_the_whole_walk_ends_with_what_openssl_and_the_proxy_accept():
    said = done("rsa", "certs/pricing-bot")
    assert "upload certs/pricing-bot.pub.pem" in said

    said = done(
        *("csr", "--username", "Pricing-Bot", "--key", "certs/pricing-bot.pem"),
        *("--organization", "Acme Ltd", "--unit", "Pricing", "--country", "GB"),
    )
    assert "keys sign certs/pricing-bot.csr" in said

    said = done("sign", "certs/pricing-bot.csr", "--ca", "certs/test-ca", "--create-ca")
    assert "upload certs/test-ca.crt" in said
    assert "keys p12 certs/pricing-bot.crt" in said

    Path("certs/bot.password").write_text(f"{PASSWORD}\n")
    said = done("p12", "certs/pricing-bot.crt", "--password-file", "certs/bot.password")
    assert "{path: certs/pricing-bot.p12, passwordFile: certs/bot.password}" in said

    assert "RSA key ok" in openssl("rsa", "-check", "-noout", "-in", "certs/pricing-bot.pem")
    assert "4096 bit" in openssl("rsa", "-text", "-noout", "-in", "certs/pricing-bot.pem")
    openssl("rsa", "-pubin", "-noout", "-in", "certs/pricing-bot.pub.pem")
    request = openssl("req", "-verify", "-noout", "-text", "-in", "certs/pricing-bot.csr")
    assert "C = GB, O = Acme Ltd, OU = Pricing, CN = Pricing-Bot" in request
    openssl(
        *("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "certs/test-ca.crt"),
        "certs/pricing-bot.crt",
    )
    packed = openssl(
        *("pkcs12", "-info", "-noout", "-in", "certs/pricing-bot.p12"),
        *("-passin", "file:certs/bot.password"),
    )
    assert "AES-256-CBC" in packed

    loaded = CertificateFile(
        "Pricing-Bot", path=Path("certs/pricing-bot.p12"), password=Secret(PASSWORD)
    ).load()
    assert loaded.warnings == ()


def test_private_files_have_no_readers_but_their_owner():
    done("rsa", "bot")
    done("csr", "--username", "bot")
    done("sign", "bot.csr", "--ca", "ca", "--create-ca")
    done("p12", "bot.crt", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert {name: mode(name) for name in ("bot.pem", "ca.pem", "bot.p12")} == {
        "bot.pem": 0o600,
        "ca.pem": 0o600,
        "bot.p12": 0o600,
    }


def test_a_directory_gets_a_pair_of_its_own():
    Path("bot").mkdir()
    done("rsa", "bot")
    assert sorted(path.name for path in Path("bot").iterdir()) == ["private.pem", "public.pem"]


def test_a_username_with_dots_keeps_them():
    done("rsa", "pricing.bot.v2")
    done("csr", "--username", "pricing.bot.v2")
    assert sorted(path.name for path in Path().iterdir()) == [
        "pricing.bot.v2.csr",
        "pricing.bot.v2.pem",
        "pricing.bot.v2.pub.pem",
    ]


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (["rsa", "bot"], "bot.pem"),
        (["rsa", "bot"], "bot.pub.pem"),
        (["csr", "--username", "bot"], "bot.csr"),
        (["sign", "bot.csr", "--ca", "ca"], "bot.crt"),
        (["sign", "bot.csr", "--ca", "ca", "--create-ca", "--out", "new"], "ca.pem"),
        (["p12", "bot.crt"], "bot.p12"),
    ],
)
def test_what_exists_is_kept_unless_force_is_given(command, target, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    done("rsa", "bot")
    done("csr", "--username", "bot")
    done("sign", "bot.csr", "--ca", "ca", "--create-ca")
    if command[0] == "rsa":
        Path("bot.pem").unlink()
        Path("bot.pub.pem").unlink()
    if command[0] != "p12":
        Path("bot.crt").unlink()
    Path(target).write_text("precious")
    before = {path: path.read_bytes() for path in Path().iterdir()}

    refused = run(*command)
    assert refused.exit_code == 1
    assert f"{target} exists already; --force" in refused.output
    assert {path: path.read_bytes() for path in Path().iterdir()} == before

    done(*command, "--force")
    assert Path(target).read_bytes() != b"precious"


def test_force_replaces_a_link_and_not_what_it_leads_to():
    Path("precious").write_text("precious")
    Path("bot.pem").symlink_to("precious")
    done("rsa", "bot", "--force")
    assert Path("precious").read_text() == "precious"
    assert not Path("bot.pem").is_symlink()


def test_a_dangling_link_is_not_written_through():
    Path("bot.pem").symlink_to("elsewhere")
    assert run("rsa", "bot").exit_code == 1
    assert not Path("elsewhere").exists()


def opens(path: str, password: str) -> bool:
    return bool(PrivateKeyFile(path=Path(path), password=Secret(password)).load().key)


def test_a_password_comes_from_a_file_the_environment_or_a_prompt(monkeypatch):
    Path("password").write_text(f"{PASSWORD}\r\n")
    done("rsa", "filed", "--password-file", "password")
    said = done("rsa", "typed", "--encrypt", typed=f"{PASSWORD}\n{PASSWORD}\n")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    done("rsa", "from-environment", "--encrypt")
    for name in ("filed", "typed", "from-environment"):
        assert Path(f"{name}.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY")
        assert opens(f"{name}.pem", PASSWORD)
    assert PASSWORD not in said


def test_the_environment_alone_encrypts_nothing(monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    done("rsa", "bot")
    assert Path("bot.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY")


def test_an_encrypted_key_is_opened_by_file_environment_or_prompt(monkeypatch):
    Path("password").write_text(PASSWORD)
    done("rsa", "bot", "--password-file", "password")
    done("csr", "--username", "bot", "--key-password-file", "password")
    done("csr", "--username", "bot", "--out", "typed.csr", typed=f"{PASSWORD}\n")
    monkeypatch.setenv(KEY_PASSWORD_VARIABLE, PASSWORD)
    done("csr", "--username", "bot", "--out", "environment.csr")


def test_a_wrong_password_is_refused_before_anything_is_written():
    Path("password").write_text(PASSWORD)
    done("rsa", "bot", "--password-file", "password")
    refused = run("csr", "--username", "bot", typed="wrong\n")
    assert isinstance(refused.exception, KeyMaterialError)
    assert not Path("bot.csr").exists()


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_password_file_is_refused(content):
    Path("password").write_text(content)
    refused = run("rsa", "bot", "--password-file", "password")
    assert refused.exit_code == 1
    assert "empty" in refused.output
    assert not Path("bot.pem").exists()


def test_no_command_takes_a_password_as_an_argument():
    for command in keys.commands.values():
        for parameter in command.params:
            if "password" in (parameter.name or ""):
                assert (parameter.name or "").endswith("_file")


def test_a_country_of_three_letters_is_wrong_usage():
    done("rsa", "bot")
    refused = run("csr", "--username", "bot", "--country", "GBR")
    assert refused.exit_code == 2
    assert not Path("bot.csr").exists()


def test_signing_without_a_ca_says_how_to_make_one():
    done("rsa", "bot")
    done("csr", "--username", "bot")
    refused = run("sign", "bot.csr", "--ca", "ca")
    assert refused.exit_code == 1
    assert "--create-ca" in refused.output


def test_a_ca_signs_several_bots_each_with_its_own_serial_number():
    done("rsa", "bot")
    done("csr", "--username", "bot")
    done("sign", "bot.csr", "--ca", "ca", "--create-ca", "--out", "first.crt")
    done("sign", "bot.csr", "--ca", "ca", "--out", "second.crt", "--days", "30")
    for name in ("first.crt", "second.crt"):
        openssl("verify", "-x509_strict", "-CAfile", "ca.crt", name)
    serials = {openssl("x509", "-serial", "-noout", "-in", f"{n}.crt") for n in ("first", "second")}
    assert len(serials) == 2


def test_a_file_that_is_no_request_is_named():
    done("rsa", "bot")
    refused = run("sign", "bot.pub.pem", "--ca", "ca", "--create-ca")
    assert isinstance(refused.exception, KeyMaterialError)
    assert "not a certificate request, but a public key" in str(refused.exception)
    assert not Path("ca.pem").exists()


def test_packing_with_another_bots_key_is_refused():
    done("rsa", "bot")
    done("csr", "--username", "bot")
    done("sign", "bot.csr", "--ca", "ca", "--create-ca")
    refused = run("p12", "bot.crt", "--key", "ca.pem", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert isinstance(refused.exception, KeyMaterialError)
    assert "does not belong" in str(refused.exception)


@pytest.mark.parametrize("command", ["rsa", "csr", "sign", "p12"])
def test_help_has_examples(command):
    assert f"Examples:\n    symphony-auth-proxy keys {command}" in done(command, "--help")


def test_nothing_spins_where_nobody_watches():
    result = run("rsa", "bot")
    assert result.stderr == ""
