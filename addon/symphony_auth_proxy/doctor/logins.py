"""One real login of each bot, and of each app: what came of them, in the pod's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.auth.key_delivery import FIRST_WITH_KEY_DELIVERY
from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, of_error, way_out
from symphony_auth_proxy.doctor.rehearsal import Granted, Rehearsal, rehearse, rehearse_app
from symphony_auth_proxy.doctor.visits import Visit, Way, way_of
from symphony_auth_proxy.errors import LoginError
from symphony_auth_proxy.keys import KeyMaterial
from symphony_auth_proxy.model import App, Bot, Component, Endpoint, Pod
from symphony_auth_proxy.tokens.logins import LOGINS_AT_ONCE
from symphony_auth_proxy.transport import Transport

_AREA = Area.LOGINS
_NO_SESSION = "without a session token none of its calls works"
_WITHOUT_KEY_MANAGER = "calls to the agent get a 503; those to the pod work"
_NO_USERS = "no call on behalf of a user works"

type BotWithKeys = tuple[Bot, KeyMaterial | None]
"""None: they cannot be used."""

type AppWithKeys = tuple[App, Pod, KeyMaterial | None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A bot's login, or why there was none."""

    bot: Bot
    came: Rehearsal | None = None
    in_the_way: str = ""
    key_manager_in_the_way: str = ""
    """Why no key manager token was asked for, if one was needed."""


@dataclass(frozen=True, slots=True)
class AppAttempt:
    app: App
    granted: Granted | None = None
    error: LoginError | None = None
    in_the_way: str = ""


class Rehearsals:
    """Makes all logins, several at a time."""

    def __init__(self, transport: Transport, clock: Clock, ways: Mapping[Way, Visit]) -> None:
        self._transport = transport
        self._clock = clock
        self._ways = ways
        self._free = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def of_bots(self, bots: Sequence[BotWithKeys]) -> list[Attempt]:
        return await asyncio.gather(*(self._bot(*bot) for bot in bots))

    async def of_apps(self, apps: Sequence[AppWithKeys]) -> list[AppAttempt]:
        return await asyncio.gather(*(self._app(*app) for app in apps))

    async def _bot(self, bot: Bot, keys: KeyMaterial | None) -> Attempt:
        by_certificate = isinstance(bot.method, CertificateLogin)
        session = bot.pod.session_auth if by_certificate else bot.pod.pod
        if in_the_way := self._in_the_way(session, keys):
            return Attempt(bot, in_the_way=in_the_way)
        assert keys is not None
        no_key_manager = self._in_the_way(bot.pod.key_manager, keys)
        async with self._free:
            came = await rehearse(
                bot, keys, self._transport, self._clock, ask_key_manager=not no_key_manager
            )
        return Attempt(bot, came, key_manager_in_the_way=no_key_manager)

    async def _app(self, app: App, pod: Pod, keys: KeyMaterial | None) -> AppAttempt:
        if in_the_way := self._in_the_way(pod.pod, keys):
            return AppAttempt(app, in_the_way=in_the_way)
        assert keys is not None
        async with self._free:
            try:
                granted = await rehearse_app(app, pod, keys, self._transport, self._clock)
            except LoginError as error:
                return AppAttempt(app, error=error)
        return AppAttempt(app, granted)

    def _in_the_way(self, endpoint: Endpoint, keys: KeyMaterial | None) -> str:
        if keys is None:
            return "its key or certificate cannot be used"
        visit = self._ways[way_of(endpoint)]
        reached = bool(visit.answers) and visit.trouble is None
        return "" if reached else f"{endpoint.origin} cannot be used, as said above"


def spared(visit: Visit, attempts: Sequence[Attempt]) -> Level | None:
    """Say how bad trouble with a key manager is, where all its bots are on Simplified Key
    Delivery; None: as bad as it looks."""
    if visit.host.components != {Component.KEY_MANAGER}:
        return None
    asking = [one for one in attempts if one.bot.username in visit.host.bots]
    rehearsals = [one.came for one in asking]
    if not all(came is not None and came.simplified for came in rehearsals):
        return None
    needed = any(came is not None and came.needs_key_manager for came in rehearsals)
    return Level.WARNING if needed else Level.NOTE


def told(attempt: Attempt, *, clock_is_wrong: bool) -> Iterator[Finding]:
    """Tell of a bot's login. `clock_is_wrong`: a finding says so already."""
    subject, came = attempt.bot.username, attempt.came
    if came is None:
        yield Finding(_AREA, subject, Level.SKIPPED, f"no login: {attempt.in_the_way}")
        return
    if came.session is not None:
        yield Finding(_AREA, subject, Level.OK, _token("session token", came.session))
        yield _key_delivery(attempt, came)
    if came.key_manager is not None:
        yield Finding(_AREA, subject, Level.OK, _token("key manager token", came.key_manager))
    if came.error is not None:
        why = _NO_SESSION if came.session is None else _WITHOUT_KEY_MANAGER
        if clock_is_wrong and came.error.diagnosis is Diagnosis.CLOCK_SKEW:
            why = f"this follows from the clock; {why}"
        yield of_error(_AREA, subject, came.error, why)
    elif came.needs_key_manager and came.key_manager is None:
        yield _without_key_manager(attempt, came)


def told_of_app(attempt: AppAttempt) -> Finding:
    subject = f"the app {attempt.app.app_id}"
    if attempt.granted is not None:
        return Finding(_AREA, subject, Level.OK, _token("its own session", attempt.granted))
    if attempt.error is not None:
        return of_error(_AREA, subject, attempt.error, _NO_USERS)
    return Finding(_AREA, subject, Level.SKIPPED, f"no login: {attempt.in_the_way}")


def _token(name: str, granted: Granted) -> str:
    claims = f": {granted.claims}" if granted.claims else ""
    return (
        f"{name} #{granted.fingerprint} in {granted.seconds * 1000:.0f} ms from "
        f"{granted.origin}{claims}"
    )


def _key_delivery(attempt: Attempt, came: Rehearsal) -> Finding:
    subject, name = attempt.bot.username, "Simplified Key Delivery"
    if not came.simplified:
        what = f"{name} is off in the pod: the agent wants a key manager token"
        return Finding(_AREA, subject, Level.OK, what)
    agent = f"agent {'.'.join(map(str, came.agent))}" if came.agent else "the agent"
    if not came.needs_key_manager:
        what = f"{name} is on, and {agent} takes part: no key manager token is needed"
        return Finding(_AREA, subject, Level.OK, what)
    first = ".".join(map(str, FIRST_WITH_KEY_DELIVERY))
    lack = f"is older than {first}" if came.agent else "does not tell its version"
    return Finding(
        _AREA,
        subject,
        Level.NOTE,
        f"{name} is on in the pod, but {agent} {lack}: a key manager token is needed",
        "",
        way_out(Diagnosis.KEY_DELIVERY_INCOMPLETE),
        Diagnosis.KEY_DELIVERY_INCOMPLETE,
    )


def _without_key_manager(attempt: Attempt, came: Rehearsal) -> Finding:
    what = f"no key manager token: {attempt.key_manager_in_the_way}"
    if not came.simplified:
        return Finding(_AREA, attempt.bot.username, Level.SKIPPED, what)
    diagnosis = Diagnosis.KEY_DELIVERY_INCOMPLETE
    return Finding(
        _AREA,
        attempt.bot.username,
        Level.PROBLEM,
        f"{what}; and the agent does not take part in Simplified Key Delivery",
        _WITHOUT_KEY_MANAGER,
        way_out(diagnosis),
        diagnosis,
    )
