"""Logins as SDKs make them, by bots that hold nothing worth stealing."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jwt

from pki import company_ca, rsa_key
from support.clients import trust_of
from support.configuration import change
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_csr,
    private_key_pem,
    sign_csr,
)
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Received, Sandbox

RSA = {
    TokenKind.SESSION: (Component.POD, "/login/pubkey/authenticate"),
    TokenKind.KEY_MANAGER: (Component.KEY_MANAGER, "/relay/pubkey/authenticate"),
}
CERTIFICATE = {
    TokenKind.SESSION: (Component.SESSION_AUTH, "/sessionauth/v1/authenticate"),
    TokenKind.KEY_MANAGER: (Component.KEY_MANAGER, "/keyauth/v1/authenticate"),
}
_ECHO, _SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"

HEADERS = {TokenKind.SESSION: "sessionToken", TokenKind.KEY_MANAGER: "keyManagerToken"}


@contextmanager
def answering_proxy(sandbox: Sandbox, **changes: Any) -> Iterator[Proxy]:
    """A proxy that answers logins. `changes`: keys below `authProxy`; but `configure` changes
    the whole document, and `prepare` is `running_proxy`'s."""
    more = {name: changes.pop(name) for name in ("prepare",) if name in changes}
    config = answering_config(sandbox, **changes)
    with running_proxy(config, sandbox.directory / "proxy-ca", **more) as proxy:
        yield proxy


def answering_config(
    sandbox: Sandbox, *, configure: Callable[[Any], None] | None = None, **changes: Any
) -> Path:
    config = sandbox.directory / "answering.yaml"
    config.write_bytes(sandbox.config.read_bytes())
    with change(config) as document:
        document["authProxy"] |= {"answerLogins": True, "drainSeconds": 1, **changes}
        if configure is not None:
            configure(document)
    return config


def assertion(user: str, *, number: int = 5) -> str:
    """A login assertion, signed with a key that Symphony does not know."""
    claims = {"sub": user, "exp": int(time.time()) + 240}
    return jwt.encode(claims, rsa_key(number=number), "RS512")


@cache
def _certificate(user: str) -> bytes:
    key = rsa_key(number=6)
    signed = sign_csr(make_csr(key, user), *company_ca("Nobody's CA"))
    return certificates_pem([signed]) + private_key_pem(key)


def tls_with_certificate(proxy: Proxy, user: str, directory: Path) -> ssl.SSLContext:
    """Trusts the proxy, and shows a certificate of a CA that Symphony does not know."""
    context = trust_of(proxy)
    context.load_cert_chain(certificate_file(user, directory))
    return context


def certificate_file(user: str, directory: Path) -> Path:
    """A certificate of a CA that Symphony does not know, and its key, as PEM."""
    path = directory / f"{user}-offered.pem"
    path.write_bytes(_certificate(user))
    return path


def log_in_by_key(
    client: httpx.Client, sandbox: Sandbox, kind: TokenKind, user: str = "pricing-bot"
) -> httpx.Response:
    component, path = RSA[kind]
    return client.post(sandbox.url(component) + path, json={"token": assertion(user)})


def log_in_by_certificate(
    client: httpx.Client, sandbox: Sandbox, kind: TokenKind, **headers: str
) -> httpx.Response:
    """The certificate is the client's own."""
    component, path = CERTIFICATE[kind]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(sandbox.url(component) + path, headers=named)


def placeholders_of(
    client: httpx.Client, sandbox: Sandbox, user: str = "pricing-bot"
) -> dict[str, str]:
    """The headers that a bot sends after it has logged in with a throw-away key."""
    headers = {}
    for kind, name in HEADERS.items():
        answer = log_in_by_key(client, sandbox, kind, user)
        assert answer.status_code == 200, answer.text
        assert answer.json()["name"] == name
        headers[name] = answer.json()["token"]
    return headers


def arrived(sandbox: Sandbox) -> bytes:
    """Every byte of head and body that Symphony was sent."""
    return b"\n".join(
        json.dumps([one.path, one.query, one.headers]).encode() + (one.body or b"")
        for one in sandbox.requests
    )


def who(client: httpx.Client, sandbox: Sandbox, headers: dict[str, str]) -> str:
    """As whom a client speaks, according to pod and agent."""
    info = client.get(sandbox.url(Component.POD) + _SESSION_INFO, headers=headers)
    echo = client.post(sandbox.url(Component.AGENT) + _ECHO, json={"message": "x"}, headers=headers)
    assert (info.status_code, echo.status_code) == (200, 200), info.text + echo.text
    return str(info.json()["username"])


def calls(sandbox: Sandbox, path: str) -> list[Received]:
    return [one for one in sandbox.requests if one.path == path]


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"]["reason"])
