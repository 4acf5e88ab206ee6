"""Which bot a request speaks as, and whether its client may.

Asked in this order, the first that says something counts: the listener's port; the client,
when it is granted exactly one bot; the header `Symphony-Bot`; the placeholder that the
request carries; the default bot. What contradicts the port or the grant is refused, never
overruled: nobody speaks as another bot than the one that they think.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symphony_auth_proxy.core.decisions import Caller, Request
from symphony_auth_proxy.core.headers import BOT_HEADER, ON_BEHALF_OF_HEADER, is_token_header
from symphony_auth_proxy.core.names import is_user
from symphony_auth_proxy.core.placeholder import (
    Placeholder,
    Placeholders,
    expired_placeholder,
    is_placeholder,
)
from symphony_auth_proxy.errors import ClientRefused, Reason
from symphony_auth_proxy.model import Bot, Client

Covers = Callable[[Bot], bool]
"""Whether a bot has business at the place that a request goes to."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """As whom a request speaks."""

    bot: Bot
    user: str | None = None
    """The user on whose behalf the bot's extension app calls."""


class Selection:
    """The choice among the configured bots."""

    def __init__(self, bots: Sequence[Bot], placeholders: Placeholders | None) -> None:
        """`placeholders`: None when logins are not answered here."""
        self._bots = {bot.username: bot for bot in bots}
        self._placeholders = placeholders

    def speaker(self, request: Request, caller: Caller, covers: Covers) -> Speaker:
        """Choose. Raises ClientRefused (400, 401, 403)."""
        user = _user(request)
        held = self._held(request, caller) or caller.remembered
        # A client that is granted no bots, only users, may call through any bot's app.
        grants_bind = user is None or (caller.client is not None and bool(caller.client.bots))
        bot = self._bot(request, caller, held, covers, granted_only=grants_bind)
        if user is not None:
            _require_calls_for(user, bot, caller)
        if grants_bind:
            _require_granted(bot.username, caller)
        return Speaker(bot, user)

    def placeholder(self, request: Request, caller: Caller) -> str | None:
        """The bot that the request's placeholders name, if it has any. Raises ClientRefused
        when they are not good, or another client's."""
        return self._held(request, caller)

    def who_logs_in(
        self, presented: str | None, request: Request, caller: Caller, covers: Covers
    ) -> Bot | None:
        """The bot that a login call is for; None: a user that is not ours.

        `presented`: the user whom an assertion or a certificate names. It selects, and
        proves nothing. None: a certificate login without a certificate.
        """
        name = presented if presented is not None else self._chosen(request, caller, None)
        if name is None:
            able = self._able(covers, caller.client)
            if len(able) != 1:
                raise ClientRefused(
                    "this login does not tell which bot it is for",
                    hint="give the bot a client certificate with its username as CN, a proxy "
                    "user that is granted one bot, or a port of its own (`listen`); or send the "
                    "header Symphony-Bot",
                )
            return able[0]
        bot = self._bots.get(name)
        if bot is None or not covers(bot):
            return None
        _require_no_other(bot.username, caller.listener, "the listener's port")
        _require_granted(bot.username, caller)
        return bot

    def _bot(
        self,
        request: Request,
        caller: Caller,
        held: str | None,
        covers: Covers,
        *,
        granted_only: bool,
    ) -> Bot:
        chosen = self._chosen(request, caller, held)
        if chosen is not None:
            if chosen not in self._bots:  # a request from before a reload, sent again
                raise ClientRefused("this request was a bot's that is not known any more")
            return self._bots[chosen]
        able = self._able(covers, caller.client if granted_only else None)
        default = next(iter(self._bots.values()))
        if default in able or (not able and caller.client is None):
            return default
        if len(able) != 1:
            raise ClientRefused(
                "nothing tells which bot is meant"
                if able
                else "this client is granted no bot for this host",
                reason=Reason.UNKNOWN_BOT if able else Reason.NOT_GRANTED,
                hint=f"send the header Symphony-Bot with one of: {_names(able)}" if able else "",
            )
        return able[0]

    def _chosen(self, request: Request, caller: Caller, held: str | None) -> str | None:
        """What the first four rules say."""
        named = _single(request, BOT_HEADER)
        if named is not None and named not in self._bots:
            known = caller.client.bots if caller.client is not None else tuple(self._bots)
            raise ClientRefused(
                "the header Symphony-Bot names no bot of this proxy",
                hint=f"known bots: {', '.join(known)}",
            )
        only = _only(caller.client.bots) if caller.client is not None else None
        for bound, what in ((caller.listener, "the listener's port"), (only, "this client")):
            if bound is not None:
                for other in (named, held):
                    _require_no_other(other, bound, what)
        return caller.listener or only or named or held

    def _able(self, covers: Covers, client: Client | None) -> list[Bot]:
        """The bots that have business there, of those that a client is granted."""
        granted = self._bots if client is None else client.bots
        return [bot for name, bot in self._bots.items() if name in granted and covers(bot)]

    def _held(self, request: Request, caller: Caller) -> str | None:
        """The bot that placeholders in the headers were given for."""
        values = [
            value
            for name, value in request.headers
            if is_token_header(name) and is_placeholder(value)
        ]
        if not values:
            return None
        if self._placeholders is None:
            raise expired_placeholder()
        read = [self._placeholders.read(value) for value in values]
        for placeholder in read:
            _require_own(placeholder, caller)
        if len({placeholder.bot for placeholder in read}) > 1 or read[0].bot not in self._bots:
            raise expired_placeholder()
        return read[0].bot


