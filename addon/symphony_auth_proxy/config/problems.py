"""What pydantic found wrong, in sentences for people, with the nearest known key."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from symphony_auth_proxy.config.document import Finding, Location
from symphony_auth_proxy.config.sections import Section

_A_MAPPING = "must be a mapping: keys below it, each with its value"
_SENTENCES = {
    "missing": "is missing",
    "model_type": _A_MAPPING,
    "dict_type": _A_MAPPING,
    "list_type": "must be a list",
    "too_short": "must not be empty",
}

# There is no such key in the BDK, and many look for it (symphony-bdk-java #694).
_MEANT = {"keyauth": "keyManager"}


def findings_of(error: ValidationError, root: type[Section]) -> list[Finding]:
    return [
        (details["loc"], _sentence(details, root))
        for details in error.errors(include_url=False, include_input=False)
    ]


def nearest(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that `key` was probably meant to be."""
    return closest(key, known) or _MEANT.get(_plain(key))


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like `name`; `private_key` is `privateKey`."""
    plain = {_plain(one): one for one in known}
    found = get_close_matches(_plain(name), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def _sentence(details: ErrorDetails, root: type[Section]) -> str:
    context: dict[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"])
        case "enum" | "literal_error":
            return f"must be {context['expected']}"
        case "extra_forbidden":
            return _unknown(details["loc"], root)
        case kind:
            return _SENTENCES.get(kind, details["msg"])


def _unknown(location: Location, root: type[Section]) -> str:
    *above, key = location
    known = _section_at(root, above).fields_by_key()
    meant = nearest(str(key), known) or _below(root, str(key))
    return "is not a known key" + (f"; did you mean `{meant}`?" if meant else "")


def _section_at(root: type[Section], location: Iterable[str | int]) -> type[Section]:
    section = root
    for part in location:
        if isinstance(part, str):
            field = section.model_fields[section.fields_by_key()[part]]
            section = _section_in(field.annotation) or section
    return section


def _below(root: type[Section], key: str) -> str | None:
    """Return the path of a key that stands one section deeper than it was written."""
    for name, field in root.fields_by_key().items():
        section = _section_in(root.model_fields[field].annotation)
        if section and key in section.fields_by_key():
            return f"{name}.{key}"
    return None


def _section_in(annotation: Any) -> type[Section] | None:
    """Find the section in `X`, `X | None` or `list[X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Section) else None
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()
