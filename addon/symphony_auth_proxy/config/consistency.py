"""Checks that look at more than one section: addresses and logins of the bots.

They work on the plain document, so that they run even when one of the sections is wrong in
itself: people want to hear of all mistakes at once. `access` has those about clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from symphony_auth_proxy.config.document import Finding, Location, is_blank

type Part = Mapping[str, object]

_COMPONENTS = ("pod", "agent", "keyManager", "sessionAuth")


@dataclass(frozen=True, slots=True)
class BotPart:
    """One bot as it stands in the document, and where."""

    location: Location
    part: Part
    place: Location
    """Where its hosts stand: its own part, or the root `()`."""

    @property
    def is_default(self) -> bool:
        return self.location == ("bot",)

    @property
    def by_certificate(self) -> bool:
        return not is_blank(self.part.get("certificate"))


def bots_of(document: Part) -> list[BotPart]:
    """Return all bots, the default one first."""
    found = []
    if isinstance(default := document.get("bot"), Mapping) and not is_blank(default):
        found.append(BotPart(("bot",), default, ()))
    further = own_part(document).get("bots")
    for index, bot in enumerate(further if isinstance(further, list) else ()):
        if isinstance(bot, Mapping):
            location = ("authProxy", "bots", index)
            found.append(BotPart(location, bot, location if _names_hosts(bot) else ()))
    return found


def own_part(document: Part) -> Part:
    """Return what stands below `authProxy`."""
    return _section(document.get("authProxy"))


def inconsistencies(document: Part) -> Iterator[Finding]:
    bots = bots_of(document)
    yield from _missing_hosts((), document, [bot for bot in bots if not bot.place])
    for bot in bots:
        if bot.place:
            yield from _missing_hosts(bot.place, bot.part, [bot])
        else:
            yield from _half_an_agent(document, bot)
    yield from _repeated_usernames(bots)
    yield from _ways_to_log_in(bots)


def _missing_hosts(at: Location, place: Part, bots: list[BotPart]) -> Iterator[Finding]:
    """Each component needs a host, its own or that of the place."""
    if place.get("host") is not None:
        return
    needed = ["pod", "agent", "keyManager"]
    if any(bot.by_certificate for bot in bots):
        needed.append("sessionAuth")
    missing = [name for name in needed if not _has_host(place.get(name))]
    if missing == needed:
        yield (*at, "host"), "is missing: the pod's host, as in acme.symphony.com"
    else:
        whose = "with the bot" if at else "at the root"
        for name in missing:
            yield (
                (*at, name, "host"),
                f"is missing; give it here, or one `host` for all {whose}",
            )


def _half_an_agent(document: Part, bot: BotPart) -> Iterator[Finding]:
    """A bot that is where the root is may change a port, but not of several agents."""
    if bot.is_default or is_blank(_section(document.get("agent")).get("loadBalancing")):
        return
    for key in ("scheme", "port", "context"):
        if not is_blank(_section(bot.part.get("agent")).get(key)):
            yield (
                (*bot.location, "agent", key),
                "has no host that it belongs to: the root's agent has `loadBalancing`",
            )


def _names_hosts(place: Part) -> bool:
    return _has_host(place) or any(_has_host(place.get(name)) for name in _COMPONENTS)


def _has_host(section: object) -> bool:
    if isinstance(section, Mapping) and not is_blank(section):
        return any(not is_blank(section.get(key)) for key in ("host", "loadBalancing"))
    return not is_blank(section)  # what else it is, is wrong in itself, which is told elsewhere


def _repeated_usernames(bots: list[BotPart]) -> Iterator[Finding]:
    seen: set[str] = set()
    for bot in bots:
        username = bot.part.get("username")
        if isinstance(username, str):
            if username in seen:
                sentence = "is the username of another bot in this file too"
                yield (*bot.location, "username"), sentence
            seen.add(username)


def _ways_to_log_in(bots: list[BotPart]) -> Iterator[Finding]:
    """Each bot has one. Of two, BDK Python silently takes the key and BDK Java refuses."""
    for bot in bots:
        given = [name for name in ("privateKey", "certificate") if not is_blank(bot.part.get(name))]
        if not given:
            yield bot.location, "needs `privateKey` or `certificate`"
        elif len(given) > 1:
            yield bot.location, "has `privateKey` and `certificate`; keep one"


def _section(value: object) -> Part:
    return value if isinstance(value, Mapping) else {}
