"""The proxy's own part of the file: what stands below `authProxy`."""

from __future__ import annotations

from pydantic import Field

from symphony_auth_proxy.config.fields import (
    Lifetime,
    Listen,
    LocalPath,
    NoLoginAnswers,
    NotBuilt,
    Seconds,
    Store,
)
from symphony_auth_proxy.config.sections import Bot, Section
from symphony_auth_proxy.model import ClientTokens, Origin, OtherHosts


class FurtherBot(Bot):
    """A bot beside the default one."""

    listen: NotBuilt = None


class Tokens(Section):
    lifetime: Lifetime = None
    """How long a session lives, as the pod's administrator set it; `auto` asks the token."""
    store: Store = "memory"


class CertificateAuthority(Section):
    directory: LocalPath | None = None
    """Where the proxy's own CA is kept: `certs/ca` beside this file unless set."""


class AuthProxy(Section):
    listen: Listen = Origin("127.0.0.1", 8080)
    """HOST:PORT of the proxy; a loopback address."""
    bots: list[FurtherBot] = Field(default_factory=list)
    """Further bots; the file's `bot` is the default one."""
    answer_logins: NoLoginAnswers = False
    client_tokens: ClientTokens = ClientTokens.KEEP
    """For requests that bring a real token of their own."""
    other_hosts: OtherHosts = OtherHosts.PASSTHROUGH
    """For hosts that are not Symphony's."""
    tokens: Tokens = Field(default_factory=Tokens)
    ca: CertificateAuthority = Field(default_factory=CertificateAuthority)
    drain_seconds: Seconds = 25.0
    """How long a stopping proxy waits for the requests in flight."""
    clients: NotBuilt = None
    admin: NotBuilt = None
