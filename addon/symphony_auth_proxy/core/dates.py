"""The server's clock, as its answers tell it, beside ours.

An assertion is good for some minutes by the server's clock, and is refused like a wrong key
when ours is off, without a word about it (symphony-bdk-java#573). `Date` is the only witness.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from symphony_auth_proxy.model import LoginResponse

CLOCK_TOLERANCE = 60.0
"""Seconds between our clock and a server's `Date` from which on the clock is blamed for a
refusal: the slack that an assertion's 240 of 300 seconds leaves."""


def http_date(value: str | None) -> float | None:
    """Read an HTTP date (RFC 9110, 5.6.7) as seconds since the epoch; None: it is none."""
    try:
        return _aware(parsedate_to_datetime(value or "")).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def clock_skew(response: LoginResponse) -> float | None:
    """Seconds by which our clock is ahead of the server's; None: it does not tell its time."""
    date = http_date(response.headers.get("date"))
    return None if date is None else response.received - date


def _aware(date: datetime) -> datetime:
    """HTTP dates are GMT, also where the zone is written so that Python leaves it open."""
    return date if date.tzinfo else date.replace(tzinfo=UTC)
