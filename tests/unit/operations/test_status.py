"""What is told about the proxy: when it is ready, what a reload has changed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from support.clock import TurnedClock
from support.settings import bot, settings
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import ConfigError, Problem, Reason
from symphony_auth_proxy.model import Client, Origin, OtherHosts, Settings, TokenKind, UpstreamProxy
from symphony_auth_proxy.operations.changes import changes
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.passwords import PlainPassword
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.telemetry import Event, Telemetry
from symphony_auth_proxy.tokens.account import BotStatus, TokenStatus

TWO = settings(bot("pricing-bot"), bot("compliance-bot"))


def status(
    settings: Settings | None = TWO,
    *logins: tuple[Event, str],
    telemetry: Telemetry | None = None,
    **changes: Any,
) -> Status:
    telemetry = telemetry or Telemetry()
    for event, name in logins:
        telemetry.record(event, bot=name, kind=TokenKind.SESSION)
    facts: dict[str, Any] = {
        "version": "1",
        "since": 1000.0,
        "now": 1060.0,
        "ca_certificate": Path("ca.pem"),
        "listeners": [Origin("127.0.0.1", 8080)],
        "draining": False,
        "trouble": None,
    }
    return Status.of(settings, None, telemetry, **(facts | changes))


SETTLED = ((Event.LOGIN_SUCCEEDED, "pricing-bot"), (Event.LOGIN_FAILED, "compliance-bot"))


def test_it_is_ready_once_each_bot_has_tried_to_log_in() -> None:
    assert status(TWO).obstacles() == (
        "the first login of pricing-bot has not ended yet",
        "the first login of compliance-bot has not ended yet",
    )
    assert status(TWO, SETTLED[0]).obstacles() == (
        "the first login of compliance-bot has not ended yet",
    )


def test_a_bot_with_a_revoked_key_does_not_take_the_proxy_out_of_service() -> None:
    assert status(TWO, *SETTLED).obstacles() == ()


def test_a_bot_that_a_reload_brings_is_waited_for() -> None:
    three = settings(*TWO.bots, bot("third-bot"))
    assert status(three, *SETTLED).obstacles() == (
        "the first login of third-bot has not ended yet",
    )


def test_a_key_manager_login_alone_is_not_the_login_of_a_bot() -> None:
    telemetry = Telemetry()
    telemetry.record(Event.LOGIN_SUCCEEDED, bot="pricing-bot", kind=TokenKind.KEY_MANAGER)
    found = Status.of(
        settings(),
        None,
        telemetry,
        version="1",
        since=0,
        now=0,
        ca_certificate=Path("ca.pem"),
        listeners=(),
        draining=False,
        trouble=None,
    )
    assert found.awaited == ("pricing-bot",)


def test_a_proxy_that_stops_is_not_ready() -> None:
    assert status(TWO, *SETTLED, draining=True, listeners=[]).obstacles() == (
        "the proxy is stopping",
    )


def test_without_a_listener_it_is_not_ready() -> None:
    assert status(TWO, *SETTLED, listeners=[]).obstacles() == ("no listener is open",)


def test_without_a_good_configuration_it_is_not_ready_and_says_so_in_one_line() -> None:
    trouble = ConfigError([Problem("host", "is missing")], source="config.yaml")
    found = status(None, trouble=trouble)

    assert found.obstacles() == ("configuration: config.yaml has 1 problem",)


def test_everything_fits_into_json() -> None:
    token = TokenStatus(TokenKind.SESSION, State.FRESH, 3, False, 12.5, 600.0, "7f3a")
    other = dataclasses.replace(token, kind=TokenKind.KEY_MANAGER, trouble="login_rejected: no")
    bots = (BotStatus("pricing-bot", token, other, users=2),)
    found = dataclasses.replace(status(TWO, *SETTLED), bots=bots)

    told = json.loads(json.dumps(found.as_json()))

    assert told["ready"] is True
    assert told["uptime"] == 60.0
    assert told["listeners"] == ["127.0.0.1:8080"]
    assert told["users"] == 2
    assert set(told["decisions"]) == {"injected", "passed", "answered", "refused", "passthrough"}
    assert told["bots"][0]["session"]["fingerprint"] == "7f3a"
    assert told["bots"][0]["key_manager"]["trouble"] == "login_rejected: no"


def test_the_last_logins_are_told_newest_first_with_when_they_were() -> None:
    clock = TurnedClock(1000.0)
    telemetry = Telemetry(clock)
    telemetry.record(
        Event.LOGIN_SUCCEEDED,
        bot="pricing-bot",
        kind=TokenKind.SESSION,
        generation=3,
        fingerprint="7f3a",
        seconds=0.2,
    )
    clock.step_wall(5)
    telemetry.record(
        Event.LOGIN_FAILED,
        bot="pricing-bot",
        user="alice",
        kind="user_session",
        reason=Reason.LOGIN_REJECTED,
        diagnosis=Diagnosis.USER_NOT_ACCEPTED,
        error="the pod knows no alice",
    )

    failed, succeeded = status(telemetry=telemetry).as_json()["logins"]

    assert failed == {
        "at": 1005.0,
        "event": "login_failed",
        "result": "failed",
        "bot": "pricing-bot",
        "user": "alice",
        "kind": "user_session",
        "component": None,
        "reason": "login_rejected",
        "diagnosis": "user_not_accepted",
        "error": "the pod knows no alice",
        "seconds": None,
        "fingerprint": None,
        "generation": None,
    }
    assert (succeeded["at"], succeeded["result"]) == (1000.0, "ok")
    assert (succeeded["fingerprint"], succeeded["generation"]) == ("7f3a", 3)


def test_requests_are_counted_by_bot_and_component() -> None:
    telemetry = Telemetry()
    for bot_name, component, times in (
        ("pricing-bot", "agent", 3),
        ("pricing-bot", "pod", 1),
        ("compliance-bot", "pod", 2),
    ):
        for _ in range(times):
            telemetry.record(
                Event.INJECTED, bot=bot_name, component=component, user="alice", generation=1
            )
    for reason in ("login", "other_path", "other_path"):
        telemetry.record(Event.PASSED, reason=reason, host="acme.symphony.com")
    telemetry.record(Event.RESENT, bot="pricing-bot", result="200")

    told = status(telemetry=telemetry)

    assert told.requests == {"pricing-bot": {"agent": 3, "pod": 1}, "compliance-bot": {"pod": 2}}
    assert list(told.passed.items()) == [("other_path", 2), ("login", 1)]
    assert told.resends == {"200": 1}


def test_refusals_are_counted_by_reason_and_the_last_one_is_told() -> None:
    clock = TurnedClock(1000.0)
    telemetry = Telemetry(clock)
    for client_name in ("pricing", "risk"):
        telemetry.record(Event.REFUSED, reason="client_unknown", host="a", client=client_name)
        clock.step_wall(1)
    telemetry.record(Event.REFUSED, reason="cross_site", host="b")

    latest, before = status(telemetry=telemetry).refusals

    assert (latest.reason, latest.count, latest.at, latest.client) == ("cross_site", 1, 1002, None)
    assert (before.reason, before.count, before.at) == ("client_unknown", 2, 1001)
    assert (before.host, before.client) == ("a", "risk")


def client(name: str, password: str) -> Client:
    return Client(name, PlainPassword(Secret(password)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"bots": (bot("pricing-bot"),)}, ["bot compliance-bot: gone"]),
        ({"bots": (*TWO.bots, bot("third"))}, ["bot third: new"]),
        ({"bots": TWO.bots[::-1]}, ["the default bot is compliance-bot"]),
        (
            {"bots": (TWO.bots[0], dataclasses.replace(TWO.bots[1], listen=Origin("::1", 1)))},
            ["bot compliance-bot: changed"],
        ),
        ({"clients": (client("risk", "canary"),)}, ["client risk: new"]),
        ({"drain_seconds": 5.0}, ["drainSeconds: 25 → 5"]),
        ({"other_hosts": OtherHosts.REFUSE}, ["otherHosts: passthrough → refuse"]),
        ({"answer_logins": True}, ["answerLogins: false → true"]),
        ({"admin_listen": Origin("::1", 9090)}, ["admin.listen: unset → [::1]:9090"]),
        (
            {"listen": Origin("127.0.0.1", 1)},
            ["listen: 127.0.0.1:8080 → 127.0.0.1:1 (from the next start on)"],
        ),
        ({"trust_bundle": "other"}, ["the trusted CAs changed"]),
        (
            {"proxy": UpstreamProxy("proxy", 1, "user", Secret("canary-password"))},
            ["proxy changed"],
        ),
    ],
)
def test_a_reload_tells_what_it_changed(change: dict[str, Any], told: list[str]) -> None:
    assert changes(TWO, dataclasses.replace(TWO, **change)) == told


def test_a_changed_password_is_told_without_telling_it() -> None:
    old = dataclasses.replace(TWO, clients=(client("risk", "canary-old"),))
    new = dataclasses.replace(TWO, clients=(client("risk", "canary-new"),))

    assert changes(old, new) == ["client risk: changed"]
