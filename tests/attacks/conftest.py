"""The attacked: one sandbox a module, one proxy at a time, the tokens already in its cache.

A warm cache is the worst case: nothing but a refusal stands between an attack and a token.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks.origins import ScriptedSymphony, server_tls
from attacks.seen import Seen
from attacks.stage import Attacked, Stage, Start, everything_at
from support.canaries import issuing_noted
from support.configuration import change
from support.proxy import Proxy
from symphony_auth_proxy.sandbox import Sandbox


@pytest.fixture(scope="module")
def module_sandbox(
    prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    directory = tmp_path_factory.mktemp("attacked") / "sandbox"
    shutil.copytree(prepared_directory, directory)
    with issuing_noted() as issued, Sandbox(directory) as running:
        with change(running.config) as document:
            document["authProxy"]["drainSeconds"] = 1
        yield Attacked(running, issued)


@pytest.fixture(scope="module")
def stage(module_sandbox: Attacked) -> Iterator[Stage]:
    stage = Stage(module_sandbox)
    yield stage
    stage.clear()


@pytest.fixture
def attacked(module_sandbox: Attacked) -> Iterator[Attacked]:
    """The module's sandbox; `arrived` counts from here."""
    module_sandbox.begin()
    yield module_sandbox
    module_sandbox.sandbox.recover()


@pytest.fixture
def proxy(stage: Stage, attacked: Attacked) -> Proxy:
    """The module's proxy, with warm tokens."""
    return stage.kept("usual", warm=True)


@pytest.fixture(scope="module")
def symphony(module_sandbox: Attacked) -> Iterator[ScriptedSymphony]:
    """Everything that is Symphony's on one host, answering what a test wants."""
    with ScriptedSymphony(server_tls(module_sandbox.sandbox.directory)) as running:
        yield running


@pytest.fixture
def one_host(stage: Stage, symphony: ScriptedSymphony) -> Proxy:
    """A proxy in front of `symphony`, kept from test to test."""
    return stage.kept("one host", everything_at(symphony.origin))


@pytest.fixture
def start(stage: Stage, attacked: Attacked) -> Iterator[Start]:
    """Starts proxies of a test's own, each in the place of the one before."""
    yield stage.other
    stage.clear()


@pytest.fixture
def seen(attacked: Attacked, caplog: pytest.LogCaptureFixture) -> Seen:
    caplog.set_level("DEBUG")
    return Seen(attacked.canaries, caplog)
