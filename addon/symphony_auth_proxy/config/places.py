"""Where Symphony is: the four services of an installation, and how to get to them.

The file's root is such a place. A further bot may bring one of its own, so that bots of
several pods stand side by side; `effective` says what it takes from the root.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from symphony_auth_proxy.config.document import Wrong, path_text
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
from symphony_auth_proxy.config.interpolation import has_unresolved
from symphony_auth_proxy.config.problems import findings_of
from symphony_auth_proxy.config.sections import App, Section
from symphony_auth_proxy.config.values import Reading


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
    """The corporate proxy; `null` means direct."""
    default_headers: Headers = Field(default_factory=dict)
    """Sent with every login, as API gateways ask for them."""
    connection_timeout: Elsewhere = None
    read_timeout: Elsewhere = None
    connection_pool_max: Elsewhere = None
    connection_pool_per_route: Elsewhere = None

    @property
    def has_address(self) -> bool:
        return self.host is not None


class ComponentServer(Server):
    """One of the four services. What it does not give, it takes from the place it is in."""


class Node(ComponentServer):
    """One agent behind a load balancer. Its address is all its own, as in BDK Java."""

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

    @property
    def has_address(self) -> bool:
        return super().has_address or self.load_balancing is not None


class Place(Server):
    """An installation of Symphony. Its own address is that of all services that have none."""

    pod: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /pod and /login."""
    agent: Agent = Field(default_factory=Agent)
    """Serves /agent."""
    key_manager: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /relay and /keyauth."""
    session_auth: ComponentServer = Field(default_factory=ComponentServer)
    """Serves /sessionauth: certificate logins."""
    app: App | None = None
    """An extension app, for calls on behalf of users who trust it."""

    @field_validator("app", mode="wrap")
    @classmethod
    def _needed_app_is_usable(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> App | None:
        """Take what is wrong with an app that nobody may use as worth a warning: BDK files
        carry apps whose keys are kept from the proxy."""
        reading = Reading.of(info)
        try:
            app: App | None = handler(value)
        except ValidationError as error:
            if reading.on_behalf_of:
                raise
            if not has_unresolved(value):
                found = (f"{path_text(at)} {what}".strip() for at, what in findings_of(error, App))
                owner = f"{info.data['username']}: " if "username" in info.data else ""
                reading.warnings.append(f"{owner}`app` is left out: {'; '.join(found)}")
            return None
        return app

    @property
    def components(self) -> tuple[ComponentServer, ...]:
        return (self.pod, self.agent, self.key_manager, self.session_auth)

    @property
    def has_hosts(self) -> bool:
        """Whether it says by itself where Symphony is."""
        return self.has_address or any(component.has_address for component in self.components)


def effective(own: Place, root: Place) -> Place:
    """Return the place that a bot is in, of what it and the root give.

    With hosts of its own it takes no address from the root, and no app, which belongs to a
    pod. The way out of this network (`proxy`) and `defaultHeaders` are the root's then,
    unless it gives its own. Without hosts it is where the root is, but for what it gives.
    """
    if not own.has_hosts:
        return _laid_over(own, root)
    way = {"proxy", "default_headers"} & root.model_fields_set - own.model_fields_set
    return own.model_copy(update={name: getattr(root, name) for name in way})


def _laid_over[S: Server](upper: Server, lower: S) -> S:
    given = {}
    for name in type(lower).model_fields.keys() & upper.model_fields_set:
        above, below = getattr(upper, name), getattr(lower, name)
        given[name] = _laid_over(above, below) if isinstance(below, ComponentServer) else above
    return lower.model_copy(update=given)
