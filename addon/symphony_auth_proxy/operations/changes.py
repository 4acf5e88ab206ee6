"""What a reload has changed, told in the words of the configuration file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path

from symphony_auth_proxy.model import Origin, Settings

_NAMES = {
    "ca_directory": "ca.directory",
    "admin_listen": "admin.listen",
    "token_lifetime": "tokens.lifetime",
    "trust_bundle": "the trusted CAs",
    "answer_logins": "answerLogins",
    "client_tokens": "clientTokens",
    "other_hosts": "otherHosts",
    "drain_seconds": "drainSeconds",
}
_AT_THE_NEXT_START = frozenset({"listen", "web"})
_NOT_TOLD = frozenset({"bots", "clients", "source", "warnings", "ca_directory_configured"})


def changes(old: Settings, new: Settings) -> list[str]:
    """Tell, a line each, how `new` differs from `old`. No secret is told: of a password one
    learns that its owner's entry has changed."""
    lines = [
        *_of_named("bot", _bots(old), _bots(new)),
        *_of_named("client", _clients(old), _clients(new)),
    ]
    if old.bots[0].username != new.bots[0].username:
        lines.append(f"the default bot is {new.bots[0].username}")
    for field in fields(Settings):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name in _NOT_TOLD or before == after:
            continue
        name = _NAMES.get(field.name, field.name)
        told = [_told(value) for value in (before, after)]
        line = f"{name}: {told[0]} → {told[1]}" if None not in told else f"{name} changed"
        later = " (from the next start on)" if field.name in _AT_THE_NEXT_START else ""
        lines.append(line + later)
    return lines


def _bots(settings: Settings) -> dict[str, object]:
    return {bot.username: bot for bot in settings.bots}


def _clients(settings: Settings) -> dict[str, object]:
    return {client.name: client for client in settings.clients}


def _of_named(noun: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    yield from (f"{noun} {name}: new" for name in new if name not in old)
    yield from (f"{noun} {name}: gone" for name in old if name not in new)
    yield from (f"{noun} {name}: changed" for name in new if name in old and old[name] != new[name])


def _told(value: object) -> str | None:
    """A value that is short and harmless, as people read it."""
    match value:
        case None:
            return "unset"
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case float():
            return f"{value:g}"
        case Origin() | Path():
            return str(value)
    return None
