"""`${NAME}` and `${NAME:-default}` in any text of the configuration.

Values come from the environment. As in a shell, the default also stands in for an empty
value. `$${` is a literal `${`, as in BDK Java. What comes out is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from symphony_auth_proxy.config.document import Finding, Location, Wrong

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_NAME_AND_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(?::-(.*))?", re.DOTALL)


class Unresolved:
    """Stands where no value could be had, so that this is told once."""


def has_unresolved(value: object) -> bool:
    """Whether any text in `value` refers to what could not be had."""
    match value:
        case Mapping():
            return any(map(has_unresolved, value.values()))
        case list():
            return any(map(has_unresolved, value))
        case _:
            return isinstance(value, Unresolved)


def expand(
    value: object, environ: Mapping[str, str], location: Location, findings: list[Finding]
) -> object:
    """Return `value` with every reference in it replaced. Appends to `findings`."""
    match value:
        case str():
            try:
                return _REFERENCE.sub(lambda match: _resolve(match, environ), value)
            except Wrong as error:
                findings.append((location, str(error)))
                return Unresolved()
        case Mapping():
            return {
                key: expand(item, environ, (*location, key), findings)
                for key, item in value.items()
            }
        case list():
            return [
                expand(item, environ, (*location, index), findings)
                for index, item in enumerate(value)
            ]
        case _:
            return value


def variables(text: str) -> Iterator[str]:
    """Yield the names of the environment variables that a text refers to."""
    for match in _REFERENCE.finditer(text):
        if match[1] and (reference := _NAME_AND_DEFAULT.fullmatch(match[1])):
            yield reference[1]


def _resolve(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match[1] is None:
        return "${"
    reference = _NAME_AND_DEFAULT.fullmatch(match[1])
    if reference is None:
        raise Wrong(
            "has a reference that is not understood; write ${NAME} or ${NAME:-default}, "
            "and $${ where ${ itself is meant"
        )
    name, default = reference.groups()
    found = environ.get(name)
    if found or (found is not None and default is None):
        return found
    if default is None:
        raise Wrong(f"the environment variable {name} is not set")
    return str(default)
