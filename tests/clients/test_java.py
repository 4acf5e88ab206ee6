"""The JDK's own client and a proxy that wants a password: it sends none before it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.matrix import java_command
from clients.stage import told
from support.processes import environment, running
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

REFUSED = "event=refused reason=client_unknown"


def calls(sandbox: Sandbox) -> list[str]:
    """What reached Symphony, the proxy's own logins left out."""
    return [call.path for call in sandbox.requests if not call.path.endswith("/authenticate")]


def test_it_answers_the_challenge_with_its_password(
    sandbox: Sandbox, machine: Path, junk_key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with told(sandbox, machine, junk_key, user="pricing") as client:
        user = {"PROXY_USER": "pricing", "PROXY_PASSWORD": client.password}
        with running(*java_command(client), env=environment(machine, **user), cwd=machine) as java:
            assert java.exit_code(60) == 0, java.output
    assert f'"username":"{KEY_BOT}"' in java.output.replace(" ", "")
    assert REFUSED in caplog.text
    assert len(calls(sandbox)) == 2


@pytest.mark.parametrize("password", ["a-wrong-password", None])
def test_without_the_right_password_nothing_reaches_symphony(
    sandbox: Sandbox,
    machine: Path,
    junk_key: Path,
    caplog: pytest.LogCaptureFixture,
    password: str | None,
) -> None:
    with told(sandbox, machine, junk_key, user="pricing") as client:
        user = {"PROXY_USER": "pricing", "PROXY_PASSWORD": password} if password else {}
        with running(*java_command(client), env=environment(machine, **user), cwd=machine) as java:
            java.exit_code(60)
    assert KEY_BOT not in java.output
    assert REFUSED in caplog.text
    assert calls(sandbox) == []


def test_a_tunnel_takes_no_password_unless_java_is_told_so(
    sandbox: Sandbox, machine: Path, junk_key: Path
) -> None:
    """Why the README names the property: Java leaves Basic out of tunnels by default."""
    with told(sandbox, machine, junk_key, user="pricing") as client:
        user = {"PROXY_USER": "pricing", "PROXY_PASSWORD": client.password}
        as_it_comes = java_command(client, **{"jdk.http.auth.tunneling.disabledSchemes": "Basic"})
        with running(*as_it_comes, env=environment(machine, **user), cwd=machine) as java:
            java.exit_code(60)
    assert KEY_BOT not in java.output
    assert calls(sandbox) == []
