"""From a place in the file to a pod of the model: every address, and the way to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from symphony_auth_proxy.config.places import Place, Proxy, Server
from symphony_auth_proxy.model import Endpoint, Origin, Pod, UpstreamProxy
from symphony_auth_proxy.secret import Secret

# The BDK's documentation shows `Connection: Keep-Alive` among the default headers. These
# are not a configuration's business: they belong to one connection (RFC 9110 section 7.6.1)
# or are made by whoever sends the message.
_MESSAGE_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class DefaultProxy:
    """The corporate proxy for whatever the file says nothing of, as HTTPS_PROXY names it."""

    proxy: UpstreamProxy | None = None
    direct: Collection[str] = ()
    """The entries of NO_PROXY: a host means its subdomains too, `*` all."""

    def towards(self, origin: Origin) -> UpstreamProxy | None:
        return None if any(_means(one, origin) for one in self.direct) else self.proxy


def given(name: str, *sections: Server) -> Any:
    """Return a field's value in the first of the sections that gives it, else its default."""
    giving = (section for section in sections if name in section.model_fields_set)
    return getattr(next(giving, sections[-1]), name)


def pod_of(place: Place, default: DefaultProxy) -> Pod:
    def endpoint(component: Server) -> Endpoint:
        return _endpoint((component, place), (component, place), default)

    pod, agent = endpoint(place.pod), place.agent
    if agent.load_balancing:
        # The way to a node is the agent's, as in BDK Java; its address is all its own.
        nodes = agent.load_balancing.nodes
        agents = [_endpoint((node,), (node, agent, place), default) for node in nodes]
    else:
        agents = [endpoint(agent)]
    # Without a host the BDK has no address for /sessionauth either. `consistency` has made
    # sure that no bot needs one then, and the pod is where it most likely is.
    has_session_auth = given("host", place.session_auth, place)
    return Pod(
        pod=pod,
        agent=agents[0],
        key_manager=endpoint(place.key_manager),
        session_auth=endpoint(place.session_auth) if has_session_auth else pod,
        agent_nodes=tuple(agents[1:]),
    )


def _endpoint(
    address: tuple[Server, ...], way: tuple[Server, ...], default: DefaultProxy
) -> Endpoint:
    origin = Origin(given("host", *address), given("port", *address))
    headers: dict[str, Secret] = given("default_headers", *way)
    says_proxy = any("proxy" in section.model_fields_set for section in way)
    return Endpoint(
        origin=origin,
        context=given("context", *address),
        proxy=upstream_proxy(given("proxy", *way)) if says_proxy else default.towards(origin),
        headers=tuple(
            (name, value) for name, value in headers.items() if name.lower() not in _MESSAGE_HEADERS
        ),
    )


def upstream_proxy(proxy: Proxy | None) -> UpstreamProxy | None:
    if proxy is None:
        return None
    return UpstreamProxy(proxy.host, proxy.port, proxy.username, proxy.password)


def _means(exception: str, origin: Origin) -> bool:
    """Whether one entry of NO_PROXY means an origin: as curl, requests and Go read it, whose
    common ground is no specification."""
    entry = exception.strip().lower()
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and ("]" in name or ":" not in name):
        if int(port) != origin.port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*.").strip(".")
    if entry == "*":
        return True
    try:
        address = ip_address(origin.host)
    except ValueError:
        return f".{origin.host}".endswith(f".{entry}")
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
