"""The nouns of this program: frozen values that every other module speaks in.

Nothing here does anything. `config` makes these values, `core` decides with them, `auth`
and `provider` get tokens for them, `mitm` acts on them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from symphony_auth_proxy.keys import ClientCertificate, KeyMaterial, KeySource
from symphony_auth_proxy.passwords import Password
from symphony_auth_proxy.secret import Secret


class Component(StrEnum):
    """The four services of a Symphony installation, named as in the BDK's configuration."""

    POD = "pod"
    AGENT = "agent"
    KEY_MANAGER = "keyManager"
    SESSION_AUTH = "sessionAuth"


class TokenKind(StrEnum):
    SESSION = "session"
    KEY_MANAGER = "key_manager"

    @property
    def login(self) -> str:
        """What a login for it is called, as in `key manager login`."""
        return f"{self.value.replace('_', ' ')} login"


class ClientTokens(StrEnum):
    """What happens to a request that brings a real token of its own."""

    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


class OtherHosts(StrEnum):
    """What happens to connections to hosts that are not Symphony's."""

    PASSTHROUGH = "passthrough"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection goes: a canonical host (lower case, no trailing dot) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """A corporate HTTP proxy on the way to a component."""

    host: str
    port: int
    username: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One component's address. Always https; `context` is empty or starts with a slash
    and ends without one."""

    origin: Origin
    context: str = ""
    proxy: UpstreamProxy | None = None
    """None means direct."""
    headers: tuple[tuple[str, Secret], ...] = ()
    """The BDK's `defaultHeaders`, sent with our own logins (API gateways ask for them)."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One Symphony installation as a bot sees it."""

    pod: Endpoint
    agent: Endpoint
    key_manager: Endpoint
    session_auth: Endpoint
    agent_nodes: tuple[Endpoint, ...] = ()
    """Further agents behind a load balancer (`agent.loadBalancing.nodes`)."""

    def endpoints(self) -> tuple[tuple[Component, Endpoint], ...]:
        return (
            (Component.POD, self.pod),
            (Component.AGENT, self.agent),
            (Component.KEY_MANAGER, self.key_manager),
            (Component.SESSION_AUTH, self.session_auth),
            *((Component.AGENT, node) for node in self.agent_nodes),
        )

    @property
    def separate_agent(self) -> bool:
        """Whether the agent is another service than the pod's own (on-premises)."""
        return self.agent.origin != self.pod.origin


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """One HTTP request of a login method, not yet sent."""

    endpoint: Endpoint
    path: str
    """Below the endpoint's context, as in `/login/pubkey/authenticate`."""
    method: str = "POST"
    json: Mapping[str, str | Secret] | None = None
    """None sends neither a body nor a Content-Type (certificate logins want that)."""
    headers: tuple[tuple[str, Secret], ...] = ()
    certificate: ClientCertificate | None = None
    """Shown in the TLS handshake when set."""
    purpose: str = "login"
    """What for, as people call it."""


@dataclass(frozen=True, slots=True)
class LoginResponse:
    """The answer to a `LoginRequest`, whole and bounded in size."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    received: float
    """Wall clock when the answer arrived, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """What a login brought, before the provider gives it a generation and a life."""

    value: Secret
    expires_at: float | None = None
    """Wall clock, seconds since the epoch: a hint out of the token itself, never proof."""
    simplified_key_delivery: bool = False
    """The session token's claim `canUseSimplifiedKeyDelivery`."""


class LoginMethod(Protocol):
    """One way to get tokens; one file in `auth/` each. Pure: what it yields is sent by
    somebody else."""

    @property
    def credentials(self) -> KeySource:
        """Where the key or certificate comes from; loaded before each login."""
        ...

    def login(
        self, kind: TokenKind, pod: Pod, keys: KeyMaterial, now: float
    ) -> Generator[LoginRequest, LoginResponse, GrantedToken]:
        """Get one token of `kind`. `now`: wall clock, seconds since the epoch.

        Raises LoginRejected, LoginUnavailable or LoginProtocolError.
        """
        ...


@dataclass(frozen=True, slots=True)
class App:
    """An extension app, through which a pod gives sessions of the users who trust it."""

    app_id: str
    credentials: KeySource
    """Its RSA key."""


@dataclass(frozen=True, slots=True)
class Bot:
    """One service account and its way to log in."""

    username: str
    pod: Pod
    method: LoginMethod
    listen: Origin | None = None
    """A listener of its own: whoever comes in there means this bot."""
    app: App | None = None
    """For calls on behalf of users of the same pod."""


@dataclass(frozen=True, slots=True)
class Client:
    """A program that may use the proxy, and what it may use."""

    name: str
    """Its user name in `Proxy-Authorization`."""
    password: Password
    bots: tuple[str, ...] = ()
    """Usernames of the bots that it may speak as."""
    on_behalf_of: frozenset[str] | None = frozenset()
    """Users (usernames or ids, as written in the header) on whose behalf it may call; None:
    all that trust the app."""

    def may_call_for(self, user: str) -> bool:
        return self.on_behalf_of is None or user in self.on_behalf_of


@dataclass(frozen=True, slots=True)
class Web:
    """The inspection UI, when it is asked for."""

    listen: Origin = Origin("127.0.0.1", 8081)
    password: Password | None = None
    """None: whoever has the URL that is printed, which loopback only allows."""
    flows: int = 5_000
    """How many it keeps; then the oldest go. The UI in the terminal keeps as many."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token in hand. Instants are monotonic seconds."""

    kind: TokenKind
    value: Secret
    generation: int
    """Counts the tokens of this kind that this bot has had; only grows."""
    obtained: float
    expires: float | None = None
    """None: its life is unknown; it is good until a 401 says otherwise."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What one request gets: both tokens from one snapshot."""

    bot: str
    session: Token
    key_manager: Token | None = None
    """None: not required (Simplified Key Delivery, on behalf of a user), or not at hand for
    a pod call."""
    user: str | None = None
    """On whose behalf the bot's extension app got the session; None: it is the bot's own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, checked."""

    bots: tuple[Bot, ...]
    """The first is the default one (the file's root `bot`). At least one."""
    listen: Origin
    ca_directory: Path
    ca_directory_configured: bool
    """Whether the file names it: stock tools keep their own CA otherwise."""
    trust_bundle: str = field(repr=False)
    """PEM: the system's CAs and `ssl.trustStore`, for logins and for traffic."""
    proxy: UpstreamProxy | None = None
    """The root's proxy, also the way to hosts that are not Symphony's."""
    clients: tuple[Client, ...] = ()
    """Who may use the proxy. Empty: whoever reaches it, which loopback only allows."""
    answer_logins: bool = False
    """Whether login calls of these bots are answered here, with placeholders."""
    admin_listen: Origin | None = None
    """Where health, readiness and metrics are served; None: nowhere."""
    web: Web = field(default_factory=Web)
    client_tokens: ClientTokens = ClientTokens.KEEP
    other_hosts: OtherHosts = OtherHosts.PASSTHROUGH
    token_lifetime: float | None = None
    """Seconds; None means `auto`."""
    drain_seconds: float = 25.0
    source: Path | None = None
    warnings: tuple[str, ...] = ()
    """Worth a look, but no reason to refuse, as in «the key has 2048 bits»."""

    def bot(self, username: str) -> Bot | None:
        return next((bot for bot in self.bots if bot.username == username), None)
