"""The overview in a terminal: the same as on the status page, in lines.

On a terminal lines are folded below their own column; in a pipe each fact stays on one line
and nothing is coloured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from symphony_auth_proxy.core.spans import span, utc
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.operations.overview import (
    BotView,
    Level,
    LoginView,
    Mark,
    Overview,
    RefusalView,
    TokenView,
    overview,
)

_STYLES = {
    Level.GOOD: "green",
    Level.BUSY: "cyan",
    Level.IDLE: "dim",
    Level.WARN: "yellow",
    Level.BAD: "bold red",
}
_NAMES = 20
"""Columns for the names of facts."""
_NO_FOLDING = 10_000
"""Columns of a pipe."""


def write(view: Overview) -> None:
    """Print it once."""
    if sys.stdout.isatty():
        Console().print(page(view))
        return
    console = Console(width=_NO_FOLDING)
    with console.capture() as capture:
        console.print(page(view))
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def watch(
    ask: Callable[[], Mapping[str, Any]],
    told: Mapping[str, Any],
    console: Console,
    wait: Callable[[], None],
) -> None:
    """Show it until `wait` raises. A proxy that is gone is waited for; what it said last stays.

    `told`: what it says at the beginning.
    """
    view, gone = overview(told), None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_Fitted(Group(*_news(gone), page(view))), refresh=True)
            wait()
            try:
                view, gone = overview(ask()), None
            except SymphonyAuthProxyError as error:
                gone = error


def _news(gone: SymphonyAuthProxyError | None) -> Iterator[RenderableType]:
    if gone is not None:
        yield Text(f"{gone}; waiting for it. This is what it said last.", style="bold red")
        yield Text()


@dataclass(frozen=True, slots=True)
class _Fitted:
    """As much as fits on the screen, and how much does not."""

    whole: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.whole, options.update(height=None), pad=False)
        height = options.height or console.height
        if len(lines) > height:
            rest = len(lines) - height + 1
            more = Text(f"… {rest} more lines; make the window higher", style="dim")
            lines = lines[: height - 1] + console.render_lines(more, options, pad=False)
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line


def page(view: Overview) -> Group:
    """All of it."""
    parts: list[RenderableType] = [_facts(_proxy(view))]
    for bot in view.bots:
        parts += [Text(), _title(bot), _facts(_bot(bot))]
    parts += [Text(), *_titled("last logins and errors", map(_login, view.logins), "no login yet")]
    parts += [Text(), *_titled("refused", map(_refusal, view.refusals), "no request")]
    return Group(*parts)


def _proxy(view: Overview) -> Iterator[tuple[str, Text]]:
    yield "proxy", Text.assemble(f"{view.version}, ", _mark(view.mark))
    for reason in view.reasons:
        yield "", Text(reason, _STYLES[view.mark.level])
    yield "since", Text(f"{utc(view.since)}, for {span(view.now - view.since)}")
    for name, value in view.facts:
        yield name, Text(value)
    for figure in view.figures:
        details = f" ({', '.join(figure.details)})" if figure.details else ""
        yield figure.label, Text(f"{figure.number}{details}")


def _title(bot: BotView) -> Text:
    title = Text.assemble((bot.name, "bold"), ": ", _mark(bot.mark))
    return title.append("".join(f", {note}" for note in bot.notes))


def _bot(bot: BotView) -> Iterator[tuple[str, Text]]:
    for token in bot.tokens:
        yield token.name, _token(token)
        if token.trouble:
            yield "", Text(token.trouble, _STYLES[bot.mark.level])
        if token.hint:
            yield "", Text(f"What to do: {token.hint}")
    if bot.requests:
        named = ", ".join(f"{name} {number}" for name, number in bot.by_component)
        yield "requests", Text(f"{bot.requests} ({named})")


def _token(token: TokenView) -> Text:
    text = Text.assemble(_mark(token.mark))
    return text.append("".join(f", {fact}" for fact in (token.sign, *token.facts) if fact))


def _login(login: LoginView) -> tuple[Text, Text]:
    whose = f", {login.what}: " if login.what else ": "
    told = Text.assemble((login.bot, "bold"), whose, _mark(login.mark))
    told.append("".join(f", {fact}" for fact in login.facts))
    told.append(f": {login.trouble}" if login.trouble else "")
    told.append(f". What to do: {login.hint}" if login.hint else "")
    return _when(login.at, login.ago), told


def _refusal(refusal: RefusalView) -> tuple[Text, Text]:
    noun = "request" if refusal.count == 1 else "requests"
    told = Text.assemble((refusal.reason, "bold"), f": {refusal.count} {noun}")
    told.append(f", the last {' '.join(refusal.facts)}" if refusal.facts else "")
    return (
        _when(refusal.at, refusal.ago),
        told.append(f" ({refusal.meaning})" if refusal.meaning else ""),
    )


def _when(at: float, ago: str) -> Text:
    return Text.assemble((utc(at), "dim"), f"  {ago}")


def _titled(
    title: str, rows: Iterator[tuple[Text, Text]], nothing: str
) -> Iterator[RenderableType]:
    yield Text(title, "bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    yield _indented(table if table.row_count else Text(nothing, "dim"))


def _facts(rows: Iterable[tuple[str, Text]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_NAMES, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return _indented(table)


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2), expand=False)


def _mark(mark: Mark) -> tuple[str, str]:
    return mark.word, _STYLES[mark.level]
