"""`status`, `flush` and `reload` ask the proxy that runs, and nobody else can."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from support.environments import own_script
from support.processes import Child, environment, free_port, running
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.operations.control import socket_path
from symphony_auth_proxy.sandbox import Sandbox

PROGRAM = own_script("symphony-auth-proxy")


@dataclass(frozen=True)
class Running:
    """A proxy as a process, and those who ask it."""

    child: Child
    config: Path
    env: dict[str, str]

    def ask(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (PROGRAM, command, "--config", str(self.config), *arguments),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self) -> dict[str, object]:
        answer = self.ask("status", "--json")
        assert answer.returncode == 0, answer.stderr
        told: dict[str, object] = json.loads(answer.stdout)
        return told

    @property
    def socket(self) -> Path:
        return socket_path(self.config, self.env)


@pytest.fixture
def env() -> Iterator[dict[str, str]]:
    """With a state directory whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="sap-") as home:
        yield environment(Path(home))


@pytest.fixture
def proxy(sandbox: Sandbox, env: dict[str, str]) -> Iterator[Running]:
    serve = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    with running(*serve, env=env) as child:
        child.seen("Listening on ")
        yield Running(child, sandbox.config, env)


def logged_in(sandbox: Sandbox, logins: int = 1) -> None:
    sandbox.wait_for(lambda _: sandbox.logins(TokenKind.SESSION, "pricing-bot") >= logins)


def changed(config: Path, lines: str) -> None:
    text = config.read_text()
    config.write_text(text.replace("authProxy:\n", f"authProxy:\n{lines}"))


def test_status_shows_people_what_runs(proxy: Running, sandbox: Sandbox) -> None:
    proxy.child.seen("event=login_succeeded bot=compliance-bot kind=key_manager")

    shown = proxy.ask("status")

    assert (shown.returncode, shown.stderr) == (0, "")
    address = proxy.child.seen(r"Listening on (\S+) ")[1]
    assert re.search(rf"listens on +{address}\n", shown.stdout)
    assert re.search(r"proxy +\S+, ready\n", shown.stdout)
    for bot in ("pricing-bot", "compliance-bot"):
        assert bot in shown.stdout
    session = r"session token +fresh, #[0-9a-f]{4} gen 1, \d+ s old, expires in \d+ min, renewed"
    assert re.search(session, shown.stdout)
    assert re.search(r" UTC +\d+ s ago +pricing-bot, session token: logged in, #", shown.stdout)
    assert not any(
        value in shown.stdout
        for received in sandbox.requests
        for value in received.values("sessionToken")
    )


def test_who_watches_sees_it_change_and_go_and_leaves_with_ctrl_c(
    proxy: Running, sandbox: Sandbox
) -> None:
    proxy.child.seen("event=login_succeeded bot=compliance-bot kind=key_manager")
    watch = (PROGRAM, "status", "--watch", "--config", str(proxy.config))
    with running(*watch, env=proxy.env, terminal=True) as screen:
        screen.seen("gen 1")
        assert proxy.ask("flush", "--bot", "pricing-bot").returncode == 0
        screen.seen("not logged in")
        assert proxy.child.terminate() == 0
        screen.seen("no proxy runs with .* waiting for it")
        screen.signal(signal.SIGINT)
        assert screen.exit_code() == 0
        assert "Traceback" not in screen.output


def test_without_a_proxy_there_is_nothing_to_watch(sandbox: Sandbox, env: dict[str, str]) -> None:
    watch = (PROGRAM, "status", "--watch", "--config", str(sandbox.config))
    with running(*watch, env=env, terminal=True) as screen:
        assert screen.exit_code() == 1
        assert "no proxy runs" in screen.output


