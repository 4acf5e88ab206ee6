"""Placeholders: who may use them, for how long, and for what."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http
from mitmproxy.addons.clientplayback import ClientPlayback

from pki import rsa_key
from support.clients import client_of
from support.logins import (
    RSA,
    answering_proxy,
    arrived,
    calls,
    log_in_by_certificate,
    log_in_by_key,
    placeholders_of,
    reason,
    tls_with_certificate,
    who,
)
from support.proxy import Proxy
from symphony_auth_proxy.certificates import public_key_pem
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.placeholder_key import NAME
from symphony_auth_proxy.sandbox import Sandbox

ECHO, SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with answering_proxy(sandbox) as running:
        yield running


def test_placeholders_survive_a_restart(sandbox: Sandbox) -> None:
    with answering_proxy(sandbox) as before, client_of(before) as client:
        headers = placeholders_of(client, sandbox, "compliance-bot")
    with answering_proxy(sandbox) as after, client_of(after) as client:
        assert who(client, sandbox, headers) == "compliance-bot"


def test_another_key_makes_bots_log_in_again(sandbox: Sandbox) -> None:
    with answering_proxy(sandbox) as before, client_of(before) as client:
        headers = placeholders_of(client, sandbox)
    (sandbox.directory / "proxy-ca" / NAME).unlink()
    with answering_proxy(sandbox) as after, client_of(after) as client:
        for path, component in ((ECHO, Component.AGENT), (SESSION_INFO, Component.POD)):
            answer = client.post(sandbox.url(component) + path, json={}, headers=headers)
            assert (answer.status_code, reason(answer)) == (401, "placeholder_expired")
        assert calls(sandbox, ECHO) == calls(sandbox, SESSION_INFO) == []
        assert who(client, sandbox, placeholders_of(client, sandbox)) == "pricing-bot"


def test_without_answers_placeholders_are_good_for_nothing(sandbox: Sandbox) -> None:
    with answering_proxy(sandbox) as before, client_of(before) as client:
        headers = placeholders_of(client, sandbox)
    with answering_proxy(sandbox, answerLogins=False) as after, client_of(after) as client:
        answer = client.get(sandbox.url(Component.POD) + SESSION_INFO, headers=headers)
        assert (answer.status_code, reason(answer)) == (401, "placeholder_expired")


@pytest.mark.parametrize(
    ("component", "path", "header"),
    [
        (Component.SESSION_AUTH, "/sessionauth/v1/logout", "sessionToken"),
        (Component.KEY_MANAGER, "/keyauth/v1/logout", "keyManagerToken"),
    ],
)
def test_a_logout_is_acknowledged_and_nothing_happens(
    sandbox: Sandbox, client: httpx.Client, component: Component, path: str, header: str
) -> None:
    headers = placeholders_of(client, sandbox)
    answer = client.post(sandbox.url(component) + path, headers={header: headers[header]})
    assert (answer.status_code, answer.json()) == (200, {"message": "OK"})
    assert calls(sandbox, path) == []
    assert who(client, sandbox, headers) == "pricing-bot"


def test_a_placeholder_cannot_be_exchanged(sandbox: Sandbox, client: httpx.Client) -> None:
    headers = placeholders_of(client, sandbox)
    answer = client.post(sandbox.url(Component.POD) + "/login/idm/tokens", headers=headers)
    assert (answer.status_code, reason(answer)) == (403, "placeholder_worthless")
    assert calls(sandbox, "/login/idm/tokens") == []


@pytest.mark.parametrize("path", ["/agent/v1/info", "/agent/v3/health", "/client/index.html"])
def test_where_no_token_is_needed_placeholders_stay_here(
    sandbox: Sandbox, client: httpx.Client, path: str
) -> None:
    headers = placeholders_of(client, sandbox)
    client.get(sandbox.url(Component.AGENT) + path, headers=headers)
    [call] = calls(sandbox, path)
    assert call.values("sessionToken") == call.values("keyManagerToken") == []


# --- clients ------------------------------------------------------------------------------

CLIENTS = [
    {"name": "desk", "password": "the desk's password", "bots": ["pricing-bot"]},
    {
        "name": "audit",
        "password": "the audit's password",
        "bots": ["pricing-bot", "compliance-bot"],
    },
]
DESK, AUDIT = ((str(one["name"]), str(one["password"])) for one in CLIENTS)


@pytest.fixture
def guarded(sandbox: Sandbox) -> Iterator[Proxy]:
    with answering_proxy(sandbox, clients=CLIENTS) as running:
        yield running


def test_a_placeholder_is_its_clients_own(sandbox: Sandbox, guarded: Proxy) -> None:
    with client_of(guarded, credentials=AUDIT) as audit:
        headers = placeholders_of(audit, sandbox)
        assert who(audit, sandbox, headers) == "pricing-bot"
    with client_of(guarded, credentials=DESK) as desk:
        answer = desk.get(sandbox.url(Component.POD) + SESSION_INFO, headers=headers)
        assert (answer.status_code, reason(answer)) == (403, "not_granted")
    assert len(calls(sandbox, SESSION_INFO)) == 1


def test_a_login_as_a_bot_that_is_not_granted_is_refused(
    sandbox: Sandbox, guarded: Proxy, tmp_path: Path
) -> None:
    with client_of(guarded, credentials=DESK) as desk:
        answer = log_in_by_key(desk, sandbox, TokenKind.SESSION, "compliance-bot")
        assert (answer.status_code, reason(answer)) == (403, "not_granted")
    context = tls_with_certificate(guarded, "compliance-bot", tmp_path)
    proxy = httpx.Proxy(guarded.url, auth=DESK)
    with httpx.Client(proxy=proxy, verify=context, trust_env=False) as desk:
        answer = log_in_by_certificate(desk, sandbox, TokenKind.SESSION)
        assert (answer.status_code, reason(answer)) == (403, "not_granted")
    assert sandbox.logins(username="compliance-bot") <= 2, "the proxy's own, at its start"


def test_the_client_tells_whose_certificate_login_it_is(sandbox: Sandbox, guarded: Proxy) -> None:
    with client_of(guarded, credentials=DESK) as desk:
        token = log_in_by_certificate(desk, sandbox, TokenKind.SESSION).json()["token"]
        assert who(desk, sandbox, {"sessionToken": token}) == "pricing-bot"
    with client_of(guarded, credentials=AUDIT) as audit:
        assert log_in_by_certificate(audit, sandbox, TokenKind.SESSION).status_code == 403


# --- sent again ---------------------------------------------------------------------------


@pytest.fixture
def person(sandbox: Sandbox) -> str:
    """A user whose key Symphony knows and the proxy does not."""
    sandbox.add_bot("reporting-bot", public_key_pem(rsa_key(number=5)).decode())
    return "reporting-bot"


class Replayed:
    """Sends flows again, once they are over, and waits for the answer."""

    def __init__(self) -> None:
        self._over: queue.Queue[http.HTTPFlow] = queue.Queue()

    def response(self, flow: http.HTTPFlow) -> None:
        self._over.put(flow)

    error = response

    def last(self, path: str) -> http.HTTPFlow:
        """The flow of a request that has just been made."""
        while True:
            flow = self._over.get(timeout=10)
            if flow.request.path == path:
                return flow

    def again(self, proxy: Proxy, flow: http.HTTPFlow) -> http.Response:
        proxy.call(lambda: proxy.master.commands.call("replay.client", [flow]))
        while self._over.get(timeout=10) is not flow:
            pass
        assert flow.response is not None, flow.error
        return flow.response


@pytest.fixture
def replayed() -> Replayed:
    return Replayed()


@pytest.fixture
def replaying(sandbox: Sandbox, replayed: Replayed) -> Iterator[Proxy]:
    def prepare(master: Any, _addon: Any) -> None:
        master.addons.add(ClientPlayback(), replayed)

    with answering_proxy(sandbox, prepare=prepare) as proxy:
        yield proxy


def test_a_call_is_sent_again_as_the_same_bot(
    sandbox: Sandbox, replaying: Proxy, replayed: Replayed
) -> None:
    with client_of(replaying) as client:
        assert who(client, sandbox, placeholders_of(client, sandbox, "compliance-bot"))
    flow = replayed.last(SESSION_INFO)
    assert json.loads(replayed.again(replaying, flow).get_content())["username"] == (
        "compliance-bot"
    )
    assert arrived(sandbox).count(SESSION_INFO.encode()) == 2


@pytest.mark.parametrize("user", ["compliance-bot", "reporting-bot"])
def test_a_login_is_sent_again_for_the_same_user(
    sandbox: Sandbox, replaying: Proxy, replayed: Replayed, person: str, user: str
) -> None:
    with client_of(replaying) as client:
        answer = log_in_by_key(client, sandbox, TokenKind.SESSION, user)
    flow = replayed.last(RSA[TokenKind.SESSION][1])
    assert answer.status_code == replayed.again(replaying, flow).status_code == 200
    ours = flow.response.headers.get("Cache-Control") == "no-store"  # type: ignore[union-attr]
    assert ours is (user != person)
