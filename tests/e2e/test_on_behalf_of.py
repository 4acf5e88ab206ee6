"""Calls on behalf of users, through the whole proxy: who may, and as whom they arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from mitmproxy import http

from pki import rsa_key
from support.audit import audit_records
from support.clients import client_of
from support.configuration import change, read_with
from support.logins import calls, reason
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy import config
from symphony_auth_proxy.certificates import private_key_pem, public_key_pem
from symphony_auth_proxy.core.headers import is_void
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox
from symphony_auth_proxy.tokens import accounts

SESSION_INFO = "/pod/v2/sessioninfo"
APP, APP_LOGIN = "trading-app", "/login/pubkey/app/authenticate"
HEADER = "Symphony-On-Behalf-Of"
DESK, REPORTS, PRICING = "desk", "reports", "pricing"
"""Clients: for all users, for alice alone, for none."""


def configure(sandbox: Sandbox, *, clients: bool = True) -> None:
    """Give Symphony an app, and the proxy its key and clients."""
    key = rsa_key(number=7)
    (sandbox.directory / "app.pem").write_bytes(private_key_pem(key))
    sandbox.add_app(APP, public_key_pem(key).decode())
    grants: dict[str, dict[str, Any]] = {
        DESK: {"onBehalfOf": "any"},
        REPORTS: {"bots": [KEY_BOT], "onBehalfOf": ["alice"]},
        PRICING: {"bots": [KEY_BOT]},
    }
    with change(sandbox.config) as document:
        document["app"] = {"appId": APP, "privateKey": {"path": "app.pem"}}
        if clients:
            document["authProxy"]["clients"] = [
                {"name": name, "password": f"password of {name}", **grant}
                for name, grant in grants.items()
            ]


@pytest.fixture
def shown() -> list[str]:
    """What flows show of the session tokens that they were given."""
    return []


@pytest.fixture
def proxy(sandbox: Sandbox, shown: list[str]) -> Iterator[Proxy]:
    class Onlooker:
        def request(self, flow: http.HTTPFlow) -> None:
            shown.extend(flow.request.headers.get_all("sessionToken"))

    configure(sandbox)
    with running_proxy(
        sandbox.config,
        sandbox.directory / "proxy-ca",
        prepare=lambda master, _: master.addons.add(Onlooker()),
    ) as running:
        yield running


def client(proxy: Proxy, name: str = DESK) -> httpx.Client:
    return client_of(proxy, credentials=(name, f"password of {name}"))


def session_info(sandbox: Sandbox, http: httpx.Client, user: str) -> httpx.Response:
    return http.get(sandbox.url(Component.POD) + SESSION_INFO, headers={HEADER: user})


def send_message(sandbox: Sandbox, http: httpx.Client, user: str, text: str) -> httpx.Response:
    path = f"/agent/v4/stream/{sandbox.room}/message/create"
    return http.post(
        sandbox.url(Component.AGENT) + path,
        files={"message": (None, f"<messageML>{text}</messageML>")},
        headers={HEADER: user, "keyManagerToken": ""},
    )


def user_logins(sandbox: Sandbox) -> list[str]:
    paths = [one.path for one in sandbox.requests if one.path.startswith("/login/pubkey/app/")]
    return [path for path in paths if path != APP_LOGIN]


def test_a_message_is_the_users_with_the_session_token_alone(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with client(proxy) as http:
        answer = send_message(sandbox, http, "alice", "buy")
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["username"] == "alice"
    [call] = [one for one in sandbox.requests if one.path.endswith("/message/create")]
    assert len(call.values("sessionToken")) == 1
    assert call.values("keyManagerToken") == []


def test_a_user_is_named_by_name_or_by_id(sandbox: Sandbox, proxy: Proxy) -> None:
    with client(proxy) as http:
        by_name = session_info(sandbox, http, "alice").json()
        by_id = session_info(sandbox, http, str(by_name["id"])).json()
    assert by_name["username"] == by_id["username"] == "alice"
    assert user_logins(sandbox) == [
        "/login/pubkey/app/username/alice/authenticate",
        f"/login/pubkey/app/user/{by_name['id']}/authenticate",
    ]


def test_the_header_is_for_the_proxy_alone(sandbox: Sandbox, proxy: Proxy) -> None:
    with client(proxy, REPORTS) as http:
        assert session_info(sandbox, http, "alice").json()["username"] == "alice"
        sandbox.revoke("alice")
        assert session_info(sandbox, http, "alice").json()["username"] == "alice"
    assert not any(one.values(HEADER) for one in sandbox.requests)


def test_one_session_serves_all_calls_for_a_user(sandbox: Sandbox, proxy: Proxy) -> None:
    with client(proxy) as http, client(proxy, REPORTS) as another:
        for _ in range(5):
            session_info(sandbox, http, "alice")
            send_message(sandbox, another, "alice", "hold")
    assert len(user_logins(sandbox)) == len(calls(sandbox, APP_LOGIN)) == 1


def test_users_and_bots_are_not_mixed_up_on_one_connection(sandbox: Sandbox, proxy: Proxy) -> None:
    sandbox.add_bot("bob")
    with client(proxy, DESK) as http, client(proxy, REPORTS) as reports:
        pod = sandbox.url(Component.POD) + SESSION_INFO
        for _ in range(2):
            assert reports.get(pod).json()["username"] == KEY_BOT
            assert session_info(sandbox, reports, "alice").json()["username"] == "alice"
            assert session_info(sandbox, http, "bob").json()["username"] == "bob"


def test_a_revoked_session_is_healed_by_one_login_and_one_resend(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with client(proxy) as http:
        assert send_message(sandbox, http, "alice", "buy").status_code == 200
        sandbox.revoke("alice")
        answer = send_message(sandbox, http, "alice", "sell")
    assert (answer.status_code, answer.json()["user"]["username"]) == (200, "alice")
    sent = [one for one in sandbox.requests if one.path.endswith("/message/create")]
    assert [one.status for one in sent] == [200, 401, 200]
    assert [one.values("keyManagerToken") for one in sent] == [[]] * 3
    assert len(user_logins(sandbox)) == 2


# Who may not.


@pytest.mark.parametrize(("name", "user"), [(PRICING, "alice"), (REPORTS, "compliance-bot")])
def test_without_the_grant_nothing_is_asked_of_symphony(
    sandbox: Sandbox, proxy: Proxy, caplog: pytest.LogCaptureFixture, name: str, user: str
) -> None:
    with client(proxy, name) as http, caplog.at_level(logging.INFO):
        answer = session_info(sandbox, http, user)
    assert (answer.status_code, reason(answer)) == (403, "not_granted")
    assert not user_logins(sandbox)
    assert not calls(sandbox, SESSION_INFO)
    [record] = audit_records(caplog, "refused")
    assert (record["client"], record["reason"]) == (name, "not_granted")


def test_a_grant_for_users_is_none_for_the_bot(sandbox: Sandbox, proxy: Proxy) -> None:
    with client(proxy) as http:
        answer = http.get(sandbox.url(Component.POD) + SESSION_INFO)
    assert (answer.status_code, reason(answer)) == (403, "not_granted")


def test_without_clients_nobody_may(sandbox: Sandbox) -> None:
    configure(sandbox, clients=False)
    with (
        running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy,
        client_of(proxy) as http,
    ):
        answer = session_info(sandbox, http, "alice")
    assert (answer.status_code, reason(answer)) == (403, "not_granted")
    assert not user_logins(sandbox)


def test_without_an_app_nobody_can(sandbox: Sandbox) -> None:
    configure(sandbox)
    bots = config.load(sandbox.config).bots
    without = {"bots": tuple(replace(bot, app=None) for bot in bots)}
    directory = sandbox.directory / "proxy-ca"
    with (
        running_proxy(sandbox.config, directory, load=read_with(without)) as proxy,
        client(proxy) as http,
    ):
        answer = session_info(sandbox, http, "alice")
    assert (answer.status_code, reason(answer)) == (403, "no_app")


@pytest.mark.parametrize("user", ["", ".", "..", "../../pod/v1", "a\\b", "x" * 300])
def test_a_name_that_is_none_is_refused(sandbox: Sandbox, proxy: Proxy, user: str) -> None:
    with client(proxy) as http:
        answer = session_info(sandbox, http, user)
    assert (answer.status_code, reason(answer)) == (400, "malformed_request")
    assert not calls(sandbox, APP_LOGIN)


# Trouble.


def test_an_unknown_user_is_told_as_one_and_does_not_disturb_others(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    with client(proxy) as http:
        answers = [session_info(sandbox, http, "no?body") for _ in range(3)]
        assert session_info(sandbox, http, "alice").status_code == 200
    for answer in answers:
        details = answer.json()["details"]
        assert (answer.status_code, details["reason"]) == (503, "login_rejected")
        assert (details["bot"], details["user"]) == (KEY_BOT, "no?body")
        assert "this user exists" in details["hint"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert len(user_logins(sandbox)) == 2


def test_many_users_are_bounded(
    sandbox: Sandbox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "USERS", 3)
    names = [f"user-{number}" for number in range(10)]
    for name in names:
        sandbox.add_bot(name)
    active = proxy.addon.state.active
    assert active is not None
    with client(proxy) as http:
        for name in names * 2:
            assert session_info(sandbox, http, name).json()["username"] == name
            assert proxy.call(lambda: active.provider.snapshot(KEY_BOT)).users <= 3


# What people see.


def test_flows_and_the_audit_tell_the_user_and_no_token(
    sandbox: Sandbox, proxy: Proxy, shown: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="symphony_auth_proxy.audit")
    with client(proxy) as http:
        assert session_info(sandbox, http, "alice").status_code == 200
    [sealed] = shown
    assert sealed.startswith(f"[sealed {KEY_BOT} for alice #")
    assert is_void(sealed)
    [injected] = audit_records(caplog, "injected")
    assert (injected["bot"], injected["user"], injected["client"]) == (KEY_BOT, "alice", DESK)
    logins = [one for one in audit_records(caplog, "login_succeeded") if "user" in one]
    assert [one["user"] for one in logins] == ["alice"]
    [token] = calls(sandbox, SESSION_INFO)[0].values("sessionToken")
    assert token not in caplog.text
