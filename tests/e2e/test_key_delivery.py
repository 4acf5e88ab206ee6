"""Simplified Key Delivery, through the whole proxy: agent calls with the session token alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from support.clients import client_of
from support.logins import calls
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

ECHO, RELAY, AGENT_INFO = "/agent/v1/util/echo", "/relay/pubkey/authenticate", "/agent/v1/info"


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    sandbox.set_simplified_key_delivery(KEY_BOT)
    with running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as running:
        yield running


def echo(sandbox: Sandbox, client: httpx.Client) -> int:
    url = sandbox.url(Component.AGENT) + ECHO
    # As the BDK for Python sends it on Simplified Key Delivery.
    return client.post(url, json={"message": "x"}, headers={"keyManagerToken": ""}).status_code


def tokens_of(sandbox: Sandbox) -> list[tuple[int, int]]:
    """How many of each kind arrived with each call, in order."""
    return [
        (len(one.values("sessionToken")), len(one.values("keyManagerToken")))
        for one in calls(sandbox, ECHO)
    ]


def test_agent_calls_get_the_session_token_alone_and_the_key_manager_is_left_alone(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.outage(Component.KEY_MANAGER)
    assert [echo(sandbox, client) for _ in range(3)] == [200] * 3
    assert tokens_of(sandbox) == [(1, 0)] * 3
    assert not calls(sandbox, RELAY)
    assert len(calls(sandbox, AGENT_INFO)) == 1


def test_a_bot_that_leaves_it_gets_its_key_manager_token(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    assert echo(sandbox, client) == 200
    sandbox.set_simplified_key_delivery(KEY_BOT, enabled=False)
    assert echo(sandbox, client) == 200
    assert tokens_of(sandbox) == [(1, 0), (1, 0), (1, 1)]
    assert sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT) == 1


def test_a_bot_that_joins_it_stops_asking_the_key_manager(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.set_simplified_key_delivery(KEY_BOT, enabled=False)
    sandbox.revoke(KEY_BOT)
    assert echo(sandbox, client) == 200
    sandbox.set_simplified_key_delivery(KEY_BOT)
    for _ in range(2):  # the first time both logins run at once, before the session tells
        sandbox.revoke(KEY_BOT)
        assert echo(sandbox, client) == 200
    asked = sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT)
    sandbox.revoke(KEY_BOT)
    assert echo(sandbox, client) == 200
    assert tokens_of(sandbox)[-1] == (1, 0)
    assert sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT) == asked


def test_an_agent_that_is_too_old_for_it_gets_both_tokens(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery(KEY_BOT)
    sandbox.set_agent_version("Agent-24.11.0")
    with (
        running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy,
        client_of(proxy) as client,
    ):
        assert echo(sandbox, client) == 200
    assert tokens_of(sandbox) == [(1, 1)]
