"""How good a token still is.

A token goes from FRESH to STALE to EXPIRED by the clock alone, and to BAD by an upstream
401 alone. Two windows before its end say when to replace it: in the *advisory* window
that happens behind the requests' backs, in the *mandatory* one requests wait for it. The
scheme is botocore's `RefreshableCredentials`; the states are google-auth's.

Pure: instants come in as monotonic seconds, chance as a number between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

ADVISORY_FROM = 0.70
ADVISORY_SPREAD = 0.10
"""The advisory window opens at a point drawn once per token in 70–80 % of its life (the
kubelet's rule for certificates), so that many bots do not log in at the same moment."""

ADVISORY_MARGIN = 900.0
"""Seconds. However the draw falls, a token that lives for an hour or more is replaced at
the latest a quarter of an hour before its end (botocore)."""
LONG_LIFE = 3600.0

MANDATORY_MARGIN = 300.0
"""Seconds before the end from which on requests wait for the next token (MSAL)."""
MANDATORY_SHARE = 0.10
"""Of a life so short that five minutes would be most of it (under 50 minutes)."""

TIDE_OVER = 30.0
"""Seconds. When a refresh failed, a token with at least this much left is still used: long
enough for the request to reach the pod, and better than an error."""


class State(StrEnum):
    """What is to be said about the token of one account and kind."""

    EMPTY = "empty"
    """There is none: never had, or forgotten on demand."""
    FRESH = "fresh"
    STALE = "stale"
    """Good, but to be replaced."""
    EXPIRED = "expired"
    BAD = "bad"
    """Refused by an upstream. Never sent again."""
    NOT_REQUIRED = "not_required"
    """No key manager token is needed: on Simplified Key Delivery, or on behalf of a user."""


@dataclass(frozen=True, slots=True)
class Life:
    """When one token should be, must be and can no longer be used: monotonic seconds.

    Infinite where the life is unknown; such a token is good until a 401 says otherwise.
    """

    advisory: float = inf
    mandatory: float = inf
    end: float = inf

    @classmethod
    def between(cls, start: float, end: float | None, draw: float) -> Life:
        """The life of a token that is good from `start` to `end` (None: unknown).

        `draw`: this token's own random number, 0 ≤ draw < 1.
        """
        if end is None:
            return cls()
        length = end - start
        advisory = start + (ADVISORY_FROM + ADVISORY_SPREAD * draw) * length
        if length >= LONG_LIFE:
            advisory = min(advisory, end - ADVISORY_MARGIN)
        mandatory = end - min(MANDATORY_MARGIN, MANDATORY_SHARE * length)
        return cls(advisory, mandatory, end)

    def state(self, now: float) -> State:
        """FRESH, STALE or EXPIRED."""
        if now >= self.end:
            return State.EXPIRED
        return State.STALE if now >= self.advisory else State.FRESH

    def must_be_renewed(self, now: float) -> bool:
        """Whether requests wait for the next token."""
        return now >= self.mandatory

    def tides_over(self, now: float) -> bool:
        """Whether the token may still be used although its refresh failed."""
        return self.end - now >= TIDE_OVER

    def made_stale(self, now: float) -> Life:
        """The same life with its advisory window open: for when clocks cannot be trusted."""
        return replace(self, advisory=min(self.advisory, now))
