"""The way to each host: name, connection, corporate proxy, TLS, and the certificates shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.x509 import Certificate

from symphony_auth_proxy.certificates import common_name
from symphony_auth_proxy.core.diagnosis import of_login
from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import services
from symphony_auth_proxy.doctor.certificates_shown import (
    inspector,
    issuers,
    missing_issuer,
    parsed,
)
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, in_words, of_error
from symphony_auth_proxy.doctor.visits import Answer, Host, Visit, wants_certificate
from symphony_auth_proxy.model import Component, TokenKind, UpstreamProxy
from symphony_auth_proxy.transport.unreachable import Unreachable

_AREA = Area.HOSTS

_EXPIRY_WARNING = timedelta(days=14)
"""Public CAs' certificates are renewed 30 days ahead, mostly by machines."""

_OF_THE_PROXY = {Diagnosis.PROXY_UNREACHABLE, Diagnosis.PROXY_CREDENTIALS}

_NO_WAY_WITHOUT_PROXY = {Diagnosis.DNS, Diagnosis.NO_ROUTE, Diagnosis.CONNECT_TIMEOUT}


class Ways:
    """Tells of the way to one host after the other. What is wrong with a corporate proxy is
    said once, not of every host behind it."""

    def __init__(self, trust_bundle: str, now: float, inherited: UpstreamProxy | None) -> None:
        """`now`: seconds since the epoch. `inherited`: the proxy that programs of this
        environment use, which `serve` does not."""
        self._trust_bundle = trust_bundle
        self._now = datetime.fromtimestamp(now, UTC)
        self._inherited = inherited
        self._blamed: set[object] = set()

    def told(self, visit: Visit) -> Iterator[Finding]:
        trouble = visit.trouble
        if not visit.answers:
            what = "not asked: other hosts took too long"
            yield Finding(_AREA, str(visit.host), Level.SKIPPED, what)
        elif trouble is None:
            yield from self._reached(visit)
        elif trouble.diagnosis in _OF_THE_PROXY:
            yield self._proxy(visit, trouble)
        else:
            yield self._trouble(visit, trouble)

    def _reached(self, visit: Visit) -> Iterator[Finding]:
        answer = next((one for one in visit.answers if one.response), visit.answers[0])
        chain = parsed(answer.connection.certificates) if answer.connection else ()
        yield Finding(_AREA, str(visit.host), Level.OK, _description(visit, answer, chain))
        if chain and chain[0].not_valid_after_utc - self._now < _EXPIRY_WARNING:
            yield _expiring(visit, chain[0].not_valid_after_utc - self._now)
        if device := inspector(chain, visit.host.origin.host):
            yield _inspected(visit, device)

    def _proxy(self, visit: Visit, trouble: Unreachable) -> Finding:
        proxy = visit.host.proxy
        assert proxy is not None
        subject = f"corporate proxy {proxy.host}:{proxy.port}"
        if visit.host.way.proxy in self._blamed:
            what = f"not reached: the {subject} stands in the way, as said above"
            return Finding(_AREA, str(visit.host), Level.SKIPPED, what)
        self._blamed.add(visit.host.way.proxy)
        why = "no host behind it can be reached"
        return of_error(_AREA, subject, trouble, why)

    def _trouble(self, visit: Visit, trouble: Unreachable) -> Finding:
        host, diagnosis = visit.host, trouble.diagnosis
        if host.components == {Component.KEY_MANAGER}:
            diagnosis = of_login(trouble, TokenKind.KEY_MANAGER).diagnosis
        what = harmless(str(trouble)).removeprefix(f"{host.origin} ")
        what_to_do = _other_way(host, trouble, self._inherited) or trouble.hint()
        if chain := parsed(visit.shown):
            what, what_to_do = _about_certificates(visit, trouble, chain, self._trust_bundle)
        why = f"{services.why(host.components)} (for {in_words(host.bots)})"
        return Finding(_AREA, str(host), Level.PROBLEM, what, why, what_to_do, diagnosis)


def _description(visit: Visit, answer: Answer, chain: Sequence[Certificate]) -> str:
    parts = [f"answers in {answer.seconds * 1000:.0f} ms{_way(visit.host.proxy)}"]
    if answer.connection is not None and answer.connection.tls_version is not None:
        parts.append(answer.connection.tls_version)
    if chain:
        until = f"{chain[0].not_valid_after_utc:%Y-%m-%d}"
        parts.append(f"certificate from {issuers(chain)}, valid until {until}")
    if any(wants_certificate(one) for one in visit.answers):
        parts.append("insists on a client certificate, as it should")
    return "; ".join(parts)


def _way(proxy: UpstreamProxy | None) -> str:
    return f" through {proxy.host}:{proxy.port}" if proxy else ""


def _other_way(host: Host, trouble: Unreachable, inherited: UpstreamProxy | None) -> str:
    """Return a way that probably works, where the host is not reached at all."""
    if trouble.diagnosis not in _NO_WAY_WITHOUT_PROXY or host.proxy is not None:
        return ""
    if inherited is not None:
        return (
            f"programs here are told of the proxy {inherited.host}:{inherited.port} by "
            "HTTPS_PROXY, which `serve` does not look at: configure it as `proxy`"
        )
    name, dot, rest = host.origin.host.partition(".")
    if host.origin.port == 8444 and trouble.diagnosis is Diagnosis.CONNECT_TIMEOUT and dot:
        other = name if name.endswith("-api") else f"{name}-api"
        return (
            "a firewall probably blocks port 8444. The same is offered on port 443 of the pod's "
            f"`-api` host: configure `sessionAuth` and `keyManager` as {other}.{rest}, without a "
            "port"
        )
    return ""


def _about_certificates(
    visit: Visit, trouble: Unreachable, chain: Sequence[Certificate], trust_bundle: str
) -> tuple[str, str]:
    """Return what is the matter, and what to do."""
    leaf = chain[0]
    signed = f"it was signed by {issuers(chain)}"
    if trouble.diagnosis is Diagnosis.CERTIFICATE_EXPIRED:
        valid = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
        return f"{trouble}; it is valid from {valid}, and {signed}", trouble.hint()
    if trouble.diagnosis is Diagnosis.CERTIFICATE_NAME:
        return f"{trouble} ({harmless(common_name(leaf))}); {signed}", trouble.hint()
    what = f"{trouble}; {signed}; {missing_issuer(chain, trust_bundle)}"
    if device := inspector(chain, visit.host.origin.host):
        return (
            f"a device that inspects TLS ({device}) stands before {visit.host.origin}: {what}",
            "add its CA's certificate (PEM) as ssl.trustStore.path; for logins by certificate ask "
            "its operators to leave this host alone",
        )
    return what, trouble.hint()


def _expiring(visit: Visit, left: timedelta) -> Finding:
    return Finding(
        _AREA,
        str(visit.host),
        Level.WARNING,
        f"its certificate expires in {max(left.days, 0)} days",
        "from that day on nothing is sent there",
        "its operators must renew it",
        Diagnosis.CERTIFICATE_EXPIRED,
    )


def _inspected(visit: Visit, device: str) -> Finding:
    certificates_matter = any(use.shows_certificate for use in visit.host.uses)
    return Finding(
        _AREA,
        str(visit.host),
        Level.WARNING if certificates_matter else Level.NOTE,
        f"a device that inspects TLS ({device}) reads what is sent there",
        "the client certificate of a login does not get through it"
        if certificates_matter
        else "it sees the tokens",
        "ask its operators to leave this host alone",
        Diagnosis.CLIENT_CERTIFICATE if certificates_matter else None,
    )
