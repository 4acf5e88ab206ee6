"""Metrics: what Prometheus reads is what was counted, and no label grows without bound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.operations.metrics import exposition
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.telemetry import LOGIN_SECONDS, Event, Facts, Telemetry
from symphony_auth_proxy.tokens.account import BotStatus, TokenStatus

PREFIX = "symphony_auth_proxy_"


def token(kind: TokenKind, **changes: Any) -> TokenStatus:
    facts: dict[str, Any] = {"state": State.FRESH, "generation": 3, "logging_in": False}
    return TokenStatus(kind, **(facts | changes))


def read(telemetry: Telemetry, *bots: BotStatus) -> dict[tuple[str, frozenset[Any]], float]:
    """Return the samples as Prometheus reads them: name, labels → value."""

    def look() -> Status:
        return Status("1", 0, 0, Path("ca.pem"), bots=bots)

    text = exposition(look, telemetry)().decode()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    return {(one.name, frozenset(one.labels.items())): one.value for one in samples}


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


@pytest.mark.parametrize(
    ("event", "facts", "name", "expected"),
    [
        (
            Event.LOGIN_SUCCEEDED,
            Facts(bot="pricing-bot", kind="session", generation=4),
            "logins_total",
            labels(bot="pricing-bot", kind="session", reason="", result="ok"),
        ),
        (
            Event.LOGIN_FAILED,
            Facts(bot="pricing-bot", kind="key_manager", reason=Reason.CLOCK_SKEW),
            "logins_total",
            labels(bot="pricing-bot", kind="key_manager", reason="clock_skew", result="failed"),
        ),
        (
            Event.INJECTED,
            Facts(bot="pricing-bot", component=Component.AGENT),
            "requests_total",
            labels(component="agent", decision="injected"),
        ),
        (
            Event.PASSED,
            Facts(reason="login", host="acme.symphony.com"),
            "requests_total",
            labels(component="", decision="passed"),
        ),
        (
            Event.REFUSED,
            Facts(reason=Reason.CROSS_SITE),
            "requests_total",
            labels(component="", decision="refused"),
        ),
        (
            Event.REFUSED,
            Facts(reason=Reason.CROSS_SITE),
            "refused_total",
            labels(reason="cross_site"),
        ),
        (Event.RESENT, Facts(bot="b", result="200"), "resends_total", labels(result="200")),
        (
            Event.STALE_USED,
            Facts(bot="pricing-bot", kind="session"),
            "stale_used_total",
            labels(bot="pricing-bot", kind="session"),
        ),
        (
            Event.PASSTHROUGH,
            Facts(host="other.example"),
            "passthrough_connections_total",
            labels(),
        ),
        (
            Event.RELOADED,
            Facts(result="refused"),
            "config_reloads_total",
            labels(result="refused"),
        ),
    ],
)
def test_each_event_is_counted(
    event: Event, facts: Facts, name: str, expected: frozenset[tuple[str, str]]
) -> None:
    telemetry = Telemetry()
    for _ in range(3):
        telemetry.record(event, **facts)

    assert read(telemetry)[PREFIX + name, expected] == 3


def test_counts_are_added_up_over_what_a_metric_does_not_tell() -> None:
    telemetry = Telemetry()
    telemetry.record(Event.RESENT, bot="one", result="200")
    telemetry.record(Event.RESENT, bot="two", result="200")

    assert read(telemetry)[f"{PREFIX}resends_total", labels(result="200")] == 2


def test_logins_have_a_histogram() -> None:
    telemetry = Telemetry()
    for seconds in (0.05, 0.1, 0.3, 100.0):
        telemetry.record(Event.LOGIN_SUCCEEDED, bot="pricing-bot", kind="session", seconds=seconds)
    found = read(telemetry)

    def bucket(bound: str) -> float:
        labelled = labels(bot="pricing-bot", kind="session", le=bound)
        return found[f"{PREFIX}login_seconds_bucket", labelled]

    of_the_bot = labels(bot="pricing-bot", kind="session")
    assert [bucket(str(bound)) for bound in LOGIN_SECONDS[:3]] == [2, 2, 3]
    assert (bucket("30.0"), bucket("+Inf")) == (3, 4)
    assert found[f"{PREFIX}login_seconds_count", of_the_bot] == 4
    assert found[f"{PREFIX}login_seconds_sum", of_the_bot] == pytest.approx(100.45)


def test_tokens_are_told_by_bot_and_kind() -> None:
    session = token(TokenKind.SESSION, age=12.0, expires_in=600.0)
    key_manager = token(TokenKind.KEY_MANAGER, generation=0)
    found = read(Telemetry(), BotStatus("pricing-bot", session, key_manager, waiting=2))

    of_session = labels(bot="pricing-bot", kind="session")
    of_key_manager = labels(bot="pricing-bot", kind="key_manager")
    assert found[f"{PREFIX}token_age_seconds", of_session] == 12
    assert found[f"{PREFIX}token_expires_seconds", of_session] == 600
    assert found[f"{PREFIX}token_generation", of_session] == 3
    assert found[f"{PREFIX}token_generation", of_key_manager] == 0
    assert (f"{PREFIX}token_age_seconds", of_key_manager) not in found
    assert found[f"{PREFIX}waiters", labels(bot="pricing-bot")] == 2


@pytest.mark.parametrize("event", Event)
def test_what_others_choose_never_becomes_a_label(event: Event) -> None:
    telemetry = Telemetry()
    telemetry.record(
        event,
        client="canary",
        user="canary",
        method="canary",
        host="canary",
        path="/canary",
        error="canary",
        fingerprint="canary",
        seconds=1.0,
    )

    assert "canary" not in exposition(lambda: Status("1", 0, 0, Path("c")), telemetry)().decode()


def test_two_proxies_share_nothing_and_nothing_is_global() -> None:
    before = set(prometheus_client.REGISTRY._names_to_collectors)
    one, other = Telemetry(), Telemetry()
    one.record(Event.STALE_USED, bot="b", kind="session")

    sample = (f"{PREFIX}stale_used_total", labels(bot="b", kind="session"))
    assert sample in read(one)
    assert sample not in read(other)
    assert set(prometheus_client.REGISTRY._names_to_collectors) == before


def test_all_names_are_ours_and_say_their_unit() -> None:
    telemetry = Telemetry()
    for event in Event:
        telemetry.record(event, bot="b", kind="session", seconds=1.0)
    session, key_manager = token(TokenKind.SESSION, age=1.0), token(TokenKind.KEY_MANAGER)
    names = {name for name, _ in read(telemetry, BotStatus("b", session, key_manager))}

    assert all(name.startswith(PREFIX) for name in names)
    assert bare(names) >= {
        "logins_total",
        "login_seconds_bucket",
        "token_age_seconds",
        "token_generation",
        "waiters",
        "stale_used_total",
        "resends_total",
        "requests_total",
        "refused_total",
        "passthrough_connections_total",
        "config_reloads_total",
    }


def bare(names: Iterable[str]) -> set[str]:
    return {name.removeprefix(PREFIX) for name in names}
