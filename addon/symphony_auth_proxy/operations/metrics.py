"""Metrics for Prometheus, counted elsewhere.

The hot path counts into `telemetry` and nothing else. Whoever asks for metrics gets those
counters and a look at the tokens, put into Prometheus' words at that moment, by a registry
of this proxy's own. All label values are out of closed sets or out of the configuration:
no user, client, host or path ever becomes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from symphony_auth_proxy.operations.status import DECISIONS, Status
from symphony_auth_proxy.telemetry import LOGIN_SECONDS, Event, Fact, Telemetry
from symphony_auth_proxy.tokens.account import BotStatus, TokenStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that every Prometheus reads."""

_PREFIX = "symphony_auth_proxy_"

# Event → metric, its labels, the labels that are given by the event itself.
_COUNTERS: tuple[tuple[str, str, tuple[str, ...], Mapping[Event, Mapping[str, str]]], ...] = (
    (
        "logins",
        "Logins, by how they ended.",
        ("bot", "kind", "reason", "result"),
        {Event.LOGIN_SUCCEEDED: {"result": "ok"}, Event.LOGIN_FAILED: {"result": "failed"}},
    ),
    (
        "requests",
        "Requests to Symphony, by what was decided about them.",
        ("component", "decision"),
        {
            event: {"decision": name}
            for event, name in DECISIONS.items()
            if event is not Event.PASSTHROUGH
        },
    ),
    (
        "refused",
        "Requests that the proxy refused.",
        ("reason",),
        {Event.REFUSED: {}},
    ),
    (
        "resends",
        "Requests that were sent once more with new tokens, by the status they got then.",
        ("result",),
        {Event.RESENT: {}},
    ),
    (
        "stale_used",
        "Requests that got a token which should have been replaced before.",
        ("bot", "kind"),
        {Event.STALE_USED: {}},
    ),
    (
        "passthrough_connections",
        "Connections to hosts that are not Symphony's.",
        (),
        {Event.PASSTHROUGH: {}},
    ),
    (
        "config_reloads",
        "Configurations that were loaded again, by how that ended.",
        ("result",),
        {Event.RELOADED: {}},
    ),
)


class ProxyCollector(Collector):
    """Puts one proxy's counters and tokens into Prometheus' words."""

    def __init__(self, look: Callable[[], Status], telemetry: Telemetry) -> None:
        self._look = look
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        counted = list(self._telemetry.counts())
        for name, told, labels, events in _COUNTERS:
            family = CounterMetricFamily(_PREFIX + name, told, labels=labels)
            for values, number in _sums(counted, labels, events).items():
                family.add_metric(values, number)
            yield family
        yield self._login_seconds()
        status = self._look()
        yield from _of_tokens(status.bots)
        yield _gauge("waiters", "Requests that wait for tokens now.", ("bot",), (
            ((bot.bot,), bot.waiting) for bot in status.bots
        ))  # fmt: skip

    def _login_seconds(self) -> Metric:
        family = HistogramMetricFamily(
            f"{_PREFIX}login_seconds",
            "How long logins took that brought a token.",
            labels=("bot", "kind"),
        )
        for labels, durations in self._telemetry.login_seconds():
            buckets, below = [], 0
            for bound, number in zip((*LOGIN_SECONDS, None), durations.counts, strict=True):
                below += number
                buckets.append(("+Inf" if bound is None else str(bound), below))
            values = [str(labels.get(name, "")) for name in ("bot", "kind")]
            family.add_metric(values, buckets, durations.total)
        return family


def exposition(look: Callable[[], Status], telemetry: Telemetry) -> Callable[[], bytes]:
    """Return what makes the page of metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProxyCollector(look, telemetry))
    return lambda: generate_latest(registry)


def _sums(
    counted: Iterable[tuple[Event, Mapping[str, Fact], int]],
    labels: tuple[str, ...],
    events: Mapping[Event, Mapping[str, str]],
) -> Counter[tuple[str, ...]]:
    """Add up over the labels that a metric does not have. One that an event does not tell
    is empty, which to Prometheus is the same as not there."""
    sums: Counter[tuple[str, ...]] = Counter()
    for event, having, number in counted:
        if event in events:
            told = {**having, **events[event]}
            sums[tuple(str(told.get(label, "")) for label in labels)] += number
    return sums


def _of_tokens(bots: Iterable[BotStatus]) -> Iterator[Metric]:
    tokens = [(bot.bot, token) for bot in bots for token in (bot.session, bot.key_manager)]
    for name, told, value in _TOKEN_GAUGES:
        samples = (((bot, str(token.kind)), value(token)) for bot, token in tokens)
        yield _gauge(name, told, ("bot", "kind"), samples)


_TOKEN_GAUGES: tuple[tuple[str, str, Callable[[TokenStatus], float | None]], ...] = (
    ("token_age_seconds", "How old the token is.", lambda token: token.age),
    (
        "token_expires_seconds",
        "How long the token will live; left out while that is unknown.",
        lambda token: token.expires_in,
    ),
    ("token_generation", "How many tokens there have been.", lambda token: token.generation),
)


def _gauge(
    name: str,
    told: str,
    labels: tuple[str, ...],
    samples: Iterable[tuple[tuple[str, ...], float | None]],
) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, told, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, value)
    return family
