"""Three bots and two clients share one proxy.

Each client gets what it was granted, in whichever way it asks for a bot, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki import rsa_key
from support.audit import audit_records
from support.clients import trust_of
from support.configuration import change
from support.logins import log_in_by_key
from support.processes import free_port
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy import config
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_csr,
    private_key_pem,
    sign_csr,
)
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.model import Component, Origin, Settings, TokenKind
from symphony_auth_proxy.sandbox import Received, Sandbox

SESSION_INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"

KEY_BOT, P12_BOT, PEM_BOT = "pricing-bot", "compliance-bot", "research-bot"
BOTS = (KEY_BOT, P12_BOT, PEM_BOT)
GRANTS = {"desk": (KEY_BOT, P12_BOT), "lab": (PEM_BOT,)}
WAYS = ("port", "header", "placeholder")

ALLOWED = [(who, bot) for who, bots in GRANTS.items() for bot in bots]
FORBIDDEN = [pair for pair in product(GRANTS, BOTS) if pair not in ALLOWED]


def password(who: str) -> str:
    return f"the password of {who}"


def add_pem_bot(sandbox: Sandbox) -> None:
    """A third bot, which logs in with a certificate and a key in two PEM files."""
    directory = sandbox.directory
    (ca,) = x509.load_pem_x509_certificates((directory / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((directory / "ca.key.pem").read_bytes(), None)
    certificate = sign_csr(make_csr(rsa_key(), PEM_BOT), ca, ca_key)  # type: ignore[arg-type]
    for name, content in (
        ("research.crt", certificates_pem([certificate])),
        ("research.key", private_key_pem(rsa_key())),
    ):
        (directory / name).touch(0o600)
        (directory / name).write_bytes(content)
    sandbox.add_bot(PEM_BOT, certificate_login=True)


def configure(sandbox: Sandbox, ports: Mapping[str, int]) -> None:
    """Write what a person would, beside the two bots that are in the file."""
    for who in GRANTS:
        (sandbox.directory / who).touch(0o600)
        (sandbox.directory / who).write_text(password(who))
    with change(sandbox.config) as document:
        own = document["authProxy"]
        pem = {"path": "research.crt", "keyPath": "research.key"}
        own["bots"].append({"username": PEM_BOT, "certificate": pem})
        for bot in own["bots"]:
            bot["listen"] = f"127.0.0.1:{ports[bot['username']]}"
        own["clients"] = [
            {"name": who, "passwordFile": who, "bots": list(bots)} for who, bots in GRANTS.items()
        ]
        own["answerLogins"] = True
        document["app"] = {"appId": "desk-app", "privateKey": {"path": f"{KEY_BOT}.pem"}}


class Opened:
    """Counts what is opened towards other machines."""

    def __init__(self) -> None:
        self.opened = 0

    def server_connect(self, _data: object) -> None:
        self.opened += 1


@dataclass(frozen=True)
class Shared:
    """One proxy for all of them."""

    sandbox: Sandbox
    proxy: Proxy
    ports: Mapping[str, int]
    """The bots' own ones."""
    connections: Opened

    def call(self, who: str, bot: str, way: str, path: str = SESSION_INFO) -> httpx.Response:
        """Call as a client and ask for a bot."""
        headers = {}
        if way == "header":
            headers["Symphony-Bot"] = bot
        elif way == "placeholder":
            headers["sessionToken"] = self.placeholder(bot, who)
        return self.send(who, path, headers, self.ports[bot] if way == "port" else None)

    def placeholder(self, bot: str, who: str | None) -> str:
        """What a client would hold after a login that was answered here."""
        active = self.proxy.addon.state.active
        assert active is not None
        assert active.placeholders is not None
        return active.placeholders.issue(TokenKind.SESSION, bot, who)

    def send(
        self,
        who: str,
        path: str,
        headers: Mapping[str, str],
        port: int | None = None,
        secret: str = "",
    ) -> httpx.Response:
        component = Component.AGENT if path == ECHO else Component.POD
        with self.http(who, port, secret) as http:
            method = "POST" if path == ECHO else "GET"
            return http.request(
                method, self.sandbox.url(component) + path, headers=headers, json={"message": "x"}
            )

    def log_in(
        self, who: str, bot: str, kind: TokenKind, port: int | None = None
    ) -> httpx.Response:
        """Log in as a bot, with a key that nobody knows."""
        with self.http(who, port) as http:
            return log_in_by_key(http, self.sandbox, kind, bot)

    def http(self, who: str, port: int | None = None, secret: str = "") -> httpx.Client:
        way = httpx.Proxy(
            f"http://127.0.0.1:{port or self.proxy.port}", auth=(who, secret or password(who))
        )
        return httpx.Client(proxy=way, verify=trust_of(self.proxy), trust_env=False)

    def arrived(self) -> list[Received]:
        return [r for r in self.sandbox.requests if r.path in {SESSION_INFO, ECHO}]


@pytest.fixture(scope="module")
def shared(prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    directory = tmp_path_factory.mktemp("shared") / "sandbox"
    shutil.copytree(prepared_directory, directory)
    ports = {bot: free_port() for bot in BOTS}

    def load(path: Path | None) -> Settings:
        """In a file the default bot has no port of its own; here it shall be asked for in
        every way, too."""
        settings = config.load(path)
        default, *others = settings.bots
        own = replace(default, listen=Origin("127.0.0.1", ports[default.username]))
        return replace(settings, bots=(own, *others))

    with Sandbox(directory) as sandbox:
        add_pem_bot(sandbox)
        configure(sandbox, ports)
        connections = Opened()
        with running_proxy(
            sandbox.config,
            directory / "proxy-ca",
            load=load,
            prepare=lambda master, _: master.addons.add(connections),
        ) as proxy:
            yield Shared(sandbox, proxy, ports, connections)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("who", "bot"), ALLOWED)
