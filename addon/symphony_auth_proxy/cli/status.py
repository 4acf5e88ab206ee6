"""`status`: what the running proxy says about itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.operations import control

_KINDS = (("session", "session token"), ("key_manager", "key manager token"))


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="All of it, as one line of JSON.")
def status(config_path: Path | None, as_json: bool) -> None:
    """Show the running proxy: bots, tokens, listeners, decisions.

    Asks over a socket that only you can open. Tokens are shown as fingerprints. Exits with 1
    when no proxy runs with this configuration.

    \b
    Examples:
      symphony-auth-proxy status
      symphony-auth-proxy status --config config.yaml --json
    """
    told = control.ask(config.find(config_path), "status")
    click.echo(json.dumps(told) if as_json else "\n".join(_page(told)))


def _page(told: dict[str, Any]) -> Iterator[str]:
    since = datetime.fromtimestamp(told["since"], UTC)
    yield _line("proxy", f"{told['version']}, {_readiness(told)}")
    yield _line("since", f"{since:%Y-%m-%d %H:%M:%S} UTC, for {_span(told['uptime'])}")
    yield _line("listens on", ", ".join(told["listeners"]) or "nothing")
    yield _line("clients", ", ".join(told["clients"]) or "whoever reaches it")
    yield _line("clients trust", told["ca_certificate"])
    decisions = told["decisions"].items()
    yield _line("requests", ", ".join(f"{number} {name}" for name, number in decisions))
    for bot in told["bots"]:
        yield ""
        yield click.style(bot["bot"], bold=True)
        for key, name in _KINDS:
            yield _line(name, _token(bot[key]))
            if trouble := bot[key]["trouble"]:
                yield _line("", click.style(trouble, fg="red"))
        if bot["users"]:
            yield _line("on behalf of", f"{bot['users']} users")


def _readiness(told: dict[str, Any]) -> str:
    if told["ready"]:
        return "ready"
    return click.style(f"not ready: {'; '.join(told['reasons'])}", fg="yellow")


def _token(token: dict[str, Any]) -> str:
    words = [token["state"].replace("_", " ")]
    if token["fingerprint"] is not None:
        words.append(f"#{token['fingerprint']} gen {token['generation']}")
    if token["age"] is not None:
        words.append(f"{_span(token['age'])} old")
    if token["expires_in"] is not None:
        words.append(f"expires in {_span(token['expires_in'])}")
    if token["logging_in"]:
        words.append("logging in now")
    elif token["retry_in"]:
        words.append(f"next login in {_span(token['retry_in'])}")
    return ", ".join(words)


def _span(seconds: float) -> str:
    """As people read it; below a second all the same."""
    return str(timedelta(seconds=round(seconds)))


def _line(name: str, value: str) -> str:
    return f"  {name:<19} {value}"
