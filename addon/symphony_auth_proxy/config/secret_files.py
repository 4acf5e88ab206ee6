"""Which files hold secrets, as the configuration names them: keys and passwords.

Who may read them is nobody's business but their owner's; `doctor` looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from symphony_auth_proxy.config.bdk import File, TrustStore
from symphony_auth_proxy.config.sections import Certificate, PrivateKey
from symphony_auth_proxy.config.values import PasswordFile


def files_in(file: File) -> tuple[Path, ...]:
    """Return the paths, each once, in the order of the file's sections."""
    return tuple(dict.fromkeys(_below(file)))


def _below(value: object) -> Iterator[Path]:
    match value:
        case TrustStore():
            return  # its password is no secret: what it protects is public
        case PasswordFile(path=path):
            yield path
        case list():
            for item in value:
                yield from _below(item)
        case PrivateKey() | Certificate():
            # Of a pair, the certificate is for everybody to see.
            place = getattr(value, "key_path", None) or value.path
            if place is not None:
                yield place
    for name in getattr(type(value), "model_fields", ()):
        yield from _below(getattr(value, name))
