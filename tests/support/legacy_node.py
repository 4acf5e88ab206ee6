"""Bots written with the older client for Node, which has been at the end of its life for
years and in use all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.clients import Told
from support.environments import node_modules_with, program
from support.processes import Child, environment, running
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT

VERSION = "1.1.4"

_QUOTES = Path(__file__).parents[1] / "clients" / "bots" / "quotes.cjs"
_COMPONENTS = {
    "sessionAuth": Component.SESSION_AUTH,
    "keyAuth": Component.KEY_MANAGER,
    "pod": Component.POD,
    "agent": Component.AGENT,
}


def bot_config(told: Told) -> Path:
    """Write its `config.json`: flat, and with the key manager's proxy apart from the others'."""
    assert told.key is not None
    document = {
        "authType": "rsa",
        "botUsername": KEY_BOT,
        "botPrivateKeyPath": f"{told.key.parent}/",
        "botPrivateKeyName": told.key.name,
        # Seconds; it doubles its pauses up to here.
        "maxWaitInterval": 1,
    }
    for name, component in _COMPONENTS.items():
        origin = told.sandbox.origin(component)
        document |= {f"{name}Host": origin.host, f"{name}Port": origin.port}
    for prefix in ("proxy", "keyManagerProxy"):
        document[f"{prefix}URL"] = f"http://127.0.0.1:{told.proxy_port}"
        if told.user is not None:
            document |= {f"{prefix}Username": told.user, f"{prefix}Password": told.password}
    config = told.directory / "config.json"
    config.write_text(json.dumps(document))
    return config


def variables(told: Told) -> dict[str, str]:
    """The variables that it needs."""
    modules = node_modules_with(f"symphony-api-client-node@{VERSION}")
    return {"NODE_PATH": str(modules), "NODE_EXTRA_CA_CERTS": str(told.ca)}


@contextmanager
def quotes(told: Told) -> Iterator[Child]:
    """Run the bot that answers every message; yields it once it reads its datafeed."""
    command = (program("node"), str(_QUOTES), bot_config(told).name)
    env = environment(told.directory, **variables(told))
    with running(*command, env=env, cwd=told.directory) as bot:
        told.sandbox.wait_for(
            lambda requests: any(
                one.path.endswith("/read") and one.status is None for one in requests
            ),
            30,
        )
        yield bot
