"""Which request gets which tokens.

One pure function, `decide`, looks at where a request really goes and what it carries, and
returns one decision. The same decision object later drives the headers that are shown, the
bytes that are sent and the last check before sending, so that what is added can never be
more than what was decided (and `explain` tells the truth about it).

The rules, in the order in which they are asked:

1. Only a configured host and port is Symphony's; every other host is left alone.
2. CONNECT target, SNI and Host (or `:authority`) must name the same place, else 421.
3. Plain http is upgraded to https, or refused.
4. The path tells the component, by whole segments below the component's context.
5. Calls that log in or out, and calls with credentials of their own, stay untouched.
6. Everything else on the agent and the pod gets the bot's tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from symphony_auth_proxy.core.decisions import (
    Decision,
    Destination,
    Inject,
    KeyManagerToken,
    PassThrough,
    Refuse,
    Request,
    Untouched,
)
from symphony_auth_proxy.core.headers import (
    BOT_HEADER,
    ON_BEHALF_OF_HEADER,
    is_placeholder,
    is_token_header,
)
from symphony_auth_proxy.core.hosts import canonical_host
from symphony_auth_proxy.core.paths import INJECTED, Family, may_be_injected, read_path
from symphony_auth_proxy.errors import (
    ClientRefused,
    DestinationRefused,
    Reason,
    SymphonyAuthProxyError,
)
from symphony_auth_proxy.model import (
    Bot,
    ClientTokens,
    Component,
    Endpoint,
    Origin,
    Settings,
)

_UNTOUCHED_FAMILIES = {
    Family.LOGIN: Untouched.LOGIN,
    Family.LOGOUT: Untouched.LOGOUT,
    Family.IDM: Untouched.IDM,
    Family.APP: Untouched.APP,
    Family.BEARER: Untouched.BEARER,
    Family.AGENT_OPEN: Untouched.OPEN,
    Family.OTHER: Untouched.OTHER_PATH,
}


@dataclass(frozen=True, slots=True)
class _Place:
    """One component at one origin."""

    component: Component
    endpoint: Endpoint


class Routes:
    """The configured places, ready to be asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places: dict[Origin, list[_Place]] = {}
        for bot in settings.bots:
            for component, endpoint in bot.pod.endpoints():
                place = _Place(component, endpoint)
                places = self._places.setdefault(endpoint.origin, [])
                if place not in places:
                    places.append(place)
        self._hosts = frozenset(origin.host for origin in self._places)

    @property
    def hosts(self) -> frozenset[str]:
        return self._hosts

    def serves(self, host: str, port: int) -> bool:
        """Whether a connection to this host and port is one for us to read. Port 80 of a
        configured host counts: plain http is upgraded."""
        name = _canonical(host)
        return name in self._hosts and (port == 80 or Origin(name, port) in self._places)

    def contradicts(self, host: str, sni: str | None) -> bool:
        """Whether the SNI names a configured host, but the connection goes elsewhere."""
        name = _canonical(sni) if sni else None
        return name in self._hosts and name != _canonical(host)

    def decide(self, destination: Destination, request: Request) -> Decision:
        """Decide one request. Never raises: what cannot be decided is refused."""
        try:
            return self._decide(destination, request)
        except SymphonyAuthProxyError as error:
            return Refuse(error)

    def _decide(self, destination: Destination, request: Request) -> Decision:
        host = _canonical(destination.host)
        if host is None or not self.serves(host, destination.port):
            self._refuse_disguise(destination, host)
            return PassThrough(Untouched.OTHER_HOST)

        _require_one_destination(destination, host)
        _require_one_reading(request)
        origin, places = self._upgraded(host, destination, request)
        proxy = places[0].endpoint.proxy
        found = _component(places, request)
        if isinstance(found, Untouched):
            return PassThrough(found, origin, proxy)
        place, family = found
        if family not in INJECTED:
            return PassThrough(_UNTOUCHED_FAMILIES[family], origin, place.endpoint.proxy)

        own = _brings_own_credentials(request, self._settings.client_tokens)
        if own is not None:
            return PassThrough(own, origin, place.endpoint.proxy)
        _refuse_cross_site(request, destination)
        bot = self._bot(request)
        return self._inject(bot, family, origin, place)

    def _inject(self, bot: Bot, family: Family, origin: Origin, place: _Place) -> Decision:
        """What is added must be covered by this bot's own endpoints, not by another's."""
        pod = bot.pod
        agents = {pod.agent.origin, *(node.origin for node in pod.agent_nodes)}
        if family is Family.AGENT:
            if origin not in agents:
                return PassThrough(Untouched.OTHER_COMPONENT, origin, place.endpoint.proxy)
            component, key_manager = Component.AGENT, KeyManagerToken.REQUIRED
        else:
            # An agent forwards /pod calls to the pod, so it may see the session token.
            if origin not in {pod.pod.origin, *agents}:
                return PassThrough(Untouched.OTHER_COMPONENT, origin, place.endpoint.proxy)
            component = Component.POD
            key_manager = (
                KeyManagerToken.IF_AT_HAND
                if origin == pod.pod.origin == pod.key_manager.origin
                else KeyManagerToken.NEVER
            )
        return Inject(bot.username, component, origin, key_manager, place.endpoint.proxy)

    def _refuse_disguise(self, destination: Destination, host: str | None) -> None:
        """Refuse a connection elsewhere that calls itself one of our hosts."""
        witnesses = (destination.sni, *map(_authority_host, destination.authorities))
        for witness in witnesses:
            name = _canonical(witness) if witness else None
            if name in self._hosts and name != host:
                raise DestinationRefused(
                    f"the connection goes to {destination.host}:{destination.port}, "
                    f"but the request names {name}",
                    hint="let the proxy resolve the name: send CONNECT with the host name",
                )

    def _upgraded(
        self, host: str, destination: Destination, request: Request
    ) -> tuple[Origin, list[_Place]]:
        """The https origin of a request, and what is served there."""
        asked = Origin(host, destination.port)
        if asked in self._places:
            return asked, self._places[asked]
        # http://host/ without a port: the path tells the component, and so the port.
        candidates = {
            origin: places for origin, places in self._places.items() if origin.host == host
        }
        if len(candidates) > 1:
            candidates = {
                origin: places
                for origin, places in candidates.items()
                if any(_is_at_home(place, request) for place in places)
            }
        if len(candidates) != 1:
            raise DestinationRefused(
                f"http://{host}/ does not tell which of the configured ports is meant",
                hint="use https:// and the component's port",
            )
        return next(iter(candidates.items()))

    def _bot(self, request: Request) -> Bot:
        if request.values(ON_BEHALF_OF_HEADER):
            raise ClientRefused(
                "this client is not granted calls on behalf of users",
                reason=Reason.NOT_GRANTED,
            )
        names = request.values(BOT_HEADER)
        if not names:
            return self._settings.bots[0]
        if len(names) > 1:
            raise ClientRefused("more than one Symphony-Bot header", status=400)
        bot = self._settings.bot(names[0])
        if bot is None:
            known = ", ".join(bot.username for bot in self._settings.bots)
            raise ClientRefused(
                "the header Symphony-Bot names no bot of this proxy", hint=f"known bots: {known}"
            )
        return bot


