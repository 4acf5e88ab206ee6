"""How long to leave the login endpoints alone after a failure.

Two tempers. Trouble that says nothing about the credentials is retried soon, with full
jitter; a refusal of the credentials is remembered for minutes, since Symphony locks
accounts that insist. In both, requests that wait for a token may try sooner than
refreshes that nobody waits for.
"""

from __future__ import annotations

from dataclasses import dataclass

from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginError,
    LoginProtocolError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)

type Failure = LoginError | KeyMaterialError

_PLAIN = (LoginRejected, LoginUnavailable, LoginProtocolError, LoginError, KeyMaterialError)
"""The classes that clients tell apart. Those who raise may use finer ones."""

BASE = 1.0
"""Seconds: the longest first pause. Doubled after each failure, and the pause is drawn
anywhere below that (full jitter: clients that failed together do not return together)."""
REQUEST_CAP = 60.0
"""Seconds: the longest pause while requests want a token."""
BACKGROUND_CAP = 300.0
"""Seconds: the same while they do not."""
BACKGROUND_APART = 60.0
"""Seconds at least between two refreshes that nobody waits for (azure-core)."""

RETRY_AFTER_LEAST = 1.0
RETRY_AFTER_MOST = 3600.0
"""Seconds: a server's `Retry-After` is honoured within reason."""

REJECTED_FIRST = 60.0
REJECTED_MOST = 600.0
"""Seconds for which a refusal is remembered: the first one, and after doubling."""
KEY_LOOK_APART = 5.0
"""Seconds between two looks at the key file while a refusal is remembered: a new key ends
it at once, yet a flood of requests must not become a flood of decryptions."""

_MOST_DOUBLINGS = 16
"""Beyond every cap, and far from where floats overflow."""


@dataclass(frozen=True, slots=True)
class Setback:
    """The last of a row of failed logins. Instants are monotonic seconds."""

    error: Failure
    row: int
    """Failures of this temper in a row; at least 1."""
    request_at: float
    """When a login may be tried again for requests that wait for it."""
    background_at: float
    """When it may be tried again although nobody waits."""
    refused_key: str | None = None
    """Fingerprint of the key that was refused: another one may be tried at once."""
    look_at: float = 0.0
    """When the key file may be looked at again."""

    @property
    def worth_waiting(self) -> bool:
        """Whether a request gains anything by waiting for the next try."""
        return isinstance(self.error, LoginUnavailable)

    def allows_look(self, now: float) -> bool:
        """Whether to look if the refused key has been replaced in the meantime."""
        return self.refused_key is not None and now >= self.look_at

    def refuses(self, key: str, now: float) -> bool:
        """Whether this very key was refused so recently that it is not shown again."""
        return self.refused_key == key and now < self.request_at


def setback(
    error: Failure, before: Setback | None, now: float, draw: float, key: str | None
) -> Setback:
    """What a login that failed at `now` means for the next ones.

    `before`: the setback that it follows in a row; `draw`: a random number, 0 ≤ draw < 1;
    `key`: fingerprint of the key used, if one could be read.
    """
    # A copy: the original's traceback would keep the login's local variables alive.
    error = told_again(error, error.retry_after)
    rejected = isinstance(error, LoginRejected)
    same_temper = before is not None and isinstance(before.error, LoginRejected) == rejected
    row = before.row + 1 if before is not None and same_temper else 1
    ceiling = 2.0 ** min(row - 1, _MOST_DOUBLINGS)
    if rejected:
        until = now + min(REJECTED_FIRST * ceiling, REJECTED_MOST)
        return Setback(error, row, until, until, key, look_at=now + KEY_LOOK_APART)
    wished = 0.0
    if error.retry_after is not None:
        wished = min(max(error.retry_after, RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
    pause = max(draw * min(BASE * ceiling, REQUEST_CAP), wished)
    leisure = max(draw * min(BASE * ceiling, BACKGROUND_CAP), wished, BACKGROUND_APART)
    return Setback(error, row, now + pause, now + leisure)


def told_again(
    error: Failure,
    retry_after: float | None,
    *,
    message: str | None = None,
    hint: str | None = None,
    diagnosis: Diagnosis | None = None,
) -> Failure:
    """A new exception that says the same, but for what is given: one object raised to a
    thousand waiters would gather a thousand tracebacks."""
    plain = next(kind for kind in _PLAIN if isinstance(error, kind))
    return plain(
        str(error) if message is None else message,
        reason=error.reason,
        status=error.status,
        hint=error.hint() if hint is None else hint,
        retry_after=retry_after,
        diagnosis=diagnosis or error.diagnosis,
    )


def tokens_refused(owner: str, retry_after: float) -> LoginUnavailable:
    """What clients are told while refused tokens may not be replaced yet."""
    return LoginUnavailable(
        f"Symphony refuses the tokens that it has just given to {owner}",
        reason=Reason.TOKENS_REFUSED,
        hint="check that `host`, `agent` and `keyManager` belong to the same pod and that the "
        "account is active there; new tokens are fetched after a pause",
        retry_after=retry_after,
    )
