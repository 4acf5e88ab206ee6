"""What is asked about a request, and what is decided: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.model import Client, Component, Origin, TokenKind, UpstreamProxy


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes, by every witness there is."""

    host: str
    """Where the connection goes: the CONNECT or absolute-form target."""
    port: int
    scheme: str
    sni: str | None = None
    authorities: tuple[str, ...] = ()
    """Every Host header and `:authority`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a decision needs of a request."""

    method: str
    target: str
    """Path and query."""
    headers: Sequence[tuple[str, str]] = ()

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as far as the connection tells."""

    client: Client | None = None
    """None: no clients are configured."""
    listener: str | None = None
    """The bot that the listener means at which it came in."""
    remembered: str | None = None
    """The bot of a placeholder that was taken out of the request when it was decided first."""


class KeyManagerToken(StrEnum):
    """Whether a request gets the key manager token."""

    REQUIRED = "required"
    """Agent calls: waits for it, unless the bot is on Simplified Key Delivery."""
    IF_AT_HAND = "if at hand"
    """Pod calls on the host that issued it: never waits or fails for it."""
    NEVER = "never"


class Untouched(StrEnum):
    """Why a request stays as it is."""

    OTHER_HOST = "not a Symphony host of this configuration"
    OTHER_PATH = "no Symphony API below this path"
    OTHER_COMPONENT = "this host and port serves another component"
    LOGIN = "a login brings its own credentials"
    LOGOUT = "a logout would end the session that all bots share"
    IDM = "this call exchanges whichever session it is given"
    APP = "this call wants an extension app's session"
    BEARER = "this call carries or wants an Authorization: Bearer of its own"
    CLIENT_TOKEN = "the client brings a token of its own"  # noqa: S105 (a sentence)
    OPEN = "health and info need no token"


@dataclass(frozen=True, slots=True)
class Inject:
    """Send it to `origin` over verified TLS with this bot's tokens."""

    bot: str
    component: Component
    origin: Origin
    key_manager: KeyManagerToken
    proxy: UpstreamProxy | None = None
    user: str | None = None
    """With the session of this user, which the bot's extension app gets."""


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Send it as it is. `origin` is set when the host is Symphony's."""

    why: Untouched
    origin: Origin | None = None
    proxy: UpstreamProxy | None = None

    @property
    def carries_credentials(self) -> bool:
        """Whether bodies hold credentials or tokens, so that nobody may keep them."""
        return self.why in {Untouched.LOGIN, Untouched.IDM, Untouched.LOGOUT}


@dataclass(frozen=True, slots=True)
class LoginCall:
    """A login that is answered here if it is for one of our bots."""

    kind: TokenKind
    by_certificate: bool
    """Whether the TLS handshake tells who logs in; else the body does."""
    passing: PassThrough
    """What becomes of it otherwise."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Answer a logout as if it had been one: the session is shared, and lives on."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this error; nothing is sent."""

    error: SymphonyAuthProxyError


Decision = Inject | PassThrough | LoginCall | Acknowledge | Refuse
