"""What is said of the way to a host, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pki import company_ca, rsa_key
from support.settings import endpoint
from symphony_auth_proxy.certificates import make_ca, make_server_certificate
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Finding, Level
from symphony_auth_proxy.doctor.reach import Ways
from symphony_auth_proxy.doctor.visits import Answer, Host, Use, Visit, way_of
from symphony_auth_proxy.model import Component, Endpoint, LoginResponse, UpstreamProxy
from symphony_auth_proxy.transport import Connection
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable

DAY = 86_400.0
CORPORATE = UpstreamProxy("proxy.corp.example", 3128)


def visit(
    component: Component,
    place: Endpoint,
    trouble: Trouble | None = None,
    *,
    certificates: tuple[bytes, ...] = (),
    by_certificate: bool = False,
) -> Visit:
    use = Use(component, "pricing-bot", place, by_certificate)
    if trouble is None:
        connection = Connection(("192.0.2.1", 443), ("", 0), 0.0, 0.0, certificates=certificates)
        answer = Answer(use, "/", 0.1, LoginResponse(200, {}, b"{}", 0.0), connection=connection)
        return Visit(Host(way_of(place), place.proxy, [use]), [answer])
    error = Unreachable(trouble, f"{place.origin} is in trouble", hint="the usual hint")
    answer = Answer(use, "/", 0.1, error=error)
    return Visit(Host(way_of(place), place.proxy, [use]), [answer], certificates)


def told(seen: Visit, *, now: float = 0.0, inherited: UpstreamProxy | None = None) -> list[Finding]:
    return list(Ways("", now, inherited).told(seen))


def shown(ca_name: str, host: str) -> tuple[bytes, ...]:
    ca = company_ca() if ca_name == "Company CA" else make_ca(ca_name, key=rsa_key())
    leaf = make_server_certificate([host], *ca, key=rsa_key()).certificate
    return tuple(one.public_bytes(Encoding.DER) for one in (leaf, ca.certificate))


def test_port_8444_that_is_blocked_leads_to_the_api_host() -> None:
    place = endpoint("acme.symphony.com", 8444)
    seen = visit(Component.SESSION_AUTH, place, Trouble.CONNECT_TIMEOUT, by_certificate=True)
    (finding,) = told(seen)
    assert finding.subject == "sessionAuth at acme.symphony.com:8444"
    assert finding.what == "is in trouble"
    assert "as acme-api.symphony.com, without a port" in finding.what_to_do
    assert finding.why == "logins by certificate go there (for pricing-bot)"


def test_other_ports_get_the_usual_hint() -> None:
    seen = visit(Component.POD, endpoint("acme.symphony.com"), Trouble.CONNECT_TIMEOUT)
    assert told(seen)[0].what_to_do == "the usual hint"


@pytest.mark.parametrize(
    ("trouble", "pointed_at"),
    [(Trouble.DNS, True), (Trouble.NO_ROUTE, True), (Trouble.TLS_FAILED, False)],
)
def test_a_proxy_of_the_environment_is_pointed_at_where_it_would_help(
    trouble: Trouble, pointed_at: bool
) -> None:
    seen = visit(Component.POD, endpoint("acme.symphony.com"), trouble)
    what_to_do = told(seen, inherited=CORPORATE)[0].what_to_do
    assert ("proxy.corp.example:3128" in what_to_do) is pointed_at


def test_trouble_with_a_corporate_proxy_is_told_once_and_is_the_proxys() -> None:
    place = replace(endpoint("acme.symphony.com"), proxy=CORPORATE)
    ways = Ways("", 0.0, None)
    first, second = (
        next(iter(ways.told(visit(component, place, Trouble.PROXY_UNREACHABLE))))
        for component in (Component.POD, Component.AGENT)
    )
    assert first.subject == "corporate proxy proxy.corp.example:3128"
    assert (first.level, second.level) == (Level.PROBLEM, Level.SKIPPED)


@pytest.mark.parametrize(
    ("trouble", "diagnosis"),
    [
        (Trouble.REFUSED, Diagnosis.KEY_MANAGER_UNAVAILABLE),
        (Trouble.DNS, Diagnosis.DNS),
        (Trouble.CERTIFICATE_UNTRUSTED, Diagnosis.CERTIFICATE_UNTRUSTED),
    ],
)
def test_a_key_manager_that_is_down_is_called_so(trouble: Trouble, diagnosis: Diagnosis) -> None:
    seen = visit(Component.KEY_MANAGER, endpoint("km.acme.example"), trouble)
    assert told(seen)[0].diagnosis is diagnosis


def test_a_device_that_inspects_tls_is_named_as_the_one_that_is_not_trusted() -> None:
    certificates = shown("Zscaler Root CA", "km.acme.example")
    seen = visit(
        Component.POD,
        endpoint("km.acme.example"),
        Trouble.CERTIFICATE_UNTRUSTED,
        certificates=certificates,
    )
    (finding,) = told(seen)
    assert "a device that inspects TLS (Zscaler Root CA)" in finding.what
    assert "ssl.trustStore.path" in finding.what_to_do


@pytest.mark.parametrize("by_certificate", [False, True])
def test_one_that_is_trusted_is_told_of_too_for_no_client_certificate_gets_through_it(
    by_certificate: bool,
) -> None:
    seen = visit(
        Component.KEY_MANAGER,
        endpoint("km.acme.example"),
        certificates=shown("Netskope CA", "km.acme.example"),
        by_certificate=by_certificate,
    )
    levels = [one.level for one in told(seen)]
    assert levels == [Level.OK, Level.WARNING if by_certificate else Level.NOTE]


def test_a_certificate_that_ends_soon_is_worth_a_warning() -> None:
    certificates = shown("Company CA", "km.acme.example")
    seen = visit(Component.POD, endpoint("km.acme.example"), certificates=certificates)
    assert len(told(seen)) == 1
    soon = datetime.now(UTC).timestamp() + 360 * DAY
    warning = told(seen, now=soon)[1]
    assert (warning.level, warning.diagnosis) == (Level.WARNING, Diagnosis.CERTIFICATE_EXPIRED)


def test_a_host_that_was_not_asked_in_time_is_said_to_be_so() -> None:
    place = endpoint("acme.symphony.com")
    seen = Visit(Host(way_of(place), None, [Use(Component.POD, "pricing-bot", place, False)]))
    assert told(seen)[0].level is Level.SKIPPED
