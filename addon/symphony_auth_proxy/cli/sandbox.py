"""`sandbox`: the simulated Symphony alone, for trying things out and for users' own CI.

On a terminal it prints where everything is and lines to copy; in a pipe exactly one line of
JSON, as soon as it is ready.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import click

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox


@click.command("sandbox")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where keys, certificates and config.yaml go; keys that are there are reused. "
    "A temporary one unless given, removed at the end.",
)
@click.option(
    "--token-life",
    type=click.FloatRange(min=0, min_open=True),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long sessions live.",
)
@click.option("--one-host", is_flag=True, help="Pod, agent and key manager share one port.")
@click.option(
    "--port",
    type=click.IntRange(0, 65531),
    default=0,
    metavar="PORT",
    help="The first of up to five consecutive ports: pod, agent, key manager, sessionAuth, "
    "control. Any free ones unless given.",
)
def sandbox(directory: Path | None, token_life: float, one_host: bool, port: int) -> None:
    """Run a simulated Symphony on loopback: pod, key manager, agent.

    Real TLS, real client certificates, real signatures; it checks what the real services
    check. Two bots exist: pricing-bot logs in with an RSA key, compliance-bot with a client
    certificate. Runs until Ctrl-C or SIGTERM.

    While it runs, a control API ends sessions, breaks answers and closes ports. GET its
    address for all operations; arguments go in as JSON.

    \b
    Examples:
      symphony-auth-proxy sandbox
      symphony-auth-proxy sandbox --directory ./symphony --port 9443 --token-life 60
    \b
      # then, with --port 9443 the control API is at 9447:
      curl http://127.0.0.1:9447/statistics
      curl -d '{"username": "pricing-bot"}' http://127.0.0.1:9447/revoke
      curl -d '{"component": "agent", "status": 503, "times": 3}' http://127.0.0.1:9447/fail
      curl -d '{"component": "keyManager"}' http://127.0.0.1:9447/outage
      curl -d '{}' http://127.0.0.1:9447/recover
      curl -d '{"text": "Hello, bots"}' http://127.0.0.1:9447/post
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="symphony-sandbox-")
            directory = Path(stack.enter_context(temporary))
        running = Sandbox(directory, token_life=token_life, one_host=one_host, port=port)
        if sys.stderr.isatty():
            click.echo("Starting; new keys take a few seconds …", err=True)
        try:
            stack.enter_context(running)
        except FileExistsError as problem:
            raise click.BadParameter(str(problem), param_hint="--directory") from None
        except OSError as problem:
            place = f"{problem.filename}: " if problem.filename else ""
            raise click.ClickException(
                f"cannot start: {place}{problem.strerror or problem}"
            ) from None
        click.echo(_page(running) if sys.stdout.isatty() else _line(running))
        stopped.wait()


def _line(running: Sandbox) -> str:
    return json.dumps(
        {
            "ready": True,
            "hosts": {component.value: running.url(component) for component in Component},
            "control": running.control_url,
            "config": str(running.config.absolute()),
            "ca": str(running.ca.absolute()),
            "room": running.room,
        }
    )


def _page(running: Sandbox) -> str:
    directory, control = running.directory.absolute(), running.control_url
    hosts = "\n".join(f"  {one.value:12} {running.url(one)}" for one in Component)
    return f"""\
A simulated Symphony is running. Ctrl-C ends it.

{hosts}
  {"control":12} {control}
  {"directory":12} {directory}
  {"bots":12} {KEY_BOT} (RSA key), {CERTIFICATE_BOT} (client certificate)
  {"room":12} {running.room}

The proxy in front of it, and a call through the proxy, in two further terminals:
  symphony-auth-proxy serve --config {shlex.quote(str(running.config.absolute()))}
  curl -x http://127.0.0.1:8080 \\
    --cacert {shlex.quote(str(directory / "proxy-ca" / "mitmproxy-ca-cert.pem"))} \\
    {running.url(Component.POD)}/pod/v2/sessioninfo

What arrived, and things that go wrong:
  curl {control}/statistics
  curl -d '{{"username": "{KEY_BOT}"}}' {control}/revoke
  curl -d '{{"component": "agent", "status": 503, "times": 3}}' {control}/fail
  curl -d '{{"component": "keyManager"}}' {control}/outage
  curl -d '{{}}' {control}/recover
"""
