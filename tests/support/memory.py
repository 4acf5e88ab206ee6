"""The memory of another process, searched: what it has never seen is not in there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest


def held_in_memory(pid: int, wanted: Iterable[str]) -> set[str]:
    """Return which of these texts are anywhere in what a process may write to.

    Skips the test where a process cannot be looked into.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory of a process is a file on Linux only")
    texts = set(wanted)
    return {text for part in _writable(pid) for text in texts if text.encode() in part}


def _writable(pid: int) -> Iterator[bytes]:
    process = Path("/proc") / str(pid)
    with (process / "mem").open("rb", 0) as memory:
        for line in (process / "maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in place.split("-"))
            memory.seek(start)
            try:
                yield memory.read(end - start)
            except OSError:  # the kernel's own, or gone meanwhile
                continue
