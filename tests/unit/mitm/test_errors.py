"""What stands behind mitmproxy's words for a request that failed."""

from __future__ import annotations

import errno
import json
import socket

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import ErrorCode, ResponseProtocolError
from mitmproxy.test import tflow

from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.mitm.errors import ErrorPages, failure
from symphony_auth_proxy.mitm.failures import NOT_HTTP_ANSWER, NOT_HTTP_REQUEST, refused_address
from symphony_auth_proxy.mitm.state import State

REFUSED = f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 1)"


@pytest.fixture
def flow() -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.request.host, flow.request.port = "agent.acme.example", 443
    return flow


@pytest.mark.parametrize(
    ("message", "diagnosis", "reason"),
    [
        (REFUSED, Diagnosis.REFUSED, Reason.UPSTREAM_UNREACHABLE),
        (
            f"Multiple exceptions: {REFUSED}, [Errno {errno.EHOSTUNREACH}] Connect call failed",
            Diagnosis.REFUSED,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            f"[Errno {socket.EAI_NONAME}] Name or service not known",
            Diagnosis.DNS,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            f"[Errno {errno.ENETUNREACH}] Connect call failed ('1.2.3.4', 443)",
            Diagnosis.NO_ROUTE,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            f"[Errno {errno.ETIMEDOUT}] Connect call failed ('1.2.3.4', 443)",
            Diagnosis.CONNECT_TIMEOUT,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            f"[Errno {errno.EMFILE}] Too many open files",
            Diagnosis.CONNECT_FAILED,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            "Certificate verify failed: certificate has expired",
            Diagnosis.CERTIFICATE_EXPIRED,
            Reason.UPSTREAM_CERTIFICATE,
        ),
        (
            "Certificate verify failed: certificate is not yet valid",
            Diagnosis.CERTIFICATE_EXPIRED,
            Reason.UPSTREAM_CERTIFICATE,
        ),
        (
            "Certificate verify failed: hostname mismatch",
            Diagnosis.CERTIFICATE_NAME,
            Reason.UPSTREAM_CERTIFICATE,
        ),
        (
            "Certificate verify failed: IP address mismatch",
            Diagnosis.CERTIFICATE_NAME,
            Reason.UPSTREAM_CERTIFICATE,
        ),
        (
            "Certificate verify failed: unable to get local issuer certificate",
            Diagnosis.CERTIFICATE_UNTRUSTED,
            Reason.UPSTREAM_CERTIFICATE,
        ),
        (
            "Upstream proxy 127.0.0.1:1 refused HTTP CONNECT request: 407 Authenticate",
            Diagnosis.PROXY_CREDENTIALS,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            "Upstream proxy 127.0.0.1:1 refused HTTP CONNECT request: 403 Forbidden",
            Diagnosis.PROXY_REFUSED,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            "The remote server does not speak TLS.",
            Diagnosis.NOT_TLS,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            "OpenSSL Error([('SSL routines', '', 'tlsv1 alert internal error')])",
            Diagnosis.TLS_FAILED,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        (
            "OpenSSL Error([('SSL routines', '', 'tlsv13 alert certificate required')])",
            Diagnosis.CLIENT_CERTIFICATE,
            Reason.UPSTREAM_UNREACHABLE,
        ),
        ("sslv3 alert bad certificate", Diagnosis.CLIENT_CERTIFICATE, Reason.UPSTREAM_UNREACHABLE),
        ("connection closed", Diagnosis.CLOSED, Reason.UPSTREAM_UNREACHABLE),
        (NOT_HTTP_ANSWER, Diagnosis.UPSTREAM_BROKEN, Reason.UPSTREAM_BROKEN),
        (NOT_HTTP_REQUEST, Diagnosis.MALFORMED_REQUEST, Reason.MALFORMED_REQUEST),
        (
            f"Connection killed: {refused_address('agent')}",
            Diagnosis.ADDRESS_REFUSED,
            Reason.ADDRESS_REFUSED,
        ),
    ],
)
def test_the_cause_is_named(
    flow: http.HTTPFlow, message: str, diagnosis: Diagnosis, reason: Reason
) -> None:
    error = failure(message, flow, stopping=False)
    assert error is not None
    assert (error.diagnosis, error.reason) == (diagnosis, reason)


def test_the_client_gets_the_same_in_the_answer(flow: http.HTTPFlow) -> None:
    event = ResponseProtocolError(1, REFUSED, ErrorCode.CONNECT_FAILED)
    page = ErrorPages(State())(flow, event)
    assert page is not None
    meaning = MEANINGS[Diagnosis.REFUSED]
    assert json.loads(page.text or "") == {
        "code": 502,
        "message": f"no answer from agent.acme.example:443: {meaning.sentence}",
        "details": {
            "reason": "upstream_unreachable",
            "diagnosis": "refused",
            "hint": meaning.way_out,
        },
    }
    assert page.headers["Proxy-Status"].startswith(
        'symphony-auth-proxy; error=connection_refused; details="refused: no answer from agent'
    )


def test_a_corporate_proxy_is_blamed_where_it_is_what_was_connected_to(
    flow: http.HTTPFlow,
) -> None:
    flow.server_conn.via = ("http", ("127.0.0.1", 1))
    error = failure(REFUSED, flow, stopping=False)
    assert error is not None
    assert error.diagnosis is Diagnosis.PROXY_UNREACHABLE


def test_words_that_nobody_knows_are_a_failed_connection_only_when_one_failed(
    flow: http.HTTPFlow,
) -> None:
    said = "something new\x1b[31m"
    assert failure(said, flow, stopping=False) is None
    page = ErrorPages(State())(flow, ResponseProtocolError(1, said, ErrorCode.CONNECT_FAILED))
    assert page is not None
    assert "(something new\\\\x1b[31m)" in (page.text or "")
    assert '"connect_failed"' in (page.text or "")


def test_a_client_that_has_left_is_no_fault_of_a_server(flow: http.HTTPFlow) -> None:
    assert failure("Client disconnected.", flow, stopping=False) is None
    gone = ResponseProtocolError(1, "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED)
    assert ErrorPages(State())(flow, gone) is None


def test_what_is_cut_off_by_the_proxys_own_end_says_so(flow: http.HTTPFlow) -> None:
    error = failure(NOT_HTTP_ANSWER, flow, stopping=True)
    assert error is not None
    assert error.diagnosis is Diagnosis.DRAINING


@pytest.mark.parametrize(
    "code", [ErrorCode.RESPONSE_VALIDATION_FAILED, ErrorCode.GENERIC_SERVER_ERROR]
)
@pytest.mark.parametrize("quoted", ["a-secret", "[Errno 24] a-secret", "OpenSSL a-secret"])
def test_words_that_may_quote_an_answer_are_not_repeated_and_not_believed(
    flow: http.HTTPFlow, code: ErrorCode, quoted: str
) -> None:
    page = ErrorPages(State())(flow, ResponseProtocolError(1, quoted, code))
    assert page is not None
    assert "a-secret" not in repr(page.get_state())
    assert json.loads(page.text or "")["details"]["diagnosis"] == "upstream_broken"
    assert failure(f"Received {quoted} from server", flow, stopping=False) is None


def test_words_of_a_corporate_proxy_are_not_repeated(flow: http.HTTPFlow) -> None:
    words = "Upstream proxy 127.0.0.1:1 refused HTTP CONNECT request: 403 sessionToken=abc"
    error = failure(words, flow, stopping=False)
    assert "abc" not in f"{error} {error.hint() if error else ''}"