def _require_own(placeholder: Placeholder, caller: Caller) -> None:
    client = caller.client.name if caller.client is not None else None
    if placeholder.client == client:
        return
    if placeholder.client is None or client is None:
        # Clients were configured, or are not any more: the next login binds it anew.
        raise expired_placeholder()
    raise ClientRefused(
        "this placeholder was given to another client",
        reason=Reason.NOT_GRANTED,
        bot=placeholder.bot,
    )


def _require_no_other(named: str | None, bound: str | None, what: str) -> None:
    if named is not None and bound is not None and named != bound:
        raise ClientRefused(
            f"the request asks for {named}, but {what} means {bound}",
            reason=Reason.NOT_GRANTED,
            bot=named,
        )


def _require_granted(bot: str, caller: Caller) -> None:
    client = caller.client
    if client is not None and bot not in client.bots:
        raise ClientRefused(
            f"the client {client.name} is not granted {bot}",
            reason=Reason.NOT_GRANTED,
            hint="its `bots` are listed under authProxy.clients",
            bot=bot,
        )


def _require_calls_for(user: str, bot: Bot, caller: Caller) -> None:
    if caller.client is None or not caller.client.may_call_for(user):
        raise ClientRefused(
            "this client is not granted calls on behalf of this user",
            reason=Reason.NOT_GRANTED,
            hint="`onBehalfOf` of a client under authProxy.clients grants them",
            bot=bot.username,
            user=user,
        )
    if bot.app is None:
        raise ClientRefused(
            "no extension app is configured, so no user can be called for",
            reason=Reason.NO_APP,
            hint="configure `app` with the app's id and private key",
        )


def _user(request: Request) -> str | None:
    user = _single(request, ON_BEHALF_OF_HEADER)
    if user is not None and not is_user(user):
        raise ClientRefused(
            "the header Symphony-On-Behalf-Of holds no user's name or id",
            status=400,
            reason=Reason.MALFORMED_REQUEST,
            hint="send a username, or a user id in digits",
        )
    return user


def _single(request: Request, header: str) -> str | None:
    values = request.values(header)
    if len(values) > 1:
        raise ClientRefused(
            f"more than one header {header}", status=400, reason=Reason.MALFORMED_REQUEST
        )
    return values[0] if values else None


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _names(bots: Sequence[Bot]) -> str:
    return ", ".join(bot.username for bot in bots)
