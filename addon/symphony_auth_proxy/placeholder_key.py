"""The key that makes placeholders good here and nowhere else.

It is made once and kept beside the proxy's CA, so that bots go on after a restart with the
placeholders that they hold. Replicas of one proxy share a copy of the file. Whoever reads it
can make placeholders, and gains no more than by the header `Symphony-Bot`: clients and what
they are granted are checked in any case.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

from symphony_auth_proxy.errors import ConfigError, Problem

NAME = "placeholder.key"

_BYTES = 32
_MOST_CHARACTERS = 1024
_FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
"""A group may read it: mounted secrets of Kubernetes with an `fsGroup` come like that."""


def load_or_create(directory: Path) -> bytes:
    """Return the key in `directory`, which is made along with it if need be.

    However many processes start at once, all return the same. Raises ConfigError when the
    file cannot be used, or is open to other users.
    """
    path = directory / NAME
    try:
        if not path.exists():
            _create(path)
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST_CHARACTERS + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be used: {error.strerror}") from None
    if os.name == "posix" and mode & _FORBIDDEN:
        raise _unusable(path, "is open to other users of this machine: `chmod 600` it")
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) < _BYTES or len(text) > _MOST_CHARACTERS:
        raise _unusable(
            path,
            f"does not hold a key ({_BYTES} bytes or more, in hexadecimal): remove it to get "
            "a new one, with which every bot logs in once more",
        )
    return key


def _create(path: Path) -> None:
    """Let the file appear whole or not at all, and never in the place of another one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{NAME}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return  # another process was faster: its key is the one
    finally:
        Path(unfinished).unlink()


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError([Problem(str(path), why)], source="the placeholder key")
