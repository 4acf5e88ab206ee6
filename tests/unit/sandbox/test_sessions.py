"""Whose session opens what, and how sessions end."""

import ssl

import httpx
import jwt
import pytest

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox


def test_without_a_token_pod_and_agent_say_401_in_symphonys_words(caller):
    answer = caller.pod("GET", "/pod/v2/sessioninfo")

    assert answer.status_code == 401
    assert answer.json() == {"code": 401, "message": "Invalid session"}
    assert caller.echo() == 401


def test_the_pod_wants_the_session_token_only(caller):
    assert caller.log_in(TokenKind.SESSION).alive()


def test_the_agent_wants_both_tokens(caller):
    caller.log_in(TokenKind.SESSION)
    assert caller.echo() == 401
    caller.log_in(TokenKind.KEY_MANAGER)
    assert caller.echo() == 200


def test_the_tokens_must_be_one_bots(bot, sandbox):
    own = dict(bot.tokens)
    public_key = (sandbox.directory / "pricing-bot.public.pem").read_text()
    sandbox.add_bot("other-bot", public_key=public_key)
    bot.username = "other-bot"
    bot.log_in()

    bot.tokens["keyManagerToken"] = own["keyManagerToken"]

    assert bot.echo() == 401


def test_the_tokens_are_not_interchangeable(bot):
    session, key_manager = bot.tokens["sessionToken"], bot.tokens["keyManagerToken"]
    bot.tokens = {"sessionToken": key_manager, "keyManagerToken": session}
    assert not bot.alive()
    assert bot.echo() == 401


def test_a_token_sent_twice_is_no_token(bot):
    twice = [("sessionToken", bot.tokens["sessionToken"])] * 2
    assert bot.pod("GET", "/pod/v2/sessioninfo", headers=twice).status_code == 401


def test_sessions_end_with_their_life(bot, sandbox):
    sandbox.set_clock_offset(3599 - 10)
    assert bot.alive()
    sandbox.set_clock_offset(3601)
    assert not bot.alive()


def test_the_life_of_new_sessions_can_be_changed(caller, sandbox):
    sandbox.set_token_life(60)
    caller.log_in()
    sandbox.set_clock_offset(61)
    assert caller.echo() == 401


def test_the_two_kinds_die_separately(bot, sandbox):
    assert sandbox.revoke("pricing-bot", TokenKind.KEY_MANAGER) == 1
    assert bot.alive()
    assert bot.echo() == 401

    bot.log_in(TokenKind.KEY_MANAGER)
    assert sandbox.revoke(kind=TokenKind.SESSION) == 1
    assert not bot.alive()
    assert bot.echo() == 401


def test_revoking_one_bot_leaves_the_others(bot, sandbox):
    assert sandbox.revoke("compliance-bot") == 0
    assert bot.alive()
    assert sandbox.revoke() == 2
    assert not bot.alive()


def test_a_second_login_does_not_end_the_first(bot):
    first = dict(bot.tokens)
    bot.log_in()
    bot.tokens = first
    assert bot.echo() == 200


def test_simplified_key_delivery_needs_no_key_manager_token(caller, sandbox):
    sandbox.set_simplified_key_delivery("pricing-bot")
    caller.log_in(TokenKind.SESSION)
    assert caller.echo() == 200
    caller.tokens["keyManagerToken"] = ""
    assert caller.echo() == 200


