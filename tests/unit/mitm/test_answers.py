"""The proxy's own answers look like Symphony's."""

from __future__ import annotations

import json

import pytest
from mitmproxy import http

from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import (
    ClientRefused,
    LoginUnavailable,
    Reason,
    SymphonyAuthProxyError,
)
from symphony_auth_proxy.mitm.answers import answer, note


def test_an_answer_has_symphonys_fields_and_ours() -> None:
    error = LoginUnavailable("the pod is down", hint="wait", retry_after=2.2)
    error.bot = "pricing-bot"
    made = answer(error)
    assert made.status_code == 503
    assert json.loads(made.text or "") == {
        "code": 503,
        "message": "the pod is down",
        "details": {
            "reason": "login_unavailable",
            "diagnosis": "login_unavailable",
            "bot": "pricing-bot",
            "hint": "wait",
        },
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


def test_what_is_known_beyond_the_reason_is_told_in_both_places() -> None:
    refused = LoginUnavailable("the pod is down", diagnosis=Diagnosis.GATEWAY_UNAVAILABLE)
    made = answer(refused)
    assert json.loads(made.text or "")["details"] == {
        "reason": "login_unavailable",
        "diagnosis": "gateway_unavailable",
    }
    assert 'details="gateway_unavailable: the pod is down"' in made.headers["Proxy-Status"]


@pytest.mark.parametrize(
    ("reason", "diagnosis", "kind"),
    [
        (Reason.UPSTREAM_UNREACHABLE, Diagnosis.DNS, "dns_error"),
        (Reason.UPSTREAM_UNREACHABLE, Diagnosis.REFUSED, "connection_refused"),
        (Reason.UPSTREAM_UNREACHABLE, Diagnosis.PROXY_CREDENTIALS, "destination_unavailable"),
        (Reason.LOGIN_UNAVAILABLE, Diagnosis.DNS, "proxy_internal_response"),
    ],
)
def test_the_type_of_error_is_about_the_next_hop_of_this_request(
    reason: Reason, diagnosis: Diagnosis, kind: str
) -> None:
    error = SymphonyAuthProxyError("x", reason=reason, diagnosis=diagnosis)
    assert f"; error={kind};" in answer(error).headers["Proxy-Status"]


def test_a_note_stands_behind_what_others_noted_and_changes_nothing_else() -> None:
    theirs = [(b"proxy-STATUS", b"gateway.example; received-status=200"), (b"X", b"1")]
    response = http.Response.make(200, b"body")
    response.headers = http.Headers(theirs)
    note(response, Diagnosis.CLIENT_TOKEN)
    assert list(response.headers.fields[:2]) == theirs
    assert response.headers.get_all("proxy-status")[1:] == [
        f'symphony-auth-proxy; details="client_token: {MEANINGS[Diagnosis.CLIENT_TOKEN].sentence}"'
    ]
    assert response.content == b"body"


def test_a_note_on_an_http2_answer_has_a_name_in_lower_case() -> None:
    response = http.Response.make(200)
    response.http_version = "HTTP/2.0"
    note(response, Diagnosis.LOGIN)
    assert response.headers.fields[-1][0] == b"proxy-status"


def test_a_long_message_makes_no_long_header() -> None:
    status = answer(SymphonyAuthProxyError("x" * 10_000)).headers["Proxy-Status"]
    assert len(status) < 500


def test_no_message_can_break_out_of_the_header() -> None:
    error = SymphonyAuthProxyError('quote " backslash \\ é\r\nX-Evil: 1')
    status = answer(error).headers["Proxy-Status"]
    assert status.isascii()
    assert "\n" not in status
    assert "X-Evil" not in status
    assert '\\"' in status
