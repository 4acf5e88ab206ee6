"""LOG and CFG: exceptions in every hook, of other addons and of our own.

mitmproxy logs an exception and sends the request all the same; here it is refused, and what
is logged names a place in the code, never what was being handled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attacks.origins import ScriptedSymphony, answer, server_tls
from attacks.raw import Wire
from attacks.seen import CLIENT_SECRETS, Seen
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, everything_at
from symphony_auth_proxy.mitm import masking, permit, resend, seal, story
from symphony_auth_proxy.mitm import requests as mitm_requests
from symphony_auth_proxy.mitm import state as mitm_state
from symphony_auth_proxy.tokens import provider


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


class Raising:
    """Somebody else's addon, which fails at one hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._fail)

    def _fail(self, argument: object) -> None:
        raise RuntimeError(f"cannot handle {argument!r} {getattr(argument, 'request', None)!r}")


FLOW_HOOKS = ["requestheaders", "request", "responseheaders", "response", "error", "http_connect"]


@pytest.mark.parametrize("hook", FLOW_HOOKS)
def test_an_exception_of_another_addon(
    attacked: Attacked, seen: Seen, start: Start, hook: str
) -> None:
    proxy = start(prepare=seen.behind(Raising(hook)))
    with Wire.tunnel(proxy, attacked.origin()) as wire:
        answered = wire.request(SESSION_INFO, str(attacked.origin()))
    assert answered.status == 200
    assert seen.leaks() == set()


def _boom(*arguments: object, **_more: object) -> None:
    raise RuntimeError(f"boom over {arguments!r}")


async def _async_boom(*arguments: object, **_more: object) -> None:
    raise RuntimeError(f"boom over {arguments!r}")


PLACES: dict[str, tuple[Any, str, Callable[..., object]]] = {
    "sealing": (masking, "seal_request", _boom),
    "deciding": (mitm_requests.Requests, "_active", _boom),
    "showing tokens": (masking, "show_tokens", _boom),
    "planning the body": (mitm_requests, "plan_request", _boom),
    "the provider": (provider.TokenProvider, "get", _async_boom),
    "telling it": (story.Story, "_show", _boom),
    "recording it": (mitm_state.State, "record", _boom),
    "the permit": (permit.Permit, "__call__", _boom),
    "unsealing": (seal.SealedField, "reveal", _boom),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_exception_of_our_own_refuses_the_request(
    symphony: ScriptedSymphony,
    seen: Seen,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """A request that is not understood is not sent, and its traceback quotes nothing."""
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    owner, name, boom = PLACES[place]
    monkeypatch.setattr(owner, name, boom)
    headers = [f"{name}: " for name in ("sessionToken", "keyManagerToken")]
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.socket.settimeout(5)
        answered = wire.request(ECHO, str(symphony.origin), *headers)
    assert (answered.status, answered.reason) == (503, "internal")
    assert symphony.calls == []
    assert b"boom" not in answered.body
    assert seen.leaks() == set()


AFTERWARDS: dict[str, tuple[Any, str, Callable[..., object]]] = {
    "sealing the answer": (masking, "seal_response", _boom),
    "explaining": (story.Story, "_show", _boom),
    "judging": (mitm_requests, "judge", _boom),
    "planning the answer's body": (mitm_requests, "plan_response", _boom),
    "noting success": (provider.TokenProvider, "accepted", _boom),
}


@pytest.mark.parametrize("place", AFTERWARDS)
def test_an_exception_after_the_answer_lets_no_secret_through(
    symphony: ScriptedSymphony,
    seen: Seen,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    cookie = f"Set-Cookie: skey={CLIENT_SECRETS["the client's cookie"]}"
    symphony.scripted = answer("200 OK", cookie, f"X-Echo: {symphony.session_token}")
    proxy = start(everything_at(symphony.origin), prepare=seen.add_to)
    owner, name, boom = AFTERWARDS[place]
    monkeypatch.setattr(owner, name, boom)
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.socket.settimeout(5)
        answered = wire.request(ECHO, str(symphony.origin))
    assert symphony.session_token.encode() not in answered.wire
    assert CLIENT_SECRETS["the client's cookie"].encode() not in answered.wire
    assert seen.leaks() == set()


@pytest.mark.parametrize("place", ["renewing", "resending"])
def test_an_exception_while_healing_is_a_clear_answer(
    attacked: Attacked, seen: Seen, start: Start, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    proxy = start(prepare=seen.add_to, warm=True)
    if place == "renewing":
        monkeypatch.setattr(provider.TokenProvider, "renew", _async_boom)
    else:
        monkeypatch.setattr(resend, "ReplayHandler", _boom)
    attacked.sandbox.revoke("pricing-bot")
    with Wire.tunnel(proxy, attacked.origin()) as wire:
        answered = wire.request(SESSION_INFO, str(attacked.origin()))
    assert (answered.status, answered.reason) == (503, "internal")
    assert seen.leaks() == set()
