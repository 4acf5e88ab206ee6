"""HTTP clients that use the proxy and trust its CA."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from support.proxy import Proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox


def trust_of(proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(proxy.ca))


def basic(credentials: str | bytes) -> str:
    """The value of `Proxy-Authorization` for `NAME:PASSWORD`."""
    octets = credentials.encode() if isinstance(credentials, str) else credentials
    return f"Basic {base64.b64encode(octets).decode()}"


def client_of(
    proxy: Proxy,
    *,
    http1: bool = True,
    http2: bool = False,
    credentials: tuple[str, str] | None = None,
) -> httpx.Client:
    """`credentials`: name and password of a client of the proxy, sent with each CONNECT."""
    return httpx.Client(
        proxy=httpx.Proxy(proxy.url, auth=credentials),
        verify=trust_of(proxy),
        trust_env=False,
        timeout=30,
        http1=http1,
        http2=http2,
    )


@dataclass(frozen=True)
class Told:
    """All that a client in a process of its own is told: neither a token nor a valid key."""

    directory: Path
    """Its own, for its configuration."""
    sandbox: Sandbox
    proxy_port: int
    ca: Path
    """The proxy's, PEM."""
    user: str | None = None
    """By which name it is a client of the proxy; None when the proxy asks for none."""
    password: str = ""
    key: Path | None = None
    """A bot's RSA key, which Symphony does not know."""
    agent: str = ""
    """The URL of another agent than the sandbox's."""

    @property
    def proxy_url(self) -> str:
        user = f"{self.user}:{quote(self.password, safe='')}@" if self.user is not None else ""
        return f"http://{user}127.0.0.1:{self.proxy_port}"

    @property
    def urls(self) -> tuple[str, str]:
        """Of pod and agent."""
        agent = self.agent or self.sandbox.url(Component.AGENT)
        return self.agent or self.sandbox.url(Component.POD), agent
