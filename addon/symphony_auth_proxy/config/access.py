"""Checks of who may use what: clients, their grants, the listeners, the extension apps.

They work on the plain document, as `consistency` says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import combinations

from symphony_auth_proxy.config import values
from symphony_auth_proxy.config.consistency import BotPart, Part, bots_of, own_part
from symphony_auth_proxy.config.document import Finding, Location, Wrong, is_blank, path_text
from symphony_auth_proxy.config.own import AuthProxy
from symphony_auth_proxy.config.problems import closest
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.model import Origin

type _Listeners = list[tuple[Location, Origin]]

_USUAL_LISTEN = str(AuthProxy.model_fields["listen"].default)
_ADMIN: Location = ("authProxy", "admin", "listen")
_WEB: Location = ("authProxy", "web", "listen")


def on_behalf_of(document: Part) -> bool:
    """Whether a client is granted calls on behalf of users."""
    return any(client.get("onBehalfOf") for _, client in _clients(document))


def inadmissible(document: Part) -> Iterator[Finding]:
    bots = bots_of(document)
    yield from _repeated_names(document)
    for location, client in _clients(document):
        yield from _unknown_bots(location, client, bots)
        yield from _no_app(location, client, bots, document)
    yield from _app_ids(document)
    listeners = _listeners(document)
    yield from _unguarded_listeners(document, listeners)
    yield from _shared_ports(listeners)


def _clients(document: Part) -> Iterator[tuple[Location, Part]]:
    clients = own_part(document).get("clients")
    for index, client in enumerate(clients if isinstance(clients, list) else ()):
        if isinstance(client, Mapping):
            yield ("authProxy", "clients", index), client


def _repeated_names(document: Part) -> Iterator[Finding]:
    seen: set[str] = set()
    for location, client in _clients(document):
        name = client.get("name")
        if isinstance(name, str):
            if name in seen:
                yield (*location, "name"), "is the name of another client too"
            seen.add(name)


def _unknown_bots(location: Location, client: Part, bots: list[BotPart]) -> Iterator[Finding]:
    usernames = [bot.part.get("username") for bot in bots]
    known = [one for one in usernames if isinstance(one, str)]
    granted = client.get("bots")
    seen: set[str] = set()
    for index, name in enumerate(granted if isinstance(granted, list) else ()):
        if not isinstance(name, str) or not name:
            continue  # wrong in itself
        if name in seen:
            yield (*location, "bots", index), "is listed twice"
        elif name not in known and len(known) == len(usernames):
            meant = closest(name, known)
            hint = f"did you mean `{meant}`?" if meant else "write the username of one of the bots"
            yield (*location, "bots", index), f"is not a bot of this file; {hint}"
        seen.add(name)


def _no_app(
    location: Location, client: Part, bots: list[BotPart], document: Part
) -> Iterator[Finding]:
    """Who is granted exactly one bot always speaks through that bot's app."""
    if not client.get("onBehalfOf"):
        return
    granted = client.get("bots")
    if isinstance(granted, list) and len(granted) == 1:
        bots = [bot for bot in bots if bot.part.get("username") == granted[0]] or bots
    apps = [app for bot in bots if (app := _app_of(bot, document)) is not None]
    if bots and not any(_has_key(app) for app in apps):
        sentence = "`app` with its `appId` and `privateKey`"
        if apps:
            sentence += ": Symphony does not log apps in by certificate any more"
        yield (*location, "onBehalfOf"), f"needs an {sentence}"


def _app_of(bot: BotPart, document: Part) -> object:
    """A bot's app: its own, else the root's when it uses the root's hosts."""
    own = None if bot.is_default else bot.part.get("app")
    found = own if not is_blank(own) else None if bot.place else document.get("app")
    return None if is_blank(found) else found


def _has_key(app: object) -> bool:
    """What is no mapping is wrong in itself, which is told elsewhere."""
    return not isinstance(app, Mapping) or not (
        is_blank(app.get("privateKey")) and not is_blank(app.get("certificate"))
    )


def _app_ids(document: Part) -> Iterator[Finding]:
    """Symphony answers the login of such an app with 401, whatever its key."""
    places: list[tuple[Location, Part]] = [((), document)]
    places += [(bot.location, bot.part) for bot in bots_of(document) if not bot.is_default]
    for location, place in places:
        app = place.get("app")
        app_id = app.get("appId") if isinstance(app, Mapping) else None
        if isinstance(app_id, str) and ":" in app_id:
            yield (*location, "app", "appId"), "has a colon, which Symphony refuses"


def _listeners(document: Part) -> _Listeners:
    own, bots = own_part(document), bots_of(document)
    admin, web = own.get("admin"), own.get("web")
    given: list[tuple[Location, object]] = [
        (("authProxy", "listen"), own.get("listen") or _USUAL_LISTEN),
        *(((*bot.location, "listen"), bot.part.get("listen")) for bot in bots),
    ]
    if isinstance(admin, Mapping):
        given.append((_ADMIN, admin.get("listen")))
    if isinstance(web, Mapping):
        given.append((_WEB, web.get("listen")))
    found = []
    for location, value in given:
        try:
            found.append((location, values.listen(value)))
        except Wrong:
            continue  # not given, or wrong in itself
    return found


def _unguarded_listeners(document: Part, listeners: _Listeners) -> Iterator[Finding]:
    own = own_part(document)
    if (place := dict(listeners).get(_WEB)) and not is_loopback(place.host):
        web = own.get("web")
        if isinstance(web, Mapping) and not web.get("password") and not web.get("passwordFile"):
            yield (
                _WEB,
                "is not a loopback address: whoever reaches the UI there reads all traffic and "
                "speaks as the bot; set `authProxy.web.passwordFile`, or listen on 127.0.0.1",
            )
    if not is_blank(own.get("clients")):
        return
    for location, place in listeners:
        if location not in (_ADMIN, _WEB) and not is_loopback(place.host):
            yield (
                location,
                "is not a loopback address: whoever reaches the proxy there speaks as the bot; "
                "name who may under `authProxy.clients`, or listen on 127.0.0.1",
            )


def _shared_ports(listeners: _Listeners) -> Iterator[Finding]:
    told = set()
    for (first, one), (second, other) in combinations(listeners, 2):
        if one.port and one.port == other.port and _overlap(one.host, other.host):
            if second not in told:
                yield second, f"has the same port as `{path_text(first)}`; choose another"
            told.add(second)


def _overlap(one: str, other: str) -> bool:
    """Whether both may be one address. A name may stand for any."""
    try:
        first, second = ip_address(one), ip_address(other)
    except ValueError:
        return True
    return first == second or first.is_unspecified or second.is_unspecified
