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
from support.configuration import read_with
from support.processes import free_port
from support.proxy import Proxy, running_proxy
from support.settings import client
from symphony_auth_proxy import config
from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_csr,
    private_key_pem,
    sign_csr,
)
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.keys import CertificateFile, PrivateKeyFile
from symphony_auth_proxy.model import App, Bot, Component, Origin, TokenKind
from symphony_auth_proxy.sandbox import Received, Sandbox

SESSION_INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"

KEY_BOT, P12_BOT, PEM_BOT = "pricing-bot", "compliance-bot", "research-bot"
BOTS = (KEY_BOT, P12_BOT, PEM_BOT)
GRANTS = {"desk": (KEY_BOT, P12_BOT), "lab": (PEM_BOT,)}
WAYS = ("port", "header", "placeholder")

ALLOWED = [(who, bot) for who, bots in GRANTS.items() for bot in bots]
FORBIDDEN = [pair for pair in product(GRANTS, BOTS) if pair not in ALLOWED]


def pem_bot(sandbox: Sandbox, like: Bot) -> Bot:
    """A third bot, which logs in with a certificate and a key in two PEM files."""
    directory = sandbox.directory
    (ca,) = x509.load_pem_x509_certificates((directory / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((directory / "ca.key.pem").read_bytes(), None)
    certificate = sign_csr(make_csr(rsa_key(), PEM_BOT), ca, ca_key)  # type: ignore[arg-type]
    paths = directory / "research.crt", directory / "research.key"
    for path, content in zip(
        paths, (certificates_pem([certificate]), private_key_pem(rsa_key())), strict=True
    ):
        path.touch(0o600)
        path.write_bytes(content)
    sandbox.add_bot(PEM_BOT, certificate_login=True)
    source = CertificateFile(PEM_BOT, path=paths[0], key_path=paths[1])
    return Bot(PEM_BOT, like.pod, CertificateLogin(PEM_BOT, source))


@dataclass(frozen=True)
class Shared:
    """One proxy for all of them."""

    sandbox: Sandbox
    proxy: Proxy
    ports: Mapping[str, int]
    """The bots' own ones."""

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
        self, who: str, path: str, headers: Mapping[str, str], port: int | None = None
    ) -> httpx.Response:
        way = httpx.Proxy(
            f"http://127.0.0.1:{port or self.proxy.port}", auth=(who, f"{who}'s password")
        )
        component = Component.AGENT if path == ECHO else Component.POD
        with httpx.Client(proxy=way, verify=trust_of(self.proxy), trust_env=False) as http:
            method = "POST" if path == ECHO else "GET"
            return http.request(
                method, self.sandbox.url(component) + path, headers=headers, json={"message": "x"}
            )

    def arrived(self) -> list[Received]:
        return [r for r in self.sandbox.requests if r.path in {SESSION_INFO, ECHO}]


@pytest.fixture(scope="module")
def shared(prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    directory = tmp_path_factory.mktemp("shared") / "sandbox"
    shutil.copytree(prepared_directory, directory)
    with Sandbox(directory) as sandbox:
        key_bot, p12_bot = config.load(sandbox.config).bots
        ports = {bot: free_port() for bot in BOTS}
        app = App("desk-app", PrivateKeyFile(directory / f"{KEY_BOT}.pem"))
        bots = [
            replace(bot, listen=Origin("127.0.0.1", ports[bot.username]), app=app)
            for bot in (key_bot, p12_bot, pem_bot(sandbox, key_bot))
        ]
        clients = tuple(client(who, *granted) for who, granted in GRANTS.items())
        load = read_with({"bots": tuple(bots), "clients": clients, "answer_logins": True})
        with running_proxy(sandbox.config, directory / "proxy-ca", load=load) as proxy:
            yield Shared(sandbox, proxy, ports)


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


def assert_refused(answer: httpx.Response, log: pytest.LogCaptureFixture, who: str) -> None:
    assert (answer.status_code, answer.json()["details"]["reason"]) == (403, Reason.NOT_GRANTED)
    assert {"reason": "not_granted", "host": "localhost", "client": who} in audit_records(
        log, "refused"
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("who", "bot"), FORBIDDEN)
def test_every_other_bot_is_refused_and_recorded(
    shared: Shared, who: str, bot: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    for path in (SESSION_INFO, ECHO):
        assert_refused(shared.call(who, bot, way, path), caplog, who)
    assert shared.arrived() == before


@pytest.mark.parametrize(("who", "other"), [("desk", "lab"), ("lab", "desk")])
@pytest.mark.parametrize("bot", BOTS)
def test_the_placeholder_of_another_client_is_refused_for_every_bot(
    shared: Shared, who: str, other: str, bot: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    stolen = {"sessionToken": shared.placeholder(bot, other)}
    assert_refused(shared.send(who, SESSION_INFO, stolen), caplog, who)
    assert shared.arrived() == before


@pytest.mark.parametrize("bot", BOTS)
@pytest.mark.parametrize("who", GRANTS)
def test_calls_on_behalf_of_users_are_refused_without_a_grant(
    shared: Shared, who: str, bot: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared.arrived()
    headers = {"Symphony-On-Behalf-Of": "alice", "Symphony-Bot": bot}
    assert_refused(shared.send(who, SESSION_INFO, headers), caplog, who)
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
    assert_refused(answer, caplog, "desk")


def test_each_call_carries_the_token_of_its_own_bot(shared: Shared) -> None:
    before = len(shared.arrived())
    for who, bot in ALLOWED:
        assert shared.call(who, bot, "header").json()["username"] == bot
    tokens = [call.values("sessionToken") for call in shared.arrived()[before:]]
    assert len({token for (token,) in tokens}) == len(BOTS)
