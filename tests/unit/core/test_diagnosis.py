"""An answer that is no success has a name, and the name is of the true cause."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.core.decisions import Inject, KeyManagerToken, PassThrough, Untouched
from symphony_auth_proxy.core.diagnosis import Answer, of_answer, of_login, untouched
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import (
    KeyMaterialError,
    LoginError,
    LoginRejected,
    LoginUnavailable,
    Reason,
)
from symphony_auth_proxy.model import Component, Origin, TokenKind

PLACE = Origin("acme.symphony.com", 443)
INJECT = Inject("pricing-bot", Component.AGENT, PLACE, KeyManagerToken.REQUIRED)
JSON, PAGE, NOTHING = "application/json;charset=utf-8", "text/html", ""


def passing(why: Untouched) -> PassThrough:
    return PassThrough(why, PLACE)


LOGIN, KEPT = passing(Untouched.LOGIN), passing(Untouched.CLIENT_TOKEN)
OTHER, ELSEWHERE = passing(Untouched.OTHER_PATH), passing(Untouched.OTHER_COMPONENT)


@pytest.mark.parametrize(
    ("decision", "status", "content_type", "diagnosis"),
    [
        # The bot's tokens.
        (INJECT, 401, JSON, Diagnosis.TOKEN_REFUSED),
        (INJECT, 401, NOTHING, Diagnosis.TOKEN_REFUSED),
        (INJECT, 403, JSON, Diagnosis.NOT_ENTITLED),
        # Those of the client, or none.
        (LOGIN, 401, JSON, Diagnosis.LOGIN_OF_CLIENT_REFUSED),
        (LOGIN, 403, JSON, Diagnosis.LOGIN_OF_CLIENT_REFUSED),
        (OTHER, 401, JSON, Diagnosis.TOKEN_MISSING),
        (ELSEWHERE, 401, JSON, Diagnosis.TOKEN_MISSING),
        (OTHER, 403, JSON, Diagnosis.TOKEN_MISSING),
        # Whoever stands before Symphony.
        *[(one, 401, PAGE, Diagnosis.GATEWAY_REFUSED) for one in (INJECT, LOGIN, KEPT, OTHER)],
        (INJECT, 403, "Text/Plain", Diagnosis.GATEWAY_REFUSED),
        (INJECT, 407, JSON, Diagnosis.GATEWAY_REFUSED),
        *[(INJECT, status, PAGE, Diagnosis.GATEWAY_UNAVAILABLE) for status in (502, 503, 504)],
        (INJECT, 503, NOTHING, Diagnosis.GATEWAY_UNAVAILABLE),
        (INJECT, 502, JSON, Diagnosis.GATEWAY_UNAVAILABLE),
        (INJECT, 503, JSON, Diagnosis.SYMPHONY_UNAVAILABLE),
        (KEPT, 503, JSON, Diagnosis.SYMPHONY_UNAVAILABLE),
        # Who does not know the path.
        (INJECT, 404, PAGE, Diagnosis.WRONG_COMPONENT),
        (LOGIN, 404, PAGE, Diagnosis.WRONG_COMPONENT),
        (ELSEWHERE, 404, PAGE, Diagnosis.WRONG_COMPONENT),
        # Symphony's own answers about a request are no trouble of this proxy's.
        (INJECT, 404, JSON, None),
        (OTHER, 404, PAGE, None),
        *[(INJECT, status, JSON, None) for status in (200, 204, 302, 400, 405, 429, 451, 500)],
    ],
)
def test_answers(
    decision: Inject | PassThrough, status: int, content_type: str, diagnosis: Diagnosis | None
) -> None:
    assert of_answer(Answer(decision, status, content_type)) is diagnosis


def test_tokens_that_were_refused_without_a_second_attempt_have_a_name_of_their_own() -> None:
    answer = Answer(INJECT, 401, JSON, repeatable=False)
    assert of_answer(answer) is Diagnosis.TOKEN_REFUSED_NOT_RESENT


@pytest.mark.parametrize(
    "why", [one for one in Untouched if one not in {Untouched.LOGIN, Untouched.OTHER_HOST}]
)
def test_a_token_that_the_client_brought_is_the_one_that_was_refused(why: Untouched) -> None:
    dead = Answer(passing(why), 401, JSON, own_token=True)
    weak = Answer(passing(why), 403, JSON, own_token=True)
    assert of_answer(dead) is Diagnosis.CLIENT_TOKEN_DEAD
    assert of_answer(weak) is Diagnosis.NOT_ENTITLED


@pytest.mark.parametrize("why", Untouched)
def test_each_reason_to_leave_a_request_alone_is_a_diagnosis(why: Untouched) -> None:
    assert untouched(why).value == why.name.lower()


# --- logins -------------------------------------------------------------------------------

DOWN = LoginUnavailable("it refuses connections", hint="wait", diagnosis=Diagnosis.REFUSED)
REFUSED = LoginRejected("refused (401)", hint="look", diagnosis=Diagnosis.KEY_NOT_ACCEPTED)
EXPIRED = KeyMaterialError(
    "the certificate expired", hint="renew it", diagnosis=Diagnosis.BOT_CERTIFICATE_EXPIRED
)


@pytest.mark.parametrize(
    ("error", "kind", "simplified", "diagnosis"),
    [
        (DOWN, TokenKind.SESSION, None, Diagnosis.REFUSED),
        (DOWN, TokenKind.KEY_MANAGER, False, Diagnosis.KEY_MANAGER_UNAVAILABLE),
        (REFUSED, TokenKind.KEY_MANAGER, None, Diagnosis.KEY_NOT_ACCEPTED),
        (DOWN, TokenKind.KEY_MANAGER, True, Diagnosis.KEY_DELIVERY_INCOMPLETE),
        (REFUSED, TokenKind.KEY_MANAGER, True, Diagnosis.KEY_DELIVERY_INCOMPLETE),
        (DOWN, TokenKind.SESSION, True, Diagnosis.REFUSED),
        (EXPIRED, TokenKind.KEY_MANAGER, True, Diagnosis.BOT_CERTIFICATE_EXPIRED),
        (
            LoginUnavailable("no name", diagnosis=Diagnosis.DNS),
            TokenKind.KEY_MANAGER,
            False,
            Diagnosis.DNS,
        ),
        (
            LoginRejected("clock", reason=Reason.CLOCK_SKEW),
            TokenKind.KEY_MANAGER,
            True,
            Diagnosis.CLOCK_SKEW,
        ),
    ],
)
def test_failed_logins(
    error: LoginError | KeyMaterialError,
    kind: TokenKind,
    simplified: bool | None,
    diagnosis: Diagnosis,
) -> None:
    told = of_login(error, kind, simplified=simplified)
    assert told.diagnosis is diagnosis
    assert (str(told), told.reason, told.status) == (str(error), error.reason, error.status)


def test_key_delivery_that_is_incomplete_names_both_ways_out() -> None:
    told = of_login(DOWN, TokenKind.KEY_MANAGER, simplified=True)
    assert "24.12" in told.hint()
    assert "keyManager" in told.hint()


def test_a_refusal_of_a_key_whose_file_is_broken_tells_of_the_file() -> None:
    told = of_login(REFUSED, TokenKind.SESSION, key_trouble=EXPIRED)
    assert told.diagnosis is Diagnosis.BOT_CERTIFICATE_EXPIRED
    assert str(told) == "refused (401); the certificate expired"
    assert told.hint() == "renew it"
    assert isinstance(told, LoginRejected)  # and is remembered as one


def test_trouble_that_is_not_about_credentials_does_not_blame_the_file() -> None:
    assert of_login(DOWN, TokenKind.SESSION, key_trouble=EXPIRED) is DOWN
