"""The part of the file that Symphony's BDK defines, Python's and Java's flavours as one.

The keys are those of symphony-bdk-python (`BdkConfig`) and symphony-bdk-java (`BdkConfig`
and the classes that it is made of).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from symphony_auth_proxy.config import trust
from symphony_auth_proxy.config.document import Wrong
from symphony_auth_proxy.config.fields import (
    Context,
    Elsewhere,
    Headers,
    Host,
    Password,
    Port,
    Scheme,
    Text,
)
from symphony_auth_proxy.config.own import AuthProxy
from symphony_auth_proxy.config.sections import Bot, Section, Stored


class Proxy(Section):
    """A corporate HTTP proxy between here and Symphony."""

    empty_is_absent: ClassVar[frozenset[str]] = frozenset({"username", "password"})

    host: Host
    port: Port
    username: Text | None = None
    password: Password | None = None

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise Wrong("needs `username` and `password` together")
        if self.username and ":" in self.username:
            raise Wrong("has a colon in `username`, which Basic authentication forbids")
        return self


class Server(Section):
    """An address and how to get there."""

    scheme: Scheme = "https"
    host: Host | None = None
    port: Port = 443
    context: Context = ""
    """A path in front of Symphony's own, as gateways need it."""
    proxy: Proxy | None = None
    default_headers: Headers = Field(default_factory=dict)
    """Sent with every login, as API gateways ask for them."""
    connection_timeout: Elsewhere = None
    read_timeout: Elsewhere = None
    connection_pool_max: Elsewhere = None
    connection_pool_per_route: Elsewhere = None


class ComponentServer(Server):
    """One of the four services. What it does not give, it takes from the root."""

    null_has_a_meaning: ClassVar[frozenset[str]] = frozenset({"proxy"})  # direct


class Node(ComponentServer):
    """One agent behind a load balancer. Takes nothing from the root, as in BDK Java."""

    host: Host


class LoadBalancing(Section):
    nodes: Annotated[list[Node], Field(min_length=1)]
    mode: Literal["external", "roundRobin", "random"] | None = None
    stickiness: Elsewhere = None


class Agent(ComponentServer):
    load_balancing: LoadBalancing | None = None
    """Several agents. They are all allowed; which one to use is the client's choice."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.load_balancing and self.model_fields_set & {"scheme", "host", "port", "context"}:
            raise Wrong("has an address of its own and `loadBalancing`; keep one")
        return self


class TrustStore(Stored):
    """CAs to trust beside the system's: PEM, or PKCS#12 with its password."""

    _certificates: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _read(self) -> Self:
        self._certificates = trust.read(self.path, self.content, self.secret())
        return self

    @property
    def certificates(self) -> tuple[str, ...]:
        """Each in PEM."""
        return self._certificates


class Ssl(Section):
    trust_store: TrustStore | None = None


class File(Server):
    """The configuration of symphony-auth-proxy: the bot's BDK file, extended by `authProxy`."""

    pod: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /pod and /login."""
    agent: Agent = Field(default_factory=Agent)
    """Serves /agent."""
    key_manager: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /relay and /keyauth."""
    session_auth: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /sessionauth: certificate logins."""
    bot: Bot
    """The default bot."""
    ssl: Ssl = Field(default_factory=Ssl)
    auth_proxy: AuthProxy = Field(default_factory=AuthProxy)
    """The proxy's own settings."""
    app: Elsewhere = None
    retry: Elsewhere = None
    datafeed: Elsewhere = None
    datahose: Elsewhere = None
    manifest: Elsewhere = None
    common_jwt: Elsewhere = None
    extensions: Elsewhere = None

    @property
    def certificates(self) -> tuple[str, ...]:
        """What `ssl.trustStore` adds, each in PEM."""
        return self.ssl.trust_store.certificates if self.ssl.trust_store else ()

    @property
    def bots(self) -> tuple[Bot, ...]:
        """The default bot first."""
        return (self.bot, *self.auth_proxy.bots)