@lru_cache(1024)
def _canonical(host: str) -> str | None:
    try:
        return canonical_host(host)
    except ValueError:
        return None


def _authority_host(authority: str) -> str:
    return _split_authority(authority)[0]


def _split_authority(authority: str) -> tuple[str, str]:
    """Split `host:port` into its parts; the port may be empty. Never raises."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def _require_one_destination(destination: Destination, host: str) -> None:
    if len(destination.authorities) != 1:
        raise DestinationRefused(
            "a request has exactly one Host", status=400, reason=Reason.MALFORMED_REQUEST
        )
    default_port = "443" if destination.scheme == "https" else "80"
    for authority in destination.authorities:
        name, port = _split_authority(authority)
        if _canonical(name) != host or (port or default_port) != str(destination.port):
            raise DestinationRefused(
                f"the connection goes to {host}:{destination.port}, "
                "but the Host header names another place",
                hint="send the host and port of the URL as Host",
            )
    if destination.sni is not None and _canonical(destination.sni) != host:
        raise DestinationRefused(
            f"the connection goes to {host}, but the TLS handshake (SNI) names another host",
            hint="use the same host name for CONNECT and TLS",
        )


_METHOD = re.compile(r"[A-Z]{1,20}(?<!TRACE)(?<!CONNECT)")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def _require_one_reading(request: Request) -> None:
    """Refuse what another HTTP parser could read as something else (RFC 9110, 5.5 and 9.1;
    CVE-2022-24766), protocol upgrades, and TRACE, which would echo our tokens."""
    readable = (
        _METHOD.fullmatch(request.method)
        and _TARGET.fullmatch(request.target)
        and all(
            _FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value)
            for name, value in request.headers
        )
        and not request.values("upgrade")
    )
    if not readable:
        raise DestinationRefused(
            "the request can be read in more than one way, or wants another protocol",
            status=400,
            reason=Reason.MALFORMED_REQUEST,
            hint="no control characters, folded headers, upgrades or TRACE",
        )


def _component(places: Sequence[_Place], request: Request) -> tuple[_Place, Family] | Untouched:
    """Find what a path asks for among the components that one origin serves."""
    path = read_path(request.target)
    if path.ambiguous and any(may_be_injected(request.target, p.endpoint.context) for p in places):
        raise DestinationRefused(
            "this path can be read in more than one way",
            status=400,
            reason=Reason.AMBIGUOUS_PATH,
            hint="send it without encoded dots and slashes, backslashes and parameters",
        )
    nothing = Untouched.OTHER_PATH
    for place in places:
        rest = path.below(place.endpoint.context)
        family = rest.family() if rest is not None else Family.OTHER
        if family in INJECTED and not _serves_family(place.component, family):
            nothing = Untouched.OTHER_COMPONENT
        elif family is not Family.OTHER:
            return place, family
    return nothing


_HOMES = {
    "agent": Component.AGENT,
    "relay": Component.KEY_MANAGER,
    "keyauth": Component.KEY_MANAGER,
    "sessionauth": Component.SESSION_AUTH,
}
"""Which component a first segment means when nothing else tells; all others: the pod."""


def _is_at_home(place: _Place, request: Request) -> bool:
    path = read_path(request.target).below(place.endpoint.context)
    if path is None or path.family() is Family.OTHER:
        return False
    return place.component is _HOMES.get(path.segments[0], Component.POD)


def _serves_family(component: Component, family: Family) -> bool:
    if family is Family.AGENT:
        return component is Component.AGENT
    return component in {Component.POD, Component.AGENT}


# A browser's session, or the seal of one that is not here any more.
_SESSION_COOKIE = re.compile(r"(?:^|;)\s*(?:\[sealed |(?:skey|kmsession)=[^;\s])")


def _brings_own_credentials(request: Request, policy: ClientTokens) -> Untouched | None:
    if any(
        value.lower().startswith(("bearer ", "[sealed "))
        for value in request.values("authorization")
    ):
        return Untouched.BEARER
    own = any(
        is_token_header(name) and not is_placeholder(value) for name, value in request.headers
    )
    own = own or any(_SESSION_COOKIE.search(value) for value in request.values("cookie"))
    if not own or policy is ClientTokens.REPLACE:
        return None
    if policy is ClientTokens.REFUSE:
        raise ClientRefused(
            "requests with a token of their own are refused here (clientTokens: refuse)",
            reason=Reason.CLIENT_TOKEN_REFUSED,
            hint="leave the sessionToken and keyManagerToken headers out",
        )
    return Untouched.CLIENT_TOKEN


def _refuse_cross_site(request: Request, destination: Destination) -> None:
    """A web page must not speak as the bot (Fetch Metadata, RFC 6454)."""
    pages = [*request.values("origin"), *request.values("referer")]
    foreign = "cross-site" in request.values("sec-fetch-site") or any(
        _web_origin(page) != (_canonical(destination.host), destination.port) for page in pages
    )
    if foreign:
        raise ClientRefused(
            "a page of another site sent this request",
            reason=Reason.CROSS_SITE,
            hint="call Symphony from a program, not from a web page",
        )


def _web_origin(text: str) -> tuple[str | None, int] | None:
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return _canonical(parts.hostname or ""), port
    except ValueError:
        return None
