"""What there is to look at: `serve --web` as a process, before a simulated Symphony and behind
a corporate proxy, and what happens there on a morning.

Nothing of it is made up for the screen: real clients make real calls, and each kind of trouble
is one that Symphony really made.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki import rsa_key
from support.configuration import change
from support.environments import own_script, program
from support.logins import RSA, assertion, log_in_by_key, placeholders_of
from support.processes import Child, environment, free_port, running
from support.wire import connect_proxy
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, FaultKind, Sandbox
from symphony_auth_proxy.secret import Secret

SESSION_INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
APP, USER = "desk-app", "alice"
FOREIGN_BOT = "treasury-bot"
"""One that the proxy does not know: it logs in by itself, through the proxy."""

DESK = "desk"
"""The client of the proxy."""
PASSWORDS = {
    f"{DESK}.password": "the-password-of-the-desk",
    "corporate.password": "the-password-of-the-bank",
    "key.password": "the-password-of-the-key",
    "web.password": "the-password-of-the-screen",
}
"""In files beside the configuration. Each is a secret to search for."""

PICTURES = Path(__file__).parent / "pictures"
UPDATING = os.environ.get("UPDATE_PICTURES") == "1"
_FIRST_PORT = 9443 if UPDATING else 0
"""So that pictures look the same each time."""


@contextmanager
def desk(prepared: Path, directory: Path) -> Iterator[Sandbox]:
    """A Symphony, configured as a bank would, in a directory of its own."""
    shutil.copytree(prepared, directory)
    with (
        Sandbox(directory, port=_FIRST_PORT) as sandbox,
        connect_proxy(f"bank:{PASSWORDS['corporate.password']}") as corporate,
    ):
        _configure(sandbox, corporate.port)
        yield sandbox


def _configure(sandbox: Sandbox, corporate_port: int) -> None:
    directory = sandbox.directory
    for name, password in PASSWORDS.items():
        _private(directory / name, password.encode())
    key = load_pem_private_key((directory / f"{KEY_BOT}.pem").read_bytes(), None)
    encrypted = private_key_pem(key, Secret(PASSWORDS["key.password"]))  # type: ignore[arg-type]
    _private(directory / "encrypted.pem", encrypted)
    _private(directory / "app.pem", private_key_pem(rsa_key(number=7)))
    sandbox.add_app(APP, public_key_pem(rsa_key(number=7)).decode())
    sandbox.add_bot(FOREIGN_BOT, public_key_pem(rsa_key(number=5)).decode())
    with change(sandbox.config) as document:
        document["bot"]["privateKey"] = {"path": "encrypted.pem", "passwordFile": "key.password"}
        document["app"] = {"appId": APP, "privateKey": {"path": "app.pem"}}
        document["proxy"] = {
            "host": "localhost",
            "port": corporate_port,
            "username": "bank",
            "password": PASSWORDS["corporate.password"],
        }
        client = {"name": DESK, "passwordFile": f"{DESK}.password", "onBehalfOf": "any"}
        document["authProxy"] |= {
            "answerLogins": True,
            "drainSeconds": 1,
            "web": {"passwordFile": "web.password"},
            "clients": [client | {"bots": [KEY_BOT, CERTIFICATE_BOT]}],
        }


def _private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


@dataclass(frozen=True)
class Served:
    """The running proxy."""

    sandbox: Sandbox
    child: Child
    address: str
    """HOST:PORT of the proxy."""

    @property
    def web_url(self) -> str:
        """Of mitmweb, as it was printed."""
        return self.child.seen(r"Inspect at (\S+)")[1]

    @property
    def ca(self) -> Path:
        return self.sandbox.directory / "proxy-ca" / "mitmproxy-ca-cert.pem"

    @property
    def credentials(self) -> tuple[str, str]:
        return DESK, PASSWORDS[f"{DESK}.password"]

    def client(self) -> httpx.Client:
        return httpx.Client(
            proxy=httpx.Proxy(f"http://{self.address}", auth=self.credentials),
            verify=ssl.create_default_context(cafile=self.ca),
            trust_env=False,
            timeout=30,
        )

    def url(self, path: str) -> str:
        component = Component.AGENT if path.startswith("/agent/") else Component.POD
        return self.sandbox.url(component) + path

    def curl(self, path: str, *arguments: str) -> str:
        """Call with curl; return what it printed."""
        way = ("--proxy", f"http://{self.address}", "--proxy-user", ":".join(self.credentials))
        command = (program("curl"), "--silent", *way, "--cacert", str(self.ca), *arguments)
        return subprocess.run(
            (*command, self.url(path)), capture_output=True, text=True, check=True, timeout=30
        ).stdout


@contextmanager
def serving(sandbox: Sandbox, *arguments: str) -> Iterator[Served]:
    """Run `serve`, with `arguments` beside those that it needs to be found."""
    script = own_script("symphony-auth-proxy")
    command = (script, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    env = environment(sandbox.directory)
    with running(*command, *arguments, env=env, cwd=sandbox.directory) as child:
        yield Served(sandbox, child, child.seen(r"Listening on (\S+) ")[1])


def web() -> tuple[str, ...]:
    """The arguments for a screen on a free port."""
    return ("--web", "--web-port", str(free_port()))


def morning(served: Served) -> None:
    """Everything that the flow list has a word for."""
    sandbox = served.sandbox
    with served.client() as client:
        assert client.get(served.url(SESSION_INFO)).status_code == 200
        _read_and_write(served, client)
        by_certificate = {"Symphony-Bot": CERTIFICATE_BOT}
        assert client.get(served.url(SESSION_INFO), headers=by_certificate).status_code == 200
        for_alice = {"Symphony-On-Behalf-Of": USER}
        assert client.get(served.url(SESSION_INFO), headers=for_alice).status_code == 200
        _bots_that_log_in(served, client)
        sandbox.revoke(KEY_BOT, TokenKind.SESSION)
        assert served.curl(SESSION_INFO, "--header", f"Symphony-Bot: {KEY_BOT}")
        _trouble(served, client)


def _read_and_write(served: Served, client: httpx.Client) -> None:
    feeds = served.url("/agent/v5/datafeeds")
    feed = client.post(feeds, json={}).raise_for_status().json()["id"]
    served.sandbox.post("Please quote <b>ACME 4.25% 2031</b>")
    served.sandbox.post("and <i>GLOBEX 3.1% 2029</i>, thank you")
    assert len(client.post(f"{feeds}/{feed}/read", json={}).json()["events"]) == 2
    message = client.post(
        served.url(f"/agent/v4/stream/{served.sandbox.room}/message/create"),
        files={
            "message": (None, "<messageML>ACME: <b>99.12</b> / 99.18</messageML>"),
            "attachment": ("quotes.csv", b"bond;bid;ask\nACME;99.12;99.18\n", "text/csv"),
        },
    )
    assert message.status_code == 200, message.text


def _bots_that_log_in(served: Served, client: httpx.Client) -> None:
    """One that is answered here, and one of whom the proxy knows nothing."""
    placeholders = placeholders_of(client, served.sandbox, KEY_BOT)
    assert client.get(served.url(SESSION_INFO), headers=placeholders).status_code == 200
    own = {}
    for kind, name in ((TokenKind.SESSION, "sessionToken"), (TokenKind.KEY_MANAGER, _KEY_MANAGER)):
        answered = log_in_by_key(client, served.sandbox, kind, FOREIGN_BOT)
        own[name] = answered.raise_for_status().json()["token"]
    assert client.get(served.url(SESSION_INFO), headers=own).status_code == 200
    served.sandbox.revoke(FOREIGN_BOT)
    assert client.get(served.url(SESSION_INFO), headers=own).status_code == 401


_KEY_MANAGER = "keyManagerToken"


def _trouble(served: Served, client: httpx.Client) -> None:
    sandbox, info = served.sandbox, served.url(SESSION_INFO)
    refused = [
        client.get(info, headers={"Symphony-Bot": "nobody"}),
        client.get(info, headers={"Sec-Fetch-Site": "cross-site"}),
        client.get(info, headers={"Symphony-On-Behalf-Of": "mallory"}),
    ]
    assert [one.status_code for one in refused] == [403, 403, 503]
    sandbox.fail(Component.AGENT, status=503, times=1, retry_after=30)
    sandbox.fail(Component.AGENT, kind=FaultKind.HTML, status=403, times=1)
    echo = {"message": "is anybody there?"}
    answers = [client.post(served.url(ECHO), json=echo).status_code for _ in range(2)]
    assert answers == [503, 403]
    # Nobody else may log in with an assertion of a bot that is served here.
    path = served.sandbox.url(Component.POD) + RSA[TokenKind.SESSION][1]
    assert client.post(path, json={"token": assertion("mallory")}).status_code == 401


def refused_twice(served: Served) -> None:
    """Symphony refuses tokens that it has just given, after which none are asked for a while."""
    served.sandbox.fail(Component.AGENT, status=401, times=2)
    with served.client() as client:
        assert client.post(served.url(ECHO), json={"message": "who am I?"}).status_code == 401
