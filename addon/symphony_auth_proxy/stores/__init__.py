"""Where tokens are kept: one file a store, found by its name in `authProxy.tokens.store`.

A store keeps values; it decides nothing. Whether a token may be sent is known by the
provider alone, so a store that forgets early costs a login and a store that forgets late
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from symphony_auth_proxy.clock import Clock
from symphony_auth_proxy.model import Token, TokenKind
from symphony_auth_proxy.stores.memory import MemoryStore


class TokenStore(Protocol):
    """Tokens by account and kind. Asynchronous, since a store may be shared between processes.

    `account`: a bot's username, or a user's name below it (`core.names.key_of`).
    """

    async def load(self, account: str, kind: TokenKind) -> Token | None:
        """Return the token saved last, unless its life is over or it was discarded."""
        ...

    async def save(self, account: str, token: Token) -> None:
        """Keep `token` until its life is over, in place of the one before."""
        ...

    async def discard(self, account: str, kind: TokenKind, generation: int) -> None:
        """Forget the token if it is of this generation or an older one."""
        ...


STORES: Mapping[str, Callable[[Clock], TokenStore]] = {
    "memory": MemoryStore,
}

__all__ = ["STORES", "MemoryStore", "TokenStore"]
