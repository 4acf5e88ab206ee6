"""The proxy's own answers look like Symphony's."""

from __future__ import annotations

import json

import pytest

from symphony_auth_proxy.errors import (
    ClientRefused,
    LoginUnavailable,
    Reason,
    SymphonyAuthProxyError,
)
from symphony_auth_proxy.mitm.answers import answer


def test_an_answer_has_symphonys_fields_and_ours() -> None:
    error = LoginUnavailable("the pod is down", hint="wait", retry_after=2.2)
    error.bot = "pricing-bot"
    made = answer(error)
    assert made.status_code == 503
    assert json.loads(made.text or "") == {
        "code": 503,
        "message": "the pod is down",
        "details": {"reason": "login_unavailable", "bot": "pricing-bot", "hint": "wait"},
    }
    assert made.headers["Retry-After"] == "3"
    assert made.headers["Cache-Control"] == "no-store"


def test_a_client_that_is_not_known_is_asked_who_it_is() -> None:
    """RFC 9110, 15.5.8: a 407 without a challenge would be no 407."""
    unknown = ClientRefused("who?", status=407, reason=Reason.CLIENT_UNKNOWN)
    challenge = answer(unknown).headers["Proxy-Authenticate"]
    assert challenge == 'Basic realm="symphony-auth-proxy", charset="UTF-8"'


@pytest.mark.parametrize("status", [400, 401, 403, 421, 502, 503])
def test_nobody_else_is(status: int) -> None:
    assert "Proxy-Authenticate" not in answer(ClientRefused("no", status=status)).headers


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_proxy_status(reason: Reason) -> None:
    status = answer(SymphonyAuthProxyError("x", reason=reason)).headers["Proxy-Status"]
    assert status.startswith("symphony-auth-proxy; error=")
    assert f'details="{reason}: x"' in status


def test_no_message_can_break_out_of_the_header() -> None:
    error = SymphonyAuthProxyError('quote " backslash \\ é\r\nX-Evil: 1')
    status = answer(error).headers["Proxy-Status"]
    assert status.isascii()
    assert "\n" not in status
    assert "X-Evil" not in status
    assert '\\"' in status
