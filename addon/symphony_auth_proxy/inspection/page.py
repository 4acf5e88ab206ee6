"""A page of text about something that anybody may have written.

A body of eight megabytes is nobody's reading, and whoever looks at one must not stop the
proxy with it: pages end after a million characters, single texts much earlier. No character
gets on a page that could steer a terminal or turn the direction of writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from symphony_auth_proxy.core.spans import span

LONGEST_PAGE = 1_000_000
LONGEST_TEXT = 16_384
"""Characters of one value, as a message or a name."""

# Controls but for tab and line feed, bidirectional overrides, invisible separators, surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_LATEST = 253_402_300_800
"""The first second of the year 10000."""


def page(lines: Iterable[str]) -> str:
    """Join lines up to the longest page, and say so if there were more."""
    kept: list[str] = []
    left = LONGEST_PAGE
    for line in lines:
        if left < len(line):
            kept.append("… cut here; the raw view shows all of it")
            break
        kept.append(line)
        left -= len(line) + 1
    return printable("\n".join(kept))


def printable(text: str) -> str:
    """Write characters that do more than to be read as escapes, `\\x1b` and `\\u202e`."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if character < "\x80" else f"\\u{ord(character):04x}"


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """Shorten a text, and say by how much."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} characters more)"


def instant(seconds: float) -> str | None:
    """Tell an instant, seconds since the epoch, as `2026-11-22 14:05:00.123 UTC`; None: it is
    none that a calendar knows. Milliseconds are told when there are any."""
    if not 0 <= seconds < _LATEST:
        return None
    when = datetime.fromtimestamp(seconds, UTC)
    fraction = f".{when.microsecond // 1000:03d}" if when.microsecond >= 1000 else ""
    return f"{when:%Y-%m-%d %H:%M:%S}{fraction} UTC"


def distance(seconds: float, now: float) -> str:
    """Tell how far away an instant is: `in 12 min`, `3 h 05 min ago`."""
    return f"in {span(seconds - now)}" if seconds > now else f"{span(now - seconds)} ago"
