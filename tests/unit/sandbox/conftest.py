"""A sandbox per test, and callers that log in to it as bots do."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox, prepare

LOGINS = {
    TokenKind.SESSION: (Component.POD, "/login/pubkey/authenticate"),
    TokenKind.KEY_MANAGER: (Component.KEY_MANAGER, "/relay/pubkey/authenticate"),
}


class Caller:
    """A client of one bot. Keeps the tokens of its last login."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http
        self.username = "pricing-bot"
        self.key = (sandbox.directory / "pricing-bot.pem").read_text()
        self.tokens: dict[str, str] = {}

    def send(self, method: str, component: Component, path: str, **more: Any) -> httpx.Response:
        """Send with the tokens that are at hand."""
        more.setdefault("headers", self.tokens)
        return self.http.request(method, self.sandbox.url(component) + path, **more)

    def pod(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.send(method, Component.POD, path, **more)

    def agent(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.send(method, Component.AGENT, path, **more)

    def assertion(self, *, key: str | None = None, alg: str = "RS512", **claims: Any) -> str:
        wanted = {"sub": self.username, "exp": int(time.time()) + 240} | claims
        wanted = {name: value for name, value in wanted.items() if value is not None}
        return jwt.encode(wanted, key or self.key, algorithm=alg)

    def present(self, assertion: str, kind: TokenKind = TokenKind.SESSION) -> httpx.Response:
        component, path = LOGINS[kind]
        return self.send("POST", component, path, json={"token": assertion}, headers={})

    def log_in(self, *kinds: TokenKind) -> Caller:
        for kind in kinds or TokenKind:
            answer = self.present(self.assertion(), kind).raise_for_status().json()
            self.tokens[answer["name"]] = answer["token"]
        return self

    def alive(self) -> bool:
        """Whether the session token still opens the pod."""
        return self.pod("GET", "/pod/v2/sessioninfo").status_code == 200

    def echo(self) -> int:
        """Ask the agent for something that needs both tokens; returns the status."""
        return self.agent("POST", "/agent/v1/util/echo", json={"message": "hi"}).status_code


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and certificates, made once; short ones, because that is faster."""
    directory = tmp_path_factory.mktemp("prepared")
    prepare(directory, key_bits=2048)
    return directory


@pytest.fixture
def directory(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "sandbox")


@pytest.fixture
def sandbox(directory: Path) -> Iterator[Sandbox]:
    with Sandbox(directory) as running:
        yield running


@pytest.fixture
def client_of(sandbox: Sandbox) -> Iterator[Callable[..., httpx.Client]]:
    """Makes HTTP clients that trust the sandbox's CA and may show a certificate."""
    with ExitStack() as stack:

        def make(certificate: Path | None = None) -> httpx.Client:
            context = ssl.create_default_context(cafile=sandbox.ca)
            if certificate:
                context.load_cert_chain(certificate)
            return stack.enter_context(httpx.Client(verify=context, trust_env=False, timeout=20))

        yield make


@pytest.fixture
def caller(sandbox: Sandbox, client_of: Callable[..., httpx.Client]) -> Caller:
    """The RSA bot, not yet logged in."""
    return Caller(sandbox, client_of())


@pytest.fixture
def bot(caller: Caller) -> Caller:
    """The RSA bot, logged in to pod and key manager."""
    return caller.log_in()
