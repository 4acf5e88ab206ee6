"""What curl alone can do: be told by arguments or by variables, speak plain http, upload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.matrix import output
from support.environments import program
from support.proxy import Proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"


class Curl:
    """curl, with a proxy and its CA given as variables or as arguments."""

    def __init__(self, proxy: Proxy, directory: Path) -> None:
        self._directory = directory
        self._command = program("curl")
        self._variables = {
            "https_proxy": proxy.url,
            "http_proxy": proxy.url,
            "CURL_CA_BUNDLE": str(proxy.ca),
        }

    def __call__(self, url: str, *arguments: str, environment: bool = True) -> list[str]:
        """Return the answer's body, its status and its HTTP version."""
        variables = self._variables if environment else {}
        report = r"\n%{http_code}\n%{http_version}"
        curl = (self._command, "--silent", "--show-error", "-w", report)
        printed = output(*curl, url, *arguments, cwd=self._directory, **variables)
        return printed.rsplit("\n", 2)


@pytest.fixture
def curl(proxy: Proxy, machine: Path) -> Curl:
    return Curl(proxy, machine)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_told_by_arguments(sandbox: Sandbox, proxy: Proxy, curl: Curl, version: str) -> None:
    url = sandbox.url(Component.AGENT) + ECHO
    told = ("--proxy", proxy.url, "--cacert", str(proxy.ca))
    message = ("--json", '{"message": "hello"}')
    body, status, _ = curl(url, version, *told, *message, environment=False)
    assert (json.loads(body), status) == ({"message": "hello"}, "200")


def test_curl_told_by_variables(sandbox: Sandbox, curl: Curl) -> None:
    body, status, _ = curl(sandbox.url(Component.POD) + INFO)
    assert (json.loads(body)["username"], status) == ("pricing-bot", "200")


def test_curl_with_plain_http_is_upgraded_on_its_way(sandbox: Sandbox, curl: Curl) -> None:
    port = sandbox.origin(Component.POD).port
    for url in (f"http://localhost:{port}{INFO}", f"http://localhost{INFO}"):
        body, status, _ = curl(url)
        assert (json.loads(body)["username"], status) == ("pricing-bot", "200")


def test_curl_chooses_another_bot(sandbox: Sandbox, curl: Curl) -> None:
    body, _, _ = curl(sandbox.url(Component.POD) + INFO, "-H", "Symphony-Bot: compliance-bot")
    assert json.loads(body)["username"] == "compliance-bot"


@pytest.mark.parametrize("size", [1_000, 5_000_000])
def test_curl_uploads_with_and_without_a_known_length(
    sandbox: Sandbox, curl: Curl, tmp_path: Path, size: int
) -> None:
    form = (
        "--form-string", "message=<messageML>numbers</messageML>",
        "-F", f"attachment=@{tmp_path / 'numbers.csv'}",
    )  # fmt: skip
    (tmp_path / "numbers.csv").write_bytes(b"7" * size)
    url = f"{sandbox.url(Component.AGENT)}/agent/v4/stream/{sandbox.room}/message/create"
    for length in ((), ("-H", "Transfer-Encoding: chunked")):
        body, status, _ = curl(url, *form, *length)
        assert (json.loads(body)["attachments"][0]["size"], status) == (size, "200")
