"""A token provider with a turned clock and a scripted pod, and the way to test it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from support.clock import TurnedClock, run, settled
from support.scripted_pod import KeyInHand, ScriptedPod, bot, key
from symphony_auth_proxy.model import Bot, Component, Token, TokenKind, TokenPair
from symphony_auth_proxy.stores import MemoryStore
from symphony_auth_proxy.telemetry import Telemetry
from symphony_auth_proxy.tokens.account import TokenStatus
from symphony_auth_proxy.tokens.provider import TokenProvider, Wants

NAME = "pricing-bot"


class SlowStore(MemoryStore):
    """A store that answers later, as one that is shared between processes does."""

    def __init__(self, clock: TurnedClock, delay: float) -> None:
        super().__init__(clock)
        self.clock = clock
        self.delay = delay

    async def load(self, account: str, kind: TokenKind) -> Token | None:
        token = await super().load(account, kind)
        await self.clock.sleep(self.delay)
        return token

    async def save(self, account: str, token: Token) -> None:
        await self.clock.sleep(self.delay)
        await super().save(account, token)

    async def discard(self, account: str, kind: TokenKind, generation: int) -> None:
        await self.clock.sleep(self.delay)
        await super().discard(account, kind, generation)


class Engine:
    def __init__(
        self,
        *bots: Bot,
        lifetime: float | None = None,
        seed: int = 7,
        store_delay: float = 0.0,
    ) -> None:
        self.clock = TurnedClock()
        self.pod = ScriptedPod(self.clock)
        self.telemetry = Telemetry()
        self.store = SlowStore(self.clock, store_delay) if store_delay else MemoryStore(self.clock)
        self.keys = KeyInHand(key("key-0"))
        """The key file of the one bot that there is when a test names none."""
        self.provider = TokenProvider(
            bots or [bot(NAME, credentials=self.keys)],
            self.pod,
            clock=self.clock,
            store=self.store,
            telemetry=self.telemetry,
            lifetime=lifetime,
            random=Random(seed),  # noqa: S311 (repeatable on purpose)
        )

    async def get(
        self,
        wants: Wants = Wants.BOTH,
        *,
        name: str = NAME,
        arrived: float | None = None,
        user: str | None = None,
    ) -> TokenPair:
        """One request, which arrives now unless told otherwise."""
        now = self.clock.monotonic() if arrived is None else arrived
        return await self.provider.get(name, wants, arrived=now, user=user)

    def asked(
        self,
        wants: Wants = Wants.BOTH,
        *,
        name: str = NAME,
        arrived: float | None = None,
        user: str | None = None,
    ) -> asyncio.Task[TokenPair]:
        """The same, not waited for. The caller holds the task."""
        request = self.get(wants, name=name, arrived=arrived, user=user)
        return asyncio.create_task(request)  # noqa: TID251 (see above)

    async def renew(self, pair: TokenPair, component: Component) -> TokenPair | None:
        """A 401 that arrives now."""
        return await self.provider.renew(pair, component, arrived=self.clock.monotonic())

    def renewing(self, pair: TokenPair, component: Component) -> asyncio.Task[TokenPair | None]:
        """The same, not waited for. The caller holds the task."""
        return asyncio.create_task(self.renew(pair, component))  # noqa: TID251 (see above)

    def reconfigure(self, *bots: Bot, lifetime: float | None = None) -> None:
        """A reload, which finds these bots in the configuration."""
        self.provider.reconfigure(bots, self.pod, lifetime)

    @property
    def session(self) -> TokenStatus:
        return self.provider.snapshot(NAME).session

    @property
    def key_manager(self) -> TokenStatus:
        return self.provider.snapshot(NAME).key_manager

    async def close(self) -> None:
        """End, and check what must be true after every scenario."""
        await self.provider.aclose()
        await settled()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert self.clock.sleepers == 0
        assert set(self.pod.most_at_once.values()) <= {1}


def scenario(
    *bots: Bot, lifetime: float | None = None, store_delay: float = 0.0
) -> Callable[[Callable[[Engine], Awaitable[None]]], Callable[[bool], None]]:
    """Make a test of a story about one engine; it is told under both kinds of loop."""

    def decorate(story: Callable[[Engine], Awaitable[None]]) -> Callable[[bool], None]:
        async def told() -> None:
            engine = Engine(*bots, lifetime=lifetime, store_delay=store_delay)
            # By the real clock: an engine that is broken fails its tests, it hangs none.
            async with asyncio.timeout(30):
                await story(engine)
                await engine.close()

        def test(eager: bool) -> None:
            run(told(), eager=eager)

        test.__name__, test.__doc__ = story.__name__, story.__doc__
        test.__module__ = story.__module__
        return pytest.mark.parametrize("eager", [False, True], ids=["loop", "eager-loop"])(test)

    return decorate
