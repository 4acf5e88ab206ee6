"""Logins by signed assertion: what the pod and the key manager accept and refuse."""

import time
from email.utils import parsedate_to_datetime

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from symphony_auth_proxy.certificates import make_rsa_key, private_key_pem, public_key_pem
from symphony_auth_proxy.model import Component, TokenKind

POD_LOGIN = "/login/pubkey/authenticate"


def test_a_session_token_is_an_rs512_jwt_of_the_bot(caller, sandbox):
    answer = caller.present(caller.assertion()).json()

    assert answer["name"] == "sessionToken"
    assert answer["authorizationToken"].startswith("Bearer ")
    pod_key = load_pem_private_key((sandbox.directory / "pod.pem").read_bytes(), None)
    claims = jwt.decode(answer["token"], pod_key.public_key(), algorithms=["RS512"])
    assert claims["sub"] == "pricing-bot"
    assert isinstance(claims["userId"], int)
    assert claims["exp"] == pytest.approx(time.time() + 3600, abs=10)
    assert "canUseSimplifiedKeyDelivery" not in claims


def test_a_key_manager_token_is_long_hexadecimal(caller):
    answer = caller.present(caller.assertion(), TokenKind.KEY_MANAGER).json()

    assert answer["name"] == "keyManagerToken"
    assert answer["token"].startswith("0100")
    assert len(bytes.fromhex(answer["token"])) == 195


def test_one_assertion_serves_both_and_every_login_brings_another_token(caller):
    assertion = caller.assertion()

    first = caller.present(assertion).json()["token"]
    second = caller.present(assertion).json()["token"]

    assert first != second
    assert caller.present(assertion, TokenKind.KEY_MANAGER).status_code == 200


def test_iat_is_tolerated_even_from_a_clock_ahead(caller):
    assert caller.present(caller.assertion(iat=int(time.time()) + 30)).status_code == 200


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"sub": "nobody"}, id="unknown user"),
        pytest.param({"sub": "alice"}, id="user without a key"),
        pytest.param({"sub": "Pricing-Bot"}, id="other letter case"),
        pytest.param({"sub": None}, id="no sub"),
        pytest.param({"exp": None}, id="no exp"),
        pytest.param({"exp": int(time.time()) - 1}, id="expired"),
        pytest.param({"exp": int(time.time()) + 3600}, id="exp beyond five minutes"),
        pytest.param({"alg": "RS256"}, id="RS256"),
        pytest.param({"alg": "PS512"}, id="PS512"),
    ],
)
def test_a_bad_assertion_is_refused(caller, sandbox, kind, claims):
    answer = caller.present(caller.assertion(**claims), kind)

    assert answer.status_code == 401
    assert answer.json()["code"] == 401
    assert answer.json()["message"]
    assert sandbox.logins() == 0


def test_exp_just_within_five_minutes_is_accepted(caller):
    assert caller.present(caller.assertion(exp=int(time.time()) + 298)).status_code == 200


def test_a_signature_by_another_key_is_refused(caller):
    stranger = private_key_pem(make_rsa_key(2048)).decode()

    assert caller.present(caller.assertion(key=stranger)).status_code == 401


def test_an_unsigned_assertion_is_refused(caller):
    claims = {"sub": "pricing-bot", "exp": int(time.time()) + 240}
    assert caller.present(jwt.encode(claims, None, algorithm="none")).status_code == 401


@pytest.mark.parametrize("body", [{}, {"token": 7}, {"token": "x.y.z"}, {"token": "é"}])
def test_a_body_without_a_jwt_is_refused(caller, body):
    assert caller.pod("POST", POD_LOGIN, json=body).status_code == 401


@pytest.mark.parametrize("body", [b"token=abc", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(caller, body):
    assert caller.pod("POST", POD_LOGIN, content=body).status_code == 400


def test_the_content_type_does_not_matter(caller):
    body = f'{{"token": "{caller.assertion()}"}}'
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert caller.pod("POST", POD_LOGIN, content=body, headers=headers).status_code == 200


def test_the_pods_clock_decides_and_its_date_header_tells_it(caller, sandbox):
    sandbox.set_clock_offset(-120)
    too_far_ahead = caller.present(caller.assertion())
    sandbox.set_clock_offset(300)
    too_late = caller.present(caller.assertion())

    assert (too_far_ahead.status_code, too_late.status_code) == (401, 401)
    date = parsedate_to_datetime(too_late.headers["Date"]).timestamp()
    assert date == pytest.approx(time.time() + 300, abs=10)


def test_a_changed_key_refuses_the_old_one_and_ends_its_sessions(bot, sandbox):
    fresh = make_rsa_key(2048)

    sandbox.add_bot("pricing-bot", public_key=public_key_pem(fresh).decode())

    assert not bot.alive()
    assert bot.present(bot.assertion()).status_code == 401
    bot.key = private_key_pem(fresh).decode()
    assert bot.log_in().alive()


def test_an_app_opens_sessions_on_behalf_of_users(bot, sandbox):
    public_key = (sandbox.directory / "pricing-bot.public.pem").read_text()
    sandbox.add_app("desk-app", public_key)
    app = bot.pod(
        "POST", "/login/pubkey/app/authenticate", json={"token": bot.assertion(sub="desk-app")}
    ).json()
    as_app = {"sessionToken": app["token"]}
    path = "/login/pubkey/app/username/alice/authenticate"

    user = bot.pod("POST", path, headers=as_app).json()
    as_user = {"sessionToken": user["token"]}
    info = bot.pod("GET", "/pod/v2/sessioninfo", headers=as_user).json()
    by_id = f"/login/pubkey/app/user/{info['id']}/authenticate"

    assert info["username"] == "alice"
    assert bot.pod("POST", by_id, headers=as_app).status_code == 200
    assert bot.pod("GET", "/pod/v2/sessioninfo", headers=as_app).status_code == 401
    assert bot.pod("POST", path, headers=bot.tokens).status_code == 401
    echo = {"json": {"message": "hi"}}
    wrong_mix = bot.tokens | as_user
    assert bot.agent("POST", "/agent/v1/util/echo", headers=as_user, **echo).status_code == 200
    assert bot.agent("POST", "/agent/v1/util/echo", headers=wrong_mix, **echo).status_code == 401


def test_an_access_token_is_granted_for_a_session_and_verifies_with_the_public_keys(bot):
    answer = bot.pod("POST", "/login/idm/tokens?scope=profile-manager").json()
    keys = bot.pod("GET", "/login/idm/keys", headers={}).json()["keys"]

    key = jwt.PyJWK(keys[0])
    claims = jwt.decode(answer["access_token"], key, algorithms=["RS512"])

    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 300)
    assert (claims["sub"], claims["scope"]) == ("pricing-bot", "profile-manager")
    assert bot.pod("POST", "/login/idm/tokens", headers={}).status_code == 401


def test_sessionauth_on_the_pods_own_port_is_a_html_404(caller):
    answer = caller.pod("POST", "/sessionauth/v1/authenticate")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_logins_are_counted_by_kind_and_user(bot, sandbox):
    bot.log_in(TokenKind.SESSION)

    assert sandbox.logins(TokenKind.SESSION, "pricing-bot") == 2
    assert sandbox.logins(TokenKind.KEY_MANAGER, "pricing-bot") == 1
    assert sandbox.logins() == 3
    assert sandbox.logins(username="compliance-bot") == 0
    assert [one.component for one in sandbox.requests] == [
        Component.POD,
        Component.KEY_MANAGER,
        Component.POD,
    ]
