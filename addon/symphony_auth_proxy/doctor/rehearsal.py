"""One real login of one bot, dry: nothing of it is kept but what people may see.

What `login` and `doctor` share. Tokens are fingerprinted, their claims told, and then they are
gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from symphony_auth_proxy.auth.key_delivery import (
    FIRST_WITH_KEY_DELIVERY,
    AgentVersion,
    agent_version,
)
from symphony_auth_proxy.auth.on_behalf_of import app_session
from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.core.claims import claims_of
from symphony_auth_proxy.core.diagnosis import of_login
from symphony_auth_proxy.core.spans import harmless, utc
from symphony_auth_proxy.errors import KeyMaterialError, LoginError
from symphony_auth_proxy.keys import KeyMaterial
from symphony_auth_proxy.model import (
    App,
    Bot,
    GrantedToken,
    LoginRequest,
    LoginResponse,
    Origin,
    Pod,
    TokenKind,
)
from symphony_auth_proxy.tokens.logins import converse
from symphony_auth_proxy.transport import Transport

type _Talk = Generator[LoginRequest, LoginResponse, GrantedToken]

_INSTANTS = ("iat", "exp")


@dataclass(frozen=True, slots=True)
class Granted:
    """A token that was granted, without the token."""

    fingerprint: str
    origin: Origin
    seconds: float
    claims: str
    """Of a JWT, its times as people read them; empty for other tokens."""


@dataclass(slots=True)
class Rehearsal:
    """What came of it, as far as it came."""

    session: Granted | None = None
    simplified: bool = False
    """Whether the pod delivers keys itself to this bot (Simplified Key Delivery)."""
    agent_delivers: bool = False
    """Whether the agent, asked if `simplified`, can do without key manager tokens."""
    agent: AgentVersion | None = None
    """The version that an agent of the customer's own tells; None: it was not asked, too."""
    key_manager: Granted | None = None
    error: LoginError | KeyMaterialError | None = None

    @property
    def needs_key_manager(self) -> bool:
        return not (self.simplified and self.agent_delivers)


async def rehearse(
    bot: Bot, keys: KeyMaterial, transport: Transport, clock: Clock, *, ask_key_manager: bool = True
) -> Rehearsal:
    """Log a bot in, with `keys`, once for each token that it needs."""
    came, by_clock = Rehearsal(), _ByClock(transport, clock)
    kind = TokenKind.SESSION
    try:
        granted, came.session = await _get(_login(bot, kind, keys, clock), by_clock)
        came.simplified = granted.simplified_key_delivery
        if came.simplified:
            await _ask_agent(came, bot.pod, by_clock)
        if came.needs_key_manager and ask_key_manager:
            kind = TokenKind.KEY_MANAGER
            _, came.key_manager = await _get(_login(bot, kind, keys, clock), by_clock)
    except (LoginError, KeyMaterialError) as error:
        came.error = of_login(error, kind, simplified=came.simplified)
    return came


async def rehearse_app(
    app: App, pod: Pod, keys: KeyMaterial, transport: Transport, clock: Clock
) -> Granted:
    """Get an app's own session, which sessions of users are got with. Raises LoginError."""
    talk = app_session(app.app_id, pod, keys, clock.wall())
    _, granted = await _get(talk, _ByClock(transport, clock))
    return granted


def _login(bot: Bot, kind: TokenKind, keys: KeyMaterial, clock: Clock) -> _Talk:
    return bot.method.login(kind, bot.pod, keys, clock.wall())


async def _get(talk: _Talk, transport: _ByClock) -> tuple[GrantedToken, Granted]:
    begun = transport.clock.monotonic()
    granted = await converse(talk, transport)
    seconds = transport.clock.monotonic() - begun
    assert transport.origin is not None
    fingerprint = granted.value.fingerprint()
    return granted, Granted(fingerprint, transport.origin, seconds, _claims(granted))


async def _ask_agent(came: Rehearsal, pod: Pod, transport: _ByClock) -> None:
    if not pod.separate_agent:
        came.agent_delivers = True
        return
    try:
        came.agent = await converse(agent_version(pod), transport)
    except LoginError:
        return
    came.agent_delivers = came.agent is not None and came.agent >= FIRST_WITH_KEY_DELIVERY


class _ByClock:
    """A transport that goes by another clock, and remembers where it sent the last request."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self.clock = clock
        self.origin: Origin | None = None

    @asynccontextmanager
    async def exchange(
        self, request: LoginRequest, account: str = ""
    ) -> AsyncGenerator[LoginResponse]:
        self.origin = request.endpoint.origin
        async with self._transport.exchange(request, account) as response:
            yield replace(response, received=self.clock.wall())


def _claims(granted: GrantedToken) -> str:
    claims = claims_of(granted.value.reveal())
    shown = [f"{name}={value}" for name, value in claims.items() if name not in _INSTANTS]
    for name in _INSTANTS:
        value = claims.get(name)
        if isinstance(value, int | float) and 0 <= value < 1e10:
            shown.append(f"{name}={utc(value)}")
    return harmless(", ".join(shown))
