"""The proxy's own logins in mitmproxy's tools, as people see, save and repeat them."""

from __future__ import annotations

import io
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import httpx
import pytest
from mitmproxy import http, master
from mitmproxy.addons.intercept import Intercept
from mitmproxy.addons.script import ScriptLoader
from mitmproxy.addons.view import View
from mitmproxy.io import FlowWriter
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from attacks.origins import HANG_UP, RawOrigin, answer
from attacks.replays import replay
from pki import rsa_key
from support.audit import audit_records
from support.canaries import Canaries, canaries_of, issuing_noted
from support.clients import client_of
from support.configuration import change
from support.logins import calls
from support.proxy import Proxy, running_proxy
from support.stock_tools import stock_tool
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.mitm import journal, runner
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.mitm.journal import SENDER
from symphony_auth_proxy.mitm.screens import Screen
from symphony_auth_proxy.model import Component, Web
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox
from symphony_auth_proxy.secret import Secret

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
LOGIN, RELAY = "/login/pubkey/authenticate", "/relay/pubkey/authenticate"
SESSION_AUTH, KEY_AUTH = "/sessionauth/v1/authenticate", "/keyauth/v1/authenticate"
AGENT_INFO = "/agent/v1/info"
APP, APP_LOGIN = "trading-app", "/login/pubkey/app/authenticate"

GATEWAY = "X-Gateway-Key"
DESK = ("desk", "password of desk")


class Scene:
    """A proxy with mitmproxy's whole UI, and one client."""

    def __init__(self, sandbox: Sandbox, proxy: Proxy, client: httpx.Client) -> None:
        self.sandbox, self.proxy, self.client = sandbox, proxy, client

    def call(self, path: str = INFO, **headers: str) -> int:
        component = Component.AGENT if path.startswith("/agent") else Component.POD
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answered = self.client.post if path == ECHO else self.client.get
        more = {"json": {"message": "x"}} if path == ECHO else {}
        url = self.sandbox.url(component) + path
        return int(answered(url, headers=named, **more).status_code)

    @property
    def flows(self) -> list[http.HTTPFlow]:
        view = self.view
        return self.proxy.call(lambda: [one for one in view if isinstance(one, http.HTTPFlow)])

    @property
    def logins(self) -> list[http.HTTPFlow]:
        return [flow for flow in self.flows if flow.client_conn.peername[0] == SENDER]

    def login(self, path: str) -> http.HTTPFlow:
        """The one flow of a login; waits for it."""
        self.view.wait_for(path)
        [flow] = [flow for flow in self.logins if flow.request.path == path]
        return flow

    @property
    def view(self) -> Watched:
        view = self.proxy.master.addons.get("view")
        assert isinstance(view, Watched)
        return view


class Watched(View):
    """mitmproxy's list of flows, which tells when one is whole."""

    name = "view"

    def __init__(self) -> None:
        super().__init__()
        self._changed, self._whole = threading.Condition(), set[str]()

    def response(self, flow: http.HTTPFlow) -> None:
        super().response(flow)
        with self._changed:
            self._whole.add(flow.request.path)
            self._changed.notify_all()

    error = response

    def wait_for(self, path: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: path in self._whole, 20), f"no flow of {path}"


@contextmanager
def scene(
    sandbox: Sandbox, credentials: tuple[str, str] | None = None, **options: str
) -> Iterator[Scene]:
    def with_options(proxy: master.Master, _: SymphonyAuth) -> None:
        proxy.options.set(*(f"{name}={value}" for name, value in options.items()))

    confdir = sandbox.directory / "proxy-ca"
    with (
        mock.patch.object(runner, "master_of", all_of_mitmproxy),
        running_proxy(sandbox.config, confdir, prepare=with_options) as proxy,
        client_of(proxy, credentials=credentials) as client,
    ):
        yield Scene(sandbox, proxy, client)


