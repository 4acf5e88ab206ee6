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
5. Calls that log in or out stay untouched, but for those of our own bots when logins are
   answered here; calls with credentials of their own stay untouched.
6. Everything else on the agent and the pod gets the tokens of the bot that `selection`
   chooses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from symphony_auth_proxy.core.decisions import (
    Acknowledge,
    Caller,
    Decision,
    Destination,
    Inject,
    KeyManagerToken,
    LoginCall,
    PassThrough,
    Refuse,
    Request,
    Untouched,
)
from symphony_auth_proxy.core.headers import is_token_header, is_void
from symphony_auth_proxy.core.paths import INJECTED, Family, may_be_injected, read_path
from symphony_auth_proxy.core.placeholder import Placeholders, is_placeholder
from symphony_auth_proxy.core.reading import (
    authority_host,
    canonical,
    refuse_cross_site,
    require_one_destination,
    require_one_reading,
)
from symphony_auth_proxy.core.selection import Selection, Speaker
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
    TokenKind,
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


_LOGIN_CALLS: dict[tuple[str, ...], tuple[TokenKind, bool]] = {
    ("login", "pubkey", "authenticate"): (TokenKind.SESSION, False),
    ("relay", "pubkey", "authenticate"): (TokenKind.KEY_MANAGER, False),
    ("sessionauth", "v1", "authenticate"): (TokenKind.SESSION, True),
    ("keyauth", "v1", "authenticate"): (TokenKind.KEY_MANAGER, True),
}
"""The four calls by which SDKs log a bot in: the token's kind, and whether by certificate."""

_CERTIFICATE_LOGINS = {Component.SESSION_AUTH, Component.KEY_MANAGER}


@dataclass(frozen=True, slots=True)
class _Place:
    """One component at one origin."""

    component: Component
    endpoint: Endpoint


ANYBODY = Caller()


class Routes:
    """The configured places, ready to be asked."""

    def __init__(self, settings: Settings, placeholders: Placeholders | None = None) -> None:
        """`placeholders`: set when logins are answered here."""
        self._settings = settings
        self._answers_logins = placeholders is not None
        self.selection = Selection(settings.bots, placeholders)
        self._places: dict[Origin, list[_Place]] = {}
        for bot in settings.bots:
            for component, endpoint in bot.pod.endpoints():
                place = _Place(component, endpoint)
                places = self._places.setdefault(endpoint.origin, [])
                if place not in places:
                    places.append(place)
        self._hosts = frozenset(origin.host for origin in self._places)
        self._by_certificate = {
            origin
            for origin, places in self._places.items()
            if self._answers_logins and any(p.component in _CERTIFICATE_LOGINS for p in places)
        }

    @property
    def hosts(self) -> frozenset[str]:
        return self._hosts

    def serves(self, host: str, port: int) -> bool:
        """Whether a connection to this host and port is one for us to read. Port 80 of a
        configured host counts: plain http is upgraded."""
        name = canonical(host)
        return name in self._hosts and (port == 80 or Origin(name, port) in self._places)

    def asks_for_certificate(self, host: str, port: int) -> bool:
        """Whether bots log in there by certificate, which tells who they are: only where
        such logins are answered here."""
        name = canonical(host)
        return name is not None and Origin(name, port) in self._by_certificate

    def contradicts(self, host: str, sni: str | None) -> bool:
        """Whether the SNI names a configured host, but the connection goes elsewhere."""
        name = canonical(sni) if sni else None
        return name in self._hosts and name != canonical(host)

    def decide(
        self, destination: Destination, request: Request, caller: Caller = ANYBODY
    ) -> Decision:
        """Decide one request. Never raises: what cannot be decided is refused."""
        try:
            return self._decide(destination, request, caller)
        except SymphonyAuthProxyError as error:
            return Refuse(error)

    def who_logs_in(
        self, call: LoginCall, presented: str | None, request: Request, caller: Caller
    ) -> Bot | None:
        """The bot that a login call is for; None: not one of ours. `presented`: whom its
        assertion or certificate names. Raises ClientRefused."""
        origin = call.passing.origin

        def covers(bot: Bot) -> bool:
            return any(endpoint.origin == origin for _, endpoint in bot.pod.endpoints())

        return self.selection.who_logs_in(presented, request, caller, covers)

    def _decide(self, destination: Destination, request: Request, caller: Caller) -> Decision:
        host = canonical(destination.host)
        if host is None or not self.serves(host, destination.port):
            self._refuse_disguise(destination, host)
            return PassThrough(Untouched.OTHER_HOST)

        require_one_destination(destination, host)
        require_one_reading(request)
        origin, places = self._upgraded(host, destination, request)
        found = _component(places, request)
        if isinstance(found, Untouched):
            return PassThrough(found, origin, places[0].endpoint.proxy)
        place, family = found
        if family not in INJECTED:
            decision = self._uninjected(place, family, origin, request, caller)
            if not isinstance(decision, PassThrough):
                refuse_cross_site(request, destination)
            return decision

        proxy = place.endpoint.proxy
        own = _brings_own_credentials(request, self._settings.client_tokens)
        if own is not None:
            return PassThrough(own, origin, proxy)
        refuse_cross_site(request, destination)
        speaker = self.selection.speaker(
            request, caller, lambda bot: _own_endpoint(bot, family, place.endpoint) is not None
        )
        other = PassThrough(Untouched.OTHER_COMPONENT, origin, proxy)
        return _inject(speaker, family, place.endpoint, other)

    def _uninjected(
        self, place: _Place, family: Family, origin: Origin, request: Request, caller: Caller
    ) -> Decision:
        """Calls that get no tokens. Some the proxy answers itself: placeholders are its own."""
        passing = PassThrough(_UNTOUCHED_FAMILIES[family], origin, place.endpoint.proxy)
        if family is Family.LOGIN and self._answers_logins and request.method == "POST":
            path = read_path(request.target).below(place.endpoint.context)
            known = _LOGIN_CALLS.get(path.segments) if path and not path.ambiguous else None
            if known is not None:
                return LoginCall(*known, passing)
        if family not in {Family.LOGOUT, Family.IDM} or not _has_placeholder(request):
            return passing
        if _has_foreign_token(request):
            return passing  # one of them makes the whole request foreign
        self.selection.placeholder(request, caller)
        if family is Family.LOGOUT:
            return Acknowledge()
        raise ClientRefused(
            "a placeholder cannot be exchanged for a Common JWT",
            reason=Reason.PLACEHOLDER_WORTHLESS,
            hint="turn `commonJwt` off in the bot: the proxy adds the session token",
        )

    def _refuse_disguise(self, destination: Destination, host: str | None) -> None:
        """Refuse a connection elsewhere that calls itself one of our hosts."""
        witnesses = (destination.sni, *map(authority_host, destination.authorities))
        for witness in witnesses:
            name = canonical(witness) if witness else None
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


