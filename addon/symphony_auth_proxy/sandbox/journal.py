"""What arrived at the sandbox: for tests that assert on what a pod really received.

The journal is written by the sandbox's thread and read by any other. Waiting is done on a
condition, so that no test has to sleep. Records hold tokens and assertions as they came:
those of a sandbox open nothing anywhere else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from symphony_auth_proxy.model import Component, TokenKind

KEPT_REQUESTS = 10_000
KEPT_BODY = 16 * 1024
"""Bytes. Larger bodies are recorded by size and hash only."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    component: Component
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """As sent, repeated ones too; names in canonical letter case (`Sessiontoken`)."""
    body: bytes | None = field(repr=False)
    """None when it is larger than 16 KiB."""
    body_size: int
    body_sha256: str
    client_name: str | None
    """The CN of the client certificate."""
    at: float = field(default_factory=time.time)
    """Wall clock of this machine, seconds since the epoch."""
    status: int | None = None
    """What was answered; None as long as nothing was, or when the client went away."""

    def values(self, name: str) -> list[str]:
        """Return the header's values, in any letter case; empty when it was not sent."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Journal:
    def __init__(self) -> None:
        self._records: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self._logins: Counter[tuple[TokenKind, str]] = Counter()
        self._arrived: Counter[Component] = Counter()
        self._changes = 0
        self._changed = threading.Condition()

    def arrived(self, record: Received) -> int:
        """Note a request; returns the number by which `answered` finds it."""
        with self._changed:
            number = self._arrived.total()
            self._arrived[record.component] += 1
            self._records.append(record)
            self._notify()
            return number

    def answered(self, number: int, status: int) -> None:
        with self._changed:
            index = number - (self._arrived.total() - len(self._records))
            if index >= 0:
                self._records[index] = replace(self._records[index], status=status)
                self._notify()

    def granted(self, kind: TokenKind, username: str) -> None:
        """Note a login that brought a token."""
        with self._changed:
            self._logins[kind, username] += 1
            self._notify()

    def requests(self) -> tuple[Received, ...]:
        with self._changed:
            return tuple(self._records)

    def arrivals(self) -> dict[Component, int]:
        """Count what arrived since the start, by component."""
        with self._changed:
            return dict(self._arrived)

    def logins(self, kind: TokenKind | None = None, username: str | None = None) -> int:
        with self._changed:
            return sum(
                count
                for (its_kind, its_username), count in self._logins.items()
                if kind in (None, its_kind) and username in (None, its_username)
            )

    def wait_for(self, predicate: Callable[[Sequence[Received]], bool], timeout: float) -> None:
        """Return as soon as the predicate holds; raises TimeoutError after so many seconds.

        The predicate runs without the lock: it may ask the sandbox whatever it likes.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._changes
                records = tuple(self._records)
            if predicate(records):
                return
            with self._changed:
                left = deadline - time.monotonic()
                if self._changes == seen and not self._changed.wait(left):
                    lines = "".join(f"\n  {one}" for one in records[-10:]) or " nothing"
                    raise TimeoutError(f"not seen within {timeout} s; last arrived:{lines}")

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()
