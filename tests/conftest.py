"""The two ends of every story: a simulated Symphony and the proxy in front of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy.certs import CertStore

from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.sandbox import Sandbox, prepare


@pytest.fixture(scope="session")
def prepared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, certificates and the proxy's CA, made once; short keys, because that is faster."""
    directory = tmp_path_factory.mktemp("prepared")
    prepare(directory, key_bits=2048)
    CertStore.create_store(directory / "proxy-ca", "mitmproxy", 2048)
    return directory


@pytest.fixture
def sandbox(prepared_directory: Path, tmp_path: Path) -> Iterator[Sandbox]:
    """A Symphony of this test's own, in `tmp_path / "sandbox"`."""
    with Sandbox(shutil.copytree(prepared_directory, tmp_path / "sandbox")) as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    """Our own lean proxy, with the sandbox's `config.yaml`."""
    with running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as running:
        yield running
