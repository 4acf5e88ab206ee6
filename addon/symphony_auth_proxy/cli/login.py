"""`login`: one dry login of each bot. It shows everything but the tokens."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import jwt

from symphony_auth_proxy import config
from symphony_auth_proxy.auth.key_delivery import FIRST_WITH_KEY_DELIVERY, agent_version
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.errors import LoginError, SymphonyAuthProxyError
from symphony_auth_proxy.keys import KeyMaterial
from symphony_auth_proxy.model import (
    Bot,
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Origin,
    Settings,
    TokenKind,
)
from symphony_auth_proxy.tokens.logins import converse
from symphony_auth_proxy.transport import Transport


@click.command()
@config_option
@click.option("--bot", "username", metavar="NAME", help="Only this bot. Default: all.")
def login(config_path: Path | None, username: str | None) -> None:
    """Log each bot in once, and tell what came back.

    From where, how soon, with which claims; of the tokens fingerprints only. Exits with 0
    when all logins succeeded, else 1.

    \b
    Examples:
      symphony-auth-proxy login --config config.yaml
      symphony-auth-proxy login --bot compliance-bot
    """
    settings = config.load(config_path)
    bots = [bot for bot in settings.bots if username in {None, bot.username}]
    if not bots:
        known = ", ".join(bot.username for bot in settings.bots)
        raise click.BadParameter(f"no bot of that name; known bots: {known}", param_hint="--bot")
    if not asyncio.run(_log_in_all(settings, bots)):
        sys.exit(1)


async def _log_in_all(settings: Settings, bots: list[Bot]) -> bool:
    transport = Transport(settings.trust_bundle)
    results = [await _log_in(bot, transport) for bot in bots]
    return all(results)


async def _log_in(bot: Bot, transport: Transport) -> bool:
    click.secho(bot.username, bold=True)
    try:
        keys = bot.method.credentials.load()
        _tell("key", f"{keys.key.key_size} bit RSA, fingerprint {keys.fingerprint}")
        session = await _one(bot, TokenKind.SESSION, keys, transport)
        if session.simplified_key_delivery and await _agent_delivers(bot, transport):
            _tell("key manager token", "not needed: Simplified Key Delivery")
        else:
            await _one(bot, TokenKind.KEY_MANAGER, keys, transport)
    except SymphonyAuthProxyError as error:
        _tell("failed", f"{error.reason}: {error}", fg="red")
        if hint := error.hint():
            _tell("what to do", hint)
        return False
    return True


async def _one(bot: Bot, kind: TokenKind, keys: KeyMaterial, transport: Transport) -> GrantedToken:
    begun = time.monotonic()
    noting = _Noting(transport)
    granted = await converse(bot.method.login(kind, bot.pod, keys, time.time()), noting)
    took = (time.monotonic() - begun) * 1000
    name = "session token" if kind is TokenKind.SESSION else "key manager token"
    _tell(name, f"#{granted.value.fingerprint()} in {took:.0f} ms from {noting.origin}")
    if claims := _claims(granted):
        _tell("", claims)
    return granted


class _Noting:
    """A transport that remembers where it sent the last request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.origin: Origin | None = None

    async def send(self, request: LoginRequest) -> LoginResponse:
        self.origin = request.endpoint.origin
        return await self._transport.send(request)


async def _agent_delivers(bot: Bot, transport: Transport) -> bool:
    if not bot.pod.separate_agent:
        return True
    try:
        version = await converse(agent_version(bot.pod), transport)
    except LoginError:
        return False
    return version is not None and version >= FIRST_WITH_KEY_DELIVERY


def _claims(granted: GrantedToken) -> str:
    """The claims of a token that is a JWT, its times as people read them."""
    try:
        claims = jwt.decode(granted.value.reveal(), options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return ""
    shown = [f"{name}={value}" for name, value in claims.items() if name not in {"exp", "iat"}]
    shown += [
        f"{name}={datetime.fromtimestamp(claims[name], UTC):%Y-%m-%d %H:%M:%S} UTC"
        for name in ("iat", "exp")
        if isinstance(claims.get(name), int | float)
    ]
    return ", ".join(shown)


def _tell(name: str, value: str, *, fg: str | None = None) -> None:
    click.echo(f"  {name:<19} {click.style(value, fg=fg)}")
