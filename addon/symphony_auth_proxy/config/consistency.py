"""Checks that look at more than one section.

They work on the plain document, so that they run even when one of the sections is wrong in
itself: people want to hear of all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symphony_auth_proxy.config.document import Finding, Location, is_blank


def inconsistencies(document: Mapping[str, object]) -> Iterator[Finding]:
    yield from _missing_hosts(document)
    yield from _repeated_usernames(document)
    yield from _ways_to_log_in(document)


def _missing_hosts(document: Mapping[str, object]) -> Iterator[Finding]:
    """Each component needs a host, its own or the root's."""
    if document.get("host") is not None:
        return
    needed = ["pod", "agent", "keyManager"]
    if any(not is_blank(bot.get("certificate")) for _, bot in _bots(document)):
        needed.append("sessionAuth")
    missing = [name for name in needed if not _has_host(document.get(name))]
    if missing == needed:
        yield ("host",), "is missing: the pod's host, as in acme.symphony.com"
    else:
        for name in missing:
            yield (name, "host"), "is missing; give it here, or one `host` for all at the root"


def _has_host(section: object) -> bool:
    if isinstance(section, Mapping) and not is_blank(section):
        return any(not is_blank(section.get(key)) for key in ("host", "loadBalancing"))
    return not is_blank(section)  # what else it is, is wrong in itself, which is told elsewhere


def _repeated_usernames(document: Mapping[str, object]) -> Iterator[Finding]:
    seen: set[str] = set()
    for location, bot in _bots(document):
        username = bot.get("username")
        if isinstance(username, str):
            if username in seen:
                yield (*location, "username"), "is the username of another bot in this file too"
            seen.add(username)


def _ways_to_log_in(document: Mapping[str, object]) -> Iterator[Finding]:
    """Each bot has one. Of two, BDK Python silently takes the key and BDK Java refuses."""
    for location, bot in _bots(document):
        given = [name for name in ("privateKey", "certificate") if not is_blank(bot.get(name))]
        if not given:
            yield location, "needs `privateKey` or `certificate`"
        elif len(given) > 1:
            yield location, "has `privateKey` and `certificate`; keep one"


def _bots(document: Mapping[str, object]) -> Iterator[tuple[Location, Mapping[str, object]]]:
    if isinstance(default := document.get("bot"), Mapping):
        yield ("bot",), default
    own = document.get("authProxy")
    further = own.get("bots") if isinstance(own, Mapping) else None
    for index, bot in enumerate(further if isinstance(further, list) else ()):
        if isinstance(bot, Mapping):
            yield ("authProxy", "bots", index), bot
