"""`status`, `flush` and `reload` as people read them."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from symphony_auth_proxy.cli import cli
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.operations.control import ControlSocket, NoProxyRuns, socket_path

CONFIG = Path("config.yaml")


def token(**changes: Any) -> dict[str, Any]:
    facts = {
        "kind": "session",
        "state": "fresh",
        "generation": 2,
        "logging_in": False,
        "age": 65.4,
        "expires_in": 3000.0,
        "fingerprint": "7f3a",
        "trouble": None,
        "retry_in": None,
    }
    return facts | changes


def told(**changes: Any) -> dict[str, Any]:
    facts = {
        "version": "1.2.3",
        "since": 1_700_000_000.0,
        "uptime": 90_061.0,
        "ca_certificate": "certs/ca/mitmproxy-ca-cert.pem",
        "config": "config.yaml",
        "listeners": ["127.0.0.1:8080", "127.0.0.1:8081"],
        "clients": [],
        "bots": [],
        "users": 0,
        "decisions": {"injected": 3, "refused": 1},
        "draining": False,
        "trouble": None,
        "ready": True,
        "reasons": [],
    }
    return facts | changes


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="sap-") as directory:
        monkeypatch.setenv("XDG_STATE_HOME", directory)
        yield


@contextmanager
def answering(result: dict[str, Any] | SymphonyAuthProxyError) -> Iterator[list[dict[str, Any]]]:
    """A proxy that gives this answer to everything, and what it was asked."""
    asked: list[dict[str, Any]] = []
    started, stop = threading.Event(), threading.Event()

    async def handle(arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(dict(arguments))
        if isinstance(result, SymphonyAuthProxyError):
            raise result
        return result

    async def main() -> None:
        server = ControlSocket(
            socket_path(CONFIG), dict.fromkeys(("status", "flush", "reload"), handle)
        )
        await server.open()
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(10)
    try:
        yield asked
    finally:
        stop.set()
        thread.join(10)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(CONFIG)])


def test_status_is_a_page_for_people() -> None:
    bots = [
        {
            "bot": "pricing-bot",
            "session": token(),
            "key_manager": token(state="not_required", age=None, expires_in=None, fingerprint=None),
            "users": 2,
        },
        {
            "bot": "compliance-bot",
            "session": token(
                state="empty",
                age=None,
                expires_in=None,
                fingerprint=None,
                trouble="login_rejected: the pod refuses the certificate",
                retry_in=119.6,
            ),
            "key_manager": token(state="stale", expires_in=None, logging_in=True, retry_in=5.0),
            "users": 0,
        },
    ]
    with answering(told(bots=bots, clients=["pricing", "risk"])):
        shown = invoke("status")

    assert shown.exit_code == 0
    assert (
        shown.output
        == """\
  proxy               1.2.3, ready
  since               2023-11-14 22:13:20 UTC, for 1 day, 1:01:01
  listens on          127.0.0.1:8080, 127.0.0.1:8081
  clients             pricing, risk
  clients trust       certs/ca/mitmproxy-ca-cert.pem
  requests            3 injected, 1 refused

pricing-bot
  session token       fresh, #7f3a gen 2, 0:01:05 old, expires in 0:50:00
  key manager token   not required
  on behalf of        2 users

compliance-bot
  session token       empty, next login in 0:02:00
                      login_rejected: the pod refuses the certificate
  key manager token   stale, #7f3a gen 2, 0:01:05 old, logging in now
"""
    )


def test_a_proxy_that_is_not_ready_says_why() -> None:
    with answering(told(ready=False, reasons=["the proxy is stopping"], listeners=[])):
        shown = invoke("status")

    assert "1.2.3, not ready: the proxy is stopping\n" in shown.output
    assert "listens on          nothing\n" in shown.output
    assert "clients             whoever reaches it\n" in shown.output


def test_programs_get_one_line_of_json() -> None:
    with answering(told()):
        shown = invoke("status", "--json")

    assert json.loads(shown.output) == told()
    assert shown.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "asked"), [((), {"bot": None}), (("--bot", "risk"), {"bot": "risk"})]
)
def test_flush_asks_for_one_bot_or_for_all(
    arguments: tuple[str, ...], asked: dict[str, Any]
) -> None:
    with answering({"flushed": ["one", "two"]}) as seen:
        shown = invoke("flush", *arguments)

    assert shown.output == "Forgot the tokens of one, two.\n"
    assert seen == [asked]


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        (["bot x: new", "listen: a → b"], "bot x: new\nlisten: a → b\n"),
        ([], "nothing has changed\n"),
    ],
)
def test_reload_lists_what_changed(changes: list[str], output: str) -> None:
    with answering({"changes": changes}):
        assert invoke("reload").output == output


@pytest.mark.parametrize("command", ["status", "flush", "reload"])
def test_without_a_proxy_each_of_them_ends_with_an_error(command: str) -> None:
    result = invoke(command)

    assert result.output == ""
    assert isinstance(result.exception, NoProxyRuns)


def test_what_the_proxy_refuses_is_an_error() -> None:
    with answering(SymphonyAuthProxyError("config.yaml has 2 problems", hint="correct this")):
        result = invoke("reload")

    assert result.output == ""
    assert str(result.exception) == "config.yaml has 2 problems"
