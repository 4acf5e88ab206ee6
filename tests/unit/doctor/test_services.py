"""Is it what it should be? Read off answers to questions that anybody may ask."""

from __future__ import annotations

import pytest

from support.settings import endpoint
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level
from symphony_auth_proxy.doctor.services import judged
from symphony_auth_proxy.doctor.visits import Answer, Use
from symphony_auth_proxy.errors import LoginError, LoginProtocolError
from symphony_auth_proxy.model import Component, Endpoint, LoginResponse
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable

HTML, JSON = "text/html; charset=utf-8", "application/json"
POD, AGENT, KEY_MANAGER = Component.POD, Component.AGENT, Component.KEY_MANAGER
PLACE = endpoint("acme.symphony.com")


def answer(
    component: Component,
    status: int = 200,
    body: bytes = b"<html>",
    kind: str = HTML,
    *,
    error: LoginError | None = None,
    at: Endpoint = PLACE,
) -> Answer:
    use = Use(component, "pricing-bot", at, by_certificate=False)
    response = None if error else LoginResponse(status, {"content-type": kind}, body, 0.0)
    return Answer(use, "/asked", 0.1, response, error)


def only(*answers: Answer) -> Finding:
    (finding,) = judged(answers)
    return finding


@pytest.mark.parametrize(
    ("component", "status", "body", "diagnosis"),
    [
        (POD, 200, b"<html>", Diagnosis.NOT_SYMPHONY),
        (POD, 404, b"<html>", Diagnosis.NOT_SYMPHONY),
        (POD, 302, b"", Diagnosis.NOT_SYMPHONY),
        (POD, 200, b"[1]", Diagnosis.NOT_SYMPHONY),
        (POD, 403, b"<html>", Diagnosis.GATEWAY_REFUSED),
        (POD, 503, b"<html>", Diagnosis.GATEWAY_UNAVAILABLE),
        (POD, 503, b'{"code": 503}', Diagnosis.SYMPHONY_UNAVAILABLE),
        (POD, 429, b'{"code": 429}', Diagnosis.SYMPHONY_UNAVAILABLE),
        (AGENT, 200, b"<html>", Diagnosis.WRONG_COMPONENT),
        (AGENT, 404, b"<html>", Diagnosis.WRONG_COMPONENT),
        (AGENT, 401, b"<html>", Diagnosis.GATEWAY_REFUSED),
        (AGENT, 502, b"", Diagnosis.GATEWAY_UNAVAILABLE),
        (KEY_MANAGER, 503, b"<html>", Diagnosis.KEY_MANAGER_UNAVAILABLE),
        (KEY_MANAGER, 500, b'{"code": 500}', Diagnosis.KEY_MANAGER_UNAVAILABLE),
    ],
)
def test_what_is_not_the_right_service_is_named(
    component: Component, status: int, body: bytes, diagnosis: Diagnosis
) -> None:
    finding = only(answer(component, status, body))
    assert (finding.level, finding.diagnosis) == (Level.PROBLEM, diagnosis)
    assert finding.subject == f"{component} at acme.symphony.com:443"
    assert finding.why
    assert finding.what_to_do


@pytest.mark.parametrize(
    ("component", "status", "body", "what"),
    [
        (POD, 200, b'{"certificate": "..."}', "answers as a pod does"),
        (POD, 401, b'{"code": 401, "message": "no"}', "answers as a pod does"),
        (AGENT, 200, b'{"version": "Agent-24.12.1"}', "is an agent, version Agent-24.12.1"),
    ],
)
def test_what_is_right_is_well(component: Component, status: int, body: bytes, what: str) -> None:
    finding = only(answer(component, status, body, JSON))
    assert (finding.level, finding.what) == (Level.OK, what)


@pytest.mark.parametrize("version", ['"\\u001b[2J"', "7", '"' + "9" * 500 + '"'])
def test_a_version_that_is_none_is_a_warning_and_not_repeated(version: str) -> None:
    finding = only(answer(AGENT, 200, f'{{"version": {version}}}'.encode(), JSON))
    assert finding.level is Level.WARNING
    assert finding.what == "does not tell an agent's version"


@pytest.mark.parametrize("status", [200, 400, 401, 404, 405])
def test_a_login_service_is_not_judged_by_what_it_says_to_nobody(status: int) -> None:
    assert list(judged([answer(KEY_MANAGER, status)])) == []


def test_a_gateway_that_may_want_configured_headers_is_not_accused() -> None:
    gateway = Endpoint(PLACE.origin, headers=(("X-Api-Key", Secret("key")),))
    assert only(answer(POD, 403, at=gateway)).level is Level.NOTE


def test_the_last_question_counts() -> None:
    assert only(answer(POD, 404), answer(POD, 200, b"{}", JSON)).level is Level.OK


def test_a_page_too_large_for_an_answer_is_no_symphony() -> None:
    finding = only(answer(POD, error=LoginProtocolError("more than 64 KiB")))
    assert finding.diagnosis is Diagnosis.NOT_SYMPHONY


def test_slowness_of_one_service_is_told_in_the_words_of_the_error() -> None:
    slow = Unreachable(Trouble.READ_TIMEOUT, "did not answer in time", hint="wait")
    finding = only(answer(AGENT, error=slow))
    assert (finding.diagnosis, finding.what_to_do) == (Diagnosis.READ_TIMEOUT, "wait")


def test_a_content_type_cannot_reach_a_terminal_as_it_is() -> None:
    assert only(answer(POD, 404, kind="\x1b[2Jtext/html")).what.isprintable()
