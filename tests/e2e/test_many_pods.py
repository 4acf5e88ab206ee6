"""Two pods stand side by side behind one proxy; a bot's tokens stay at its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pki import rsa_key
from support.clients import client_of
from support.configuration import change
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

SESSION_INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
BOT, NEIGHBOUR = "pricing-bot", "neighbour-bot"


@dataclass(frozen=True)
class Neighbours:
    here: Sandbox
    there: Sandbox
    proxy: Proxy


@pytest.fixture
def neighbours(prepared_directory: Path, tmp_path: Path) -> Iterator[Neighbours]:
    """Two installations, each with a bot that the other does not know."""
    with ExitStack() as stack:
        here, there = (
            stack.enter_context(Sandbox(shutil.copytree(prepared_directory, tmp_path / name)))
            for name in ("here", "there")
        )
        there.add_bot(NEIGHBOUR, public_key_pem(rsa_key()).decode())
        key = there.directory / "neighbour.pem"
        key.touch(0o600)
        key.write_bytes(private_key_pem(rsa_key()))
        with change(here.config) as document:
            document["authProxy"]["bots"] = [
                {"username": NEIGHBOUR, "privateKey": {"path": str(key)}, **place_of(there)}
            ]
        confdir = here.directory / "proxy-ca"
        proxy = stack.enter_context(running_proxy(here.config, confdir))
        yield Neighbours(here, there, proxy)


def place_of(pod: Sandbox) -> dict[str, Any]:
    """Where a pod is, as a bot with a place of its own says it."""
    at = {one: {"host": pod.origin(one).host, "port": pod.origin(one).port} for one in Component}
    root = at.pop(Component.POD)
    return root | {one.value: place for one, place in at.items()}


def test_each_pod_gets_the_tokens_of_its_own_bot(neighbours: Neighbours) -> None:
    with client_of(neighbours.proxy) as http:
        for pod, bot in ((neighbours.here, BOT), (neighbours.there, NEIGHBOUR)):
            info = http.get(pod.url(Component.POD) + SESSION_INFO)
            assert info.json()["username"] == bot
            echo = http.post(pod.url(Component.AGENT) + ECHO, json={"message": bot})
            assert echo.json() == {"message": bot}
    issued = [tokens_seen_at(pod) for pod in (neighbours.here, neighbours.there)]
    assert all(issued)
    assert not issued[0] & issued[1]


def test_a_bot_has_no_business_at_another_pod(neighbours: Neighbours) -> None:
    with client_of(neighbours.proxy) as http:
        for bot, own, other in (
            (BOT, neighbours.here, neighbours.there),
            (NEIGHBOUR, neighbours.there, neighbours.here),
        ):
            headers = {"Symphony-Bot": bot}
            assert http.get(own.url(Component.POD) + SESSION_INFO, headers=headers).is_success
            (token,) = tokens_seen_at(own)
            http.get(other.url(Component.POD) + SESSION_INFO, headers=headers)
            http.post(other.url(Component.AGENT) + ECHO, headers=headers, json={"message": "x"})
            assert token not in repr([r.headers for r in other.requests])


def tokens_seen_at(pod: Sandbox) -> set[str]:
    calls = [r for r in pod.requests if r.path in {SESSION_INFO, ECHO}]
    return {token for call in calls for token in call.values("sessionToken")}
