"""The examination as a whole: what is looked at, in which order, and what that spares.

Every step is bounded: questions to hosts by `visits.ALL_SECONDS`, a login's requests by the
transport's own time-outs; and whoever cannot be reached is not asked to log anybody in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from symphony_auth_proxy import config
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.clock import Clock, SystemClock
from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import (
    clocks,
    credentials,
    logins,
    own_ca,
    runtimes,
    services,
    visits,
)
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, Report, in_words
from symphony_auth_proxy.doctor.logins import AppWithKeys, BotWithKeys, Rehearsals
from symphony_auth_proxy.doctor.reach import Ways
from symphony_auth_proxy.doctor.surroundings import foreign_proxy
from symphony_auth_proxy.errors import ConfigError, Problem
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import Settings
from symphony_auth_proxy.transport import Transport

_OTHER_FILE = "correct this, or name another file by --config"
_UNUSABLE = "`serve` does not start with it, and a running proxy keeps the one it has"


def _nobody(_: object) -> None:
    """Stand for those who do not want to be told."""


async def examine(
    config_path: Path | None,
    *,
    offline: bool = False,
    clock: Clock | None = None,
    tell: Callable[[Finding], None] = _nobody,
    doing: Callable[[str], None] = _nobody,
) -> Report:
    """Look into everything, and return what was found.

    `offline`: files only, no connection. `clock`: whose wall clock is this machine's. `tell`:
    is told of each finding once it is certain, `doing` of what comes next, as in "asking 4
    hosts". Nothing is raised for what is wrong with what is looked at.
    """
    return await _Examination(clock or SystemClock(), tell, doing).of(config_path, offline=offline)


class _Examination:
    def __init__(
        self, clock: Clock, tell: Callable[[Finding], None], doing: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._doing = doing
        self._findings: list[Finding] = []

    async def of(self, config_path: Path | None, *, offline: bool) -> Report:
        self._doing("reading the configuration")
        settings, problems = _read(config_path)
        if settings is None:
            self._note(_of_problem(config_path, problem) for problem in problems)
            return Report(tuple(self._findings), usable=False)
        self._note([_of_settings(settings, usable=not problems)])
        self._doing("opening keys and certificates")
        bots, apps = self._opened(settings)
        self._note(filter(None, map(credentials.access, config.secret_files(config_path))))
        if offline:
            what = "not asked, and no bot logged in: --offline"
            self._note([Finding(Area.HOSTS, "all hosts", Level.SKIPPED, what)])
        else:
            await self._online(settings, bots, apps)
        self._doing("looking who trusts the proxy's CA")
        hosts = authority.hosts_of(settings)
        found, about = own_ca.examined(settings.ca_directory, hosts, self._clock.wall())
        self._note(about)
        if found is not None:
            self._note(runtimes.examined(found, settings, os.environ))
        # What is wrong with the CA keeps `serve` from starting, as wrong keys do.
        usable = not problems and all(one.level is not Level.PROBLEM for one in about)
        return Report(tuple(self._findings), usable=usable, offline=offline)

    def _opened(self, settings: Settings) -> tuple[list[BotWithKeys], list[AppWithKeys]]:
        """Open all credentials, after what else there is to say about the configuration."""
        now, findings = self._clock.wall(), list[Finding]()
        said = set[str]()

        def keys_of(owner: str, source: KeySource) -> KeyMaterial | None:
            keys, about = credentials.examined(owner, source, now)
            findings.extend(about)
            said.update(f"{owner}: {warning}" for warning in (keys.warnings if keys else ()))
            return keys

        bots = [(bot, keys_of(bot.username, bot.method.credentials)) for bot in settings.bots]
        apps = {(bot.app, bot.pod.pod): (bot.app, bot.pod) for bot in settings.bots if bot.app}
        with_keys = [
            (app, pod, keys_of(f"the app {app.app_id}", app.credentials))
            for app, pod in apps.values()
        ]
        others = (warning for warning in settings.warnings if warning not in said)
        subject = str(settings.source)
        self._note(
            Finding(Area.CONFIGURATION, subject, Level.WARNING, harmless(one)) for one in others
        )
        self._note(findings)
        return bots, with_keys

    async def _online(
        self, settings: Settings, bots: list[BotWithKeys], apps: list[AppWithKeys]
    ) -> None:
        hosts = visits.hosts_of(settings.bots)
        self._doing(f"asking {in_words(str(host.origin) for host in hosts)}")
        seen = await visits.all_visited(hosts, settings.trust_bundle, self._clock)
        self._doing(f"logging {in_words(bot.username for bot, _ in bots)} in")
        transport = Transport(settings.trust_bundle)
        rehearsals = Rehearsals(transport, self._clock, {one.host.way: one for one in seen})
        attempts = await rehearsals.of_bots(bots)
        of_apps = await rehearsals.of_apps(apps)
        # Told only now: whether a key manager is needed at all is known from the logins.
        levels = [logins.spared(visit, attempts) for visit in seen]
        ways = Ways(settings.trust_bundle, self._clock.wall(), foreign_proxy(settings, os.environ))
        for visit, level in zip(seen, levels, strict=True):
            self._note(_softened(one, level) for one in ways.told(visit))
        of_clocks = list(clocks.compared(seen))
        self._note(of_clocks)
        for visit, level in zip(seen, levels, strict=True):
            if visit.trouble is None:
                self._note(_softened(one, level) for one in services.judged(visit.answers))
        clock_is_wrong = any(one.level is Level.PROBLEM for one in of_clocks)
        for attempt in attempts:
            self._note(logins.told(attempt, clock_is_wrong=clock_is_wrong))
        self._note(map(logins.told_of_app, of_apps))

    def _note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._findings.append(finding)
            self._tell(finding)


def _read(config_path: Path | None) -> tuple[Settings | None, tuple[Problem, ...]]:
    """Read the configuration. Where keys alone are wrong, there are both settings and problems:
    what is left can be looked at, and the keys tell by themselves."""
    try:
        return config.load(config_path), ()
    except ConfigError as error:
        problems = error.problems
    try:
        return config.load(config_path, open_keys=False), problems
    except ConfigError:
        return None, problems


def _of_settings(settings: Settings, *, usable: bool) -> Finding:
    subject = str(settings.source)
    if not usable:
        what = "`serve` does not start with it, because of a key or certificate: see below"
        return Finding(Area.CONFIGURATION, subject, Level.NOTE, what)
    names = in_words(bot.username for bot in settings.bots)
    return Finding(Area.CONFIGURATION, subject, Level.OK, f"can be used; bots: {names}")


def _of_problem(config_path: Path | None, problem: Problem) -> Finding:
    return Finding(
        Area.CONFIGURATION,
        problem.path or str(config_path or "configuration"),
        Level.PROBLEM,
        harmless(problem.message),
        _UNUSABLE,
        "correct this in the file" if problem.path else _OTHER_FILE,
        Diagnosis.CONFIGURATION,
    )


def _softened(finding: Finding, level: Level | None) -> Finding:
    """Return a problem of a key manager as what it is for bots that need none."""
    if level is None or finding.level is not Level.PROBLEM:
        return finding
    what = f"{finding.what}; its bots are on Simplified Key Delivery"
    return replace(finding, level=level, what=what)
