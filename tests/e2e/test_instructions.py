"""What the status page offers for copying is pasted, in an empty directory, and works."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from support.clients import client_of
from support.environments import java_for_sources, node_modules_with, program
from support.processes import environment
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox

PASSWORD = "a-long:pass@word-for-pricing"


@dataclass(frozen=True)
class Reader:
    """Somebody who reads the page and has a machine with nothing on it."""

    page: str
    machine: Path
    variables: dict[str, str]

    def copied(self, title: str) -> str:
        [found] = re.findall(rf'aria-label="{title}">(.*?)</pre>', self.page, re.DOTALL)
        return html.unescape(found)

    def pastes(self, *texts: str) -> str:
        """Into a shell. Returns what is printed."""
        return self.runs(program("bash"), "-e", "-c", "\n".join(texts))

    def runs(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.machine,
            env=environment(self.machine, **self.variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def reading(proxy: Proxy, machine: Path, query: str = "", **variables: str) -> Reader:
    credentials = ("pricing", PASSWORD) if variables else None
    with client_of(proxy, credentials=credentials) as client:
        page = client.get(f"http://symphony.proxy/{query}").text
    return Reader(page, machine, variables)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    directory = tmp_path / "another machine"
    directory.mkdir()
    return directory


@pytest.fixture
def reader(proxy: Proxy, machine: Path) -> Reader:
    return reading(proxy, machine)


@pytest.fixture
def guarded(sandbox: Sandbox, machine: Path) -> Iterator[Reader]:
    """One who is a client with a password, and wants another bot than the default one."""
    path = sandbox.directory / "configured.yaml"
    client = f"{{name: pricing, password: '{PASSWORD}', bots: [{KEY_BOT}, {CERTIFICATE_BOT}]}}"
    clients = f"  clients:\n    - {client}\n"
    path.write_text(sandbox.config.read_text().replace("authProxy:\n", f"authProxy:\n{clients}"))
    with running_proxy(path, sandbox.directory / "proxy-ca") as proxy:
        yield reading(
            proxy,
            machine,
            f"?bot={CERTIFICATE_BOT}",
            SYMPHONY_PROXY_PASSWORD=quote(PASSWORD, safe=""),
        )


def username(output: str) -> str:
    """Whom the pod says that the session is of."""
    name: str = json.loads(output[output.index("{") :])["username"]
    return name


def test_curl(reader: Reader) -> None:
    output = reader.pastes(reader.copied("Get the CA"), reader.copied("curl"))

    assert username(output) == KEY_BOT


@pytest.mark.parametrize("title", ["Python: requests", "Python: httpx"])
def test_python(reader: Reader, title: str) -> None:
    reader.pastes(reader.copied("Get the CA"))

    assert username(reader.runs(sys.executable, "-c", reader.copied(title))) == KEY_BOT


@pytest.mark.parametrize("title", ["Python: requests", "Python: httpx"])
def test_python_with_a_password_and_for_another_bot(guarded: Reader, title: str) -> None:
    guarded.pastes(guarded.copied("Get the CA"))

    assert username(guarded.runs(sys.executable, "-c", guarded.copied(title))) == CERTIFICATE_BOT


CALLED = re.compile(r"https://\S+/pod/v2/sessioninfo")


def test_variables(reader: Reader) -> None:
    [url] = CALLED.findall(reader.copied("curl"))

    output = reader.pastes(
        reader.copied("Get the CA"), reader.copied("Environment variables"), f"curl {url}"
    )

    assert username(output) == KEY_BOT


def test_variables_with_a_password(guarded: Reader) -> None:
    [url] = CALLED.findall(guarded.copied("curl"))

    output = guarded.pastes(
        guarded.copied("Get the CA"), guarded.copied("Environment variables"), f"curl {url}"
    )

    assert username(output) == KEY_BOT, "the default bot: curl was told of no other"


def test_node(guarded: Reader) -> None:
    """A Node that is too old to read the variables by itself is given what the newer ones do."""
    if tuple(map(int, guarded.pastes("node --version")[1:].split("."))) < (22, 21):
        undici = node_modules_with("undici@6.29.1") / "undici" / "index.js"
        (guarded.machine / "newer.mjs").write_text(
            f"import {{EnvHttpProxyAgent, setGlobalDispatcher}} from {json.dumps(str(undici))};\n"
            "setGlobalDispatcher(new EnvHttpProxyAgent());\n"
        )
        guarded.variables["NODE_OPTIONS"] = "--import=./newer.mjs"

    output = guarded.pastes(guarded.copied("Get the CA"), guarded.copied("Node"))

    assert username(output) == CERTIFICATE_BOT


PROGRAM = """\
import java.net.URI;
import java.net.http.*;

class Call {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.body());
    }
}
"""


def test_java(reader: Reader) -> None:
    java = java_for_sources()
    (reader.machine / "Call.java").write_text(PROGRAM)
    [url] = CALLED.findall(reader.copied("curl"))
    command = reader.copied("Java").replace("-jar program.jar", f"Call.java {url}")

    output = reader.pastes(
        reader.copied("Get the CA for Java"), command.replace("java ", f"{java} ", 1)
    )

    assert username(output) == KEY_BOT
