"""`doctor` against a running Symphony: what it says, how it ends, and what it never shows."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loopback import run
from pki import rsa_key
from support.broken import black_hole
from support.canaries import canaries_of, issuing_noted
from support.configuration import change
from support.wire import connect_proxy
from symphony_auth_proxy import config
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.cli import cli
from symphony_auth_proxy.clock import SystemClock
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Area, Finding, Level, Report, examine
from symphony_auth_proxy.doctor.visits import ALL_SECONDS
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, FaultKind, Sandbox


def doctor(sandbox: Sandbox, *arguments: str, **environ: str) -> Result:
    told = ["doctor", "--config", str(sandbox.config), *arguments]
    return CliRunner().invoke(cli, told, env=environ)


def report(sandbox: Sandbox, **how: object) -> Report:
    return run(examine(sandbox.config, **how))  # type: ignore[arg-type]


def about(found: Report, area: Area, level: Level | None = None) -> list[Finding]:
    return [one for one in found.findings if one.area is area and level in {None, one.level}]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine's, whose hints would be right in these tests, too."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


# All is well.


def test_a_sandbox_that_works_is_well_in_every_area(sandbox: Sandbox) -> None:
    authority.ensure(sandbox.directory / "own-ca", ["localhost"])
    with change(sandbox.config) as document:
        document["authProxy"]["ca"]["directory"] = "own-ca"
    found = report(sandbox)
    assert found.healthy
    assert found.cause is None
    assert {one.area for one in found.findings} == set(Area)
    # The tests' own keys are short, and this machine's programs know nothing of the CA.
    complaints = {one.diagnosis for one in found.findings if one.level is not Level.OK}
    assert complaints <= {Diagnosis.KEY_LENGTH, Diagnosis.CA_NOT_TRUSTED_HERE, None}
    assert "Agent-24.12" in about(found, Area.SERVICES)[1].what
    logins = about(found, Area.LOGINS)
    assert [one.subject for one in logins] == [KEY_BOT] * 3 + [CERTIFICATE_BOT] * 3
    assert "sub=pricing-bot" in logins[0].what
    assert sandbox.logins() == 4, "one real login for each token of each bot"


def test_it_ends_with_0_and_says_so_in_one_sentence(sandbox: Sandbox) -> None:
    result = doctor(sandbox)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("In short all well")
    assert "\x1b" not in result.output
    assert "eyJ" not in result.output


def test_json_is_all_that_is_printed_for_programs(sandbox: Sandbox) -> None:
    result = doctor(sandbox, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["healthy"], told["cause"]) == (0, True, None)
    assert {one["area"] for one in told["findings"]} >= {"hosts", "clock", "services", "logins"}
    assert result.stderr == ""


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}])
def test_colours_are_for_terminals_and_only_where_they_are_wanted(
    sandbox: Sandbox, variables: dict[str, str]
) -> None:
    output = doctor(sandbox, "--offline", **variables).output
    assert ("\x1b[32m" in output) is ("NO_COLOR" not in variables)


def test_offline_makes_no_connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    result = CliRunner().invoke(
        cli, ["doctor", "--config", str(sandbox.config), "--offline"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "not asked, and no bot logged in: --offline" in result.output
    assert result.output.splitlines()[-1].startswith("In short the files are all well")
    assert sandbox.requests == ()


def test_nothing_is_changed(sandbox: Sandbox) -> None:
    before = {path: path.stat().st_mtime_ns for path in sandbox.directory.rglob("*")}
    doctor(sandbox)
    assert {path: path.stat().st_mtime_ns for path in sandbox.directory.rglob("*")} == before


def test_progress_is_told_in_the_order_of_what_is_done(sandbox: Sandbox) -> None:
    doing: list[str] = []
    told: list[Finding] = []
    found = report(sandbox, doing=doing.append, tell=told.append)
    assert tuple(told) == found.findings
    assert doing[0] == "reading the configuration"
    assert any(one.startswith("asking localhost:") for one in doing)
    assert f"logging {KEY_BOT} and {CERTIFICATE_BOT} in" in doing


# Something is wrong.


def test_a_configuration_that_cannot_be_used_is_told_as_serve_tells_it(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["lisen"] = "127.0.0.1:1"
        document["bot"].pop("username")
    result = doctor(sandbox)
    assert result.exit_code == 78
    with pytest.raises(ConfigError) as of_serve:
        config.load(sandbox.config)
    assert len(of_serve.value.problems) == 2
    for problem in of_serve.value.problems:
        assert str(problem) in result.output
    found = report(sandbox)
    assert found.cause is Diagnosis.CONFIGURATION
    assert not found.usable


def test_no_file_at_all_is_a_finding_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SYMPHONY_AUTH_PROXY_CONFIG", raising=False)
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 78
    told = json.loads(result.output)
    assert told["cause"] == "configuration"
    assert "--config" in told["findings"][0]["what_to_do"]


def test_a_key_that_cannot_be_used_spares_neither_the_hosts_nor_the_other_bots(
    sandbox: Sandbox,
) -> None:
    (sandbox.directory / f"{KEY_BOT}.pem").write_text("no key")
    found = report(sandbox)
    assert (found.usable, found.cause) == (False, Diagnosis.KEY_FORMAT)
    assert len(found.problems) == 1
    assert about(found, Area.HOSTS, Level.OK)
    assert about(found, Area.LOGINS, Level.SKIPPED)[0].subject == KEY_BOT
    assert sandbox.logins(username=CERTIFICATE_BOT) == 2
    assert doctor(sandbox, "--offline").exit_code == 78


def test_a_ca_that_serve_does_not_start_with_ends_as_serve_does(sandbox: Sandbox) -> None:
    authority.ensure(sandbox.directory / "own-ca", ["localhost"])
    with change(sandbox.config) as document:
        document["host"] = "acme.example"
        document["authProxy"]["ca"]["directory"] = "own-ca"
    result = doctor(sandbox, "--offline")
    assert result.exit_code == 78
    assert "the CA is not for acme.example" in result.output


def test_a_host_that_is_not_there_is_the_cause_and_logins_are_not_tried(sandbox: Sandbox) -> None:
    sandbox.outage(Component.POD)
    found = report(sandbox)
    assert found.cause is Diagnosis.REFUSED
    assert [one.subject.split(" ")[0] for one in found.problems] == ["pod"]
    skipped = about(found, Area.LOGINS, Level.SKIPPED)
    assert [one.subject for one in skipped] == [KEY_BOT]
    assert "as said above" in skipped[0].what
    assert doctor(sandbox).exit_code == 1


def test_a_name_that_does_not_exist(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["agent"]["host"] = "agent.invalid"
    found = report(sandbox)
    assert found.cause is Diagnosis.DNS
    assert "messages and datafeeds" in found.problems[0].why


def test_all_hosts_dead_takes_no_longer_than_is_said(sandbox: Sandbox) -> None:
    with ExitStack() as stack:
        dead = [stack.enter_context(black_hole()) for _ in range(4)]
        with change(sandbox.config) as document:
            document["port"], *others = dead
            for component, port in zip(("agent", "keyManager", "sessionAuth"), others, strict=True):
                document[component]["port"] = port
        begun = time.monotonic()
        found = report(sandbox)
        took = time.monotonic() - begun
    assert took < ALL_SECONDS
    assert {one.diagnosis for one in found.problems} <= {
        Diagnosis.CONNECT_TIMEOUT,
        Diagnosis.KEY_MANAGER_UNAVAILABLE,
    }
    assert {one.level for one in about(found, Area.LOGINS)} == {Level.SKIPPED}


def test_a_proxy_that_only_the_environment_knows_is_pointed_at(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with change(sandbox.config) as document:
        document["agent"]["host"] = "agent.invalid"
    monkeypatch.setenv("HTTPS_PROXY", "http://jane:s3cret-of-the-proxy@proxy.corp.example:3128")
    what_to_do = report(sandbox).problems[0].what_to_do
    assert "proxy.corp.example:3128" in what_to_do
    assert "s3cret" not in what_to_do
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:8080")  # this proxy itself
    assert "HTTPS_PROXY" not in report(sandbox).problems[0].what_to_do


def test_all_is_looked_at_through_the_corporate_proxy(sandbox: Sandbox) -> None:
    with connect_proxy("jane:the right one") as corporate:
        with change(sandbox.config) as document:
            document["proxy"] = {
                "host": "127.0.0.1",
                "port": corporate.port,
                "username": "jane",
                "password": "the right one",
            }
        found = report(sandbox)
        assert found.healthy
        assert f"through 127.0.0.1:{corporate.port}" in about(found, Area.HOSTS)[0].what
        assert len(corporate.targets) == 4

        with change(sandbox.config) as document:
            document["proxy"]["password"] = "last year's"
        found = report(sandbox)
        assert found.cause is Diagnosis.PROXY_CREDENTIALS
        assert len(found.problems) == 1, "what is wrong with the proxy is said once"
        assert len(about(found, Area.HOSTS, Level.SKIPPED)) == 3


def test_the_clock_is_the_examinations_own(sandbox: Sandbox) -> None:
    class Ahead(SystemClock):
        def wall(self) -> float:
            return super().wall() + 600

    found = report(sandbox, clock=Ahead())
    assert found.cause is Diagnosis.CLOCK_SKEW
    assert about(found, Area.CLOCK)[0].what.startswith("the clock is 10 min ahead of")
    assert "follows from the clock" in about(found, Area.LOGINS, Level.PROBLEM)[0].why


# Simplified Key Delivery, and apps.


@pytest.mark.parametrize(
    ("version", "level"), [("Agent-24.12.1", Level.NOTE), ("Agent-24.11.0", Level.WARNING)]
)
def test_a_key_manager_that_nobody_needs_is_no_problem(
    sandbox: Sandbox, version: str, level: Level
) -> None:
    for name in (KEY_BOT, CERTIFICATE_BOT):
        sandbox.set_simplified_key_delivery(name)
    sandbox.set_agent_version(version)
    sandbox.outage(Component.KEY_MANAGER)
    found = report(sandbox)
    (of_key_manager,) = [one for one in about(found, Area.HOSTS) if "keyManager" in one.subject]
    assert of_key_manager.level is level
    assert found.cause is (None if level is Level.NOTE else Diagnosis.KEY_DELIVERY_INCOMPLETE)


def test_one_bot_that_needs_it_makes_it_one(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery(KEY_BOT)
    sandbox.outage(Component.KEY_MANAGER)
    assert report(sandbox).cause is Diagnosis.KEY_MANAGER_UNAVAILABLE


@pytest.fixture
def app(sandbox: Sandbox) -> Sandbox:
    (sandbox.directory / "app.pem").write_bytes(private_key_pem(rsa_key()))
    with change(sandbox.config) as document:
        document["app"] = {"appId": "desk-app", "privateKey": {"path": "app.pem"}}
    return sandbox


def test_an_app_gets_its_own_session_and_no_users(app: Sandbox) -> None:
    app.add_app("desk-app", public_key_pem(rsa_key()).decode())
    found = report(app)
    assert found.healthy
    assert about(found, Area.LOGINS)[-1].subject == "the app desk-app"
    assert not [one for one in app.requests if "/app/user" in one.path]


def test_an_app_that_the_pod_does_not_know(app: Sandbox) -> None:
    assert report(app).cause is Diagnosis.APP_NOT_ACCEPTED


def test_an_app_that_nobody_may_use_is_no_problem_whatever_its_key(app: Sandbox) -> None:
    (app.directory / "app.pem").write_text("no key")
    found = report(app)
    assert found.healthy
    warnings = about(found, Area.CONFIGURATION, Level.WARNING)
    assert "`app` is left out" in warnings[0].what


# Secrets.


@pytest.mark.parametrize("trouble", ["none", "refused logins", "a gateway", "wrong password"])
def test_no_secret_shows_in_any_output(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    match trouble:
        case "refused logins":
            sandbox.fail(Component.POD, status=401, path="/login")
        case "a gateway":
            sandbox.fail(Component.KEY_MANAGER, kind=FaultKind.HTML, status=403)
        case "wrong password":
            wrong = "canary-of-a-wrong-password"
            (sandbox.directory / f"{CERTIFICATE_BOT}.password").write_text(wrong)
    caplog.set_level(logging.DEBUG)
    with issuing_noted() as issued:
        outputs = [doctor(sandbox, *how) for how in ((), ("--json",))]
    canaries = canaries_of(sandbox, issued)
    assert "session" in canaries.kinds
    shown = "".join(one.output for one in outputs) + caplog.text
    assert all(str(one.exception or "0") in {"0", "1", "78"} for one in outputs)
    assert canaries.found_in(shown.encode()) == set()


def test_group_and_world_are_warned_of_for_keys_and_password_files(sandbox: Sandbox) -> None:
    if os.name != "posix":
        pytest.skip("modes are POSIX's")
    for name in (f"{KEY_BOT}.pem", f"{CERTIFICATE_BOT}.password"):
        (sandbox.directory / name).chmod(0o644)
    found = report(sandbox, offline=True)
    warned = [
        Path(one.subject).name
        for one in found.findings
        if one.diagnosis is Diagnosis.KEY_PERMISSIONS
    ]
    assert warned == [f"{KEY_BOT}.pem", f"{CERTIFICATE_BOT}.password"]
