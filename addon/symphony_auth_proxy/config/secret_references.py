"""Which environment variables hold secrets, as the file tells by where it refers to them.

`password: ${KM_PASSWORD}` says so of KM_PASSWORD; `path: ${HOME}/bot.pem` says nothing of
HOME. Programs that are started beside the proxy must not inherit the former.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.config.interpolation import variables
from symphony_auth_proxy.config.spellings import FLAT, without_spring_root

SECRET_KEYS = frozenset(
    {"password", "passwordHash", "content", "defaultHeaders"}
    | {flat for table in FLAT.values() for flat, (_, key) in table.items() if key != "path"}
)
"""Keys whose values are secret, with all that stands below them."""


def variables_in(original: Mapping[str, object]) -> frozenset[str]:
    """Return the names of those variables, of the document as it was written."""
    document, _ = without_spring_root(original, frozenset())
    read = {key: value for key, value in document.items() if key not in File.elsewhere()}
    return frozenset(_below(read, secret=False))


def _below(value: object, *, secret: bool) -> Iterator[str]:
    match value:
        case str() if secret:
            yield from variables(value)
        case Mapping():
            for key, item in value.items():
                yield from _below(item, secret=secret or key in SECRET_KEYS)
        case list():
            for item in value:
                yield from _below(item, secret=secret)
