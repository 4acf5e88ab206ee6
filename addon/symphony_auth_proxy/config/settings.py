"""From a checked file to the program's own nouns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symphony_auth_proxy.config.bdk import File, Node, Proxy, Server
from symphony_auth_proxy.config.values import Reading
from symphony_auth_proxy.model import (
    Bot,
    Component,
    Endpoint,
    Origin,
    Pod,
    Settings,
    UpstreamProxy,
)
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


def inherited(root: Server, server: Server) -> dict[str, Any]:
    """Return the fields of `server`, those that it does not give taken from `root`."""
    return {
        name: getattr(server if name in server.model_fields_set else root, name)
        for name in Server.model_fields
    }


def settings_of(file: File, source: Path, reading: Reading, trust_bundle: str) -> Settings:
    own = file.auth_proxy
    pod = _pod(file)
    return Settings(
        bots=tuple(Bot(bot.username, pod, bot.method()) for bot in file.bots),
        listen=own.listen,
        ca_directory=own.ca.directory or reading.directory / "certs" / "ca",
        ca_directory_configured=own.ca.directory is not None,
        trust_bundle=trust_bundle,
        proxy=_proxy(file.proxy),
        client_tokens=own.client_tokens,
        other_hosts=own.other_hosts,
        token_lifetime=own.tokens.lifetime,
        drain_seconds=own.drain_seconds,
        source=source,
        warnings=(*reading.warnings, *_warnings(file)),
    )


def _pod(file: File) -> Pod:
    pod = _endpoint(inherited(file, file.pod))
    first_agent, *further_agents = _agents(file)
    # Without a host the BDK has no address for /sessionauth either. `consistency` has made
    # sure that no bot needs one then, and the pod is where it most likely is.
    session_auth = inherited(file, file.session_auth)
    return Pod(
        pod=pod,
        agent=first_agent,
        key_manager=_endpoint(inherited(file, file.key_manager)),
        session_auth=_endpoint(session_auth) if session_auth["host"] else pod,
        agent_nodes=tuple(further_agents),
    )


def _agents(file: File) -> list[Endpoint]:
    agent = inherited(file, file.agent)
    if not file.agent.load_balancing:
        return [_endpoint(agent)]
    return [_endpoint(_node(node, agent)) for node in file.agent.load_balancing.nodes]


def _node(node: Node, agent: dict[str, Any]) -> dict[str, Any]:
    """A node has an address of its own; how to get there is the agent's, as in BDK Java."""
    way = {
        name: agent[name]
        for name in ("proxy", "default_headers")
        if name not in node.model_fields_set
    }
    return {name: getattr(node, name) for name in Server.model_fields} | way


def _endpoint(fields: dict[str, Any]) -> Endpoint:
    headers: dict[str, Secret] = fields["default_headers"]
    return Endpoint(
        origin=Origin(fields["host"], fields["port"]),
        context=fields["context"],
        proxy=_proxy(fields["proxy"]),
        headers=tuple(
            (name, value) for name, value in headers.items() if name.lower() not in _MESSAGE_HEADERS
        ),
    )


def _proxy(proxy: Proxy | None) -> UpstreamProxy | None:
    if proxy is None:
        return None
    return UpstreamProxy(proxy.host, proxy.port, proxy.username, proxy.password)


def _warnings(file: File) -> list[str]:
    warnings = []
    session_auth = inherited(file, file.session_auth)
    pod = inherited(file, file.pod)
    by_certificate = [bot.username for bot in file.bots if bot.certificate]
    if by_certificate and (session_auth["host"], session_auth["port"]) == (
        pod["host"],
        pod["port"],
    ):
        warnings.append(
            f"the certificate logins of {', '.join(by_certificate)} go to the pod's own port, "
            f"where Symphony asks for no certificate; `{Component.SESSION_AUTH}` and "
            f"`{Component.KEY_MANAGER}` are usually the pod's -api host or its port 8444"
        )
    balancing = file.agent.load_balancing
    if balancing and balancing.mode == "external":
        warnings.append(
            "agents that the load balancer names at run time get no tokens unless they are "
            "listed in `agent.loadBalancing.nodes`"
        )
    return warnings
