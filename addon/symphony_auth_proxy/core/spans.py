"""How things are said to people: spans of time, instants, and texts that others wrote.

The same words in the terminal, on the status page and in lists. Pure; instants come in as
seconds since the epoch.
"""

from __future__ import annotations

from datetime import UTC, datetime

LONGEST_TEXT = 512
"""Characters: a path of 64 kB is nobody's friend."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def span(seconds: float) -> str:
    """Tell a length of time with one or two units, as in `42 s`, `12 min` and `3 h 05 min`."""
    whole = max(round(seconds), 0)
    if whole < 100:
        return f"{whole} s"
    if whole < 100 * _MINUTE:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def utc(instant: float) -> str:
    """Tell an instant to the second, as in `2026-03-01 09:30:00 UTC`."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M:%S} UTC"


def harmless(text: str) -> str:
    """Make a text fit for a screen, whoever wrote it: on one line, not too long, and without
    characters that control a terminal or turn the direction of writing."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
