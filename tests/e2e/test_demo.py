"""The demo tells a story that holds, says so when it does not, and leaves nothing behind."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from support.environments import own_script
from symphony_auth_proxy.cli import demo as command
from symphony_auth_proxy.cli.demo import demo
from symphony_auth_proxy.demo import STEPS, TOKEN_HEADERS, Step
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox

PROGRAM = own_script("symphony-auth-proxy")

type Tell = Callable[[type[Sandbox]], Result]


@pytest.fixture
def directory(prepared_directory: Path, tmp_path: Path) -> Path:
    """A directory with keys, so that none have to be made."""
    return shutil.copytree(prepared_directory, tmp_path / "symphony")


@pytest.fixture
def tell(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Run the story in this process, on a sandbox of the test's choice."""

    def run(sandbox: type[Sandbox]) -> Result:
        monkeypatch.setattr(command, "Sandbox", sandbox)
        return CliRunner().invoke(demo, ["--once", "--directory", str(directory)])

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_story_holds_on_an_empty_machine(tmp_path: Path) -> None:
    told = subprocess.run(
        [PROGRAM, "demo", "--once"],
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (told.returncode, told.stderr) == (0, "")
    positions = [
        told.stdout.index(f"{number}  {step.title}") for number, step in enumerate(STEPS, 1)
    ]
    assert positions == sorted(positions)
    assert "/agent/v1/util/echo → 401" in told.stdout
    for name in TOKEN_HEADERS:
        assert re.search(rf"\+ {name}: \[sealed {KEY_BOT} #[0-9a-f]{{4}}\]", told.stdout)
    assert f"the pod says {CERTIFICATE_BOT}" in told.stdout
    assert told.stdout.count("1 session login, 1 key manager login") == 2
    assert f"All {len(STEPS)} steps held" in told.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_told_or_logged(tell: Tell, directory: Path) -> None:
    seen: list[Sandbox] = []

    class Remembered(Sandbox):
        def __enter__(self) -> Self:
            seen.append(self)
            return super().__enter__()

    told = tell(Remembered)

    assert told.exit_code == 0, told.output
    tokens = {
        value
        for request in seen[0].requests
        for name in TOKEN_HEADERS
        for value in request.values(name)
    }
    assert len(tokens) >= 4  # both kinds, before the session was revoked and after
    key = (directory / f"{KEY_BOT}.pem").read_text().splitlines()[3]
    password = (directory / f"{CERTIFICATE_BOT}.password").read_text()
    published = told.output + (directory / "proxy.log").read_text()
    assert not [secret for secret in (*tokens, key, password) if secret[-40:] in published]


class AgentOutOfOrder(Sandbox):
    def __enter__(self) -> Self:
        super().__enter__()
        self.fail(Component.AGENT, status=500)
        return self


class ClockAhead(Sandbox):
    def __enter__(self) -> Self:
        super().__enter__()
        self.set_clock_offset(3600)
        return self


class WithoutCertificateLogin(Sandbox):
    def __enter__(self) -> Self:
        super().__enter__()
        self.add_bot(CERTIFICATE_BOT)
        return self


class CountsOneLoginMore(Sandbox):
    def logins(self, *of: Any) -> int:
        return super().logins(*of) + 1


class RevokesNothing(Sandbox):
    def revoke(self, *_of: Any) -> int:
        return 0


@pytest.mark.parametrize(
    ("sandbox", "step", "why"),
    [
        (AgentOutOfOrder, STEPS[0], "500"),
        (ClockAhead, STEPS[1], "clock_skew"),
        (WithoutCertificateLogin, STEPS[2], "login_rejected"),
        (CountsOneLoginMore, STEPS[3], "2 session login"),
        (RevokesNothing, STEPS[4], "answered 200, not 401 and then 200"),
    ],
)
def test_a_step_that_does_not_hold_is_named_with_its_reason(
    tell: Tell, sandbox: type[Sandbox], step: Step, why: str
) -> None:
    told = tell(sandbox)

    assert told.exit_code == 1
    verdict = told.output.partition("Error: ")[2]
    assert f"«{step.title}», does not hold" in verdict
    assert why in verdict
    assert "steps held" not in told.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_until_it_is_stopped_and_its_lines_can_be_copied(
    directory: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [PROGRAM, "demo", "--directory", str(directory)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line.strip())
            if " serve --web " in line:
                break
        curls = [line for line in lines if line.startswith("curl ")]
        answers = [
            subprocess.check_output(f"{curl} --silent --show-error", shell=True, text=True)  # noqa: S602 (as a user copies it)
            for curl in curls
        ]
        running.send_signal(number)
        code = running.wait(60)

    assert code == 0
    assert lines[-1].startswith(f"{PROGRAM} serve --web --config {directory / 'config.yaml'}")
    assert "hello" in answers[0]
    assert f'"username": "{CERTIFICATE_BOT}"' in answers[1]
    stopped = subprocess.run(curls[0], shell=True, capture_output=True, check=False)  # noqa: S602 (as above)
    assert stopped.returncode == 7  # curl: could not connect


def test_a_proxy_that_does_not_start_is_reported_in_its_own_words(
    tell: Tell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))

    told = tell(Sandbox)

    assert told.exit_code == 1
    assert "the proxy did not start" in told.output
    assert "SSLKEYLOGFILE" in told.output
