"""Twelve broken set-ups: `doctor` and the flow name the true cause of each.

The set-ups are in `support.broken`; the table that they make is the README's, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from mitmproxy import http, io, master

from loopback import run
from support.broken import SET_UPS, stage, troubleshooting
from support.clients import client_of
from support.proxy import Proxy, running_proxy
from support.scenes import ECHO, INFO, Scene, server_trusts
from support.stock_tools import stock_tool
from symphony_auth_proxy.cli import cli
from symphony_auth_proxy.config import load as load_file
from symphony_auth_proxy.doctor import Level, Report, examine
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.model import Component

ALL = pytest.mark.parametrize("name", SET_UPS)


SERVED = pytest.mark.parametrize(
    "name", [name for name, one in SET_UPS.items() if one.serves and one.status is not None]
)
NOT_SERVED = pytest.mark.parametrize("name", [n for n, one in SET_UPS.items() if not one.serves])
NO_FLOW = pytest.mark.parametrize("name", [n for n, one in SET_UPS.items() if one.status is None])


@pytest.fixture
def scene(name: str, prepared_directory: Path, tmp_path: Path) -> Iterator[Scene]:
    with stage(SET_UPS[name], prepared_directory, tmp_path) as running:
        yield running


class Flows(list[http.HTTPFlow]):
    """What people would see in the list of flows: requests of clients."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self.append(flow)

    def join(self, proxy: master.Master, _: SymphonyAuth) -> None:
        proxy.addons.add(self)


@pytest.fixture
def flows() -> Flows:
    return Flows()


@pytest.fixture
def proxy(scene: Scene, flows: Flows) -> Iterator[Proxy]:
    confdir = scene.sandbox.directory / "proxy-ca"
    with running_proxy(scene.config, confdir, load=scene.load, prepare=flows.join) as running:
        yield running


def examined(scene: Scene) -> Report:
    scene.later()
    return run(examine(scene.config))


def exit_code(scene: Scene, name: str) -> int:
    """Of `doctor`: 78 where `serve` would not start."""
    scene.later()
    try:
        load_file(scene.config)
    except ConfigError:
        return 78
    return 1 if SET_UPS[name].cause else 0


def told(scene: Scene, *options: str) -> Result:
    """Run the command `doctor`."""
    scene.later()
    return CliRunner().invoke(cli, ["doctor", "--config", str(scene.config), *options])


# What `doctor` says.


@ALL
def test_doctor_names_the_true_cause_and_the_way_out(scene: Scene, name: str) -> None:
    """To programs and to people."""
    expected = SET_UPS[name].cause
    machine, people = told(scene, "--json"), told(scene)
    assert machine.exit_code == people.exit_code == exit_code(scene, name)
    report = json.loads(machine.stdout)
    assert report["cause"] == expected
    if expected is not None:
        cause = next(one for one in report["findings"] if one["level"] == Level.PROBLEM)
        assert cause["diagnosis"] == expected
        assert cause["why"]
        assert cause["what_to_do"]
        assert expected in people.stdout
        assert cause["what_to_do"] in people.stdout


# What the flow says.


@SERVED
def test_the_flow_names_the_true_cause(scene: Scene, name: str, proxy: Proxy, flows: Flows) -> None:
    with client_of(proxy) as client:
        assert_named(name, scene.ask(client))
    assert_commented(name, flows)


@NOT_SERVED
def test_what_serve_does_not_start_with_is_named_in_the_flows_of_stock_tools(
    scene: Scene, name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        load_file(scene.config)
    saved = tmp_path / "saved.mitm"
    with stock_tool("mitmdump", scene.sandbox, "-w", str(saved)) as tool:
        trust = httpx.create_ssl_context(verify=str(tool.ca), trust_env=False)
        with httpx.Client(proxy=tool.url, verify=trust, trust_env=False, timeout=30) as client:
            assert_named(name, scene.ask(client))
        tool.child.terminate()
    with saved.open("rb") as file:
        kept = [flow for flow in io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    assert_commented(name, kept)


def assert_named(name: str, answer: httpx.Response) -> None:
    expected = SET_UPS[name]
    assert answer.status_code == expected.status, answer.text
    if expected.cause is None:
        assert "Proxy-Status" not in answer.headers
        return
    status = answer.headers["Proxy-Status"]
    assert status.startswith("symphony-auth-proxy; ")
    assert f'details="{expected.cause}: ' in status
    if answer.headers["Content-Type"].startswith("application/json"):
        details = answer.json()["details"]
        assert details["diagnosis"] == expected.cause
        assert details["hint"]


def assert_commented(name: str, flows: list[http.HTTPFlow]) -> None:
    expected = SET_UPS[name]
    (flow,) = [one for one in flows if one.request.path in {INFO, ECHO}]
    named = re.findall(r"why: (\w+) ", flow.comment)
    assert named == ([expected.cause] if expected.cause else []), flow.comment


# What the table does not show.


@pytest.mark.parametrize("name", ["key_manager_down", "agent_too_old_for_key_delivery"])
def test_pod_calls_go_on_without_the_key_manager(scene: Scene, name: str, proxy: Proxy) -> None:
    with client_of(proxy) as client:
        assert client.get(scene.sandbox.url(Component.POD) + INFO).status_code == 200
        assert scene.ask(client).status_code == 503


@pytest.mark.parametrize("name", ["simplified_key_delivery"])
def test_doctor_says_that_no_key_manager_is_needed(scene: Scene, name: str) -> None:
    said = [one.what for one in examined(scene).findings if one.level is Level.OK]
    assert any("Simplified Key Delivery" in one for one in said), said


@NO_FLOW
def test_a_client_that_does_not_trust_the_proxy_leaves_no_flow(
    scene: Scene, name: str, proxy: Proxy, flows: Flows
) -> None:
    """It is a matter between the client and its own trust store: `doctor` looks there."""
    with (
        httpx.Client(proxy=proxy.url, verify=server_trusts(scene), trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        scene.ask(client)
    assert not flows
    assert not [one for one in scene.sandbox.requests if one.path == INFO]
    assert SET_UPS[name].noted in {one.diagnosis for one in examined(scene).findings}


def test_there_are_twelve_and_each_has_its_row() -> None:
    assert {one.number for one in SET_UPS.values()} == set(range(1, 13))
    assert {one.number for one in SET_UPS.values() if one.symptom} == set(range(1, 13))


def test_the_readme_has_the_table() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, _, after = text.partition("<!-- troubleshooting -->")
    shown, end, _ = after.partition("<!-- /troubleshooting -->")
    assert end
    assert shown.strip() == troubleshooting()
