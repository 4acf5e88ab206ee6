"""The official BDK for Python on Simplified Key Delivery: whoever logs in, no key manager is
asked, and its calls arrive with a session token alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clients.room import Room
from clients.stage import told
from support import bdk
from support.clients import client_of
from support.configuration import change
from support.logins import calls
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Received, Sandbox

RELAY = "/relay/pubkey/authenticate"

every_version = pytest.mark.parametrize("version", bdk.VERSIONS)


@pytest.fixture(autouse=True)
def _on_key_delivery(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery(KEY_BOT)


def agent_calls(sandbox: Sandbox) -> list[Received]:
    """The bot's calls for which tokens are asked."""
    return [
        one
        for one in sandbox.requests
        if one.path.startswith("/agent/") and one.path != "/agent/v1/info"
    ]


def without_key_manager(call: Received) -> bool:
    return len(call.values("sessionToken")) == 1 and not any(call.values("keyManagerToken"))


@every_version
def test_a_bot_without_a_valid_key_runs_without_a_key_manager_too(
    sandbox: Sandbox, machine: Path, junk_key: Path, version: str
) -> None:
    with told(sandbox, machine, junk_key) as stage, bdk.quotes_told(version, stage) as bot:
        sandbox.post("bonds")
        bot.seen("answered bonds")
        assert not calls(sandbox, RELAY)
        assert all(without_key_manager(call) for call in agent_calls(sandbox))

        # What it holds for a key manager token turns into one when the bot leaves.
        sandbox.wait_for(bdk.waits_for_events)
        sandbox.set_simplified_key_delivery(KEY_BOT, enabled=False)
        sandbox.revoke(KEY_BOT)
        sandbox.post("swaps")
        bot.seen("answered swaps")
        assert sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT) == 1
        assert all(agent_calls(sandbox)[-1].values("keyManagerToken"))
        assert not re.search(r"\b401\b", bot.output), "the bot was spared the refusal"


@every_version
@pytest.mark.parametrize("client_tokens", ["keep", "replace"])
def test_a_bot_with_a_key_of_its_own_is_served_in_either_way(
    sandbox: Sandbox, version: str, client_tokens: str
) -> None:
    """It sends an empty key manager token then, which says nothing."""
    with change(sandbox.config) as document:
        document["authProxy"]["clientTokens"] = client_tokens
    with (
        running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy,
        bdk.quotes(version, sandbox, proxy.port, proxy.ca) as bot,
    ):
        sandbox.post("bonds")
        bot.seen("answered bonds")
        assert quoted(sandbox, proxy, "bonds") == b"price of bonds: 42\n"
    assert not any(call.path == RELAY for call in sandbox.requests)
    assert bdk.own_logins(sandbox, TokenKind.SESSION) == 1


def quoted(sandbox: Sandbox, proxy: Proxy, text: str) -> bytes:
    with client_of(proxy) as client:
        return Room(sandbox, client).quote(text)
