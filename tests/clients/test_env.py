"""`eval "$(symphony-auth-proxy env)"`: a shell is told of the proxy that runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from support.configuration import change
from support.environments import own_script, program
from support.processes import Child, environment, free_port, running
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

PROGRAM = own_script("symphony-auth-proxy")
PASSWORD = "the password of the desk"
CALL = f'eval "$({PROGRAM} env --config "$1")" && curl -sS "$2"'


@pytest.fixture
def serving(sandbox: Sandbox) -> Iterator[Child]:
    serve = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    with running(*serve, env=environment(sandbox.directory)) as child:
        yield child


@pytest.fixture
def guarded(sandbox: Sandbox) -> Sandbox:
    (sandbox.directory / "desk").write_text(PASSWORD)
    (sandbox.directory / "desk").chmod(0o600)
    with change(sandbox.config) as document:
        client = {"name": "desk", "passwordFile": "desk", "bots": [KEY_BOT]}
        document["authProxy"]["clients"] = [client]
    return sandbox


def shell(sandbox: Sandbox, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    url = sandbox.url(Component.POD) + "/pod/v2/sessioninfo"
    return subprocess.run(
        (program("sh"), "-c", script, "sh", str(sandbox.config), url),
        env=environment(sandbox.directory, **variables),
        cwd=sandbox.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def env(sandbox: Sandbox, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (PROGRAM, "env", "--config", str(sandbox.config), *arguments),
        env=environment(sandbox.directory, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_shell_that_takes_it_in_speaks_as_the_bot(sandbox: Sandbox, serving: Child) -> None:
    serving.seen("Listening on ")
    ended = shell(sandbox, CALL)
    assert json.loads(ended.stdout)["username"] == KEY_BOT
    assert ended.stderr == ""


def test_what_a_shell_had_is_forgotten_where_it_would_lead_past_the_proxy(
    sandbox: Sandbox, serving: Child
) -> None:
    serving.seen("Listening on ")
    assert json.loads(shell(sandbox, CALL, NO_PROXY="localhost").stdout)["username"] == KEY_BOT


def test_the_password_is_put_in_by_the_shell(guarded: Sandbox, serving: Child) -> None:
    serving.seen("Listening on ")
    told = env(guarded)
    assert PASSWORD not in told.stdout + told.stderr
    assert "SYMPHONY_PROXY_PASSWORD" in told.stderr
    encoded = PASSWORD.replace(" ", "%20")
    ended = shell(guarded, CALL, SYMPHONY_PROXY_PASSWORD=encoded)
    assert json.loads(ended.stdout)["username"] == KEY_BOT
    assert "407" in shell(guarded, CALL, SYMPHONY_PROXY_PASSWORD="wrong").stderr


def test_without_a_running_proxy_it_tells_of_the_one_that_the_file_describes(
    sandbox: Sandbox,
) -> None:
    port = free_port()
    with change(sandbox.config) as document:
        document["authProxy"]["listen"] = f"127.0.0.1:{port}"
    told = env(sandbox)
    assert f"export HTTPS_PROXY=http://127.0.0.1:{port}\n" in told.stdout
    assert "no proxy runs" in told.stderr


def test_without_both_it_fails(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["listen"] = "127.0.0.1:0"
    told = env(sandbox)
    assert (told.returncode, told.stdout) == (1, "")


def test_fish_has_words_of_its_own(guarded: Sandbox) -> None:
    lines = env(guarded, "--shell", "fish").stdout.splitlines()
    assert "set -gx NODE_USE_ENV_PROXY '1'" in lines
    assert "set -e NO_PROXY" in lines
    (proxy,) = [line for line in lines if line.startswith("set -gx HTTPS_PROXY ")]
    assert "'http://desk:'\"$SYMPHONY_PROXY_PASSWORD\"'@127.0.0.1:" in proxy


def test_a_value_is_never_read_as_a_command(sandbox: Sandbox) -> None:
    strange = "'; touch pwned; '\" `touch pwned` $(touch pwned) \\"
    script = f'eval "$({PROGRAM} env --config "$1")" && printf %s "$JAVA_TOOL_OPTIONS"'
    ended = shell(sandbox, script, JAVA_TOOL_OPTIONS=f"-Dstrange={strange}")
    assert ended.returncode == 0, ended.stderr
    assert strange in ended.stdout
    assert not (sandbox.directory / "pwned").exists()


def test_taking_it_in_twice_is_as_good_as_once(sandbox: Sandbox) -> None:
    once = f'eval "$({PROGRAM} env --config "$1" 2>/dev/null)"'
    first, second = (
        shell(sandbox, f"{script}; env").stdout for script in (once, f"{once}; {once}")
    )
    assert first == second
