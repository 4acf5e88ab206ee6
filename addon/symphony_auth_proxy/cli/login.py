"""`login`: one dry login of each bot. It shows everything but the tokens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.clock import Clock, SystemClock
from symphony_auth_proxy.doctor.rehearsal import Granted, Rehearsal, rehearse
from symphony_auth_proxy.errors import KeyMaterialError, SymphonyAuthProxyError
from symphony_auth_proxy.model import Bot, Settings
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
    transport, clock = Transport(settings.trust_bundle), SystemClock()
    results = [await _log_in(bot, transport, clock) for bot in bots]
    return all(results)


async def _log_in(bot: Bot, transport: Transport, clock: Clock) -> bool:
    click.secho(bot.username, bold=True)
    try:
        keys = bot.method.credentials.load()
    except KeyMaterialError as error:
        _tell_failure(error)
        return False
    _tell("key", f"{keys.key.key_size} bit RSA, fingerprint {keys.fingerprint}")
    came = await rehearse(bot, keys, transport, clock)
    _tell_tokens(came)
    if came.error is not None:
        _tell_failure(came.error)
    return came.error is None


def _tell_tokens(came: Rehearsal) -> None:
    if came.session is not None:
        _tell_token("session token", came.session)
    if came.key_manager is not None:
        _tell_token("key manager token", came.key_manager)
    elif came.session is not None and not came.needs_key_manager:
        _tell("key manager token", "not needed: Simplified Key Delivery")


def _tell_token(name: str, granted: Granted) -> None:
    took = granted.seconds * 1000
    _tell(name, f"#{granted.fingerprint} in {took:.0f} ms from {granted.origin}")
    if granted.claims:
        _tell("", granted.claims)


def _tell_failure(error: SymphonyAuthProxyError) -> None:
    _tell("failed", f"{error.reason}: {error}", fg="red")
    if hint := error.hint():
        _tell("what to do", hint)


def _tell(name: str, value: str, *, fg: str | None = None) -> None:
    click.echo(f"  {name:<19} {click.style(value, fg=fg)}")