def test_only_its_owner_can_ask(proxy: Running) -> None:
    assert proxy.told()["ready"] in {True, False}
    assert stat.S_IMODE(proxy.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(proxy.socket.parent.stat().st_mode) == 0o700


def test_flush_lets_one_bot_log_in_anew(proxy: Running, sandbox: Sandbox) -> None:
    proxy.child.seen("event=login_succeeded bot=compliance-bot kind=key_manager")

    flushed = proxy.ask("flush", "--bot", "pricing-bot")

    assert (flushed.returncode, flushed.stdout) == (0, "Forgot the tokens of pricing-bot.\n")
    bots = proxy.told()["bots"]
    assert isinstance(bots, list)
    assert [bot["session"]["state"] for bot in bots] == ["empty", "fresh"]
    unknown = proxy.ask("flush", "--bot", "nobody")
    assert unknown.returncode == 1
    assert "known bots: pricing-bot, compliance-bot" in unknown.stderr
    every = proxy.ask("flush")
    assert every.stdout == "Forgot the tokens of pricing-bot, compliance-bot.\n"


def test_reload_takes_a_good_file_and_tells_what_changed(proxy: Running, sandbox: Sandbox) -> None:
    logged_in(sandbox)
    port = free_port()
    changed(sandbox.config, f"  otherHosts: refuse\n  admin: {{listen: '127.0.0.1:{port}'}}\n")

    reloaded = proxy.ask("reload")

    assert (reloaded.returncode, reloaded.stderr) == (0, "")
    assert sorted(reloaded.stdout.splitlines()) == [
        f"admin.listen: unset → 127.0.0.1:{port}",
        "otherHosts: passthrough → refuse",
    ]
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'symphony_auth_proxy_config_reloads_total{result="taken"} 1.0' in metrics
    assert proxy.ask("reload").stdout == "nothing has changed\n"
    assert sandbox.logins(TokenKind.SESSION, "pricing-bot") == 1, "tokens outlive a reload"


def test_reload_lists_all_problems_of_a_bad_file_and_keeps_the_old_one(
    proxy: Running, sandbox: Sandbox
) -> None:
    good = sandbox.config.read_text()
    changed(sandbox.config, "  otherHosts: perhaps\n  drainSeconds: -1\n")

    refused = proxy.ask("reload")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "authProxy.otherHosts" in refused.stderr
    assert "authProxy.drainSeconds" in refused.stderr
    assert "the old configuration stays" in refused.stderr
    told = proxy.told()
    assert [bot["bot"] for bot in told["bots"]] == ["pricing-bot", "compliance-bot"]  # type: ignore[attr-defined]
    sandbox.config.write_text(good)
    assert proxy.ask("reload").returncode == 0


def test_an_admin_port_that_is_taken_does_not_end_a_running_proxy(
    proxy: Running, sandbox: Sandbox
) -> None:
    taken = sandbox.origin(Component.AGENT).port
    changed(sandbox.config, f"  admin: {{listen: '127.0.0.1:{taken}'}}\n")

    told = proxy.ask("reload")

    assert "admin.listen is not available: Address already in use" in told.stdout
    assert proxy.told()["draining"] is False


def test_sighup_reloads(proxy: Running, sandbox: Sandbox) -> None:
    changed(sandbox.config, "  drainSeconds: 7\n")
    proxy.child.signal(signal.SIGHUP)
    proxy.child.seen("Reloaded: drainSeconds: 25 → 7")

    changed(sandbox.config, "  unheardOf: 1\n")
    proxy.child.signal(signal.SIGHUP)
    proxy.child.seen("unheardOf")
    proxy.child.seen("The old configuration stays")

    assert proxy.told()["draining"] is False


def test_a_second_proxy_with_the_same_file_runs_and_leaves_the_first_its_socket(
    proxy: Running, sandbox: Sandbox
) -> None:
    first = proxy.told()["listeners"]
    serve = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    with running(*serve, env=proxy.env) as second:
        second.seen("WARNING No `status`, `flush` and `reload` for this proxy: another proxy")
        second.seen("Listening on ")
        assert proxy.told()["listeners"] == first
        assert second.terminate() == 0
    assert proxy.told()["listeners"] == first


def test_the_socket_goes_with_the_proxy_and_who_asks_is_told(proxy: Running) -> None:
    assert proxy.socket.exists()
    assert proxy.child.terminate() == 0

    assert not proxy.socket.exists()
    for command in ("status", "flush", "reload"):
        answer = proxy.ask(command)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert f"no proxy runs with {proxy.config}" in answer.stderr
        assert f"symphony-auth-proxy serve --config {proxy.config}" in answer.stderr


def test_a_proxy_that_was_killed_is_no_obstacle(proxy: Running, sandbox: Sandbox) -> None:
    proxy.child.signal(signal.SIGKILL)
    proxy.child.exit_code()
    assert proxy.socket.exists()
    assert "no proxy runs" in proxy.ask("status").stderr

    serve = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    with running(*serve, env=proxy.env) as child:
        child.seen("Listening on ")
        assert Running(child, sandbox.config, proxy.env).told()["draining"] is False


def test_where_nothing_can_be_written_it_runs_without(
    sandbox: Sandbox, env: dict[str, str]
) -> None:
    """As in a container with a read-only root."""
    nowhere = Path(env["HOME"], "file")
    nowhere.touch()
    serve = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    with running(*serve, env=env | {"XDG_STATE_HOME": str(nowhere)}) as child:
        child.seen("WARNING No `status`, `flush` and `reload` for this proxy: cannot listen on")
        child.seen("Listening on ")
        assert child.terminate() == 0
