"""`share`, on captures of real calls: by mitmdump alone, where every secret is in clear, and with
the addon in it."""

from __future__ import annotations

import gzip
import json
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader

from pki import rsa_key
from support.canaries import Canaries, canaries_of, issuing_noted
from support.environments import own_script
from support.processes import environment, running
from support.stock_tools import Tool, stock_tool
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox
from symphony_auth_proxy.secret import Secret

PROXY_PASSWORD = "the-password-of-the-proxy's-client"
BROWSER_SESSION = "the-session-cookie-of-a-browser-0815"
WORDS = "Sell everything on Monday"
APP = "trading-app"

KINDS = {"session", "key manager", "access token", "assertion", "proxy password", "browser session"}


@pytest.fixture(autouse=True)
def issued() -> Iterator[list[tuple[str, str]]]:
    with issuing_noted() as noted:
        yield noted


class Bot:
    """Logs in by itself, and does what bots do, in ways in which secrets get about."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox, self.http = sandbox, http
        self.tokens: dict[str, str] = {}

    def post(self, component: Component, path: str, **more: Any) -> httpx.Response:
        more.setdefault("headers", self.tokens)
        return self.http.post(self.sandbox.url(component) + path, **more)

    def signed(self, user: str, key: str) -> dict[str, str]:
        claims = {"sub": user, "exp": int(time.time()) + 240}
        return {"token": jwt.encode(claims, key, algorithm="RS512")}

    def log_in(self) -> None:
        key = (self.sandbox.directory / f"{KEY_BOT}.pem").read_text()
        for component, path in (
            (Component.POD, "/login/pubkey/authenticate"),
            (Component.KEY_MANAGER, "/relay/pubkey/authenticate"),
        ):
            answer = self.post(component, path, json=self.signed(KEY_BOT, key)).json()
            self.tokens[answer["name"]] = answer["token"]

    def log_in_by_certificate(self) -> None:
        for component, path in (
            (Component.SESSION_AUTH, "/sessionauth/v1/authenticate"),
            (Component.KEY_MANAGER, "/keyauth/v1/authenticate"),
        ):
            assert self.post(component, path, headers={}).status_code == 200

    def speak_for(self, user: str) -> None:
        key = private_key_pem(rsa_key(number=7)).decode()
        app = self.post(
            Component.POD, "/login/pubkey/app/authenticate", json=self.signed(APP, key)
        ).json()
        path = f"/login/pubkey/app/username/{user}/authenticate"
        answer = self.post(Component.POD, path, headers={"sessionToken": app["token"]})
        headers = {"sessionToken": answer.raise_for_status().json()["token"]}
        pod = self.sandbox.url(Component.POD)
        assert self.http.get(f"{pod}/pod/v2/sessioninfo", headers=headers).status_code == 200

    def work(self) -> None:
        pod, room = self.sandbox.url(Component.POD), self.sandbox.room
        create = f"/agent/v4/stream/{room}/message/create"
        feed = self.post(Component.AGENT, "/agent/v5/datafeeds", json={}).json()["id"]
        sent = self.post(Component.AGENT, create, files={"message": (None, self.message())})
        assert sent.status_code == 200
        read = self.post(Component.AGENT, f"/agent/v5/datafeeds/{feed}/read", json={"ackId": ""})
        assert WORDS in read.text
        self.post(Component.POD, "/login/idm/tokens").raise_for_status()

        session = self.tokens["sessionToken"]
        echo = {"message": f"my token is {session}, my keys {self.tokens['keyManagerToken']}"}
        assert session in self.post(Component.AGENT, "/agent/v1/util/echo", json=echo).text
        zipped = gzip.compress(json.dumps({"sessionToken": session}).encode())
        encoded = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        self.post(Component.AGENT, "/agent/v1/util/echo", content=zipped, headers=encoded)
        self.http.get(f"{pod}/pod/v1/x?access_token={session}")
        self.http.get(f"{pod}/pod/v1/x", headers={"Cookie": f"lang=en; skey={BROWSER_SESSION}"})

    def message(self) -> str:
        return f"<messageML>{WORDS}</messageML>"


def record(sandbox: Sandbox, tool: Tool, **client: Any) -> None:
    trust = ssl.create_default_context(cafile=tool.ca)
    proxy = httpx.Proxy(tool.url, **client)
    with httpx.Client(proxy=proxy, verify=trust, trust_env=False, timeout=30) as http:
        bot = Bot(sandbox, http)
        bot.log_in()
        bot.log_in_by_certificate()
        bot.speak_for("alice")
        bot.work()


@pytest.fixture
def capture(sandbox: Sandbox, tmp_path: Path) -> Path:
    """`clear.mitm` and `clear.har` beside each other, made without the addon."""
    sandbox.add_app(APP, public_key_pem(rsa_key(number=7)).decode())
    clear = tmp_path / "clear.mitm"
    options = {
        "hardump": clear.with_suffix(".har"),
        "proxyauth": f"pricing:{PROXY_PASSWORD}",
        "client_certs": sandbox.directory / f"{CERTIFICATE_BOT}.pem",
    }
    settings = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    with stock_tool("mitmdump", sandbox, "-w", str(clear), *settings, addon=None) as mitmdump:
        with httpx.Client(proxy=mitmdump.url, trust_env=False) as stranger:
            wrong = {"Proxy-Authorization": "Basic cHJpY2luZzp3cm9uZy1wYXNzd29yZC00NzEx"}
            assert stranger.get("http://localhost/", headers=wrong).status_code == 407
        record(sandbox, mitmdump, auth=("pricing", PROXY_PASSWORD))
        assert mitmdump.child.terminate() == 0
    return clear


def share(*arguments: str | Path, home: Path, code: int = 0) -> str:
    command = [own_script("symphony-auth-proxy"), "share", *map(str, arguments)]
    finished = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == code, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def secrets_of(sandbox: Sandbox, issued: list[tuple[str, str]]) -> Canaries:
    canaries = canaries_of(sandbox, issued)
    canaries.add("proxy password", PROXY_PASSWORD)
    canaries.add("wrong proxy password", "wrong-password-4711")
    canaries.add("browser session", BROWSER_SESSION)
    return canaries


def flows_in(path: Path) -> list[HTTPFlow]:
    """What mitmproxy makes of either kind of file."""
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    assert all(isinstance(flow, HTTPFlow) for flow in flows)
    return flows  # type: ignore[return-value]


def test_of_a_capture_in_clear_no_secret_is_left(
    capture: Path, sandbox: Sandbox, issued: list[tuple[str, str]]
) -> None:
    canaries = secrets_of(sandbox, issued)
    session = next(token for kind, token in issued if kind == "session")
    fingerprint = Secret(session).fingerprint()
    for source, target in product((".mitm", ".har"), repeat=2):
        clear, out = capture.with_suffix(source), capture.with_name(f"from{source}-to{target}")
        # mitmproxy keeps a client's password in metadata, and HAR has none.
        in_clear = KINDS - ({"proxy password"} if source == ".har" else set())
        assert canaries.found_in(clear.read_bytes()) >= {f"{kind}, whole" for kind in in_clear}
        told = share(clear, "-o", out, home=capture.parent)

        assert canaries.found_in(out.read_bytes()) == set()
        assert canaries.found_in(told.encode()) == set()
        assert WORDS.encode() not in out.read_bytes()
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        flows = flows_in(out)
        assert len(flows) == len(flows_in(clear))
        shown_as = f"{session.rpartition('.')[0]}.[sealed #{fingerprint}]"
        assert shown_as in {flow.request.headers.get("sessionToken") for flow in flows}

        assert f"{len(flows)} flows, searched, no secret left" in told
        assert f"#{fingerprint}" in told
        for kind in ("session token", "key manager token", "cookie", "signed token (JWT)"):
            assert f"\n  {kind} " in told
        assert "reading" not in told, "progress is for terminals"


def test_progress_is_shown_on_a_terminal(capture: Path) -> None:
    out = capture.with_name("shared.har")
    command = (own_script("symphony-auth-proxy"), "share", str(capture), "-o", str(out))
    with running(*command, env=environment(capture.parent), terminal=True) as child:
        child.seen("searched, no secret left")
        assert child.exit_code() == 0
    for step in ("reading", "writing", "checking"):
        assert f"{step} 100%" in child.output


def test_what_is_left_is_enough_to_understand_what_happened(capture: Path) -> None:
    out = capture.with_name("shared.mitm")
    share(capture, "-o", out, home=capture.parent)
    flows = {flow.request.path.partition("?")[0]: flow for flow in flows_in(out)}

    login = flows["/login/pubkey/authenticate"]
    assert login.response is not None
    assert login.request.json()["token"].count(".") == 2
    assert login.response.json()["name"] == "sessionToken"
    assert jwt.decode(
        login.request.json()["token"].partition("[")[0] + "AAAA",
        options={"verify_signature": False, "verify_exp": False},
    ).keys() >= {"sub", "exp"}
    (read,) = [flow for path, flow in flows.items() if path.endswith("/read")]
    assert read.response is not None
    (event,) = read.response.json()["events"]
    message = event["payload"]["messageSent"]["message"]
    assert event["type"] == "MESSAGESENT"
    assert message["user"]["username"] == KEY_BOT
    assert message["message"].startswith("[dropped: ")
    unknown = flows["/pod/v1/x"]
    assert unknown.response is not None
    assert unknown.response.status_code == 404


def test_a_capture_that_was_made_with_the_addon_keeps_its_seals(
    sandbox: Sandbox, issued: list[tuple[str, str]], tmp_path: Path
) -> None:
    dump, out = tmp_path / "own.mitm", tmp_path / "own.har"
    with stock_tool("mitmdump", sandbox, "-w", str(dump)) as mitmdump:
        trust = ssl.create_default_context(cafile=mitmdump.ca)
        with httpx.Client(proxy=mitmdump.url, verify=trust, trust_env=False) as client:
            for _ in range(2):
                client.get(sandbox.url(Component.POD) + "/pod/v2/sessioninfo").raise_for_status()
                sandbox.revoke()
        assert mitmdump.child.terminate() == 0
    share(dump, "-o", out, home=tmp_path)
    assert secrets_of(sandbox, issued).found_in(out.read_bytes()) == set()
    sealed = {
        flow.request.headers["sessionToken"]
        for flow in flows_in(out)
        if flow.request.path == "/pod/v2/sessioninfo"
    }
    fingerprints = {Secret(token).fingerprint() for kind, token in issued if kind == "session"}
    assert sealed
    for value in sealed:
        assert value.startswith(f"[sealed {KEY_BOT} #")
        assert value.partition("#")[2][:4] in fingerprints


def test_nothing_is_overwritten_unasked(tmp_path: Path, capture: Path) -> None:
    out = tmp_path / "shared.har"
    out.write_text("mine")
    told = share(capture, "-o", out, home=tmp_path, code=1)
    assert "--force" in told
    assert out.read_text() == "mine"
    share(capture, "-o", out, "--force", home=tmp_path)
    assert len(flows_in(out)) > 8
    before = capture.read_bytes()
    assert "capture itself" in share(capture, "-o", capture, "--force", home=tmp_path, code=2)
    assert capture.read_bytes() == before


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("sessionToken: is-this-a-capture")
    told = share(text, "-o", tmp_path / "out.har", home=tmp_path, code=1)
    assert "neither a capture of mitmproxy nor a HAR document" in told
    assert "is-this" not in told
    assert "What to do:" in told
    assert "ends in .har or .mitm" in share(text, "-o", tmp_path / "o.zip", home=tmp_path, code=2)
    missing = tmp_path / "none" / "out.har"
    assert "there is no directory" in share(text, "-o", missing, home=tmp_path, code=2)
    assert "No such file" in share(
        tmp_path / "none", "-o", tmp_path / "out.har", home=tmp_path, code=1
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_a_capture_that_breaks_off_is_shared_as_far_as_it_goes(capture: Path) -> None:
    whole = capture.read_bytes()
    capture.write_bytes(whole[:-100])
    out = capture.with_name("shared.mitm")
    assert "is not whole" in share(capture, "-o", out, home=capture.parent)
    assert len(flows_in(out)) > 8
