"""The settings as they are in effect, for people: complete, and without any secret.

Each value that the file does not give itself says where it comes from. What is shown can be
written back as a configuration, but for the secrets.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from symphony_auth_proxy.config.bdk import File, Server
from symphony_auth_proxy.config.loading import Configuration
from symphony_auth_proxy.config.sections import Section
from symphony_auth_proxy.config.settings import inherited
from symphony_auth_proxy.config.values import PasswordFile
from symphony_auth_proxy.model import Component, Origin
from symphony_auth_proxy.secret import Secret

HIDDEN = "***"
_COMMENT_COLUMN = 40
_KEYS = {name: key for key, name in Server.fields_by_key().items()}
_DEFAULT = "default"
_FROM_ROOT = "from the root"


def shown(configuration: Configuration) -> str:
    """Return YAML, with comments that tell defaults and warnings."""
    file, settings = configuration.file, configuration.settings
    document = CommentedMap()
    for component in Component:
        document[component.value] = _server(file, component)
    if file.proxy:
        document["proxy"] = _section(file.proxy)
    document["bot"] = _section(file.bot)
    if file.ssl.trust_store:
        document["ssl"] = _section(file.ssl)
    document["authProxy"] = own = _section(file.auth_proxy)
    if not settings.ca_directory_configured:
        own["ca"] = CommentedMap(directory=str(settings.ca_directory))
        _note(own["ca"], "directory", _DEFAULT)
    stream = io.StringIO()
    yaml = YAML(pure=True)
    yaml.width = 1000  # a path is never broken into lines
    yaml.dump(document, stream)
    return _comments([f"{settings.source}"]) + stream.getvalue() + _warnings(settings.warnings)


def _server(file: File, component: Component) -> CommentedMap:
    server = getattr(file, File.fields_by_key()[component.value])
    result = CommentedMap()
    if component is Component.AGENT and server.load_balancing:
        result["loadBalancing"] = _section(server.load_balancing)
        return result
    for name, value in inherited(file, server).items():
        key = _KEYS[name]
        if name == "proxy" and value is None and file.proxy:
            result[key] = None
            _note(result, key, "direct")
        if key in Server.elsewhere() or not _has_value(value):
            continue
        result[key] = _plain(value)
        if name not in server.model_fields_set:
            _note(result, key, _FROM_ROOT if name in file.model_fields_set else _DEFAULT)
    return result


def _section(section: Section) -> CommentedMap:
    result = CommentedMap()
    for key, name in section.fields_by_key().items():
        value = getattr(section, name)
        if name == "lifetime" and value is None:
            value = "auto"
        if key in section.elsewhere() or not _has_value(value):
            continue
        result[key] = _plain(value)
        if name not in section.model_fields_set and not isinstance(value, Section):
            _note(result, key, _DEFAULT)
    return result


def _has_value(value: object) -> bool:
    return value is not None and value not in ("", {}, [])


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            return HIDDEN
        case Section():
            return _section(value)
        case Path() | PasswordFile() | Origin() | StrEnum():
            return str(value)
        case dict():
            return CommentedMap({name: _plain(item) for name, item in value.items()})
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


def _note(section: CommentedMap, key: str, origin: str) -> None:
    section.yaml_add_eol_comment(origin, key, column=_COMMENT_COLUMN)


def _warnings(warnings: Iterable[str]) -> str:
    lines = _comments(warnings)
    return f"\n# Warnings\n{lines}" if lines else ""


def _comments(lines: Iterable[str]) -> str:
    return "".join(f"# {line}\n" for line in lines)
