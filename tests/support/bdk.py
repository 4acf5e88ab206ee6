"""Bots written with the official BDK for Python, as processes in environments of their own.

A bot's configuration is what a person would write: its own key, and the proxy as `proxy:`
with the proxy's CA as `ssl.trustStore`. Where the proxy answers logins, that key is one that
Symphony has never seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.clients import Told
from support.configuration import change
from support.environments import python_with
from support.processes import Child, environment, running
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Received, Sandbox

VERSIONS = ("2.11.4", "3.0.0")

_QUOTES = Path(__file__).parents[1] / "clients" / "bots" / "quotes.py"
_LOGINS = {
    "/login/pubkey/authenticate": TokenKind.SESSION,
    "/relay/pubkey/authenticate": TokenKind.KEY_MANAGER,
    "/sessionauth/v1/authenticate": TokenKind.SESSION,
    "/keyauth/v1/authenticate": TokenKind.KEY_MANAGER,
}


def python_of(version: str) -> str:
    """The interpreter that has the BDK in this version."""
    return python_with(f"symphony-bdk-python=={version}")


def bot_config(told: Told) -> Path:
    """Write the `bot.yaml` of the sandbox's bot with a key."""
    config = told.directory / "bot.yaml"
    config.write_bytes(told.sandbox.config.read_bytes())
    with change(config) as document:
        del document["authProxy"]
        document["proxy"] = {"host": "127.0.0.1", "port": told.proxy_port}
        if told.user is not None:
            document["proxy"] |= {"username": told.user, "password": told.password}
        document["ssl"]["trustStore"]["path"] = str(told.ca)
        if told.key is not None:
            document["bot"]["privateKey"]["path"] = str(told.key)
        # A test need not wait as long as a bot should before it tries again.
        retry = {"initialIntervalMillis": 50, "multiplier": 1, "maxIntervalMillis": 100}
        document["retry"] = retry
        # Its datafeed never gives up, unless it is told how long to pause and not this.
        document["datafeed"] = {"version": "v2", "retry": {"maxAttempts": -1, **retry}}
    return config


@contextmanager
def quotes(version: str, sandbox: Sandbox, proxy_port: int, proxy_ca: Path) -> Iterator[Child]:
    """Run the bot that answers every message, with its own valid key; yields it once it
    waits for events."""
    # The BDK takes its own keys' paths relative to the working directory.
    with quotes_told(version, Told(sandbox.directory, sandbox, proxy_port, proxy_ca)) as bot:
        yield bot


@contextmanager
def quotes_told(version: str, told: Told) -> Iterator[Child]:
    """Run it as told. What it has done, it writes: `received X` and then `answered X`; its
    BDK's log stands in between."""
    command = (python_of(version), str(_QUOTES), bot_config(told).name)
    with running(*command, env=environment(told.directory), cwd=told.directory) as bot:
        told.sandbox.wait_for(waits_for_events, 30)
        yield bot


def waits_for_events(requests: Sequence[Received]) -> bool:
    """Whether the bot's datafeed holds a read: one in the session that was accepted last.

    (A read in a session that has died is about to be refused, however short that takes. And
    tokens that die before anybody accepted them are another story: the proxy pauses then.)
    """
    its = [one for one in requests if _is_the_bots(one) and one.path.startswith("/agent/")]
    reads = [one for one in its if one.path.endswith("/read")]
    accepted = [one for one in its if one.status in {200, 201}]
    return (
        bool(reads and accepted)
        and reads[-1].status is None
        and reads[-1].values("sessionToken") == accepted[-1].values("sessionToken")
    )


def own_logins(sandbox: Sandbox, kind: TokenKind) -> int:
    """Count the logins that the bot itself made; the proxy logs the same bot in as well."""
    return sum(
        _LOGINS.get(request.path) is kind and request.status == 200 and _is_the_bots(request)
        for request in sandbox.requests
    )


def proxys_logins(sandbox: Sandbox, kind: TokenKind) -> int:
    return sandbox.logins(kind, KEY_BOT) - own_logins(sandbox, kind)


def _is_the_bots(request: Received) -> bool:
    return any(agent.startswith("Symphony-BDK-Python/") for agent in request.values("User-Agent"))
