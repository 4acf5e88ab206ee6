"""`demo`: the sandbox, the proxy in front of it, and the story of `symphony_auth_proxy.demo`.

The proxy is the real one, `symphony-auth-proxy serve` in a process of its own. Everything
listens on free loopback ports and is gone at the end.
"""

from __future__ import annotations

import io
import re
import shlex
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.text import Text

from symphony_auth_proxy.demo import STEPS, Checked, DoesNotHold, Line, Stage
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, Sandbox

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
"""More than the proxy lets requests in flight take."""

_LISTENING = re.compile(r"Listening on (\S+) ")
_LOG_LINES = 10


@click.command()
@click.option("--once", is_flag=True, help="End after the story instead of waiting for Ctrl-C.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where keys, certificates, config.yaml and the proxy's log go; keys that are there are "
    "reused. A temporary one unless given, removed at the end.",
)
def demo(once: bool, directory: Path | None) -> None:
    """See the proxy work, with a simulated Symphony.

    Needs nothing: it makes its own keys and talks to this machine only. Every claim is
    checked against what the simulated Symphony received; exits with 1 when one does not
    hold. Sandbox and proxy then keep running, for you to play with, until Ctrl-C.

    \b
    Examples:
      symphony-auth-proxy demo
      symphony-auth-proxy demo --once
      symphony-auth-proxy demo --directory ./symphony
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Latin-1 terminal has no arrows
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="symphony-demo-")
            directory = Path(stack.enter_context(temporary))
        sandbox = Sandbox(directory)
        with console.status("Making keys and certificates, 4096 bits …"):
            try:
                stack.enter_context(sandbox)
            except FileExistsError as problem:
                raise click.BadParameter(str(problem), param_hint="--directory") from None
            except OSError as problem:
                raise click.ClickException(f"the sandbox did not start: {problem}") from None
        with console.status("Starting the proxy …"):
            proxy = stack.enter_context(_running_proxy(sandbox))
        stage = Stage(
            sandbox,
            direct=stack.enter_context(_client(sandbox.ca)),
            proxied=stack.enter_context(_client(proxy.ca, proxy.url)),
        )
        _introduce(console, sandbox, proxy)
        _tell(console, stage, proxy)
        if once:
            return
        _invite(console, sandbox, proxy)
        try:
            proxy.process.wait()
        except KeyboardInterrupt:
            return
        raise click.ClickException(f"the proxy has ended by itself:\n{proxy.last_words()}")


@dataclass(frozen=True, slots=True)
class _Proxy:
    """`symphony-auth-proxy serve`, running."""

    process: subprocess.Popen[str]
    log: Path
    url: str
    ca: Path

    def last_words(self) -> str:
        return _tail(self.log)


@contextmanager
def _running_proxy(sandbox: Sandbox) -> Iterator[_Proxy]:
    log = sandbox.directory / "proxy.log"
    serve = [sys.executable, "-m", "symphony_auth_proxy", "serve", "--listen", "127.0.0.1:0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(  # noqa: S603 (this program, with arguments of its own)
            [*serve, "--config", str(sandbox.config.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends the proxy
        ) as process,
    ):
        try:
            address = _address(process)
            if address is None:
                raise click.ClickException(f"the proxy did not start:\n{_tail(log)}")
            ca = sandbox.directory.absolute() / "proxy-ca" / "mitmproxy-ca-cert.pem"
            yield _Proxy(process, log, f"http://{address}", ca)
        finally:
            _end(process)


def _address(process: subprocess.Popen[str]) -> str | None:
    """Wait until the proxy says where it listens; None when it ends without a word."""
    assert process.stdout is not None
    too_late = threading.Timer(_START_SECONDS, process.kill)
    too_late.start()
    try:
        found = map(_LISTENING.match, process.stdout)
        return next((one[1] for one in found if one is not None), None)
    finally:
        too_late.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    except KeyboardInterrupt:  # Ctrl-C a second time: at once, then
        process.kill()
        raise


def _tail(log: Path) -> str:
    return "\n".join(f"  {line}" for line in log.read_text().splitlines()[-_LOG_LINES:])


def _client(ca: Path, proxy: str | None = None) -> httpx.Client:
    trust = ssl.create_default_context(cafile=str(ca))
    return httpx.Client(verify=trust, proxy=proxy, trust_env=False, timeout=30)


def _introduce(console: Console, sandbox: Sandbox, proxy: _Proxy) -> None:
    console.print("A simulated Symphony, and the proxy in front of it:\n")
    for component in Component:
        console.print(f"   {component.value:12} {sandbox.url(component)}")
    console.print(f"   {'proxy':12} {proxy.url}")


def _tell(console: Console, stage: Stage, proxy: _Proxy) -> None:
    """Play all steps. Raises ClickException at the first that does not hold: the later ones
    build on it."""
    for number, step in enumerate(STEPS, 1):
        console.print(f"\n{number}  {step.title}", style="bold")
        console.print(f"   {step.why}", style="dim")
        try:
            for line in step.play(stage):
                console.print(_styled(line))
        except (DoesNotHold, httpx.HTTPError, TimeoutError) as problem:
            raise click.ClickException(
                f"step {number}, «{step.title}», does not hold: {problem}\n"
                f"The proxy's log ends with:\n{proxy.last_words()}"
            ) from problem
    console.print(f"\nAll {len(STEPS)} steps held: the sandbox's journal was asked, not the proxy.")


def _styled(line: Line) -> Text:
    if isinstance(line, Checked):
        return Text.assemble(("   ✓ ", "green"), line.text)
    text = Text(f"   {line}")
    text.highlight_regex(r"→ 2\d\d.*", "green")
    text.highlight_regex(r"→ [45]\d\d.*", "yellow")
    text.highlight_regex(r"\[sealed .*\]", "cyan")
    return text


def _invite(console: Console, sandbox: Sandbox, proxy: _Proxy) -> None:
    trust = f"--cacert {shlex.quote(str(proxy.ca))}"
    through = f"curl --proxy {proxy.url} {trust}"
    echo = f"{sandbox.url(Component.AGENT)}/agent/v1/util/echo"
    config = shlex.quote(str(sandbox.config.absolute()))
    console.print(f"""
Both keep running until Ctrl-C. To copy into another terminal:

{through} -H 'Content-Type: application/json' -d '{{"message": "hello"}}' {echo}

{through} -H 'Symphony-Bot: {CERTIFICATE_BOT}' {sandbox.url(Component.POD)}/pod/v2/sessioninfo

To look at calls in a browser, start a second proxy and send the same calls through it, with
--proxy http://127.0.0.1:8080 instead:

{shlex.join(_this_program())} serve --web --config {config} --listen 127.0.0.1:8080
""", markup=False)  # fmt: skip


def _this_program() -> list[str]:
    """How to call this program from anywhere: it need not be on the PATH."""
    script = Path(sys.argv[0])
    if script.name == "symphony-auth-proxy":
        return [str(script.absolute())]
    return [sys.executable, "-m", "symphony_auth_proxy"]
