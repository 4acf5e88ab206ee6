"""The `sandbox` command: its ready line, its end, its mistakes."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from symphony_auth_proxy.cli.sandbox import sandbox

COMMAND = [
    sys.executable,
    "-W",
    "error",
    "-c",
    "from symphony_auth_proxy.cli.sandbox import sandbox; sandbox()",
]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_one_line_when_it_is_ready_and_ends_well(directory, number):
    with subprocess.Popen(
        [*COMMAND, "--directory", directory, "--one-host"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        ready = json.loads(process.stdout.readline())
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=20)

    assert ready["ready"] is True
    assert ready["hosts"]["pod"] == ready["hosts"]["agent"] != ready["hosts"]["sessionAuth"]
    assert Path(ready["config"]) == directory / "config.yaml"
    assert (process.returncode, rest, complaints) == (0, "", "")


def test_a_directory_of_other_people_is_wrong_usage(tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    result = CliRunner().invoke(sandbox, ["--directory", str(tmp_path)])
    assert result.exit_code == 2
    assert "choose another directory" in result.output


@pytest.mark.parametrize(
    "arguments", [["--token-life", "0"], ["--port", "70000"], ["--port", "-1"]]
)
def test_impossible_options_are_wrong_usage(arguments):
    assert CliRunner().invoke(sandbox, arguments).exit_code == 2


def test_a_port_that_is_taken_is_named(directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(sandbox, ["--directory", str(directory), "--port", str(port)])
    assert result.exit_code == 1
    assert f"cannot start: 127.0.0.1:{port}: Address already in use" in result.output


def test_help_has_examples_of_the_control_api():
    text = CliRunner().invoke(sandbox, ["--help"]).output
    assert "Examples:" in text
    assert "/revoke" in text
