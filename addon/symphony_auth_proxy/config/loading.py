"""Finds the configuration file and reads it, with all its problems at once.

One pass in which every step leaves what it finds wrong and goes on with the rest: form,
other spellings, `${NAME}`, then each section by itself (where key files are opened as well),
then what concerns several sections.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from symphony_auth_proxy.config import document, legacy, trust
from symphony_auth_proxy.config.access import inadmissible, on_behalf_of
from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.config.consistency import inconsistencies
from symphony_auth_proxy.config.document import Finding, Wrong, path_text
from symphony_auth_proxy.config.interpolation import expand
from symphony_auth_proxy.config.pods import DefaultProxy
from symphony_auth_proxy.config.problems import findings_of
from symphony_auth_proxy.config.secret_files import files_in
from symphony_auth_proxy.config.secret_references import variables_in
from symphony_auth_proxy.config.settings import settings_of
from symphony_auth_proxy.config.spellings import (
    place_in_file,
    without_flat_keys,
    without_spring_root,
)
from symphony_auth_proxy.config.values import Reading
from symphony_auth_proxy.errors import ConfigError, Problem
from symphony_auth_proxy.model import Settings, UpstreamProxy

VARIABLE = "SYMPHONY_AUTH_PROXY_CONFIG"
_NO_PROXY = DefaultProxy()


@dataclass(frozen=True, slots=True)
class Configuration:
    """The file as it was understood, and what the program makes of it."""

    file: File
    settings: Settings


def find(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file to read: `path` (from --config), else $SYMPHONY_AUTH_PROXY_CONFIG,
    else ./config.yaml, else ~/.symphony/config.yaml.

    Raises ConfigError when there is none.
    """
    if path is not None:
        return path
    if named := environ.get(VARIABLE):
        return Path(named)
    usual = (Path("config.yaml"), _home(environ) / ".symphony" / "config.yaml")
    for candidate in usual:
        if candidate.is_file():
            return candidate
    places = " nor ".join(str(candidate) for candidate in usual)
    raise ConfigError(
        [Problem("", f"no file: neither {places} exists; name one by --config or ${VARIABLE}")]
    )


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    default_proxy: UpstreamProxy | None = None,
    direct: Collection[str] = (),
    open_keys: bool = True,
) -> Settings:
    """Find, read and check the configuration.

    `default_proxy` is the corporate proxy to use when the file names none at its root, and
    `direct` the hosts that it is not for, as NO_PROXY lists them. Components with a `proxy`
    of their own, null or not, keep that. `open_keys=False` leaves the keys and certificates of
    bots unopened, for those who look into them themselves.

    Raises ConfigError with every problem that it has.
    """
    default = DefaultProxy(default_proxy, tuple(direct))
    return read(path, environ=environ, default=default, open_keys=open_keys).settings


def secret_variables(
    path: Path | None, *, environ: Mapping[str, str] = os.environ
) -> frozenset[str]:
    """Return the names of the environment variables that the file takes secrets from.

    Raises ConfigError when there is no file that could be read.
    """
    original, _ = _document(find(path, environ))
    return variables_in(original)


def secret_files(path: Path | None, *, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the files that the configuration takes keys and passwords from; the keys need
    not be usable. Raises ConfigError."""
    return files_in(read(path, environ=environ, open_keys=False).file)


def read(
    path: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    default: DefaultProxy = _NO_PROXY,
    open_keys: bool = True,
) -> Configuration:
    """Like `load`, with the file's own structure beside the settings."""
    source = find(path, environ).absolute()
    original, findings = _document(source)
    reading = Reading(source.parent, _home(environ), open_keys=open_keys)
    file, further = _checked(original, environ, reading)
    findings += further
    try:
        bundle = trust.bundle(file.certificates if file else (), environ)
    except Wrong as error:
        findings.append(((), str(error)))
    if findings or file is None:
        problems = dict.fromkeys(Problem(path_text(where), what) for where, what in findings)
        keys = reading.unusable_keys
        of_keys_alone = len(problems) == len(keys) and len(set(keys)) == 1
        raise ConfigError(
            tuple(problems), source=str(source), diagnosis=keys[0] if of_keys_alone else None
        )
    return Configuration(file, settings_of(file, source, reading, bundle, default))


def _document(source: Path) -> tuple[dict[str, object], list[Finding]]:
    try:
        original, findings = document.parse(_text(source))
        legacy.refuse(original)
    except Wrong as error:
        raise ConfigError([Problem("", f"the file {error}")], source=str(source)) from None
    return original, findings


def _checked(
    original: Mapping[str, object], environ: Mapping[str, str], reading: Reading
) -> tuple[File | None, list[Finding]]:
    values, misplaced = without_spring_root(original, frozenset(File.fields_by_key()))
    values, findings = without_flat_keys(values)
    unresolved: list[Finding] = []
    values = {
        key: value if key in File.elsewhere() else expand(value, environ, (key,), unresolved)
        for key, value in values.items()
    }
    if on_behalf_of(values):
        reading = replace(reading, on_behalf_of=True)
    else:
        unresolved = _needed(unresolved, reading)
        findings = _needed(findings, reading)
    findings += unresolved
    findings += inconsistencies(values)
    findings += inadmissible(values)
    file = None
    try:
        file = File.model_validate(values, context=reading)
    except ValidationError as error:
        findings += [
            (where, what)
            for where, what in findings_of(error, File)
            if not any(place[: len(where)] == where for place, _ in unresolved)
        ]
    placed = [(place_in_file(where, original), what) for where, what in findings]
    return file, misplaced + placed


def _needed(findings: list[Finding], reading: Reading) -> list[Finding]:
    """Return what is wrong outside of apps that nobody may use; the rest is worth a warning."""
    needed = []
    for where, what in findings:
        if where[:1] == ("app",) or (where[:2] == ("authProxy", "bots") and "app" in where[3:4]):
            reading.warnings.append(f"`{path_text(where)}` is left out: it {what}")
        else:
            needed.append((where, what))
    return needed


def _text(source: Path) -> str:
    try:
        return source.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Wrong(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Wrong("is not text in UTF-8") from None


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path.home()
