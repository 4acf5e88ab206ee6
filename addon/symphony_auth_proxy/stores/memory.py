"""The token cache of one process. Nothing of it ever reaches a disk."""

from __future__ import annotations

from math import inf

from cachetools import TLRUCache

from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.model import Token, TokenKind


def _time_to_use(_key: tuple[str, TokenKind], token: Token, _now: float) -> float:
    return inf if token.expires is None else token.expires


class MemoryStore:
    """A `stores.TokenStore` in a cache whose entries live as long as their tokens."""

    def __init__(self, clock: Clock) -> None:
        # Never full: there are two tokens an account, and the provider bounds those.
        self._tokens: TLRUCache[tuple[str, TokenKind], Token] = TLRUCache(
            maxsize=inf, ttu=_time_to_use, timer=clock.monotonic
        )

    async def load(self, account: str, kind: TokenKind) -> Token | None:
        return self._tokens.get((account, kind))

    async def save(self, account: str, token: Token) -> None:
        self._tokens[account, token.kind] = token

    async def discard(self, account: str, kind: TokenKind, generation: int) -> None:
        token = self._tokens.get((account, kind))
        if token is not None and token.generation <= generation:
            self._tokens.pop((account, kind), None)
