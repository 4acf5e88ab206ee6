"""Writing files that others read meanwhile: each is there whole, or not at all.

A private file is private from its first byte on. All of it happens in the file's own
directory, where a second name or a rename is one step.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def create(path: Path, data: bytes) -> None:
    """Write a private file, unless there is one: of several processes, one wins. Raises
    OSError."""
    temporary = _written(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def replace(path: Path, data: bytes, *, private: bool) -> None:
    """Write a file in the place of the one that may be there. Raises OSError."""
    temporary = _written(path, data)
    if not private:
        temporary.chmod(0o644)
    temporary.replace(path)


def _written(path: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(name)
