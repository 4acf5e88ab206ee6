"""What an examination found: plain values, for people and (`as_json`) for programs.

No finding holds a secret; what hosts and files said of themselves is made harmless for a
screen before it gets here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import SymphonyAuthProxyError


class Area(StrEnum):
    """What was looked at, in the order of the examination: what comes first is a cause of
    trouble further down, never the other way round."""

    CONFIGURATION = "configuration"
    CREDENTIALS = "credentials"
    HOSTS = "hosts"
    CLOCK = "clock"
    SERVICES = "services"
    LOGINS = "logins"
    CA = "ca"
    RUNTIMES = "runtimes"


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing, and nothing wrong."""
    WARNING = "warning"
    """Works today."""
    PROBLEM = "problem"
    """Does not work, or is not safe."""
    SKIPPED = "skipped"
    """Not looked at, and `what` says why: most often another finding stands in the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    area: Area
    subject: str
    """Which bot, host, file or program."""
    level: Level
    what: str
    """One sentence, without a full stop."""
    why: str = ""
    """Why it matters; of warnings and problems."""
    what_to_do: str = ""
    diagnosis: Diagnosis | None = None
    """Of notes, warnings and problems, where the closed list has one."""

    def as_json(self) -> dict[str, Any]:
        return {
            "area": self.area.value,
            "subject": self.subject,
            "level": self.level.value,
            "diagnosis": self.diagnosis.value if self.diagnosis else None,
            "what": self.what,
            "why": self.why,
            "what_to_do": self.what_to_do,
        }


@dataclass(frozen=True, slots=True)
class Report:
    findings: tuple[Finding, ...]
    usable: bool = True
    """Whether `serve` would take the configuration."""
    offline: bool = False
    """Whether files alone were looked at."""

    @property
    def healthy(self) -> bool:
        return self.usable and not self.problems

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level is Level.PROBLEM)

    @property
    def first(self) -> Finding | None:
        """The problem to solve first: that of the earliest area."""
        order = list(Area)
        return min(self.problems, key=lambda one: order.index(one.area), default=None)

    @property
    def cause(self) -> Diagnosis | None:
        """The true cause: what the first problem is."""
        return self.first.diagnosis if self.first else None

    @property
    def summary(self) -> str:
        """What is the matter, in one sentence."""
        first = self.first
        # A wrong clock and the logins that it spoils are one problem.
        count = len({one.diagnosis or one.what for one in self.problems})
        if first is None and not self.usable:
            return "the configuration cannot be used"
        if first is None:
            warnings = sum(one.level is Level.WARNING for one in self.findings)
            noun = "warning" if warnings == 1 else "warnings"
            well = "the files are all well" if self.offline else "all well"
            return f"{well}, with {warnings} {noun}" if warnings else well
        more = f" (the first of {count} causes)" if count > 1 else ""
        return f"{first.subject}: {first.what}{more}"

    def as_json(self) -> dict[str, Any]:
        """The shape of `--json`: keys may be added, none changes its meaning."""
        return {
            "healthy": self.healthy,
            "cause": self.cause.value if self.cause else None,
            "summary": self.summary,
            "findings": [one.as_json() for one in self.findings],
        }


def of_error(
    area: Area,
    subject: str,
    error: SymphonyAuthProxyError,
    why: str,
    *,
    level: Level = Level.PROBLEM,
    diagnosis: Diagnosis | None = None,
) -> Finding:
    """Return what an error says, with the way out of its kind where it knows none itself."""
    diagnosis = diagnosis or error.diagnosis
    return Finding(
        area,
        subject,
        level,
        harmless(str(error)),
        why,
        error.hint() or way_out(diagnosis),
        diagnosis,
    )


def way_out(diagnosis: Diagnosis) -> str:
    """Return what the closed list says that can be done."""
    meaning = MEANINGS.get(diagnosis)
    return meaning.way_out if meaning else ""


def in_words(names: Iterable[str]) -> str:
    """Tell a few names, each once, as in `pricing-bot, compliance-bot and 3 more`."""
    unique = list(dict.fromkeys(names))
    if len(unique) > 4:
        return f"{', '.join(unique[:3])} and {len(unique) - 3} more"
    return " and ".join(filter(None, (", ".join(unique[:-1]), unique[-1] if unique else "")))
