"""Who uses the proxy: the client that a request belongs to, and the listener it came by.

A client says who it is with Basic credentials (RFC 7617): with each CONNECT, which then stands
for all that is sent in its tunnel, and with each request outside of one. What is kept is its
name; what a name may do is looked up in the configuration in force, request by request. So a
client that a reload takes away is gone at once, in its open tunnels too.

Wrong passwords are neither delayed nor counted. A delay costs the guesser nothing (they open
more connections) and the proxy a connection each; a lock-out would let anybody lock a bot out.
What bounds guessing is the length of a password, and the few Argon2 hashes that are computed
at once; clients that were found right before do not wait for those.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from mitmproxy import connection, ctx, http
from mitmproxy.proxy.mode_specs import ReverseMode

from symphony_auth_proxy.core.credentials import Credentials, is_basic, read_basic
from symphony_auth_proxy.core.decisions import Caller
from symphony_auth_proxy.errors import ClientRefused, Reason, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import Client, Settings
from symphony_auth_proxy.passwords import HashedPassword, Password
from symphony_auth_proxy.secret import Secret


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who sent a flow."""

    client: str | None
    bot: str | None


class Clients:
    """Knows the caller of every request."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._passwords = _Passwords()
        self._tunnels: WeakKeyDictionary[connection.Client, str] = WeakKeyDictionary()
        """The clients' names, by the connection that was made a tunnel for them."""
        self._senders: WeakKeyDictionary[http.HTTPFlow, _Sender] = WeakKeyDictionary()

    def take_credentials(self, flow: http.HTTPFlow) -> Secret | None:
        """Take out of a request what is addressed to this proxy (RFC 9110, 11.7.2).

        To the clients of a reverse proxy it is no proxy, but the server: what they send as
        `Authorization: Basic` is meant for it, when clients are configured.
        """
        flow.metadata.pop("proxyauth", None)
        headers = flow.request.headers
        values = headers.get_all("proxy-authorization")
        headers.pop("proxy-authorization", None)
        active = self.state.active
        reverse = isinstance(flow.client_conn.proxy_mode, ReverseMode)
        if not values and reverse and active is not None and active.settings.clients:
            others = headers.get_all("authorization")
            values = [value for value in others if is_basic(value)]
            headers.set_all("authorization", [v for v in others if v not in values])
        # Two of them make one that cannot be read.
        return Secret(", ".join(values)) if values else None

    async def admit_tunnel(
        self, flow: http.HTTPFlow, credentials: Secret | None, active: Active
    ) -> None:
        """Find out who wants a tunnel. Raises ClientRefused (407) when nobody may have it."""
        if active.settings.clients:
            client = await self._authenticated(flow, credentials, active.settings)
            self._tunnels[flow.client_conn] = client.name

    def client_of_tunnel(self, client: connection.Client, active: Active) -> Client | None:
        """The configured client that a tunnel was opened for."""
        return _named(self._tunnels.get(client), active.settings)

    async def caller(
        self, flow: http.HTTPFlow, credentials: Secret | None, active: Active
    ) -> Caller:
        """Say who sends a request. Raises ClientRefused (407) when nobody may, and
        SymphonyAuthProxyError (503) at a port that is not open any more."""
        settings, known = active.settings, self._known(flow)
        client = None
        if settings.clients and known is None:
            client = await self._authenticated(flow, credentials, settings)
        elif settings.clients and known is not None:
            client = _named(known.client, settings)
            if client is None:
                raise _refused("this client is not known here, or not any more")
            self.state.client_names[flow] = client.name
        bot = known.bot if known is not None else None
        caller = Caller(client, _listener(flow, active), bot)
        self.remember(flow, caller)
        return caller

    def _known(self, flow: http.HTTPFlow) -> _Sender | None:
        """Who sends a request, if that is known already. A flow from a file is nobody's,
        whatever it says of its connection."""
        if flow.is_replay:
            return self._senders.get(flow, _Sender(None, None))
        name = self._tunnels.get(flow.client_conn)
        return None if name is None else _Sender(name, None)

    def remember(self, flow: http.HTTPFlow, caller: Caller) -> None:
        """Keep the caller of a flow for when it is sent again."""
        name = caller.client.name if caller.client is not None else None
        self._senders[flow] = _Sender(name, caller.remembered)

    def same_caller(self, flow: http.HTTPFlow, copy: http.HTTPFlow) -> None:
        """Let a copy be sent in the name of the same caller."""
        self._senders[copy] = self._senders[flow]

    async def _authenticated(
        self, flow: http.HTTPFlow, sent: Secret | None, settings: Settings
    ) -> Client:
        if sent is None:
            raise _refused("this proxy wants to know which of its clients calls")
        credentials = read_basic(sent)
        if credentials is None:
            raise _refused("these are no Basic credentials that can be read")
        client = _named(credentials.name, settings)
        if client is not None:  # else the name is not told: people mistake fields for another
            self.state.client_names[flow] = client.name
        if not await self._passwords.right(credentials, client, settings.clients):
            raise _refused("these are not the name and password of a client")
        assert client is not None
        return client


