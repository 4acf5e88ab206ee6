"""What the status page tells its reader about using this proxy.

For the one who reads: by the address at which they have reached the proxy, in the name of the
client that they are, and for a bot that this client may use.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from symphony_auth_proxy.core.headers import BOT_HEADER, ON_BEHALF_OF_HEADER
from symphony_auth_proxy.instructions import programs, sdks
from symphony_auth_proxy.instructions.access import CA_FILE, Access, Snippet
from symphony_auth_proxy.model import Bot, Client, Origin, Settings

PORTAL = "http://symphony.proxy"
USER = "USERNAME"
"""Stands for the user on whose behalf a call is made."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How the page was asked for."""

    place: Origin
    """Where the proxy was reached."""
    client: str | None = None
    bot: str | None = None
    """Whose instructions are wanted, as the reader says."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of client is told of the proxy."""

    key: str
    title: str
    about: str
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Guide:
    proxy: str
    """As a URL."""
    client: str | None
    bot: str
    others: tuple[str, ...]
    """Bots that the reader may choose, too."""
    fetch_pem: str
    """The command that gets the CA's certificate."""
    fetch_p12: str
    """The same for Java."""
    recipes: tuple[Recipe, ...]


_PROGRAMS: tuple[tuple[str, str, str, Callable[[Access], Snippet]], ...] = (
    ("curl", "curl", "one call, to see it work", programs.curl),
    ("variables", "Environment variables", "for any program that reads them", programs.variables),
    ("requests", "Python: requests", "2.32 or newer", programs.requests),
    ("httpx", "Python: httpx", "0.28 or newer", programs.httpx),
    ("node", "Node", "its own fetch", programs.node),
    ("java", "Java", "system properties of the JVM", programs.java),
    ("browser", "Browsers", "Chromium and Firefox", programs.browser),
)
_SDKS: tuple[tuple[str, str, str], ...] = (
    ("bdk-python", "Symphony BDK for Python", "its config.yaml"),
    ("bdk-java", "Symphony BDK for Java", "its config.yaml"),
    ("spring", "Symphony BDK for Spring Boot", "its application.yaml"),
    ("node", "symphony-api-client-node", "its config.json"),
)


def guide(settings: Settings, visit: Visit) -> Guide:
    """Write the instructions for one reader."""
    client = next((one for one in settings.clients if one.name == visit.client), None)
    bots = _usable(settings, client, visit.place)
    bot = next((one for one in bots if one.username == visit.bot), bots[0])
    access = Access(
        bot,
        client,
        visit.place,
        settings.answer_logins,
        fetch=partial(_fetch, visit.place, client),
        headers=_headers(settings, client, bot, alone=len(bots) == 1),
    )
    recipes = [Recipe(key, title, about, tell(access)) for key, title, about, tell in _PROGRAMS]
    if client is None or client.bots:
        recipes += [
            Recipe(f"sdk-{key}", title, about, sdks.SNIPPETS[key](access))
            for key, title, about in _SDKS
        ]
    others = tuple(one.username for one in bots if one is not bot)
    return Guide(
        access.proxy_url(),
        client.name if client else None,
        bot.username,
        others,
        access.fetch("pem"),
        access.fetch("p12"),
        tuple(recipes),
    )


def _usable(settings: Settings, client: Client | None, place: Origin) -> list[Bot]:
    """The bots that can be meant by who comes in at `place`; at least one."""
    own = [bot for bot in settings.bots if bot.listen and bot.listen.port == place.port]
    granted = [bot for bot in settings.bots if client and bot.username in client.bots]
    return own or granted or list(settings.bots)


def _headers(
    settings: Settings, client: Client | None, bot: Bot, *, alone: bool
) -> tuple[tuple[str, str], ...]:
    """What a request has to say so that it is for this bot."""
    if client is not None and not client.bots:
        return ((ON_BEHALF_OF_HEADER.title(), USER),)
    if alone or bot is settings.bots[0]:
        return ()
    return ((BOT_HEADER.title(), bot.username),)


def _fetch(place: Origin, client: Client | None, form: str) -> str:
    """The command that gets the CA through the proxy; the PEM is there without a password."""
    user = f" --proxy-user {shlex.quote(client.name)}" if client and form != "pem" else ""
    file = CA_FILE.format(form)
    return f"curl --proxy http://{place}{user} -o {file} {PORTAL}/ca.{form}"