def all_of_mitmproxy(
    screen: Screen, opts: Options, ours: Sequence[object], web: Web
) -> master.Master:
    """mitmdump, with what mitmweb has beside it, and ours where scripts stand. (mitmweb never
    closes the port of its UI.)"""
    del screen, web
    proxy = DumpMaster(opts, with_termlog=False)
    index = next(i for i, one in enumerate(proxy.addons.chain) if isinstance(one, ScriptLoader))
    proxy.addons.chain[index:index] = [proxy.addons.register(one) for one in ours]
    proxy.addons.add(Intercept(), Watched())
    return proxy


# What people see


def test_logins_stand_in_the_list_with_the_fingerprint_that_is_everywhere(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with scene(sandbox) as here:
        assert here.call(ECHO) == 200
        session, key_manager = here.login(LOGIN), here.login(RELAY)
        [call] = [flow for flow in here.flows if flow.request.path == ECHO]

    record = next(r for r in audit_records(caplog, "login_succeeded") if r["kind"] == "session")
    named = f"#{record['fingerprint']}"
    assert session.comment.startswith(f"{KEY_BOT} · session login · {named} · ")
    assert " · expires in " in session.comment
    assert session.response is not None
    assert named in session.response.json()["token"]
    assert named in call.request.headers["sessionToken"]
    assert named in call.comment
    assert key_manager.comment.startswith(f"{KEY_BOT} · key manager login · #")
    assert key_manager.response is not None
    assert key_manager.response.json()["token"] in call.request.headers["keyManagerToken"].replace(
        f"{KEY_BOT} ", ""
    ).replace(" gen 1", "")


def test_a_certificate_login_shows_certificates_of_both_sides(sandbox: Sandbox) -> None:
    with scene(sandbox) as here:
        assert here.call(Symphony_Bot=CERTIFICATE_BOT) == 200
        flow = here.login(SESSION_AUTH)
    assert flow.comment.startswith(f"{CERTIFICATE_BOT} · session login · #")
    assert flow.client_conn.certificate_list[0].cn == CERTIFICATE_BOT
    assert "localhost" in [name.value for name in flow.server_conn.certificate_list[0].altnames]
    assert flow.server_conn.tls_version == "TLSv1.3"


def test_the_question_for_the_agents_version_is_shown_too(sandbox: Sandbox) -> None:
    sandbox.set_simplified_key_delivery(KEY_BOT)
    with scene(sandbox) as here:
        assert here.call(ECHO) == 200
        flow = here.login(AGENT_INFO)
    assert flow.comment.startswith(f"{KEY_BOT} · agent version · ")
    assert flow.response is not None
    assert "version" in flow.response.json()


def test_logins_on_behalf_of_users_name_both(sandbox: Sandbox) -> None:
    let_users_be_called_for(sandbox)
    with scene(sandbox, DESK) as here:
        assert here.call(Symphony_On_Behalf_Of="alice") == 200
        app = here.login(APP_LOGIN)
        user = here.login("/login/pubkey/app/username/alice/authenticate")
    assert app.comment.startswith(f"{KEY_BOT} for alice · app login · #")
    assert user.comment.startswith(f"{KEY_BOT} for alice · session login · #")
    assert app.response is not None
    assert user.request.headers["sessionToken"] == app.response.json()["token"]


def let_users_be_called_for(sandbox: Sandbox) -> None:
    key = rsa_key(number=7)
    (sandbox.directory / "app.pem").write_bytes(private_key_pem(key))
    sandbox.add_app(APP, public_key_pem(key).decode())
    with change(sandbox.config) as document:
        document["app"] = {"appId": APP, "privateKey": {"path": "app.pem"}}
        document["authProxy"]["clients"] = [
            {
                "name": DESK[0],
                "password": DESK[1],
                "bots": [KEY_BOT, CERTIFICATE_BOT],
                "onBehalfOf": "any",
            }
        ]


def test_a_refused_login_says_why(sandbox: Sandbox) -> None:
    sandbox.fail(Component.POD, status=401, path=LOGIN)
    with scene(sandbox) as here:
        assert here.call() == 503
        flow = here.login(LOGIN)
    assert " · why: key_not_accepted – the login at localhost:" in flow.comment
    assert flow.response is not None
    assert flow.response.status_code == 401


def test_logins_after_a_reload_are_shown_as_well(sandbox: Sandbox) -> None:
    with scene(sandbox) as here:
        assert here.call() == 200
        with change(sandbox.config) as document:
            document["authProxy"]["tokens"] = {"lifetime": "8h"}
        here.proxy.call(here.proxy.addon.reload)
        sandbox.revoke(KEY_BOT)
        assert here.call() == 200
        logins = [flow for flow in here.logins if flow.request.path == LOGIN]
    assert len(logins) == 2


def test_the_lean_gateway_makes_no_flows_of_them(
    sandbox: Sandbox, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(journal, "flow_of", made.append)
    assert client.get(sandbox.url(Component.POD) + INFO).status_code == 200
    assert made == []


# Other addons


def test_what_other_addons_do_to_requests_is_not_done_to_logins(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    saved, har = tmp_path / "flows", tmp_path / "flows.har"
    meddling = {
        "intercept": "~u authenticate",
        "block_list": "/~u authenticate/403",
        "map_remote": "|authenticate|elsewhere",
        "modify_headers": "/~u authenticate/X-Meddled/yes",
        "modify_body": "/~u authenticate/token/meddled",
        "stickycookie": ".",
        "stickyauth": ".",
        "anticomp": "true",
        "proxyauth": "somebody:with a password",
        "save_stream_file": str(saved),
        "hardump": str(har),
    }
    with scene(sandbox, ("somebody", "with a password"), **meddling) as here:
        assert here.call(ECHO) == 200
        assert not any(flow.intercepted or flow.is_replay for flow in here.logins)
        session = here.login(LOGIN)
    assert session.response is not None
    assert session.response.status_code == 200
    assert "x-meddled" not in session.request.headers
    assert "token" in session.request.json()
    assert set(session.metadata) == {"symphony_auth_proxy.login"}
    assert LOGIN.encode() in saved.read_bytes()
    paths = [entry["request"]["url"] for entry in json.loads(har.read_text())["log"]["entries"]]
    assert any(path.endswith(LOGIN) for path in paths)


def test_mitmdump_prints_them(sandbox: Sandbox) -> None:
    with stock_tool("mitmdump", sandbox) as tool:
        trust = ssl.create_default_context(cafile=str(tool.ca))
        with httpx.Client(proxy=tool.url, verify=trust, trust_env=False) as client:
            assert client.get(sandbox.url(Component.POD) + INFO).status_code == 200
        tool.child.seen(rf"{SENDER}:0: POST https://localhost:\d+{LOGIN}")
        tool.child.seen(r"\[sealed #[0-9a-f]{4}\]")


# Sending them again


def tampered(flow: http.HTTPFlow) -> http.HTTPFlow:
    copy = flow.copy()
    copy.request.path = INFO
    copy.request.method = "GET"
    return copy


@pytest.mark.parametrize(
    "of", [lambda flow: flow, http.HTTPFlow.copy, tampered], ids=["itself", "a copy", "edited"]
)
@pytest.mark.parametrize("answering", [False, True], ids=["", "with answered logins"])
def test_a_login_that_is_sent_again_goes_nowhere(
    sandbox: Sandbox, of: Callable[[http.HTTPFlow], http.HTTPFlow], answering: bool
) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["answerLogins"] = answering
    with scene(sandbox) as here:
        assert here.call() == 200
        login = here.login(LOGIN)
        again = replay(here.proxy, of(login))
        assert [len(calls(sandbox, path)) for path in (LOGIN, INFO)] == [1, 1]
    assert again.response is not None
    assert again.response.status_code == 403
    assert again.response.json()["details"]["reason"] == "placeholder_worthless"


# Secrets


def everything(flows: list[http.HTTPFlow]) -> bytes:
    file = io.BytesIO()
    for flow in flows:
        FlowWriter(file).add(flow)
        file.write(json.dumps(flow.get_state(), default=repr).encode())
    return file.getvalue()


def test_no_flow_file_or_log_holds_a_secret_of_any_login(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    saved, har = tmp_path / "flows", tmp_path / "flows.har"
    gateway_key = "gateway-key-5f2b9c71d0"
    with change(sandbox.config) as document:
        document["defaultHeaders"] = {GATEWAY: gateway_key}
    let_users_be_called_for(sandbox)
    with (
        issuing_noted() as issued,
        scene(sandbox, DESK, save_stream_file=str(saved), hardump=str(har)) as here,
    ):
        assert here.call(ECHO) == 200
        assert here.call(Symphony_Bot=CERTIFICATE_BOT) == 200
        assert here.call(Symphony_On_Behalf_Of="alice") == 200
        sandbox.fail(Component.POD, status=401, path=LOGIN)
        sandbox.revoke(KEY_BOT)
        assert here.call() == 503
        flows = here.flows
        assert len(here.logins) >= 6
    canaries = canaries_of(sandbox, issued)
    canaries.add("gateway key", gateway_key)
    assert {"assertion", "session", "key manager", "private key"} <= canaries.kinds
    assert {gateway_key} == {
        value for one in calls(sandbox, LOGIN) for value in one.values(GATEWAY)
    }
    for place in (everything(flows), saved.read_bytes(), har.read_bytes(), caplog.text.encode()):
        assert canaries.found_in(place) == set()


ECHOING: dict[str, Callable[[str], bytes]] = {
    "message": lambda said: answer(
        "401 Unauthorized", body=json.dumps({"code": 401, "message": f"bad {said}"}).encode()
    ),
    "page": lambda said: answer(
        "403 Forbidden", "Content-Type: text/html", body=f"<p>{said}</p>".encode()
    ),
    "header": lambda said: answer("401 Unauthorized", f"X-Debug: got {said}", f"X-{said}: 1"),
    "cookie": lambda said: answer("401 Unauthorized", f"Set-Cookie: skey={said}; Path=/"),
    "redirect": lambda said: answer("302 Found", f"Location: https://sso.example/?token={said}"),
    "token": lambda said: answer(body=json.dumps({"token": said, "name": said}).encode()),
    "signature": lambda said: answer(
        "401 Unauthorized", body=json.dumps([said.rpartition(".")[2][7:-9]]).encode()
    ),
    "junk": lambda said: f"HTTP/1.1 200 {said}\r\nX: {said}\r\n\r\n{said}".encode(),
    "no HTTP": lambda said: said.encode(),
}


@pytest.mark.parametrize("how", ECHOING)
def test_a_pod_that_says_the_assertion_back_puts_it_into_no_flow(
    sandbox: Sandbox, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sandbox.directory / "server.pem")
    assertions: list[str] = []

    def answering(request: bytes) -> tuple[bytes, bytes]:
        assertions.append(json.loads(request.partition(b"\r\n\r\n")[2])["token"])
        return ECHOING[how](assertions[-1]), HANG_UP

    with RawOrigin(tls, answering) as pod:
        with change(sandbox.config) as document:
            document["pod"] = {"host": "localhost", "port": pod.port}
        with scene(sandbox) as here:
            here.view.wait_for(LOGIN)
            flows = here.logins
    canaries = Canaries()
    for assertion in assertions:
        canaries.add("assertion", assertion)
        assert assertion.rpartition(".")[2][20:40].encode() not in everything(flows)
    assert canaries.found_in(everything(flows)) == set()
    assert canaries.found_in(caplog.text.encode()) == set()
    assert Secret(assertions[0]).fingerprint().encode() in everything(flows)
