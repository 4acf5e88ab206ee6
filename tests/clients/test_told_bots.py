"""Bots with the official BDK for Python that are told of the proxy in the ways that are printed
and offered: by `run`, by `config client`, and with a certificate that nobody knows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clients.room import Room
from support import bdk
from support.clients import client_of
from support.configuration import change
from support.environments import own_script
from support.logins import certificate_file
from support.processes import Child, environment, free_port, running
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox

PROGRAM = own_script("symphony-auth-proxy")
QUOTES = Path(__file__).parent / "bots" / "quotes.py"
CONFIG, KEY = "bot.yaml", "throw-away.pem"
PASSWORD = "a-password:with@marks"

every_version = pytest.mark.parametrize("version", bdk.VERSIONS)


@pytest.fixture
def answering(sandbox: Sandbox) -> Sandbox:
    """A Symphony whose proxy answers logins, at a port that is known before it runs."""
    with change(sandbox.config) as document:
        own = {"answerLogins": True, "drainSeconds": 0.1, "listen": f"127.0.0.1:{free_port()}"}
        document["authProxy"] |= own
    return sandbox


@contextmanager
def proxy_of(sandbox: Sandbox) -> Iterator[Proxy]:
    own = YAML().load(sandbox.config)["authProxy"]
    mode = f"regular@{own['listen']}"
    with running_proxy(sandbox.config, sandbox.directory / "proxy-ca", modes=[mode]) as proxy:
        yield proxy


@contextmanager
def quotes(*command: str, machine: Path) -> Iterator[Child]:
    with running(*command, env=environment(machine), cwd=machine) as bot:
        yield bot


def answers(sandbox: Sandbox, bot: Child) -> None:
    sandbox.wait_for(bdk.waits_for_events, 30)
    sandbox.post("bonds")
    bot.seen("answered bonds")
    assert not [kind for kind in TokenKind if bdk.own_logins(sandbox, kind)]


@every_version
def test_run_serves_a_bot_that_was_told_of_no_proxy_and_no_ca(
    answering: Sandbox, machine: Path, junk_key: Path, version: str
) -> None:
    document = YAML().load(answering.config)
    del document["authProxy"], document["ssl"]
    document["bot"] = {"username": KEY_BOT, "privateKey": {"path": str(junk_key)}}
    YAML().dump(document, machine / CONFIG)
    run = (PROGRAM, "run", "--config", str(answering.config), "--")
    python = bdk.python_of(version)
    with quotes(*run, python, str(QUOTES), CONFIG, machine=machine) as bot:
        answers(answering, bot)


def without_clients(_document: Any) -> None:
    pass


def with_a_client(document: Any) -> None:
    document["authProxy"]["clients"] = [
        {"name": "desk", "password": PASSWORD, "bots": [KEY_BOT, CERTIFICATE_BOT]}
    ]


@every_version
@pytest.mark.parametrize("clients", [without_clients, with_a_client])
def test_what_config_client_prints_is_all_that_a_bot_needs(
    answering: Sandbox,
    machine: Path,
    junk_key: Path,
    version: str,
    clients: Callable[[Any], None],
) -> None:
    with change(answering.config) as document:
        clients(document)
    command = ("config", "client", "--for", "bdk-python", "--config", str(answering.config))
    printed = subprocess.run(
        (PROGRAM, *command), capture_output=True, text=True, check=True, timeout=60
    ).stdout
    # The comment beside it says that a person must do that.
    (machine / CONFIG).write_text(printed.replace("${SYMPHONY_PROXY_PASSWORD}", f'"{PASSWORD}"'))
    (machine / KEY).write_bytes(junk_key.read_bytes())
    with (
        proxy_of(answering) as proxy,
        quotes(bdk.python_of(version), str(QUOTES), CONFIG, machine=machine) as bot,
    ):
        answers(answering, bot)
        known = None if clients is without_clients else ("desk", PASSWORD)
        with client_of(proxy, credentials=known) as client:
            assert Room(answering, client).quote("bonds") == b"price of bonds: 42\n"


@every_version
def test_a_bot_that_logs_in_with_a_certificate_is_served_with_one_that_nobody_knows(
    answering: Sandbox, machine: Path, version: str
) -> None:
    with proxy_of(answering) as proxy:
        document = YAML().load(answering.config)
        del document["authProxy"]
        offered = certificate_file(CERTIFICATE_BOT, machine)
        document["bot"] = {"username": CERTIFICATE_BOT, "certificate": {"path": str(offered)}}
        document["proxy"] = {"host": "127.0.0.1", "port": proxy.port}
        document["ssl"]["trustStore"]["path"] = str(proxy.ca)
        YAML().dump(document, machine / CONFIG)
        with quotes(bdk.python_of(version), str(QUOTES), CONFIG, machine=machine) as bot:
            answers(answering, bot)
