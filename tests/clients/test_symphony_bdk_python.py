"""The official BDK for Python, as it is, with its own key and its own logins: a bot reads a
datafeed and answers with attachments while sessions die underneath it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients.room import Room
from support.bdk import VERSIONS, own_logins, proxys_logins, quotes, waits_for_events
from support.clients import client_of
from support.configuration import change
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def room(sandbox: Sandbox, proxy: Proxy) -> Iterator[Room]:
    with client_of(proxy) as client:
        yield Room(sandbox, client)


@every_version
def test_a_bot_with_tokens_of_its_own_is_left_alone_and_heals_itself(
    sandbox: Sandbox, proxy: Proxy, room: Room, version: str
) -> None:
    with quotes(version, sandbox, proxy.port, proxy.ca) as bot:
        sandbox.post("bonds")
        bot.seen("answered bonds")
        assert room.quote("bonds") == b"price of bonds: 42\n"
        before = {kind: proxys_logins(sandbox, kind) for kind in TokenKind}

        # The bot is told of its dead session by the read after the one that is held. (Not by
        # an upload: the BDK cannot repeat those, it has closed the file by then.)
        sandbox.wait_for(waits_for_events)
        sandbox.revoke(KEY_BOT)
        sandbox.post("of its own, which it ignores", author=KEY_BOT)
        sandbox.wait_for(lambda _: own_logins(sandbox, TokenKind.KEY_MANAGER) == 2)
        sandbox.post("swaps")
        bot.seen("answered swaps")
        assert room.quote("swaps") == b"price of swaps: 42\n"

        assert [own_logins(sandbox, kind) for kind in TokenKind] == [2, 2]
        assert {kind: proxys_logins(sandbox, kind) for kind in TokenKind} == before


@every_version
def test_the_proxys_session_dies_without_harm_to_a_bot_with_its_own(
    sandbox: Sandbox, proxy: Proxy, room: Room, version: str
) -> None:
    with quotes(version, sandbox, proxy.port, proxy.ca) as bot:
        sandbox.post("bonds")
        bot.seen("answered bonds")
        room.quote("bonds")
        sandbox.revoke(CERTIFICATE_BOT)
        assert room.quote("bonds") == b"price of bonds: 42\n"
        sandbox.post("swaps")
        bot.seen("answered swaps")
        assert room.quote("swaps") == b"price of swaps: 42\n"
        assert [own_logins(sandbox, kind) for kind in TokenKind] == [1, 1]


@every_version
def test_a_bot_whose_tokens_are_replaced_never_notices_that_a_session_died(
    sandbox: Sandbox, version: str
) -> None:
    """Its upload is sent again by the proxy, which still has the bytes."""
    with change(sandbox.config) as document:
        document["authProxy"]["clientTokens"] = "replace"
    with (
        running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy,
        client_of(proxy) as client,
        quotes(version, sandbox, proxy.port, proxy.ca) as bot,
    ):
        for text in ("bonds", "swaps", "futures"):
            sandbox.wait_for(waits_for_events)
            sandbox.revoke(KEY_BOT)
            sandbox.post(text)
            bot.seen(f"answered {text}")
            assert Room(sandbox, client).quote(text) == f"price of {text}: 42\n".encode()
        assert [own_logins(sandbox, kind) for kind in TokenKind] == [1, 1]
        assert proxys_logins(sandbox, TokenKind.SESSION) == 4
