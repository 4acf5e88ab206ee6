"""Stopping loses no request."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from support.clients import client_of
from support.proxy import running_proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

ECHO = "/agent/v1/util/echo"


def test_requests_in_flight_are_finished_before_the_proxy_stops(
    sandbox: Sandbox, confdir: Path
) -> None:
    sandbox.slow(Component.AGENT, 1.0)
    answers: list[httpx.Response] = []
    with running_proxy(sandbox.config, confdir) as proxy, client_of(proxy) as client:

        def call() -> None:
            url = sandbox.url(Component.AGENT) + ECHO
            answers.append(client.post(url, json={"message": "x" * 500_000}))

        caller = threading.Thread(target=call)
        caller.start()
        sandbox.wait_for(lambda arrived: any(r.path == ECHO for r in arrived))
        proxy.stop()
        caller.join(20)
    assert [answer.status_code for answer in answers] == [200]
    assert len(answers[0].json()["message"]) == 500_000


@pytest.mark.parametrize("healed", [False, True])
def test_a_long_poll_is_told_to_come_back(
    sandbox: Sandbox, confdir: Path, prepared: Path, healed: bool
) -> None:
    """Also one that was sent a second time after its session had died."""
    config = prepared / "short-drain.yaml"
    config.write_text(
        sandbox.config.read_text().replace("authProxy:\n", "authProxy:\n  drainSeconds: 0.2\n")
    )
    answers: list[httpx.Response] = []
    with running_proxy(config, confdir) as proxy, client_of(proxy) as client:
        feeds = f"{sandbox.url(Component.AGENT)}/agent/v5/datafeeds"
        feed = client.post(feeds).json()["id"]

        def read() -> None:
            answers.append(client.post(f"{feeds}/{feed}/read", json={"ackId": ""}))

        if healed:
            sandbox.revoke("pricing-bot")
        reader = threading.Thread(target=read)
        reader.start()
        reads = 2 if healed else 1
        sandbox.wait_for(
            lambda arrived: len([r for r in arrived if r.path.endswith("/read")]) == reads
        )
        proxy.stop()
        reader.join(20)
    [answer] = answers
    assert (answer.status_code, answer.json()["details"]["reason"]) == (503, "draining")
    assert int(answer.headers["Retry-After"]) >= 1
