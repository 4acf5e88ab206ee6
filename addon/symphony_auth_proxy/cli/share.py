"""`share`: a saved capture, turned into one that is safe to send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from symphony_auth_proxy.inspection.people_words import Bodies
from symphony_auth_proxy.inspection.secret_kinds import Kind
from symphony_auth_proxy.mitm.sharing import Progress, Report
from symphony_auth_proxy.mitm.sharing import share as share_capture

_FORMATS = (".har", ".mitm")
_SHOWN = 6
"""Fingerprints of one kind that are listed."""


@click.command()
@click.argument("capture", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it: FILE.har or FILE.mitm.",
)
@click.option(
    "--bodies",
    type=click.Choice([choice.value for choice in Bodies]),
    default=Bodies.DROP.value,
    show_default=True,
    help="What becomes of people's words in messages and events. Everything around them stays.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def share(capture: Path, output: Path, bodies: str, force: bool) -> None:
    """Make a saved capture safe to send.

    Takes what mitmproxy saved, also without this addon, and HAR documents, also those of
    browsers. Tokens, passwords, cookies, keys and signatures become fingerprints, the same as in
    the proxy's logs and flows; what people wrote is dropped. The result is searched for every
    secret before it gets its name: if one is left, nothing is written and the exit code is 1.

    \b
    Examples:
      symphony-auth-proxy share capture.mitm -o for-support.har
      symphony-auth-proxy share chrome.har -o for-support.har --bodies shorten
      symphony-auth-proxy share capture.mitm -o for-a-colleague.mitm --bodies keep
    """
    if output.suffix.lower() not in _FORMATS:
        raise click.BadParameter("the name ends in .har or .mitm", param_hint="-o")
    if output.exists() and capture.exists() and output.samefile(capture):
        raise click.BadParameter("that is the capture itself", param_hint="-o")
    if not output.parent.is_dir():
        raise click.BadParameter(f"there is no directory {output.parent}", param_hint="-o")
    try:
        with _progress() as progress:
            report = share_capture(
                capture, output, bodies=Bodies(bodies), replace=force, progress=progress
            )
    except FileExistsError:
        raise click.ClickException(f"{output} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    click.echo("\n".join(_lines(report, output, Bodies(bodies))))
    if report.broken_off:
        click.secho(
            f"{capture} is not whole: only what could be read of it was shared.",
            err=True,
            fg="yellow",
        )


def _lines(report: Report, output: Path, bodies: Bodies) -> Iterator[str]:
    yield f"{output}: {_count(report.flows, 'flow')}, searched, no secret left"
    for name, value in _facts(report, bodies):
        yield f"  {name:<20} {value}"


def _facts(report: Report, bodies: Bodies) -> Iterator[tuple[str, str]]:
    for kind in Kind:
        if found := [one for one in report.findings if one.kind is kind]:
            places = _count(sum(one.places for one in found), "place")
            shown = " ".join(f"#{one.secret.fingerprint()}" for one in found[:_SHOWN])
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            yield kind, f"{_count(len(found), 'secret')} in {places}: {shown}{more}"
    if not report.findings:
        yield "secrets", "there were none in it"
    if bodies is Bodies.KEEP:
        yield "people's words", "kept"
    elif report.bodies_cut:
        done = "shortened" if bodies is Bodies.SHORTEN else "dropped"
        yield "people's words", f"{done} in {_count(report.bodies_cut, 'body', 'bodies')}"
    if report.left_out:
        yield "left out", f"{_count(report.left_out, 'flow')} that HAR has no place for"
    if report.unreadable:
        yield "left out", f"{_count(report.unreadable, 'entry', 'entries')} that cannot be read"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show how far it is, on a terminal; nowhere else."""
    if not sys.stderr.isatty():
        yield lambda _step, _done: None
        return
    shown = ""

    def show(step: str, done: float) -> None:
        nonlocal shown
        line = f"{step} {done:4.0%}"
        if line != shown:
            shown = line
            click.echo(f"\r{line}\x1b[K", err=True, nl=False)

    try:
        yield show
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)
