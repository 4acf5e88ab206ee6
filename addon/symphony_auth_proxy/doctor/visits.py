"""Asks each host of a configuration what it is, without any secret.

A host is an address and the way to it; several components and bots may share one. What is
asked is public: the pod's certificate and keys, the agent's version. Of a login service there
is nothing public to ask: its own path is got, without a body, to see whether and how the
host answers. Configured headers (API gateways ask for keys in them) are left out; a corporate
proxy alone gets its credentials, without which there is no way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import in_words
from symphony_auth_proxy.errors import LoginError
from symphony_auth_proxy.model import (
    Bot,
    Component,
    Endpoint,
    LoginRequest,
    LoginResponse,
    Origin,
    UpstreamProxy,
)
from symphony_auth_proxy.transport import Connection, Exchange, Transport, chain
from symphony_auth_proxy.transport.unreachable import Unreachable

CONNECT_SECONDS = 4.0
READ_SECONDS = 6.0
"""For each question; there are at most two to one component of a host."""

AT_ONCE = 16
"""Hosts: more are asked one after the other."""

ALL_SECONDS = 14.0
"""For all hosts together. Whoever was not asked by then is skipped, and told so."""

_UNTRUSTED = {
    Diagnosis.CERTIFICATE_UNTRUSTED,
    Diagnosis.CERTIFICATE_EXPIRED,
    Diagnosis.CERTIFICATE_NAME,
}


@dataclass(frozen=True, slots=True)
class Use:
    """What one bot needs a host for."""

    component: Component
    bot: str
    endpoint: Endpoint
    by_certificate: bool
    """Whether the bot logs in with a client certificate."""

    @property
    def shows_certificate(self) -> bool:
        """Whether a client certificate belongs to what is asked there, which we do not show."""
        return self.by_certificate and self.component in _LOGIN_BY_CERTIFICATE

    @property
    def questions(self) -> tuple[str, ...]:
        """Paths, the second for when the first says nothing."""
        if self.by_certificate and self.component in _LOGIN_BY_CERTIFICATE:
            return (_LOGIN_BY_CERTIFICATE[self.component],)
        return _QUESTIONS.get(self.component, ())


_QUESTIONS = {
    Component.POD: ("/pod/v1/podcert", "/login/idm/keys"),
    Component.AGENT: ("/agent/v1/info",),
    Component.KEY_MANAGER: ("/relay/pubkey/authenticate",),
}
_LOGIN_BY_CERTIFICATE = {
    Component.KEY_MANAGER: "/keyauth/v1/authenticate",
    Component.SESSION_AUTH: "/sessionauth/v1/authenticate",
}


@dataclass(frozen=True, slots=True)
class Way:
    """What two endpoints have in common that are reached in the same way."""

    origin: Origin
    proxy: tuple[str, int, str | None] | None


def way_of(endpoint: Endpoint) -> Way:
    proxy = endpoint.proxy
    return Way(endpoint.origin, (proxy.host, proxy.port, proxy.username) if proxy else None)


@dataclass(slots=True)
class Host:
    """An address, the way to it, and what it is used for."""

    way: Way
    proxy: UpstreamProxy | None
    uses: list[Use] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        return self.way.origin

    def __str__(self) -> str:
        components = [one.value for one in Component if one in self.components]
        return f"{in_words(components)} at {self.origin}"

    @property
    def bots(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(use.bot for use in self.uses))

    @property
    def components(self) -> frozenset[Component]:
        return frozenset(use.component for use in self.uses)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question."""

    use: Use
    path: str
    seconds: float
    response: LoginResponse | None = None
    """`received` is of the examination's clock."""
    error: LoginError | None = None
    connection: Connection | None = None

    @property
    def document(self) -> dict[str, Any] | None:
        """The answer's JSON object; None for HTML and all else."""
        try:
            found = json.loads(self.response.body) if self.response else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


@dataclass(slots=True)
class Visit:
    """What became of all questions to one host; none: it was not asked."""

    host: Host
    answers: list[Answer] = field(default_factory=list)
    shown: tuple[bytes, ...] = ()
    """The host's certificates (DER, its own first), where they were not accepted."""

    @property
    def trouble(self) -> Unreachable | None:
        """Why there is no way to the host."""
        errors = [one.error for one in self.answers if not wants_certificate(one)]
        if any(one.response for one in self.answers):
            return None  # slow in places, perhaps, but there
        return next((error for error in errors if isinstance(error, Unreachable)), None)


def wants_certificate(answer: Answer) -> bool:
    """Whether a host insists, as it should, on the certificate that was not shown.

    Under TLS 1.3 some just leave once they see that there is none.
    """
    if not answer.use.shows_certificate or not isinstance(answer.error, Unreachable):
        return False
    encrypted = answer.connection is not None and answer.connection.encrypted is not None
    left = answer.error.diagnosis is Diagnosis.CLOSED and encrypted
    return left or answer.error.diagnosis is Diagnosis.CLIENT_CERTIFICATE


def hosts_of(bots: Iterable[Bot]) -> list[Host]:
    """Return each host that the bots need, once; a session login's needs come first."""
    hosts: dict[Way, Host] = {}
    for bot in bots:
        by_certificate = isinstance(bot.method, CertificateLogin)
        for component, endpoint in bot.pod.endpoints():
            if component is Component.SESSION_AUTH and not by_certificate:
                continue
            way = way_of(endpoint)
            host = hosts.setdefault(way, Host(way, endpoint.proxy))
            host.uses.append(Use(component, bot.username, endpoint, by_certificate))
    return list(hosts.values())


async def all_visited(hosts: list[Host], trust_bundle: str, clock: Clock) -> list[Visit]:
    """Ask all hosts, at most `AT_ONCE` at a time."""
    visits = [Visit(host) for host in hosts]
    free = asyncio.Semaphore(AT_ONCE)

    async def go(visit: Visit) -> None:
        async with free:
            await _ask(visit, trust_bundle, clock)

    try:
        async with asyncio.timeout(ALL_SECONDS), asyncio.TaskGroup() as group:
            for visit in visits:
                group.create_task(go(visit))
    except TimeoutError:
        pass  # what was found by then is told
    return visits


async def _ask(visit: Visit, trust_bundle: str, clock: Clock) -> None:
    exchanges: list[Exchange] = []
    transport = Transport(trust_bundle, watch=exchanges.append)
    needed: dict[object, Use] = {}
    for use in visit.host.uses:  # what several bots need is asked once
        needed.setdefault((use.questions, use.endpoint.context), use)
    for use in needed.values():
        for path in use.questions:
            answer = await _answer(use, path, transport, exchanges, clock)
            visit.answers.append(answer)
            if (trouble := visit.trouble) is not None:
                if trouble.diagnosis in _UNTRUSTED:
                    visit.shown = await chain.shown(use.endpoint, CONNECT_SECONDS)
                return
            if answer.document is not None or answer.error is not None:
                break


async def _answer(
    use: Use, path: str, transport: Transport, exchanges: list[Exchange], clock: Clock
) -> Answer:
    endpoint = replace(use.endpoint, headers=())
    request = LoginRequest(endpoint, path, method="GET", purpose="examination")
    begun, response, failure = clock.monotonic(), None, None
    try:
        response = await transport.send(
            request, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
        )
        response = replace(response, received=clock.wall())
    except LoginError as error:
        failure = error
    seconds = clock.monotonic() - begun
    return Answer(use, path, seconds, response, failure, exchanges[-1].connection)
