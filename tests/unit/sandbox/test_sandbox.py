"""The sandbox as a whole: its directory, its journal, its life."""

import shutil
import socket
import stat
import threading
from contextlib import suppress

import pytest
from ruamel.yaml import YAML

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox, prepare


def test_the_configuration_names_the_ports_and_relative_files(sandbox):
    config = YAML(typ="safe").load(sandbox.config)

    assert (config["host"], config["port"]) == ("localhost", sandbox.origin(Component.POD).port)
    assert config["keyManager"]["port"] == sandbox.origin(Component.KEY_MANAGER).port
    assert config["bot"]["privateKey"]["path"] == "pricing-bot.pem"
    assert config["ssl"]["trustStore"]["path"] == "ca.pem"
    assert str(sandbox.directory) not in sandbox.config.read_text()


def test_keys_are_reused_and_private(prepared, directory):
    prepare(directory, key_bits=2048)
    for made in prepared.iterdir():
        kept = directory / made.name
        assert kept.read_bytes() == made.read_bytes()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_unfinished_directory_is_made_whole(directory):
    (directory / "compliance-bot.p12").unlink()
    prepare(directory, key_bits=2048)
    assert (directory / "compliance-bot.p12").exists()


@pytest.mark.parametrize("name", ["config.yaml", "README.txt", "pricing-bot.pem"])
def test_other_peoples_files_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="choose another directory"):
        Sandbox(tmp_path, key_bits=2048).__enter__()
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_wanted_port_that_is_taken_is_an_error(sandbox, prepared, tmp_path):
    other = shutil.copytree(prepared, tmp_path / "other")
    with pytest.raises(OSError, match="in use"):
        Sandbox(other, port=sandbox.origin(Component.POD).port).__enter__()


def test_stopping_ends_its_thread_and_frees_its_ports(directory):
    with Sandbox(directory) as first:
        port = first.origin(Component.POD).port
    assert not [one for one in threading.enumerate() if one.name == "symphony-sandbox"]
    socket.create_server(("127.0.0.1", port)).close()


def test_ports_are_consecutive_when_the_first_is_given(directory):
    for port in range(21_000, 29_000, 100):
        with suppress(OSError), Sandbox(directory, port=port) as sandbox:
            ports = [sandbox.origin(component).port for component in Component]
            assert ports == [port, port + 1, port + 2, port + 3]
            assert sandbox.control_url == f"http://127.0.0.1:{port + 4}"
            return
    pytest.fail("no five free ports in a row")


def test_requests_are_recorded_as_they_came(caller, sandbox):
    headers = [("X-Twice", "a"), ("X-Twice", "b"), ("sessionToken", "placeholder")]
    caller.pod("POST", "/somewhere?a=1&b", content=b"body", headers=headers)

    record = sandbox.requests[-1]
    assert (record.component, record.method, record.path) == (Component.POD, "POST", "/somewhere")
    assert (record.query, record.body, record.status) == ("a=1&b", b"body", 404)
    assert record.values("x-twice") == ["a", "b"]
    assert record.values("SESSIONTOKEN") == ["placeholder"]
    assert record.values("keyManagerToken") == []
    assert "placeholder" not in repr(record)


def test_waiting_for_what_never_arrives_says_what_did(caller, sandbox):
    caller.pod("GET", "/somewhere")
    with pytest.raises(TimeoutError, match="/somewhere"):
        sandbox.wait_for(lambda requests: len(requests) > 1, timeout=0.05)


def test_waiting_may_ask_the_sandbox_itself(bot, sandbox):
    sandbox.wait_for(lambda _: sandbox.statistics()["sessions"]["pricing-bot"]["session"] == 1)
