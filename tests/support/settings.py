"""Settings for tests that need no key and no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symphony_auth_proxy.auth import RsaLogin
from symphony_auth_proxy.keys import PrivateKeyFile
from symphony_auth_proxy.model import (
    Bot,
    Client,
    Endpoint,
    Origin,
    Pod,
    Settings,
    Token,
    TokenKind,
    TokenPair,
)
from symphony_auth_proxy.passwords import PlainPassword
from symphony_auth_proxy.secret import Secret


def endpoint(host: str, port: int = 443, context: str = "") -> Endpoint:
    return Endpoint(Origin(host, port), context)


def pod(**components: Endpoint) -> Pod:
    """Four hosts, as a bank with its own agent and key manager has them."""
    hosts = {
        "pod": endpoint("acme.symphony.com"),
        "agent": endpoint("agent.acme.example"),
        "key_manager": endpoint("km.acme.example"),
        "session_auth": endpoint("acme-api.symphony.com"),
    }
    return Pod(**(hosts | components))


def cloud_pod(host: str = "acme.symphony.com", port: int = 443, context: str = "") -> Pod:
    """One host for everything."""
    place = endpoint(host, port, context)
    return Pod(place, place, place, place)


def bot(username: str = "pricing-bot", pod_: Pod | None = None) -> Bot:
    return Bot(username, pod_ or pod(), RsaLogin(username, PrivateKeyFile()))


def client(name: str, *bots: str, password: str | None = None, **more: Any) -> Client:
    """One with these grants. Its password is `NAME's password` unless told otherwise."""
    value = Secret(f"{name}'s password" if password is None else password)
    return Client(name, PlainPassword(value), bots, **more)


def settings(*bots: Bot, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "bots": bots or (bot(),),
        "listen": Origin("127.0.0.1", 8080),
        "ca_directory": Path("certs/ca"),
        "ca_directory_configured": False,
        "trust_bundle": "",
    }
    return Settings(**(values | changes))


def token_pair(session: str = "session-secret", key_manager: str | None = "km-secret") -> TokenPair:
    def token(kind: TokenKind, value: str) -> Token:
        return Token(kind, Secret(value), generation=3, obtained=0.0)

    return TokenPair(
        "pricing-bot",
        token(TokenKind.SESSION, session),
        token(TokenKind.KEY_MANAGER, key_manager) if key_manager is not None else None,
    )
