"""A client that uses the proxy, and where the proxy's CA is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.clients import client_of
from support.proxy import Proxy
from symphony_auth_proxy.sandbox import Sandbox


@pytest.fixture
def prepared(sandbox: Sandbox) -> Path:
    """The directory of this test's sandbox, for further configuration files."""
    return sandbox.directory


@pytest.fixture
def confdir(prepared: Path) -> Path:
    return prepared / "proxy-ca"


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with client_of(proxy) as opened:
        yield opened