def test_each_client_speaks_as_the_bots_that_it_was_granted(
    shared: Shared, who: str, bot: str, way: str
) -> None:
    answer = shared.call(who, bot, way)
    assert (answer.status_code, answer.json()["username"]) == (200, bot)
    assert shared.call(who, bot, way, ECHO).status_code == 200


def test_a_client_of_one_bot_need_not_say_which(shared: Shared) -> None:
    assert shared.send("lab", SESSION_INFO, {}).json()["username"] == PEM_BOT


def test_a_client_of_several_bots_that_does_not_say_gets_the_default_one(shared: Shared) -> None:
    assert shared.send("desk", SESSION_INFO, {}).json()["username"] == KEY_BOT


def assert_refused(
    answer: httpx.Response, log: pytest.LogCaptureFixture, who: str, bot: str
) -> None:
    """And that a record tells which client wanted to speak as which bot."""
    assert (answer.status_code, answer.json()["details"]["reason"]) == (403, Reason.NOT_GRANTED)
    told = [
        (record["client"], record["bot"], record["reason"])
        for record in audit_records(log, "refused")
    ]
    assert (who, bot, "not_granted") in told


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("who", "bot"), FORBIDDEN)
def test_every_other_bot_is_refused_and_recorded(
    shared: Shared, who: str, bot: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    for path in (SESSION_INFO, ECHO):
        assert_refused(shared.call(who, bot, way, path), caplog, who, bot)
    assert shared.arrived() == before


@pytest.mark.parametrize("kind", TokenKind)
def test_only_logins_of_granted_bots_are_answered(
    shared: Shared, kind: TokenKind, caplog: pytest.LogCaptureFixture
) -> None:
    for who, bot in ALLOWED:
        assert shared.log_in(who, bot, kind).status_code == 200
        assert shared.log_in(who, bot, kind, shared.ports[bot]).status_code == 200
    for who, bot in FORBIDDEN:
        for port in (None, shared.ports[bot]):
            caplog.clear()
            assert_refused(shared.log_in(who, bot, kind, port), caplog, who, bot)


@pytest.mark.parametrize(("bot", "named"), [(KEY_BOT, P12_BOT), (P12_BOT, KEY_BOT)])
@pytest.mark.parametrize("kind", TokenKind)
def test_a_login_for_another_bot_than_the_ports_is_refused(
    shared: Shared, bot: str, named: str, kind: TokenKind, caplog: pytest.LogCaptureFixture
) -> None:
    assert_refused(shared.log_in("desk", named, kind, shared.ports[bot]), caplog, "desk", named)


@pytest.mark.parametrize("bot", [None, *BOTS])
@pytest.mark.parametrize(("who", "other"), [("desk", "lab"), ("lab", "desk")])
def test_a_wrong_password_opens_no_connection(
    shared: Shared, who: str, other: str, bot: str | None
) -> None:
    port = shared.ports[bot] if bot is not None else None
    before = shared.connections.opened
    for secret in ("wrong", password(other)):
        with pytest.raises(httpx.ProxyError, match="407"):
            shared.send(who, SESSION_INFO, {}, port, secret)
    assert shared.connections.opened == before
    shared.send(who, SESSION_INFO, {})
    assert shared.connections.opened == before + 1, "it would have been counted"


@pytest.mark.parametrize(("who", "other"), [("desk", "lab"), ("lab", "desk")])
@pytest.mark.parametrize("bot", BOTS)
def test_the_placeholder_of_another_client_is_refused_for_every_bot(
    shared: Shared, who: str, other: str, bot: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    stolen = {"sessionToken": shared.placeholder(bot, other)}
    assert_refused(shared.send(who, SESSION_INFO, stolen), caplog, who, bot)
    assert shared.arrived() == before


@pytest.mark.parametrize("bot", BOTS)
@pytest.mark.parametrize("who", GRANTS)
def test_calls_on_behalf_of_users_are_refused_without_a_grant(
    shared: Shared, who: str, bot: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    headers = {"Symphony-On-Behalf-Of": "alice", "Symphony-Bot": bot}
    assert_refused(shared.send(who, SESSION_INFO, headers), caplog, who, bot)
    assert shared.arrived() == before
    assert not [r for r in shared.sandbox.requests if "/app/" in r.path], "not even a login"


@pytest.mark.parametrize(("bot", "named"), [(KEY_BOT, P12_BOT), (P12_BOT, KEY_BOT)])
@pytest.mark.parametrize("way", ["header", "placeholder"])
def test_a_port_is_not_overruled_by_what_the_request_says(
    shared: Shared, bot: str, named: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even by a bot that the client is granted: it would speak as another than it thinks."""
    headers = {"Symphony-Bot": named}
    if way == "placeholder":
        headers = {"sessionToken": shared.placeholder(named, "desk")}
    answer = shared.send("desk", SESSION_INFO, headers, shared.ports[bot])
    assert_refused(answer, caplog, "desk", named)


def test_each_call_carries_the_token_of_its_own_bot(shared: Shared) -> None:
    before = len(shared.arrived())
    for who, bot in ALLOWED:
        assert shared.call(who, bot, "header").json()["username"] == bot
    tokens = [call.values("sessionToken") for call in shared.arrived()[before:]]
    assert len({token for (token,) in tokens}) == len(BOTS)