_AT_ONCE = 2
"""Argon2 hashes under way: each takes 64 MiB and, for tens of milliseconds, a core."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """That a password was found right, without the password."""

    mac: bytes
    against: Password


class _Passwords:
    """Checks passwords, in a time that tells nothing about who the clients are."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._proofs: LRUCache[str, _Proof] = LRUCache(1024)
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def right(
        self, credentials: Credentials, client: Client | None, clients: Sequence[Client]
    ) -> bool:
        """Whether the password is that of `client`; never for None, but no sooner."""
        password = credentials.password.reveal()
        passwords = [one.password for one in clients]
        decoy = next((one for one in passwords if isinstance(one, HashedPassword)), passwords[0])
        if not isinstance(decoy, HashedPassword):
            return _matches(client, password, decoy)
        if self._is_proven(credentials, client):
            return True
        async with self._at_once:
            if self._is_proven(credentials, client):  # by one who came at the same time
                return True
            right = await asyncio.to_thread(_matches, client, password, decoy)
        if right and client is not None:
            self._proofs[client.name] = _Proof(self._mac(credentials), client.password)
        return right

    def _is_proven(self, credentials: Credentials, client: Client | None) -> bool:
        proof = self._proofs.get(client.name) if client is not None else None
        return (
            client is not None
            and proof is not None
            and hmac.compare_digest(proof.mac, self._mac(credentials))
            and proof.against == client.password  # it may have been changed since
        )

    def _mac(self, credentials: Credentials) -> bytes:
        return hmac.digest(self._key, credentials.password.reveal().encode(), hashlib.sha256)


def _matches(client: Client | None, password: str, decoy: Password) -> bool:
    """Compare, and compute one hash before saying no, if any client's password is a hash:
    `decoy` is such a client's, and what it says counts for nothing."""
    right = client is not None and client.password.matches(password)
    hashed = client is not None and isinstance(client.password, HashedPassword)
    if not right and not hashed:
        decoy.matches(password)
    return right


def _named(name: str | None, settings: Settings) -> Client | None:
    return next((client for client in settings.clients if client.name == name), None)


def _refused(message: str) -> ClientRefused:
    return ClientRefused(
        message,
        status=407,
        reason=Reason.CLIENT_UNKNOWN,
        hint="give the proxy's address as http://NAME:PASSWORD@HOST:PORT (in reverse mode: send "
        "Authorization: Basic), with a name and password out of authProxy.clients",
    )


def _listener(flow: http.HTTPFlow, active: Active) -> str | None:
    """The bot that the listener means at which a request came in. Raises SymphonyAuthProxyError
    (503) when a reload has closed it: who comes by it meant a bot, and that one only."""
    mode = flow.client_conn.proxy_mode
    place = (mode.custom_listen_host, mode.custom_listen_port)
    for bot in active.settings.bots:
        if bot.listen is not None and place == (bot.listen.host, bot.listen.port):
            return bot.username
    closed = mode.custom_listen_port is not None and mode.full_spec not in ctx.options.mode
    if closed and not flow.is_replay:
        raise SymphonyAuthProxyError(
            "the port that this connection came by is not open any more",
            reason=Reason.DRAINING,
            hint="connect again, to a port that the configuration names",
            retry_after=2,
        )
    return None
