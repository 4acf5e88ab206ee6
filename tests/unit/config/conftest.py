"""A directory as an operator has it: keys, certificates, trust stores, password files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from pki import client_certificate, company_ca, rsa_key
from symphony_auth_proxy import config
from symphony_auth_proxy.certificates import certificates_pem, pack_p12, private_key_pem
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.model import Settings
from symphony_auth_proxy.secret import Secret

PASSWORD = "correct horse"
BOT = "pricing-bot"


@dataclass(frozen=True)
class Workplace:
    """Where a test's configuration stands, and its environment."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, name: str = "config.yaml") -> Path:
        path = self.directory / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(self, text: str, **environ: str) -> Settings:
        return config.load(self.write(text), environ={**self.environ, **environ})

    def problems(self, text: str, **environ: str) -> dict[str, str]:
        """Return path → message of everything that is wrong with `text`."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **environ)
        return {problem.path: problem.message for problem in caught.value.problems}


@pytest.fixture(scope="session")
def key_files() -> Mapping[str, bytes]:
    key = rsa_key()
    ca = company_ca()
    (leaf,) = client_certificate(BOT).chain
    key_pem, leaf_pem = private_key_pem(key), certificates_pem([leaf])
    ca_p12 = pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(ca.certificate, b"ca")], NoEncryption()
    )
    return {
        "bot.pem": key_pem,
        "encrypted.pem": private_key_pem(key, Secret(PASSWORD)),
        "password": f"{PASSWORD}\n".encode(),
        "combined.pem": key_pem + leaf_pem,
        "certificate.pem": leaf_pem,
        "bot.p12": pack_p12(leaf, key, Secret(PASSWORD)),
        "ca.pem": certificates_pem([ca.certificate]),
        "trust.p12": ca_p12,
        "trust.jks": b"\xfe\xed\xfe\xed\x00\x00\x00\x02",
        "system.pem": certificates_pem([company_ca("System CA").certificate]),
    }


@pytest.fixture
def workplace(tmp_path: Path, key_files: Mapping[str, bytes]) -> Workplace:
    for name, content in key_files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    hashed = tmp_path / "no-hashed-certificates"
    hashed.mkdir()
    return Workplace(
        tmp_path,
        {
            "HOME": str(tmp_path / "home"),
            "SSL_CERT_FILE": str(tmp_path / "system.pem"),
            "SSL_CERT_DIR": str(hashed),
        },
    )