def test_simplified_key_delivery_is_a_claim_of_the_session(caller, sandbox):
    sandbox.set_simplified_key_delivery("pricing-bot")
    token = caller.log_in(TokenKind.SESSION).tokens["sessionToken"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["canUseSimplifiedKeyDelivery"] is True


def test_an_old_agent_knows_no_simplified_key_delivery(caller, sandbox):
    sandbox.set_simplified_key_delivery("pricing-bot")
    sandbox.set_agent_version("Agent-24.11.9")
    caller.log_in(TokenKind.SESSION)
    assert caller.echo() == 401
    assert caller.agent("GET", "/agent/v1/info").json()["version"] == "Agent-24.11.9"


def test_a_bot_lists_and_ends_its_own_sessions(bot):
    me = bot.pod("GET", "/pod/v2/sessioninfo").json()["id"]
    sessions = f"/pod/v1/users/{me}/sessions"
    first = bot.pod("GET", sessions).json()["sessions"][0]["sessionId"]
    old = dict(bot.tokens)
    bot.log_in(TokenKind.SESSION)

    assert len(bot.pod("GET", sessions).json()["sessions"]) == 2
    assert bot.pod("POST", f"{sessions}/{first}/logout").json() == {"message": "OK"}
    assert bot.pod("GET", "/pod/v2/sessioninfo", headers=old).status_code == 401
    assert bot.alive()
    assert bot.pod("POST", f"{sessions}/nonsense/logout").status_code == 400
    assert bot.pod("POST", "/pod/v1/users/1/sessions/logout").status_code == 403
    assert bot.pod("POST", f"{sessions}/logout").status_code == 200
    assert not bot.alive()


def test_users_are_found_by_name_id_and_mail(bot):
    def found(**query: object) -> list[str]:
        users = bot.pod("GET", "/pod/v3/users", params=query).json()["users"]
        return [user["username"] for user in users]

    alice = bot.pod("GET", "/pod/v3/users?username=alice").json()["users"][0]
    assert found(uid=alice["id"]) == ["alice"]
    assert found(email=f"{alice['emailAddress']},nobody@x.example") == ["alice"]
    assert found(username="pricing-bot,compliance-bot") == ["pricing-bot", "compliance-bot"]
    assert bot.pod("GET", "/pod/v3/users?username=nobody").status_code == 204
    assert bot.pod("GET", "/pod/v3/users").status_code == 400
    assert bot.pod("GET", "/pod/v3/users?username=a&uid=1").status_code == 400


def test_an_im_is_made_once_and_listed(bot):
    alice = bot.pod("GET", "/pod/v3/users?username=alice").json()["users"][0]["id"]

    first = bot.pod("POST", "/pod/v1/im/create", json=[alice]).json()
    again = bot.pod("POST", "/pod/v1/im/create", json=[alice]).json()
    ims = bot.pod("POST", "/pod/v1/streams/list", json={"streamTypes": [{"type": "IM"}]}).json()
    both = bot.pod("POST", "/pod/v1/streams/list").json()

    assert first == again
    assert [one["id"] for one in ims] == [first["id"]]
    assert [one["streamType"]["type"] for one in both] == ["ROOM", "IM"]
    assert bot.pod("POST", "/pod/v1/im/create", json=[7]).status_code == 400
    assert bot.pod("POST", "/pod/v1/streams/list?skip=x").status_code == 400


def test_the_pods_certificate_is_public(caller, sandbox):
    answer = caller.pod("GET", "/pod/v1/podcert").json()
    assert answer["certificate"] == sandbox.ca.read_text()


def test_the_agent_answers_pod_calls_too(bot):
    assert bot.agent("GET", "/pod/v2/sessioninfo").json()["username"] == "pricing-bot"


@pytest.mark.parametrize("path", ["/agent/v3/health", "/agent/v1/info"])
def test_health_and_info_need_no_tokens(caller, path):
    assert caller.agent("GET", path).status_code == 200


def test_one_host_serves_all_but_session_auth_on_one_port(directory):
    with Sandbox(directory, one_host=True) as sandbox:
        context = ssl.create_default_context(cafile=sandbox.ca)
        context.load_cert_chain(sandbox.directory / "compliance-bot.pem")
        with httpx.Client(verify=context, trust_env=False) as client:
            origins = {sandbox.origin(one) for one in Component}
            logins = [
                client.post(sandbox.url(Component.SESSION_AUTH) + "/sessionauth/v1/authenticate"),
                client.post(sandbox.url(Component.KEY_MANAGER) + "/keyauth/v1/authenticate"),
            ]
            tokens = {one.json()["name"]: one.json()["token"] for one in logins}
            url = sandbox.url(Component.POD)
            info = client.get(url + "/pod/v2/sessioninfo", headers=tokens)
            echo = client.post(url + "/agent/v1/util/echo", json={"message": "x"}, headers=tokens)
            wrong = client.post(url + "/sessionauth/v1/authenticate")

        assert len(origins) == 2
        assert (info.status_code, echo.status_code, wrong.status_code) == (200, 200, 404)
        assert [one.component for one in sandbox.requests] == [
            Component.SESSION_AUTH,
            Component.KEY_MANAGER,
            Component.POD,
            Component.AGENT,
            Component.POD,
        ]
