"""`doctor`: what is the matter, told on a terminal, in a pipe, or as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from symphony_auth_proxy.cli.common import EX_CONFIG, config_option
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Area, Finding, Level, Report, examine

_HEADINGS = {
    Area.CONFIGURATION: "Configuration",
    Area.CREDENTIALS: "Keys and certificates of bots",
    Area.HOSTS: "The way to the hosts",
    Area.CLOCK: "Clock",
    Area.SERVICES: "What answers there",
    Area.LOGINS: "Logins",
    Area.CA: "The proxy's own CA",
    Area.RUNTIMES: "Who trusts it on this machine",
}
_STYLES = {
    Level.OK: "green",
    Level.NOTE: "cyan",
    Level.WARNING: "yellow",
    Level.PROBLEM: "bold red",
    Level.SKIPPED: "bright_black",
}
_UNBROKEN = 100_000
"""Characters to a line in a pipe: one finding stays one line, for grep."""


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Files only: no connection is made, no bot logs in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
def doctor(config_path: Path | None, offline: bool, as_json: bool) -> None:
    """Find what is wrong, and say what to do about it.

    Looks at the configuration, keys and certificates, at the way to each host (DNS, corporate
    proxy, TLS), at the clock, at what answers behind each port, and logs each bot in once; then
    at the proxy's own CA and who trusts it here. It shows no token and changes nothing. Each
    question to a host takes 10 seconds at most, all of them together 14, each request of a
    login 15.

    Exits with 0 when there is no problem (warnings and notes are none), with 78 when the
    configuration, a key or the proxy's CA cannot be used, else with 1.

    \b
    Examples:
      symphony-auth-proxy doctor --config config.yaml
      symphony-auth-proxy doctor --offline
      symphony-auth-proxy doctor --json | jq -r .summary
    """
    report = asyncio.run(_as_json(config_path, offline) if as_json else _told(config_path, offline))
    if not report.usable:
        sys.exit(EX_CONFIG)
    if not report.healthy:
        sys.exit(1)


# Both print within the loop: at its end it may still wait for a dead name server.


async def _as_json(config_path: Path | None, offline: bool) -> Report:
    report = await examine(config_path, offline=offline)
    click.echo(json.dumps(report.as_json(), indent=2))
    return report


async def _told(config_path: Path | None, offline: bool) -> Report:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Latin-1 terminal has no typographic signs
    console = Console(highlight=False, markup=False, emoji=False)
    page = _Page(console)
    if console.is_terminal:
        with console.status("") as status:
            report = await examine(
                config_path,
                offline=offline,
                tell=page.add,
                doing=lambda what: status.update(Text(f"{what} …")),
            )
    else:
        report = await examine(config_path, offline=offline, tell=page.add)
    page.close(report)
    return report


def _named(diagnosis: Diagnosis | None) -> Text:
    """Show the name under which the documentation, and the flows, know what is the matter."""
    return Text(f" [{diagnosis}]" if diagnosis else "", "not bold bright_black")


class _Page:
    """What is printed, finding by finding."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._area: Area | None = None
        if not console.is_terminal:
            console.width = _UNBROKEN

    def add(self, finding: Finding) -> None:
        if finding.area is not self._area:
            self._area = finding.area
            self._console.print(Text(f"\n{_HEADINGS[finding.area]}", "bold"))
        style = _STYLES[finding.level]
        quiet = style if finding.level is Level.SKIPPED else ""
        what = Text(f"{finding.subject}: {finding.what}", quiet)
        what.append(_named(finding.diagnosis))
        self._row("", Text(f"{finding.level:<8}", style), what)
        for name, text in (("why", finding.why), ("to do", finding.what_to_do)):
            if text:
                self._row(" " * 9, Text(f"{name:<5}", "bright_black"), Text(text))

    def close(self, report: Report) -> None:
        style = "bold green" if report.healthy else "bold red"
        self._console.print()
        summary = Text(report.summary, style).append(_named(report.cause))
        self._row(None, Text("In short", "bold"), summary)
        if report.first is not None and report.first.what_to_do:
            self._row(None, Text("To do   ", "bold"), Text(report.first.what_to_do))

    def _row(self, indent: str | None, name: Text, text: Text) -> None:
        """Print a name, and beside it a text that stays in its column."""
        cells = [name, text] if indent is None else [Text(indent), name, text]
        grid = Table.grid(padding=(0, 1))
        for _ in cells[:-1]:
            grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(*cells)
        self._console.print(grid)
