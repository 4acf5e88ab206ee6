"""What a client's program needs to know of this proxy.

A password is never a part of it, only where it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from symphony_auth_proxy.environment import ProxyAddress
from symphony_auth_proxy.model import Bot, Client, Origin

PROXY_HOST = "PROXY-HOST"
"""Stands for a name that is not known here: that of the proxy's machine."""

CA_FILE = "proxy-ca.{}"
"""What clients call the file with the proxy's CA, by its form (`pem` or `p12`)."""


def export(form: str) -> str:
    """How to get the CA's file on the proxy's machine."""
    return f"symphony-auth-proxy ca export --format {form} -o {CA_FILE.format(form)}"


@dataclass(frozen=True, slots=True)
class Access:
    """One client's way into the proxy, for one bot."""

    bot: Bot
    client: Client | None
    """As whom it comes in; None when everybody on this machine may."""
    listen: Origin
    answers_logins: bool
    ca: Path | None = None
    """The proxy's CA, PEM, when the client has it at hand; None: it has to be fetched."""
    fetch: Callable[[str], str] = export
    """The command that fetches it, by its form."""
    headers: tuple[tuple[str, str], ...] = ()
    """With which requests have to say for whom they are."""

    @property
    def host(self) -> str:
        """The proxy's host as it stands in a URL."""
        host = self.listen.host
        try:
            address = ip_address(host)
        except ValueError:
            return host
        if address.is_unspecified:
            return PROXY_HOST
        return f"[{host}]" if address.version == 6 else host

    @property
    def ca_pem(self) -> str:
        """Where the client finds the proxy's CA, PEM."""
        return CA_FILE.format("pem") if self.ca is None else str(self.ca)

    @property
    def call(self) -> str:
        """A URL to try it with."""
        pod = self.bot.pod.pod
        return f"https://{str(pod.origin).removesuffix(':443')}{pod.context}/pod/v2/sessioninfo"

    def proxy_url(self, password: str = "") -> str:
        """The proxy as a URL, with the client's name and what stands for its password."""
        user = self.client.name if self.client is not None and password else None
        return str(ProxyAddress(self.listen, user, password))


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to be copied."""

    text: str
    notes: tuple[str, ...] = ()
    """What the text has no place for."""
