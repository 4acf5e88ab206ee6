"""What every token store promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from support.clock import TurnedClock, run
from symphony_auth_proxy.model import Token, TokenKind
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.stores import STORES, TokenStore

SESSION, KEY_MANAGER = TokenKind.SESSION, TokenKind.KEY_MANAGER


def a_token(generation: int = 1, *, expires: float | None = None) -> Token:
    return Token(SESSION, Secret(f"token-{generation}"), generation, 1000.0, expires)


@pytest.fixture(params=STORES)
def with_store(
    request: pytest.FixtureRequest,
) -> Callable[[Callable[[TokenStore, TurnedClock], Awaitable[None]]], None]:
    def tell(story: Callable[[TokenStore, TurnedClock], Awaitable[None]]) -> None:
        async def told() -> None:
            clock = TurnedClock()
            await story(STORES[request.param](clock), clock)

        run(told())

    return tell


type WithStore = Callable[[Callable[[TokenStore, TurnedClock], Awaitable[None]]], None]


def test_a_token_is_found_by_its_bot_and_kind(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        await store.save("one", a_token())
        assert await store.load("one", SESSION) == a_token()
        assert await store.load("one", KEY_MANAGER) is None
        assert await store.load("another", SESSION) is None

    with_store(story)


def test_the_token_saved_last_counts(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        await store.save("one", a_token(1))
        await store.save("one", a_token(2))
        assert await store.load("one", SESSION) == a_token(2)

    with_store(story)


def test_a_token_is_gone_when_its_life_is_over(with_store: WithStore) -> None:
    async def story(store: TokenStore, clock: TurnedClock) -> None:
        await store.save("one", a_token(expires=clock.monotonic() + 60))
        await clock.turn(59.9)
        assert await store.load("one", SESSION) is not None
        await clock.turn(0.1)
        assert await store.load("one", SESSION) is None
        await store.discard("one", SESSION, 1)
        await store.save("one", a_token(2))
        assert await store.load("one", SESSION) == a_token(2)

    with_store(story)


def test_a_token_of_unknown_life_stays(with_store: WithStore) -> None:
    async def story(store: TokenStore, clock: TurnedClock) -> None:
        await store.save("one", a_token())
        await clock.turn(1e9)
        assert await store.load("one", SESSION) == a_token()

    with_store(story)


def test_what_is_discarded_is_gone(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        await store.save("one", a_token(2))
        await store.discard("one", SESSION, 2)
        assert await store.load("one", SESSION) is None
        await store.discard("one", SESSION, 2)

    with_store(story)


def test_a_late_discard_does_not_touch_a_newer_token(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        await store.save("one", a_token(2))
        await store.discard("one", SESSION, 1)
        assert await store.load("one", SESSION) == a_token(2)

    with_store(story)


def test_tokens_of_many_bots_do_not_push_each_other_out(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        for number in range(1000):
            await store.save(f"bot-{number}", a_token())
        assert await store.load("bot-0", SESSION) == a_token()

    with_store(story)


def test_a_store_shows_no_token(with_store: WithStore) -> None:
    async def story(store: TokenStore, _clock: TurnedClock) -> None:
        await store.save("one", a_token())
        assert "token-1" not in repr(store) + repr(vars(store))

    with_store(story)
