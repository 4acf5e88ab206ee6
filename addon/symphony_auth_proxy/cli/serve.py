"""`serve`: the gateway."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from symphony_auth_proxy import config
from symphony_auth_proxy.cli.common import config_option
from symphony_auth_proxy.mitm.runner import Run, Started, upstream_proxy
from symphony_auth_proxy.mitm.runner import serve as run_proxy
from symphony_auth_proxy.mitm.screens import Screen
from symphony_auth_proxy.model import Origin, Web


@click.command()
@config_option
@click.option("--listen", metavar="HOST:PORT", help="Default: what the file says, 127.0.0.1:8080.")
@click.option(
    "--mode",
    "modes",
    multiple=True,
    metavar="MODE",
    help="regular, reverse:https://HOST[:PORT][@LISTEN_PORT] or upstream:http://HOST:PORT, as "
    "mitmproxy writes them; may be given several times.",
)
@click.option("--web", is_flag=True, help="Open mitmproxy's inspection UI in the browser.")
@click.option("--console", is_flag=True, help="Open mitmproxy's inspection UI in this terminal.")
@click.option(
    "--web-port", type=click.IntRange(1, 65535), help="Default: what the file says, 8081."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A mitmproxy option.")
@click.option("-v", "--verbose", is_flag=True, help="Log every request that gets tokens.")
def serve(
    config_path: Path | None,
    listen: str | None,
    modes: tuple[str, ...],
    web: bool,
    console: bool,
    web_port: int | None,
    settings: tuple[str, ...],
    verbose: bool,
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C. Requests in flight are finished first.

    \b
    Examples:
      symphony-auth-proxy serve --config config.yaml
      symphony-auth-proxy serve --listen 127.0.0.1:9000 --web
      symphony-auth-proxy serve --mode reverse:https://acme.symphony.com@8443
      symphony-auth-proxy serve --mode upstream:http://proxy.corp.example:3128
    """
    if web and console:
        raise click.UsageError("--web and --console exclude each other.")
    if console and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("--console needs a terminal.")
    options = dict(_name_and_value(setting) for setting in settings)
    path = config.find(config_path)
    load = partial(config.load, default_proxy=upstream_proxy(modes, options.get("upstream_auth")))
    loaded = load(path)
    origin = loaded.listen if listen is None else _listen(listen)
    screen = Screen.WEB if web else Screen.CONSOLE if console else Screen.NONE
    run = Run(
        config=str(path),
        listen=origin,
        confdir=str(loaded.ca_directory),
        modes=modes or ("regular",),
        screen=screen,
        web=loaded.web if web_port is None else _at_port(web_port, loaded.web),
        options=options,
        load=load,
        control=True,
    )
    logging.getLogger("symphony_auth_proxy").setLevel(logging.DEBUG if verbose else logging.INFO)
    if screen is Screen.NONE:
        _log_to_stderr()

    def ready(started: Started) -> None:
        if screen is not Screen.CONSOLE:
            _announce(started, reverse=run.modes[0].startswith("reverse:"))

    asyncio.run(run_proxy(run, ready=ready))


def _at_port(port: int, web: Web) -> Web:
    return replace(web, listen=replace(web.listen, port=port))


def _name_and_value(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise click.BadParameter(f"{setting}: write NAME=VALUE", param_hint="--set")
    return name, value


def _listen(text: str) -> Origin:
    try:
        return config.parse_listen(text)
    except ValueError as error:
        raise click.BadParameter(f"{text}: {error}", param_hint="--listen") from None


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)


def _announce(started: Started, *, reverse: bool) -> None:
    url = f"http://{started.listeners[0]}"
    listeners = ", ".join(map(str, started.listeners))
    hosts, bots = ", ".join(started.hosts), ", ".join(started.bots)
    click.echo(f"Listening on {listeners} for {hosts} as {bots}.")
    for bot, place in started.listeners_of_bots:
        click.echo(f"Listening on {place} as {bot} alone.")
    if started.clients:
        click.echo(f"Clients need their password: {', '.join(started.clients)}.")
    name = started.clients[0] if started.clients else None
    if reverse:
        user = f" --user {name}" if name else ""
        click.echo(f"Try: curl{user} {url}/pod/v2/sessioninfo")
    else:
        click.echo(f"Clients must trust {started.ca_certificate}")
        user = f" --proxy-user {name}" if name else ""
        click.echo(f"Try: curl --proxy {url}{user} --cacert {started.ca_certificate} URL")
    if started.web_url is not None:
        click.echo(f"Inspect at {started.web_url}")
    sys.stdout.flush()
