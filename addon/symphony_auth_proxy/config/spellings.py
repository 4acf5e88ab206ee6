"""Other spellings of the same file, brought to the one that the rest of `config` reads.

Symphony's BDK for Spring Boot keeps everything below a `bdk:` root in a file that belongs
to other software as well. BDK Java still accepts flat keys (`privateKeyPath`) that became
sections (`privateKey.path`) in version 2; the table below is BdkAuthenticationConfig and
BdkSslConfig of symphony-bdk-java. The proxy's own part knows one spelling only.
"""

from __future__ import annotations

from collections.abc import Mapping

from symphony_auth_proxy.config.document import Finding, Location, is_blank

SPRING_ROOT = "bdk"
EXTENSION = "authProxy"

_CREDENTIALS = {
    "privateKeyPath": ("privateKey", "path"),
    "privateKeyContent": ("privateKey", "content"),
    "certificatePath": ("certificate", "path"),
    "certificateContent": ("certificate", "content"),
    "certificatePassword": ("certificate", "password"),
}
FLAT: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "bot": _CREDENTIALS,
    "app": _CREDENTIALS,
    "ssl": {
        "trustStorePath": ("trustStore", "path"),
        "trustStorePassword": ("trustStore", "password"),
    },
}
"""Section → flat key → where its value belongs below the section."""


def without_spring_root(
    document: Mapping[str, object], known: frozenset[str]
) -> tuple[dict[str, object], list[Finding]]:
    """Return what stands below `bdk:`, if there is such a root, and what is wrong with that.

    What else such a file holds belongs to Spring, except for the keys in `known`: they are
    meant for us and stand in the wrong place. Only `authProxy` may stand beside `bdk:`.
    """
    below = document.get(SPRING_ROOT)
    if not isinstance(below, Mapping):
        return dict(document), []
    misplaced: list[Finding] = [
        ((key,), f"stands beside `{SPRING_ROOT}`; move it below")
        for key in document
        if key in known and (key != EXTENSION or EXTENSION in below)
    ]
    beside = {EXTENSION: document[EXTENSION]} if EXTENSION in document else {}
    return {**beside, **below}, misplaced


def place_in_file(location: Location, document: Mapping[str, object]) -> Location:
    """Return where in `document`, as it was, a value stands that is known without the root."""
    beside = location[:1] == (EXTENSION,) and EXTENSION in document
    wrapped = isinstance(document.get(SPRING_ROOT), Mapping)
    return (SPRING_ROOT, *location) if wrapped and not beside else location


def without_flat_keys(document: Mapping[str, object]) -> tuple[dict[str, object], list[Finding]]:
    """Return the document with BDK Java's flat keys moved into their sections."""
    findings: list[Finding] = []
    result = dict(document)
    for name, table in FLAT.items():
        section = result.get(name)
        if isinstance(section, Mapping):
            result[name] = _unflattened(section, table, (name,), findings)
    return result, findings


def _unflattened(
    section: Mapping[str, object],
    table: Mapping[str, tuple[str, str]],
    location: Location,
    findings: list[Finding],
) -> dict[str, object]:
    result = {key: value for key, value in section.items() if key not in table}
    moved: dict[str, dict[str, object]] = {}
    for flat, (name, key) in table.items():
        if section.get(flat) in (None, ""):
            continue
        if not is_blank(section.get(name)):
            sentence = f"is the old spelling of `{name}.{key}`, and `{name}` is given too; keep one"
            findings.append(((*location, flat), sentence))
        else:
            moved.setdefault(name, {})[key] = section[flat]
    return {**result, **moved}
