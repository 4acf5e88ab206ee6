"""The settings as they are in effect, for people: complete, and without any secret.

Each value that the file does not give itself says where it comes from. What is shown can be
written back as a configuration, but for the secrets.
"""

from __future__ import annotations

import io
from collections.abc import Container, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from symphony_auth_proxy.config.loading import Configuration
from symphony_auth_proxy.config.own import FurtherBot
from symphony_auth_proxy.config.places import Place, Server
from symphony_auth_proxy.config.pods import given
from symphony_auth_proxy.config.sections import Section
from symphony_auth_proxy.config.values import PasswordFile
from symphony_auth_proxy.model import Component, Origin
from symphony_auth_proxy.secret import Secret

HIDDEN = "***"
_COMMENT_COLUMN = 40
_FIELDS = Place.fields_by_key()
_KEYS = {name: key for key, name in Server.fields_by_key().items()}
_ADDRESS = frozenset({"scheme", "host", "port", "context"})
_DEFAULT = "default"
_FROM_ROOT = "from the root"
_FROM_BOT = "from the bot"


def shown(configuration: Configuration) -> str:
    """Return YAML, with comments that tell defaults and warnings."""
    file, settings = configuration.file, configuration.settings
    document = _components(file, file, _FROM_ROOT)
    if file.proxy:
        document["proxy"] = _section(file.proxy)
    document["bot"] = _section(file.bot)
    if file.app:
        document["app"] = _section(file.app)
    if file.ssl.trust_store:
        document["ssl"] = _section(file.ssl)
    document["authProxy"] = own = _section(file.auth_proxy)
    if file.auth_proxy.bots:
        further = zip(file.auth_proxy.bots, file.places[1:], strict=True)
        own["bots"] = [_further_bot(bot, place) for bot, place in further]
    if not settings.ca_directory_configured:
        own["ca"] = CommentedMap(directory=str(settings.ca_directory))
        _note(own["ca"], "directory", _DEFAULT)
    stream = io.StringIO()
    yaml = YAML(pure=True)
    yaml.width = 1000  # a path is never broken into lines
    yaml.dump(document, stream)
    return _comments([f"{settings.source}"]) + stream.getvalue() + _warnings(settings.warnings)


def _further_bot(bot: FurtherBot, place: Place) -> CommentedMap:
    """Show the place too if the bot gives any of it; else it is the root's, shown there."""
    result = _section(bot, leave_out=Place.model_fields)
    if bot.model_fields_set & Place.model_fields.keys():
        result.update(_components(place, bot, _FROM_BOT))
        if place.app:
            result["app"] = _section(place.app)
    return result


def _components(place: Place, own: Place, origin: str) -> CommentedMap:
    """Show the services of `place`; `own` is what was given for it, `origin` where."""
    return CommentedMap(
        {one.value: _server(place, own, _FIELDS[one.value], origin) for one in Component}
    )


def _server(place: Place, own: Place, component: str, origin: str) -> CommentedMap:
    server, own_server = getattr(place, component), getattr(own, component)
    result = CommentedMap()
    balancing = getattr(server, "load_balancing", None)
    if balancing:
        result["loadBalancing"] = _section(balancing)
    for name, key in _KEYS.items():
        if key in Server.elsewhere() or (balancing and name in _ADDRESS):
            continue
        value = given(name, server, place)
        is_given = name in server.model_fields_set | place.model_fields_set
        if _has_value(value):
            result[key] = _plain(value)
        elif name == "proxy" and is_given:
            result[key] = None
        else:
            continue
        if name in own_server.model_fields_set:
            continue
        from_own = name in own.model_fields_set - server.model_fields_set
        _note(result, key, origin if from_own else _FROM_ROOT if is_given else _DEFAULT)
    return result


def _section(section: Section, leave_out: Container[str] = ()) -> CommentedMap:
    result = CommentedMap()
    for key, name in section.fields_by_key().items():
        if name in leave_out:
            continue
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
    return value is not None and value not in ("", {}, [], ())


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
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return int(value) if isinstance(value, float) and value.is_integer() else value


def _note(section: CommentedMap, key: str, origin: str) -> None:
    section.yaml_add_eol_comment(origin, key, column=_COMMENT_COLUMN)


def _warnings(warnings: Iterable[str]) -> str:
    lines = _comments(warnings)
    return f"\n# Warnings\n{lines}" if lines else ""


def _comments(lines: Iterable[str]) -> str:
    return "".join(f"# {line}\n" for line in lines)
