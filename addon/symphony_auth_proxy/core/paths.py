"""What a request's path asks for.

A path decides which tokens a request gets, so two readers who disagree about a path would
be an attack. Here a path is read once, by whole segments, the way Symphony's servers
would; where another reading is possible and tokens are at stake, it is refused.
Nothing here looks at hosts, and the path that is forwarded stays as the client wrote it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote, unquote_to_bytes


class Family(Enum):
    """The kinds of calls, by what Symphony wants to see in their headers."""

    AGENT = auto()
    """Session and key manager token."""
    AGENT_OPEN = auto()
    """Health and info of the agent: no token at all."""
    POD = auto()
    """The session token."""
    LOGIN = auto()
    """Logins of every kind: they bring credentials of their own."""
    LOGOUT = auto()
    """Would end the session that all bots share."""
    IDM = auto()
    """Exchanges whichever session is presented."""
    APP = auto()
    """Wants an extension app's session, not a bot's."""
    BEARER = auto()
    """Wants a Common JWT in `Authorization`."""
    OTHER = auto()
    """The web client, webhooks and everything else on these hosts."""


INJECTED = frozenset({Family.AGENT, Family.POD})

_BY_FIRST_SEGMENTS: tuple[tuple[tuple[str, ...], Family], ...] = (
    (("agent", "v1", "info"), Family.AGENT_OPEN),
    (("agent", "v1", "HealthCheck"), Family.AGENT_OPEN),
    (("agent", "v2", "HealthCheck"), Family.AGENT_OPEN),
    (("agent", "v3", "health"), Family.AGENT_OPEN),
    (("agent",), Family.AGENT),
    (("pod",), Family.POD),
    (("v1", "groups", "sdl"), Family.POD),
    (("maestro",), Family.POD),
    (("v5", "users", "apps"), Family.APP),
    (("login", "idm"), Family.IDM),
    (("login",), Family.LOGIN),
    (("relay",), Family.LOGIN),
    (("sessionauth",), Family.LOGIN),
    (("keyauth",), Family.LOGIN),
    (("profile-manager",), Family.BEARER),
    (("at2",), Family.BEARER),
    (("files",), Family.BEARER),
)

# What servers read differently: dots, slashes, percent signs, control characters and path
# parameters in disguise (CVE-2019-9901), a fragment (CVE-2021-32779), broken escapes.
_AMBIGUOUS = re.compile(
    r"%(?:2e|2f|5c|25|3b|[01][0-9a-f]|7f)|%(?![0-9a-f]{2})|[\\;#]|[^\x21-\x7e]", re.IGNORECASE
)
_MEANING_SOMETHING = frozenset("./\\%;#?")


@dataclass(frozen=True, slots=True)
class Path:
    """A request's path, read."""

    segments: tuple[str, ...]
    """Decoded, without empty ones."""
    ambiguous: bool
    """Whether another server could read it in another way."""

    def below(self, context: str) -> Path | None:
        """Return the rest below a context such as `/gateway/prod`, or None."""
        prefix = tuple(part for part in context.split("/") if part)
        if self.segments[: len(prefix)] != prefix:
            return None
        return Path(self.segments[len(prefix) :], self.ambiguous)

    def family(self) -> Family:
        if self.segments and self.segments[0] in _FIRST_SEGMENTS:
            if self.segments[-1] == "authenticate":
                return Family.LOGIN
            if self.segments[-1] == "logout":
                return Family.LOGOUT
        for prefix, family in _BY_FIRST_SEGMENTS:
            if self.segments[: len(prefix)] == prefix:
                return family
        return Family.OTHER


_FIRST_SEGMENTS = frozenset(prefix[0] for prefix, _ in _BY_FIRST_SEGMENTS)


def read_path(target: str) -> Path:
    """Read an origin-form request target; the query does not matter here."""
    raw = target.partition("?")[0]
    if _is_ambiguous(raw):
        return Path(_most_lenient(raw), ambiguous=True)
    return Path(_plainly(raw), ambiguous=False)


def _plainly(raw: str) -> tuple[str, ...]:
    return tuple(unquote(part) for part in raw.split("/") if part)


def _is_ambiguous(raw: str) -> bool:
    if _AMBIGUOUS.search(raw) or {".", ".."} & set(raw.split("/")):
        return True
    try:
        decoded = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:  # overlong dots and slashes among them (CVE-2008-2938)
        return True
    return any(
        _MEANING_SOMETHING & set(unicodedata.normalize("NFKC", character))
        for character in decoded
        if not character.isascii()
    )


def _most_lenient(raw: str) -> tuple[str, ...]:
    """Read a path as the most lenient server would: decoded twice, backslashes as slashes,
    parameters dropped, dots resolved."""
    decoded = unquote(unquote(raw)).replace("\\", "/")
    segments: list[str] = []
    for part in decoded.split("/"):
        segment = part.partition(";")[0].strip("\x00")
        if segment == "..":
            if segments:
                segments.pop()
        elif segment and segment != ".":
            segments.append(segment)
    return tuple(segments)


def may_be_injected(target: str, context: str) -> bool:
    """Whether any reading of an ambiguous path leads to a call that gets tokens."""
    naive = Path(_plainly(target.partition("?")[0]), ambiguous=True)
    readings = (naive.below(context), read_path(target).below(context))
    return any(reading is not None and reading.family() in INJECTED for reading in readings)
