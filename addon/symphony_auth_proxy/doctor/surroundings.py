"""The proxy that programs of this environment are told of: this one, or another."""

from __future__ import annotations

from collections.abc import Mapping

from symphony_auth_proxy import environment
from symphony_auth_proxy.model import Origin, Settings, UpstreamProxy


def sends_to_us(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether programs that are started from here use this proxy."""
    told = _told(environ)
    return told is not None and Origin(told.host, told.port) in _listeners(settings)


def foreign_proxy(settings: Settings, environ: Mapping[str, str]) -> UpstreamProxy | None:
    """Return the other proxy that programs from here use, as companies have one."""
    return None if sends_to_us(settings, environ) else _told(environ)


def _told(environ: Mapping[str, str]) -> UpstreamProxy | None:
    try:
        return environment.upstream(environ)
    except ValueError:
        return None


def _listeners(settings: Settings) -> set[Origin | None]:
    return {settings.listen, *(bot.listen for bot in settings.bots)}
