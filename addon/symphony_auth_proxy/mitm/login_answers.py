"""Answers to the logins of our own bots.

What a bot presents says which one it is, no more: neither the signature of an assertion nor
the issuer of a certificate is looked at. What it gets is worth what its client is granted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mitmproxy import http

from symphony_auth_proxy.core.claims import asserted_user, user_id_of
from symphony_auth_proxy.core.decisions import Caller, LoginCall, Request
from symphony_auth_proxy.mitm.bodies import LOGIN_BYTES
from symphony_auth_proxy.mitm.failures import of_bot
from symphony_auth_proxy.mitm.masking import KEY_MANAGER_TOKEN, SESSION_TOKEN
from symphony_auth_proxy.mitm.seal import seal_of
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.accounts import too_late
from symphony_auth_proxy.tokens.provider import Wants

_NAMES = {TokenKind.SESSION: SESSION_TOKEN, TokenKind.KEY_MANAGER: KEY_MANAGER_TOKEN}
_WANTS = {TokenKind.SESSION: Wants.SESSION, TokenKind.KEY_MANAGER: Wants.BOTH}


@dataclass(frozen=True, slots=True)
class Login:
    """A login call, and what it takes to answer it."""

    active: Active
    call: LoginCall
    asked: Request
    caller: Caller
    arrived: float
    """Monotonic seconds."""


class LoginAnswers:
    """Answers logins with placeholders."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def answer(self, flow: http.HTTPFlow, login: Login) -> http.Response | None:
        """Return the answer to a login of one of our bots, once its real login has been made;
        None for anybody else's.

        Raises ClientRefused, LoginError and KeyMaterialError.
        """
        active, call = login.active, login.call
        if active is not self.state.active:
            raise too_late()  # a reload came while the body was on its way
        presented = _certified_user(flow) if call.by_certificate else _asserted_user(flow)
        if presented is None and not call.by_certificate:
            return None
        bot = active.routes.who_logs_in(call, presented, login.asked, login.caller)
        if bot is None:
            return None
        with of_bot(bot.username):
            pair = await active.provider.get(bot.username, _WANTS[call.kind], arrived=login.arrived)
        assert active.placeholders is not None
        client = login.caller.client
        placeholder = active.placeholders.issue(
            call.kind,
            bot.username,
            client.name if client is not None else None,
            user_id_of(pair.session.value.reveal()),
        )
        self.state.record(Event.LOGIN_ANSWERED, flow, bot=bot.username, kind=call.kind)
        return http.Response.make(
            200,
            json.dumps({"token": placeholder, "name": _NAMES[call.kind]}),
            {"Content-Type": "application/json", "Cache-Control": "no-store"},
        )


def _asserted_user(flow: http.HTTPFlow) -> str | None:
    seal = seal_of(flow)
    assert seal is not None
    body = seal.sent_body(flow.request.raw_content or b"")
    return asserted_user(body) if len(body) <= LOGIN_BYTES else None


def _certified_user(flow: http.HTTPFlow) -> str | None:
    """The CN of the certificate that the client offered for the connection."""
    offered = flow.client_conn.certificate_list
    try:
        return offered[0].cn if offered else None
    except ValueError:  # a name that cannot be read
        return None
