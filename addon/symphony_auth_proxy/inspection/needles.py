"""Searching for thousands of texts at once, in time that depends on the haystack alone.

Of the haystack only every n-th short piece is looked up, in a table of the pieces with which
the needles begin: n is so small that each occurrence of a needle covers one of them (as in
the q-sample indexes of Sutinen and Tarhio, 1996, with the roles exchanged). Only what was
found in the table is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WIDTH = 4
"""Bytes of the smallest piece worth looking up."""


@dataclass(frozen=True, slots=True)
class Hit[T]:
    start: int
    end: int
    meaning: T


class Needles[T]:
    """Texts to search for, each with what it means."""

    def __init__(self, meanings: Mapping[bytes, T]) -> None:
        """No needle may be shorter than four bytes."""
        self._meanings = meanings
        self.longest = max(map(len, meanings), default=0)
        shortest = min(map(len, meanings), default=_WIDTH)
        self._width = max(_WIDTH, shortest // 2)
        self._step = shortest - self._width + 1
        self._table: dict[bytes, list[tuple[int, bytes]]] = {}
        for needle in meanings:
            for offset in range(self._step):
                piece = needle[offset : offset + self._width]
                self._table.setdefault(piece, []).append((offset, needle))

    def find(self, haystack: bytes) -> Iterator[Hit[T]]:
        """Yield every occurrence; they may overlap."""
        table, width = self._table, self._width
        places = range(0, len(haystack) - width + 1, self._step)
        if not table or table.keys().isdisjoint(haystack[at : at + width] for at in places):
            return
        for at in places:
            for offset, needle in table.get(haystack[at : at + width], ()):
                start = at - offset
                if start >= 0 and haystack.startswith(needle, start):
                    yield Hit(start, start + len(needle), self._meanings[needle])
