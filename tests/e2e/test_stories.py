"""Every flow says what it was given, or why it was given nothing.

In its comment and marker for whoever looks, in `Proxy-Status` for whoever gets the answer.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from mitmproxy import http

from attacks.origins import RawOrigin, answer
from attacks.replays import replay
from pki import rsa_key
from support.audit import audit_records
from support.clients import client_of
from support.gallery import (
    AGE,
    BOTH,
    ECHO,
    INFO,
    SESSION,
    Gallery,
    assert_why,
    echo,
    info,
    noted,
    watched_proxy,
)
from support.logins import log_in_by_key
from support.proxy import Proxy
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, FaultKind, Sandbox

LOGIN, LOGOUT, IDM = "/login/pubkey/authenticate", "/sessionauth/v1/logout", "/login/idm/tokens"


@pytest.fixture
def gallery() -> Gallery:
    return Gallery()


@pytest.fixture
def proxy(sandbox: Sandbox, gallery: Gallery) -> Iterator[Proxy]:
    with watched_proxy(sandbox, gallery) as running:
        yield running


def own_session(sandbox: Sandbox, client: httpx.Client) -> str:
    """What a client gets that logs in itself, with the bot's own key."""
    key = (sandbox.directory / f"{KEY_BOT}.pem").read_text()
    claims = {"sub": KEY_BOT, "exp": int(time.time()) + 240}
    assertion = {"token": jwt.encode(claims, key, algorithm="RS512")}
    answered = client.post(sandbox.url(Component.POD) + LOGIN, json=assertion)
    assert (answered.status_code, noted(answered)) == (200, ["login"])
    return str(answered.json()["token"])


# --- what was given -----------------------------------------------------------------------


