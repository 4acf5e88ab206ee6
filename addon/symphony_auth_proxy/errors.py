"""Everything that can go wrong, as one tree.

    SymphonyAuthProxyError
    ├── ConfigError            the configuration cannot be used; lists every problem
    ├── KeyMaterialError       a key or certificate is unreadable, too short, expired, …
    ├── DestinationRefused     this request must not be sent where it wants to go
    ├── ClientRefused          this client may not have what it asks for
    └── LoginError
        ├── LoginRejected      the pod or key manager does not accept the credentials
        ├── LoginUnavailable   no answer that says anything about the credentials
        └── LoginProtocolError an answer, but not one of a Symphony login

Each error says what a client is told: the HTTP `status`, a `reason` from a closed set,
whether trying again makes sense (`retryable`, `retry_after`) and, in `hint()`, the way
out. No message ever holds a secret's value.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from symphony_auth_proxy.diagnoses import Diagnosis


class Reason(StrEnum):
    """Why the proxy answers a request itself. Names are part of the contract."""

    CONFIGURATION = "configuration"
    KEY_MATERIAL = "key_material"
    INTERNAL = "internal"
    DRAINING = "draining"

    LOGIN_REJECTED = "login_rejected"
    CLOCK_SKEW = "clock_skew"
    LOGIN_UNAVAILABLE = "login_unavailable"
    LOGIN_PROTOCOL = "login_protocol"
    WRONG_ENDPOINT = "wrong_endpoint"
    TOKENS_REFUSED = "tokens_refused"

    MALFORMED_REQUEST = "malformed_request"
    AMBIGUOUS_PATH = "ambiguous_path"
    AMBIGUOUS_DESTINATION = "ambiguous_destination"
    INSECURE_UPSTREAM = "insecure_upstream"
    HOST_REFUSED = "host_refused"
    ADDRESS_REFUSED = "address_refused"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_CERTIFICATE = "upstream_certificate"
    UPSTREAM_BROKEN = "upstream_broken"

    CLIENTS_REQUIRED = "clients_required"
    CLIENT_UNKNOWN = "client_unknown"
    CLIENT_TOKEN_REFUSED = "client_token_refused"  # noqa: S105 (a name, not a password)
    CROSS_SITE = "cross_site"
    NOT_GRANTED = "not_granted"
    UNKNOWN_BOT = "unknown_bot"
    NO_APP = "no_app"
    PLACEHOLDER_EXPIRED = "placeholder_expired"
    PLACEHOLDER_WORTHLESS = "placeholder_worthless"


class SymphonyAuthProxyError(Exception):
    """The root. `str(error)` is one sentence for people."""

    status: int = 503
    reason: Reason = Reason.INTERNAL
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        status: int | None = None,
        hint: str = "",
        retry_after: float | None = None,
        bot: str | None = None,
        user: str | None = None,
        diagnosis: Diagnosis | None = None,
    ) -> None:
        """`retry_after`: seconds after which another try makes sense, when known.
        `diagnosis`: where more is known than the reason tells."""
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        if status is not None:
            self.status = status
        self.retry_after = retry_after
        self.bot = bot
        """Whose trouble it is, once that is known."""
        self.user = user
        """On whose behalf the bot was asked for."""
        self._hint = hint
        self._diagnosis = diagnosis

    @property
    def diagnosis(self) -> Diagnosis:
        """What is the matter, as near as is known."""
        return self._diagnosis or Diagnosis(self.reason.value)

    def hint(self) -> str:
        """Return what the reader can do about it, or an empty text."""
        return self._hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration file."""

    path: str
    """Where, as in `authProxy.bots[1].username`; empty for the file as a whole."""
    message: str
    """What, and what to write instead. Never the value of a secret."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(SymphonyAuthProxyError):
    """The configuration cannot be used. Carries all its problems at once."""

    reason = Reason.CONFIGURATION

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        source: str = "",
        diagnosis: Diagnosis | None = None,
    ) -> None:
        """`diagnosis`: where the problems are all of one kind."""
        self.problems = tuple(problems)
        self.source = source
        where = source or "the configuration"
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(
            f"{where} has {count} {noun}:{lines}",
            hint="correct this, then start again",
            diagnosis=diagnosis,
        )


class KeyMaterialError(SymphonyAuthProxyError):
    """A private key or certificate cannot be used."""

    reason = Reason.KEY_MATERIAL


class DestinationRefused(SymphonyAuthProxyError):
    """The request must not be sent where it wants to go."""

    status = 421
    reason = Reason.AMBIGUOUS_DESTINATION


class ClientRefused(SymphonyAuthProxyError):
    """The client may not have what it asks for."""

    status = 403
    reason = Reason.UNKNOWN_BOT


class LoginError(SymphonyAuthProxyError):
    """No token could be had."""


class LoginRejected(LoginError):
    """The credentials were not accepted (400, 401, 403). Trying again soon locks accounts."""

    reason = Reason.LOGIN_REJECTED


class LoginUnavailable(LoginError):
    """Network trouble, 5xx, 429 or maintenance: the same login may work later."""

    reason = Reason.LOGIN_UNAVAILABLE
    retryable = True


class LoginProtocolError(LoginError):
    """An answer that is not one of a Symphony login: HTML, no token, 404."""

    reason = Reason.LOGIN_PROTOCOL


def place_of(error: BaseException) -> str:
    """Where an unforeseen error came from. Not its text, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
