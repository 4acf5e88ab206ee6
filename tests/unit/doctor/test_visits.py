"""What hosts are asked, by whom they are needed, and how long that may take."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from loopback import CA, OK, Pod, demanding_context, listening, run, server_context, silence
from pki import company_ca
from support.settings import bot, pod
from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.certificates import certificates_pem
from symphony_auth_proxy.clock import SystemClock
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import visits
from symphony_auth_proxy.doctor.visits import Visit, all_visited, hosts_of, wants_certificate
from symphony_auth_proxy.keys import CertificateFile
from symphony_auth_proxy.model import Bot, Component, Endpoint, Origin, UpstreamProxy
from symphony_auth_proxy.model import Pod as SymphonyPod
from symphony_auth_proxy.secret import Secret

TRUST = CA.cert_pem.bytes().decode()


def by_certificate(username: str, at: SymphonyPod) -> Bot:
    source = CertificateFile(username, Path("none.p12"))
    return Bot(username, at, CertificateLogin(username, source))


def everything_at(place: Endpoint) -> SymphonyPod:
    return SymphonyPod(place, place, place, place)


async def visit(*bots: Bot) -> list[Visit]:
    return await all_visited(hosts_of(bots), TRUST, SystemClock())


def test_a_host_is_asked_once_for_all_bots_that_need_it() -> None:
    hosts = hosts_of([bot("a"), bot("b")])
    assert [str(host) for host in hosts] == [
        "pod at acme.symphony.com:443",
        "agent at agent.acme.example:443",
        "keyManager at km.acme.example:443",
    ]
    assert all(host.bots == ("a", "b") for host in hosts)


def test_where_certificates_are_asked_for_concerns_those_who_have_one() -> None:
    components = [host.components for host in hosts_of([by_certificate("a", pod())])]
    assert {Component.SESSION_AUTH} in components


def test_two_ways_to_one_address_are_two() -> None:
    place = Origin("acme.symphony.com", 443)
    through = Endpoint(place, proxy=UpstreamProxy("proxy.corp.example", 3128))
    hosts = hosts_of([bot("a", everything_at(through)), bot("b", everything_at(Endpoint(place)))])
    assert len(hosts) == 2


def test_questions_are_public_and_bring_no_secret() -> None:
    answering = Pod(OK)

    async def main() -> None:
        async with listening(answering, server_context()) as port:
            place = Endpoint(
                Origin("localhost", port),
                context="/gateway",
                headers=(("X-Api-Key", Secret("the gateway's key")),),
            )
            await visit(bot("a", everything_at(place)), by_certificate("b", everything_at(place)))

    run(main())
    heads = [one.partition(b"\r\n")[0].decode() for one in answering.received]
    assert sorted(heads) == [
        "GET /gateway/agent/v1/info HTTP/1.1",
        "GET /gateway/keyauth/v1/authenticate HTTP/1.1",
        "GET /gateway/pod/v1/podcert HTTP/1.1",
        "GET /gateway/relay/pubkey/authenticate HTTP/1.1",
        "GET /gateway/sessionauth/v1/authenticate HTTP/1.1",
    ]
    sent = b"".join(answering.received).lower()
    assert b"gateway's key" not in sent
    assert not any(name in sent for name in (b"token:", b"authorization", b"cookie"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_host_that_insists_on_the_certificate_is_as_it_should_be(
    version: ssl.TLSVersion,
) -> None:
    """asyncio's server leaves without an alert; under TLS 1.2 that says too little."""
    tls = demanding_context()
    tls.minimum_version = tls.maximum_version = version

    async def main() -> Visit:
        async with listening(Pod(OK), tls) as port, listening(Pod(OK), server_context()) as other:
            at = everything_at(Endpoint(Origin("localhost", other)))
            place = SymphonyPod(at.pod, at.pod, at.pod, Endpoint(Origin("localhost", port)))
            visits = await visit(by_certificate("a", place))
            return next(one for one in visits if Component.SESSION_AUTH in one.host.components)

    seen = run(main())
    expected = version is ssl.TLSVersion.TLSv1_3
    assert wants_certificate(seen.answers[0]) is expected
    assert (seen.trouble is None) is expected


def test_the_same_of_a_host_for_logins_by_key_is_trouble() -> None:
    async def main() -> list[Visit]:
        async with listening(Pod(OK), demanding_context()) as port:
            return await visit(bot("a", everything_at(Endpoint(Origin("localhost", port)))))

    (seen,) = run(main())
    assert seen.trouble is not None


def test_certificates_that_are_not_trusted_are_looked_at() -> None:
    async def main() -> list[Visit]:
        async with listening(Pod(OK), server_context()) as port:
            hosts = hosts_of([bot("a", everything_at(Endpoint(Origin("localhost", port))))])
            other = certificates_pem([company_ca().certificate]).decode()
            return await all_visited(hosts, other, SystemClock())

    (seen,) = run(main())
    assert seen.trouble is not None
    assert seen.trouble.diagnosis is Diagnosis.CERTIFICATE_UNTRUSTED
    assert seen.shown


def test_one_slow_service_does_not_make_the_host_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visits, "READ_SECONDS", 0.2)
    answering = Pod(OK)

    async def slow_agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/agent/" in head:
            await silence(reader, writer)
        writer.write(answering.answer)
        await writer.drain()

    async def main() -> list[Visit]:
        async with listening(slow_agent, server_context()) as port:
            return await visit(bot("a", everything_at(Endpoint(Origin("localhost", port)))))

    (seen,) = run(main())
    assert seen.trouble is None
    slow = next(one for one in seen.answers if one.path.startswith("/agent/"))
    assert slow.error is not None
    assert slow.error.diagnosis is Diagnosis.READ_TIMEOUT


def test_all_hosts_together_have_a_time_limit_and_the_rest_is_left_unasked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visits, "ALL_SECONDS", 0.5)
    monkeypatch.setattr(visits, "AT_ONCE", 1)

    async def main() -> tuple[list[Visit], float]:
        async with listening(silence) as port:
            places = [Endpoint(Origin(f"127.0.0.{n}", port)) for n in range(1, 4)]
            bots = [bot(f"bot-{n}", everything_at(place)) for n, place in enumerate(places)]
            begun = time.monotonic()
            return await visit(*bots), time.monotonic() - begun

    seen, took = run(main())
    assert took < 3
    assert [one.answers for one in seen] == [[], [], []]
