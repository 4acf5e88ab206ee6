"""Unmodified bots whose logins are answered by the proxy: they hold a key that no Symphony
knows and tokens that are worth nothing elsewhere, and live through whatever happens behind it
without noticing much of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from clients.room import Room
from support import bdk, legacy_node
from support.canaries import issuing_noted
from support.clients import Told, client_of
from support.configuration import change
from support.memory import held_in_memory
from support.processes import Child, free_port
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Received, Sandbox
from symphony_auth_proxy.tokens import provider

type Start = Callable[[Told], AbstractContextManager[Child]]

BOTS: dict[str, Start] = {
    **{f"BDK Python {version}": partial(bdk.quotes_told, version) for version in bdk.VERSIONS},
    f"symphony-api-client-node {legacy_node.VERSION}": legacy_node.quotes,
}

TRIES_AGAIN = "Retrying |_retryConnection"
"""What bots write when a call has failed."""

every_bot = pytest.mark.parametrize("start", BOTS.values(), ids=BOTS)


@pytest.fixture
def issued() -> Iterator[list[tuple[str, str]]]:
    with issuing_noted() as noted:
        yield noted


class Stage:
    """A proxy that answers logins, always at the same port, and what a bot is told of it."""

    def __init__(self, sandbox: Sandbox, machine: Path, key: Path) -> None:
        self.sandbox = sandbox
        self._ca = sandbox.directory / "proxy-ca"
        self._port = free_port()
        self.told = Told(machine, sandbox, self._port, self._ca / "mitmproxy-ca-cert.pem", key=key)
        with change(sandbox.config) as document:
            document["authProxy"] |= {"answerLogins": True, "drainSeconds": 0.1}

    @contextmanager
    def proxy(self) -> Iterator[Proxy]:
        mode = f"regular@127.0.0.1:{self._port}"
        with running_proxy(self.sandbox.config, self._ca, modes=[mode]) as proxy:
            yield proxy

    def answers(self, bot: Child, proxy: Proxy, text: str) -> None:
        """Say something, and check what the bot makes of it."""
        self.sandbox.post(text)
        bot.seen(f"answered {text}")
        with client_of(proxy) as client:
            assert Room(self.sandbox, client).quote(text) == f"price of {text}: 42\n".encode()

    def tokens_seen(self) -> set[str]:
        """The session tokens with which anybody has called so far."""
        return {token for call in self.sandbox.requests for token in call.values("sessionToken")}

    def wait_for_a_read_without(self, tokens: set[str]) -> None:
        """Wait until the bot's datafeed is read with another session token than these."""

        def held(requests: Sequence[Received]) -> bool:
            *_, last = (one for one in requests if one.path.endswith("/read"))
            return last.status is None and not tokens.issuperset(last.values("sessionToken"))

        self.sandbox.wait_for(held, 20)


@pytest.fixture
def stage(sandbox: Sandbox, machine: Path, junk_key: Path) -> Stage:
    return Stage(sandbox, machine, junk_key)


def held_by(bot: Child) -> set[str]:
    """Every token that the bot ever said to hold."""
    return {
        token
        for line in re.findall(r"^holds (.*)$", bot.output, re.MULTILINE)
        for token in line.split()
    }


@every_bot
def test_its_process_never_sees_a_real_token(
    stage: Stage, issued: list[tuple[str, str]], start: Start
) -> None:
    with stage.proxy() as proxy, start(stage.told) as bot:
        stage.answers(bot, proxy, "bonds")
        stage.sandbox.revoke(KEY_BOT)
        stage.answers(bot, proxy, "swaps")
        real = {token for _, token in issued}
        assert len(real) >= 4
        placeholders = held_by(bot)
        assert len(placeholders) == 2
        assert not placeholders & real
        signatures = {token[-64:] for token in real}
        assert held_in_memory(bot.pid, real | signatures | placeholders) == placeholders
    assert stage.sandbox.logins(TokenKind.SESSION, KEY_BOT) == 2


@every_bot
def test_it_does_not_notice_that_its_session_was_revoked(stage: Stage, start: Start) -> None:
    with stage.proxy() as proxy, start(stage.told) as bot:
        for text in ("bonds", "swaps", "futures"):
            stage.answers(bot, proxy, text)
            stage.sandbox.revoke(KEY_BOT)
        stage.answers(bot, proxy, "options")
        assert re.search(TRIES_AGAIN, bot.output) is None
        assert len(held_by(bot)) == 2


def key_manager_down(sandbox: Sandbox) -> None:
    sandbox.outage(Component.KEY_MANAGER)


def pod_answers_503(sandbox: Sandbox) -> None:
    sandbox.fail(Component.POD, status=503)


@every_bot
@pytest.mark.parametrize("trouble", [key_manager_down, pod_answers_503])
def test_it_goes_on_after_an_outage_in_which_its_session_died(
    stage: Stage,
    start: Start,
    trouble: Callable[[Sandbox], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told 503, as often as it asks, and that is what it asks again after."""
    monkeypatch.setattr(provider, "PATIENCE", 0.5)  # seconds; so long must an outage last
    sandbox = stage.sandbox
    with stage.proxy() as proxy, start(stage.told) as bot:
        stage.answers(bot, proxy, "bonds")
        before = stage.tokens_seen()
        trouble(sandbox)
        sandbox.revoke(KEY_BOT)
        sandbox.post("of its own, which it ignores", author=KEY_BOT)
        bot.seen(TRIES_AGAIN)
        sandbox.recover()
        stage.wait_for_a_read_without(before)
        stage.answers(bot, proxy, "swaps")


@every_bot
def test_it_goes_on_after_a_restart_of_the_proxy_with_the_tokens_that_it_has(
    stage: Stage, start: Start
) -> None:
    with ExitStack() as longer:
        with stage.proxy() as proxy:
            bot = longer.enter_context(start(stage.told))
            stage.answers(bot, proxy, "bonds")
            before = stage.tokens_seen()
        bot.seen(TRIES_AGAIN)
        with stage.proxy() as proxy:
            stage.wait_for_a_read_without(before)
            stage.answers(bot, proxy, "swaps")
            assert len(held_by(bot)) == 2
