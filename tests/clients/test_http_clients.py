"""Programs that know nothing of Symphony's tokens, each told of the proxy in its own way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.configuration import change
from support.environments import program
from support.processes import environment
from support.proxy import Proxy, running_proxy
from support.wire import recorded_origin
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"

PROGRAMS = Path(__file__).with_name("programs")
CLIENTS = {
    "with_requests.py": "REQUESTS_CA_BUNDLE",
    "with_httpx.py": "SSL_CERT_FILE",
    "with_httpx_over_http2.py": "SSL_CERT_FILE",
    "with_aiohttp.py": "SSL_CERT_FILE",
    "with_urllib3.py": "CA",
    "with_urllib.py": "SSL_CERT_FILE",
}
"""Programs, and the variable by which each is told of the proxy's CA."""


def run(*command: str, **variables: str) -> str:
    ended = subprocess.run(
        command,
        env=environment(PROGRAMS, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("name", "ca"), CLIENTS.items(), ids=CLIENTS)
def test_a_client_without_tokens_speaks_as_the_bot_before_and_after_its_session_died(
    sandbox: Sandbox, proxy: Proxy, name: str, ca: str
) -> None:
    script = PROGRAMS / name
    urls = sandbox.url(Component.POD), sandbox.url(Component.AGENT)
    for round_ in (1, 2):
        printed = run(
            sys.executable, str(script), *urls, **{"HTTPS_PROXY": proxy.url, ca: str(proxy.ca)}
        )
        info_status, info, echo_status, echo, *_ = json.loads(printed)
        assert (info_status, info["username"]) == (200, "pricing-bot")
        assert (echo_status, echo) == (200, {"message": "hello"})
        assert sandbox.logins(TokenKind.SESSION, "pricing-bot") == round_
        assert sandbox.logins(TokenKind.KEY_MANAGER, "pricing-bot") == 1
        sandbox.revoke("pricing-bot", TokenKind.SESSION)
    for call in sandbox.requests:
        if call.path == ECHO:
            assert [len(call.values(name)) for name in ("sessionToken", "keyManagerToken")] == [
                1,
                1,
            ]


class Curl:
    """curl, with a proxy and its CA given as variables or as arguments."""

    def __init__(self, proxy: Proxy) -> None:
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
        printed = run(
            self._command, "--silent", "--show-error", "-w", report, url, *arguments, **variables
        )
        return printed.rsplit("\n", 2)


@pytest.fixture
def curl(proxy: Proxy) -> Curl:
    return Curl(proxy)


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


def test_clients_of_an_http2_symphony_speak_http2_to_it(sandbox: Sandbox) -> None:
    """Once it is known to: the first connection cannot know and settles for HTTP/1.1."""
    with recorded_origin(sandbox.directory, http2=True) as agent:
        with change(sandbox.config) as document:
            document["agent"]["port"] = agent.port
        with running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy:
            curl = Curl(proxy)
            versions = [curl(agent.url + ECHO)[1:] for _ in range(2)]
            script = str(PROGRAMS / "with_httpx_over_http2.py")
            variables = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(proxy.ca)}
            *_, spoken = json.loads(run(sys.executable, script, agent.url, agent.url, **variables))
    assert versions == [["200", "1.1"], ["200", "2"]]
    assert spoken == "HTTP/2"
    assert [request.http_version for request in agent.requests] == ["2", "2", "2", "2"]
    for request in [one for one in agent.requests if one.path == ECHO]:
        names = [name for name, _ in request.headers]
        assert (names.count("sessiontoken"), names.count("keymanagertoken")) == (1, 1)