def _inject(speaker: Speaker, family: Family, place: Endpoint, other: PassThrough) -> Decision:
    """Give the tokens of the speaker's bot, if it has business at this place; else `other`."""
    pod = speaker.bot.pod
    own = _own_endpoint(speaker.bot, family, place)
    if own is None:
        return other
    if family is Family.AGENT:
        component, key_manager = Component.AGENT, KeyManagerToken.REQUIRED
    else:
        component = Component.POD
        key_manager = (
            KeyManagerToken.IF_AT_HAND
            if own.origin == pod.pod.origin == pod.key_manager.origin
            else KeyManagerToken.NEVER
        )
    bot, user = speaker.bot.username, speaker.user
    return Inject(bot, component, own.origin, key_manager, own.proxy, user)


def _own_endpoint(bot: Bot, family: Family, place: Endpoint) -> Endpoint | None:
    """The bot's own endpoint for such calls at that place: what is added must be covered by
    its own configuration, not by another bot's."""
    pod = bot.pod
    # An agent forwards /pod calls to the pod, so it may see the session token.
    homes = [*([] if family is Family.AGENT else [pod.pod]), pod.agent, *pod.agent_nodes]
    at = (place.origin, place.context)
    return next((home for home in homes if (home.origin, home.context) == at), None)


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
    own = any(_SESSION_COOKIE.search(value) for value in request.values("cookie"))
    own = own or _has_foreign_token(request)
    if not own or policy is ClientTokens.REPLACE:
        return None
    if policy is ClientTokens.REFUSE:
        raise ClientRefused(
            "requests with a token of their own are refused here (clientTokens: refuse)",
            reason=Reason.CLIENT_TOKEN_REFUSED,
            hint="leave the sessionToken and keyManagerToken headers out",
        )
    return Untouched.CLIENT_TOKEN


def _has_foreign_token(request: Request) -> bool:
    return any(
        is_token_header(name) and not (is_void(value) or is_placeholder(value))
        for name, value in request.headers
    )


def _has_placeholder(request: Request) -> bool:
    return any(is_token_header(name) and is_placeholder(value) for name, value in request.headers)
