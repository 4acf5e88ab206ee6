"""What a bot's machine holds when the proxy logs in for it: nothing of worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony_auth_proxy.certificates import SYMPHONY_KEY_BITS, make_rsa_key, private_key_pem


@pytest.fixture(scope="session")
def junk_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RSA key as Symphony wants them, which no Symphony has ever seen."""
    path = tmp_path_factory.mktemp("junk") / "junk.pem"
    path.write_bytes(private_key_pem(make_rsa_key(SYMPHONY_KEY_BITS)))
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The directory of a client, apart from Symphony's and the proxy's."""
    directory = tmp_path / "machine"
    directory.mkdir()
    return directory
