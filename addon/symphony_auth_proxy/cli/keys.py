"""`keys`: Symphony's documented certificate workflow, without openssl.

Files of one bot share a stem: NAME.pem is the private key, NAME.pub.pem the public one,
NAME.csr the request, NAME.crt the certificate, NAME.p12 all in one. What exists is kept
unless `--force` says otherwise; private files are born with mode 0600. Passwords come from a
file, the environment or a prompt, never from the command line, which every user can list.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from rich.console import Console

from symphony_auth_proxy import certificates, key_formats
from symphony_auth_proxy.certificates import CertificateWithKey
from symphony_auth_proxy.keys import PrivateKeyFile, read_file
from symphony_auth_proxy.secret import Secret

PASSWORD_VARIABLE = "SYMPHONY_AUTH_PROXY_PASSWORD"  # noqa: S105 (a name, not a password)
KEY_PASSWORD_VARIABLE = "SYMPHONY_AUTH_PROXY_KEY_PASSWORD"  # noqa: S105 (the same)

_FILE = click.Path(path_type=Path, dir_okay=False)


def _option[F: Callable[..., object]](name: str, help_text: str) -> Callable[[F], F]:
    return click.option(name, type=_FILE, help=help_text)


_force = click.option("--force", is_flag=True, help="Replace files that exist.")
_key_password_file = _option(
    "--key-password-file",
    f"Holds the password of an encrypted private key. Default: ${KEY_PASSWORD_VARIABLE}, or "
    "a prompt.",
)


@click.group()
def keys() -> None:
    """Make keys, certificate requests and certificates.

    For RSA logins, `rsa` is all it takes. For certificate logins: `rsa`, `csr`, a signature
    of your company's CA (`sign` for test pods), `p12`.

    \b
    Examples:
      symphony-auth-proxy keys rsa certs/pricing-bot
      symphony-auth-proxy keys csr --username pricing-bot --key certs/pricing-bot.pem
    """


@keys.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--encrypt", is_flag=True, help="Encrypt the private key.")
@_option(
    "--password-file",
    f"Encrypt with the password in this file. Default with --encrypt: ${PASSWORD_VARIABLE}, "
    "or a prompt.",
)
@_force
def rsa(name: Path, encrypt: bool, password_file: Path | None, force: bool) -> None:
    """Make a 4096-bit RSA key pair.

    NAME.pem is the private key (PKCS#8), NAME.pub.pem the public key that Symphony gets. If
    NAME is a directory, private.pem and public.pem are written into it.

    \b
    Examples:
      symphony-auth-proxy keys rsa certs/pricing-bot
      symphony-auth-proxy keys rsa certs/pricing-bot --password-file certs/pricing-bot.password
    """
    if name.is_dir():
        private, public = name / "private.pem", name / "public.pem"
    else:
        private, public = _named(name, ".pem"), _named(name, ".pub.pem")
    _refuse_existing(force, private, public)
    encrypt = encrypt or password_file is not None
    password = _new_password(password_file, f"Password for {private}") if encrypt else None
    key = _make_key()
    _write(private, certificates.private_key_pem(key, password), secret=True)
    _write(public, certificates.public_key_pem(key))
    click.echo(
        f"{private}  private key, 4096 bits: keep it to yourself\n"
        f"{public}  public key\n"
        "\n"
        "Next: in Symphony's Admin portal, open the bot's service account, choose RSA as its\n"
        f"authentication and upload {public}. In config.yaml:\n"
        "\n"
        "  bot:\n"
        "    username: THE-SERVICE-ACCOUNT\n"
        f"    privateKey: {{path: {private}{_password_setting(password, password_file)}}}\n"
        "\n"
        "For certificate logins instead: symphony-auth-proxy keys csr "
        f"--username THE-SERVICE-ACCOUNT --key {private}"
    )


@keys.command()
@click.option("--username", required=True, help="The service account, in its exact letter case.")
@_option("--key", "The private key. Default: USERNAME.pem")
@click.option("--organization", default="", help="The company's name (O).")
@click.option("--unit", default="", help="The department (OU).")
@click.option("--country", default="", help="Two letters (C).")
@click.option("--state", default="", help="State or province (ST).")
@click.option("--locality", default="", help="City (L).")
@click.option("--email", default="", help="Somebody who answers for the bot.")
@_option("--out", "The request. Default: the key's name with .csr")
@_key_password_file
@_force
def csr(
    username: str,
    key: Path | None,
    out: Path | None,
    key_password_file: Path | None,
    force: bool,
    **subject: str,
) -> None:
    """Make a certificate request (CSR) whose CN is the bot's username.

    \b
    Examples:
      symphony-auth-proxy keys csr --username pricing-bot --key certs/pricing-bot.pem \\
          --organization "Acme Ltd" --unit Pricing --country GB
    """
    key = key or Path(f"{username}.pem")
    out = out or _named(key, ".csr")
    _refuse_existing(force, out)
    private_key = _private_key(key, key_password_file)
    try:
        request = certificates.make_csr(private_key, username, **subject)
    except ValueError as error:
        raise click.UsageError(f"X.509 does not allow such a name: {error}") from error
    _write(out, certificates.csr_pem(request))
    click.echo(
        f"{out}  certificate request, CN={username}\n"
        "\n"
        "Next: have your company's CA sign it as a TLS client certificate and save the answer "
        f"as\n{_named(key, '.crt')}. For a test pod, sign it with a CA of your own:\n"
        "\n"
        f"  symphony-auth-proxy keys sign {out} --ca {out.with_name('test-ca')} --create-ca"
    )


@keys.command()
@click.argument("request", type=_FILE)
@click.option(
    "--ca",
    required=True,
    type=click.Path(path_type=Path),
    help="The CA's name: CA.crt is its certificate, CA.pem its private key.",
)
@click.option("--create-ca", is_flag=True, help="Make that CA first.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650))
@_option("--out", "The certificate. Default: the request's name with .crt")
@_key_password_file
@_force
def sign(
    request: Path,
    ca: Path,
    create_ca: bool,
    days: int,
    out: Path | None,
    key_password_file: Path | None,
    force: bool,
) -> None:
    """Sign a certificate request with a CA, for test pods.

    The certificate gets a random serial number. What the request wants to be beyond its
    name and key is ignored.

    \b
    Examples:
      symphony-auth-proxy keys sign certs/pricing-bot.csr --ca certs/test-ca --create-ca
      symphony-auth-proxy keys sign certs/other-bot.csr --ca certs/test-ca --days 30
    """
    out = out or _named(request, ".crt")
    _refuse_existing(force, out)
    csr = key_formats.certificate_request(read_file(request))
    authority = _new_ca(ca, force=force) if create_ca else _existing_ca(ca, key_password_file)
    try:
        certificate = certificates.sign_csr(csr, *authority, days=days)
    except ValueError as error:
        raise click.ClickException(f"{request} cannot be signed: {error}") from error
    _write(out, certificates.certificates_pem([certificate]))
    click.echo(
        f"{out}  certificate, CN={certificates.common_name(certificate)}, valid until "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}\n"
        "\n"
        f"Next: upload {_named(ca, '.crt')} in Symphony's Admin portal, on the page for\n"
        "certificates, and allow the service account to log in by certificate. Then pack\n"
        "certificate and key into one file:\n"
        "\n"
        f"  symphony-auth-proxy keys p12 {out}"
    )


@keys.command()
@click.argument("certificate", type=_FILE)
@_option("--key", "The private key. Default: the certificate's name with .pem")
@_option("--out", "The PKCS#12 file. Default: the certificate's name with .p12")
@_option(
    "--password-file",
    f"Holds the new file's password. Default: ${PASSWORD_VARIABLE}, or a prompt.",
)
@_key_password_file
@_force
def p12(
    certificate: Path,
    key: Path | None,
    out: Path | None,
    password_file: Path | None,
    key_password_file: Path | None,
    force: bool,
) -> None:
    """Pack a certificate and its private key as PKCS#12 (AES-256).

    CERTIFICATE is a PEM file; intermediate certificates below the bot's own are packed too.

    \b
    Examples:
      symphony-auth-proxy keys p12 certs/pricing-bot.crt
      symphony-auth-proxy keys p12 certs/pricing-bot.crt --password-file certs/pricing-bot.password
    """
    key = key or _named(certificate, ".pem")
    out = out or _named(certificate, ".p12")
    _refuse_existing(force, out)
    file = read_file(certificate)
    private_key = _private_key(key, key_password_file)
    leaf, *issuers = key_formats.issuer_chain(file, private_key, key_formats.certificates(file))
    password = _new_password(password_file, f"Password for {out}")
    packed = certificates.pack_p12(leaf, private_key, password, chain=issuers)
    _write(out, packed, secret=True)
    click.echo(
        f"{out}  private key and certificate, CN={certificates.common_name(leaf)}\n"
        "\n"
        "Next: if it is not done yet, upload the CA that signed it (or the certificate itself)\n"
        "in Symphony's Admin portal, on the page for certificates. In config.yaml:\n"
        "\n"
        "  bot:\n"
        f"    username: {certificates.common_name(leaf)}\n"
        f"    certificate: {{path: {out}{_password_setting(password, password_file)}}}"
    )


def _make_key() -> RSAPrivateKey:
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        return certificates.make_rsa_key()
    with terminal.status("Making a 4096-bit key…"):
        return certificates.make_rsa_key()


def _private_key(path: Path, password_file: Path | None) -> RSAPrivateKey:
    password = None
    if b"ENCRYPTED" in read_file(path).data:
        password = _password(password_file, KEY_PASSWORD_VARIABLE) or Secret(
            click.prompt(f"Password of {path}", hide_input=True, err=True)
        )
    material = PrivateKeyFile(path=path, password=password).load()
    for warning in material.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return material.key


def _new_ca(ca: Path, *, force: bool) -> CertificateWithKey:
    private, public = _named(ca, ".pem"), _named(ca, ".crt")
    _refuse_existing(force, private, public)
    authority = certificates.make_ca(ca.name, key=_make_key())
    _write(private, certificates.private_key_pem(authority.key), secret=True)
    _write(public, certificates.certificates_pem([authority.certificate]))
    click.echo(f"{private}  the CA's private key: keep it to yourself\n{public}  the CA")
    return authority


def _existing_ca(ca: Path, key_password_file: Path | None) -> CertificateWithKey:
    private, public = _named(ca, ".pem"), _named(ca, ".crt")
    if not public.exists():
        raise click.ClickException(f"{public} does not exist; --create-ca makes a new CA")
    key = _private_key(private, key_password_file)
    file = read_file(public)
    certificate, *_ = key_formats.issuer_chain(file, key, key_formats.certificates(file))
    return CertificateWithKey(certificate, key)


def _new_password(file: Path | None, prompt: str) -> Secret:
    return _password(file, PASSWORD_VARIABLE) or Secret(
        click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
    )


def _password(file: Path | None, variable: str) -> Secret | None:
    """Return the password of the file, else of the environment, else None."""
    if file is None:
        return Secret(os.environ[variable]) if os.environ.get(variable) else None
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error
    # One line break at the end is the editor's, not the password's.
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.ClickException(f"{file} is empty, but should hold a password")
    return Secret(password)


def _password_setting(password: Secret | None, file: Path | None) -> str:
    """Return what the configuration needs besides the path, without the password itself."""
    if password is None:
        return ""
    if file is None:
        return f', password: "${{{PASSWORD_VARIABLE}}}"'
    return f", passwordFile: {file}"


def _named(path: Path, suffix: str) -> Path:
    """Return the file of the same stem. A username may have dots, so only our own endings
    are taken off."""
    stem = path.name
    for known in (".pub.pem", ".pem", ".csr", ".crt", ".p12"):
        stem = stem.removesuffix(known)
    return path.with_name(stem + suffix)


def _refuse_existing(force: bool, *paths: Path) -> None:
    for path in paths:
        if not force and path.exists(follow_symlinks=False):
            raise click.ClickException(f"{path} exists already; --force replaces it")


def _write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a new file. It never has more readers than it should, not even for a moment."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600 if secret else 0o644)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # --force was given: _refuse_existing saw to that
        with open(path, "xb", opener=opener) as file:
            file.write(data)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