def test_a_pod_call_names_bot_token_and_age(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    answered = info(sandbox, client)
    assert (answered.status_code, noted(answered)) == (200, [])
    [flow] = gallery.of(INFO)
    assert re.fullmatch(SESSION + AGE, flow.comment)
    assert flow.marked == ":key:"


def test_an_agent_call_names_both_tokens(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    answered = echo(sandbox, client)
    assert (answered.status_code, noted(answered)) == (200, [])
    [flow] = gallery.of(ECHO)
    assert re.fullmatch(BOTH + AGE, flow.comment)


def test_one_token_has_the_same_fingerprint_wherever_it_is_seen(
    sandbox: Sandbox,
    client: httpx.Client,
    gallery: Gallery,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy.addon.state.telemetry.request_level = logging.INFO
    with caplog.at_level(logging.INFO):
        echo(sandbox, client)
    [flow] = gallery.of(ECHO)
    [injected] = audit_records(caplog, "injected")
    succeeded = audit_records(caplog, "login_succeeded")
    logins = {one["kind"]: one for one in succeeded if one["bot"] == KEY_BOT}
    status = proxy.call(lambda: proxy.addon.state.active.provider.snapshot(KEY_BOT))  # type: ignore[union-attr]
    fingerprint = injected["fingerprint"]
    assert f"session #{fingerprint} gen" in flow.comment
    assert f"#{fingerprint} gen" in flow.request.headers["sessionToken"]
    assert logins["session"]["fingerprint"] == status.session.fingerprint == fingerprint
    assert f"key manager #{status.key_manager.fingerprint} gen" in flow.comment
    assert logins["key_manager"]["fingerprint"] == status.key_manager.fingerprint


def test_a_call_on_behalf_of_a_user_names_the_user(sandbox: Sandbox, gallery: Gallery) -> None:
    key = rsa_key(number=7)
    (sandbox.directory / "app.pem").write_bytes(private_key_pem(key))
    sandbox.add_app("desk-app", public_key_pem(key).decode())
    app = {"appId": "desk-app", "privateKey": {"path": "app.pem"}}
    desk = {"name": "desk", "password": "password of desk", "onBehalfOf": "any"}
    with (
        watched_proxy(sandbox, gallery, app=app, own={"clients": [desk]}) as proxy,
        client_of(proxy, credentials=("desk", "password of desk")) as client,
    ):
        known = info(sandbox, client, headers={"Symphony-On-Behalf-Of": "alice"})
        unknown = info(sandbox, client, headers={"Symphony-On-Behalf-Of": "nobody"})
    of_alice, of_nobody = gallery.of(INFO)
    assert known.status_code == 200
    assert re.fullmatch(r"pricing-bot for alice · session #\w{4} gen 1" + AGE, of_alice.comment)
    assert (unknown.status_code, noted(unknown)) == (503, ["user_not_accepted"])
    assert unknown.json()["details"]["diagnosis"] == "user_not_accepted"
    assert of_nobody.comment.startswith("refused here · why: user_not_accepted – the login at ")


# --- after a 401 --------------------------------------------------------------------------


def test_a_request_that_was_sent_twice_tells_so_in_both_flows(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    echo(sandbox, client)
    sandbox.revoke(KEY_BOT)
    healed = echo(sandbox, client)
    assert (healed.status_code, noted(healed)) == (200, [])
    _, flow, again = gallery.of(ECHO)
    resent = re.fullmatch(
        BOTH + AGE + r" · resent after 401 with session (#\w{4} gen 2)", flow.comment
    )
    assert resent
    assert flow.marked == again.marked == ":repeat:"
    assert re.fullmatch(BOTH + AGE + " · sent again after 401", again.comment)
    assert f"session {resent[1]} · " in again.comment


def test_tokens_that_are_refused_twice_are_diagnosed(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    echo(sandbox, client)
    sandbox.fail(Component.AGENT, status=401, path=ECHO)
    refused, at_once = echo(sandbox, client), echo(sandbox, client)
    assert (refused.status_code, noted(refused)) == (401, ["token_refused"])
    _, flow, again, cooling = gallery.of(ECHO)
    resent = r" · resent after 401 with session #\w{4} gen 2"
    assert_why(flow, Diagnosis.TOKEN_REFUSED, BOTH + AGE + resent)
    assert_why(again, Diagnosis.TOKEN_REFUSED, BOTH + AGE + " · sent again after 401")
    # Others are not fetched yet, so nothing is known of this one until that pause is over.
    assert (at_once.status_code, noted(at_once)) == (503, ["tokens_refused"])
    assert cooling.comment.startswith("refused here · why: tokens_refused – ")


def test_a_body_that_is_too_large_to_be_sent_again_is_told(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    echo(sandbox, client)
    sandbox.revoke(KEY_BOT)
    refused = echo(sandbox, client, json={"message": "x" * 2_000_000})
    assert (refused.status_code, noted(refused)) == (401, ["token_refused_not_resent"])
    assert_why(gallery.of(ECHO)[1], Diagnosis.TOKEN_REFUSED_NOT_RESENT, BOTH + AGE)


def test_a_refresh_that_fails_tells_why(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    echo(sandbox, client)
    sandbox.revoke(KEY_BOT)
    sandbox.fail(Component.POD, status=503, kind=FaultKind.HTML, path="/login")
    failed = echo(sandbox, client)
    sandbox.recover()
    assert (failed.status_code, noted(failed)) == (503, ["gateway_unavailable"])
    assert gallery.of(ECHO)[1].comment.startswith(
        "pricing-bot · why: gateway_unavailable – the login at "
    )


# --- untouched, or answered here -----------------------------------------------------------


def test_a_clients_own_token_is_named_and_so_is_its_end(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    own = own_session(sandbox, client)
    kept = info(sandbox, client, headers={"sessionToken": own})
    assert (kept.status_code, noted(kept)) == (200, ["client_token"])
    sandbox.revoke(KEY_BOT)
    dead = info(sandbox, client, headers={"sessionToken": own})
    assert (dead.status_code, noted(dead)) == (401, ["client_token_dead"])
    living, ended = gallery.of(INFO)
    assert living.comment.startswith("untouched: client_token – the request brings a token of ")
    assert living.marked == ":arrow_right:"
    assert_why(ended, Diagnosis.CLIENT_TOKEN_DEAD, "untouched: client_token")


def test_logins_that_pass_are_named_and_so_are_those_that_are_refused(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    own_session(sandbox, client)
    refused = log_in_by_key(client, sandbox, TokenKind.SESSION)
    assert (refused.status_code, noted(refused)) == (401, ["login_of_client_refused"])
    good, bad = gallery.of(LOGIN)
    assert good.comment.startswith("untouched: login – ")
    assert_why(bad, Diagnosis.LOGIN_OF_CLIENT_REFUSED, "untouched: login")


def test_what_is_answered_here_says_so(sandbox: Sandbox, gallery: Gallery) -> None:
    with (
        watched_proxy(sandbox, gallery, own={"answerLogins": True}) as proxy,
        client_of(proxy) as client,
    ):
        logged_in = log_in_by_key(client, sandbox, TokenKind.SESSION)
        placeholders = {"sessionToken": logged_in.json()["token"]}
        call = info(sandbox, client, headers=placeholders)
        logged_out = client.post(sandbox.url(Component.POD) + LOGOUT, headers=placeholders)
        worthless = client.post(sandbox.url(Component.POD) + IDM, headers=placeholders)
    assert (logged_in.status_code, noted(logged_in)) == (200, ["login_answered"])
    assert (call.status_code, noted(call)) == (200, [])
    assert (logged_out.status_code, noted(logged_out)) == (200, ["logout_answered"])
    assert (worthless.status_code, noted(worthless)) == (403, ["placeholder_worthless"])
    [login], [called] = gallery.of(LOGIN), gallery.of(INFO)
    [logout], [refused] = gallery.of(LOGOUT), gallery.of(IDM)
    assert login.comment.startswith("answered here: login_answered – ")
    assert re.fullmatch(SESSION + AGE, called.comment)
    assert logout.comment.startswith("answered here: logout_answered – ")
    assert login.marked == logout.marked == ":speech_balloon:"
    assert refused.comment.startswith("refused here · why: placeholder_worthless – ")


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ((Component.POD, LOGOUT), ("logout", "wrong_component")),
        ((Component.AGENT, "/agent/v3/health"), ("open", None)),
        ((Component.POD, "/embed/index.html"), ("other_path", None)),
        ((Component.POD, "/v5/users/apps/7"), ("app", "wrong_component")),
        ((Component.POD, ECHO), ("other_component", "wrong_component")),
    ],
)
def test_whatever_gets_no_token_says_why(
    sandbox: Sandbox,
    client: httpx.Client,
    gallery: Gallery,
    asked: tuple[Component, str],
    codes: tuple[str, str | None],
) -> None:
    (component, path), (code, diagnosis) = asked, codes
    answered = client.get(sandbox.url(component) + path)
    [flow] = gallery.of(path)
    assert noted(answered) == [diagnosis or code]
    assert flow.comment.startswith(f"untouched: {code}")
    assert (f"why: {diagnosis}" in flow.comment) == (diagnosis is not None)


def test_a_call_to_another_host_says_so_and_is_left_alone(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    with RawOrigin(None, answer("401 Unauthorized")) as other:
        answered = client.get(f"http://localhost:{other.port}/x")
    [flow] = gallery.of("/x")
    assert "Proxy-Status" not in answered.headers
    assert flow.comment.startswith("untouched: other_host – ")
    assert flow.marked == ""


# --- beside people -----------------------------------------------------------------------------


def test_what_a_person_writes_while_a_flow_is_under_way_stays(sandbox: Sandbox) -> None:
    class Person:
        def request(self, flow: http.HTTPFlow) -> None:
            flow.comment, flow.marked = "mine", ":default:"

    gallery = Gallery(Person())
    sandbox.fail(Component.AGENT, status=403, path=ECHO)
    with watched_proxy(sandbox, gallery) as proxy, client_of(proxy) as client:
        echo(sandbox, client)
    [flow] = gallery.of(ECHO)
    assert (flow.comment, flow.marked) == ("mine", ":default:")


def test_a_flow_that_is_replayed_tells_anew(
    sandbox: Sandbox, gallery: Gallery, proxy: Proxy, client: httpx.Client
) -> None:
    info(sandbox, client)
    [flow] = gallery.of(INFO)
    sandbox.fail(Component.POD, status=403, path=INFO)
    replay(proxy, flow)
    assert_why(flow, Diagnosis.NOT_ENTITLED, SESSION + AGE)
    sandbox.recover()
    replay(proxy, flow)
    assert re.fullmatch(SESSION + AGE, flow.comment)
    assert flow.marked == ":key:"
