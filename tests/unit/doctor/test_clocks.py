"""Whose clock is wrong: read off the `Date` of answers."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.clock import NOON
from support.settings import endpoint
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level
from symphony_auth_proxy.doctor.clocks import compared
from symphony_auth_proxy.doctor.visits import Answer, Host, Use, Visit, way_of
from symphony_auth_proxy.model import Component, LoginResponse


def visit(name: str, date: str | None) -> Visit:
    """A host that was asked at noon, and what it says of the time."""
    place = endpoint(name)
    use = Use(Component.POD, "pricing-bot", place, by_certificate=False)
    headers = {} if date is None else {"date": date}
    response = LoginResponse(200, headers, b"{}", received=NOON)
    return Visit(Host(way_of(place), None, [use]), [Answer(use, "/", 0.1, response)])


def found(**ahead: float) -> list[Finding]:
    """What is said when this machine is so many seconds ahead of these hosts."""
    return list(
        compared(visit(name, formatdate(NOON - s, usegmt=True)) for name, s in ahead.items())
    )


def test_hosts_that_agree_are_named() -> None:
    (finding,) = found(pod=1.0, agent=-3.0)
    assert finding.level is Level.OK
    assert "pod:443 and agent:443" in finding.what


@pytest.mark.parametrize(
    ("seconds", "level", "side"),
    [
        (600, Level.PROBLEM, "10 min ahead of"),
        (-600, Level.PROBLEM, "10 min behind"),
        (61, Level.PROBLEM, "61 s ahead of"),
        (30, Level.WARNING, "30 s ahead of"),
    ],
)
def test_this_machine_is_wrong_when_all_hosts_say_so(
    seconds: float, level: Level, side: str
) -> None:
    (finding,) = found(pod=seconds, agent=seconds)
    assert (finding.subject, finding.level) == ("this machine", level)
    assert finding.diagnosis is Diagnosis.CLOCK_SKEW
    assert side in finding.what
    assert "NTP" in finding.what_to_do


def test_a_host_is_wrong_when_another_agrees_with_this_machine() -> None:
    (finding,) = found(pod=0.0, keymanager=300.0)
    assert finding.subject == "keymanager:443"
    assert "5 min behind" in finding.what
    assert "pod:443" in finding.what_to_do


def test_nothing_is_said_of_hosts_that_tell_no_time() -> None:
    assert list(compared([visit("pod", None)])) == []


@given(st.text(max_size=60))
def test_no_date_is_too_strange(date: str) -> None:
    assert len(list(compared([visit("pod", date)]))) <= 1
