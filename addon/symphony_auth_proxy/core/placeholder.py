"""The worthless tokens that bots hold instead of real ones.

A bot that logs in by itself is answered here, with placeholders that look like what Symphony
gives: a session token that is a JWT (BDKs read its `sub`, the older Java SDK its `userId`;
without the claim of Simplified Key Delivery, so that every SDK asks for both tokens) and a
key manager token in hexadecimal. They name the bot and the client to which they were given,
under a MAC, so that they are good at this proxy only, for this client only, and survive its
restart. Replicas that share the key know each other's.

There is one way to write each: what is not, letter by letter, what would be issued for its
claims, is not a placeholder of this key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.utils import base64url_decode

from symphony_auth_proxy.errors import ClientRefused, Reason
from symphony_auth_proxy.model import TokenKind

LIFE = 14 * 86_400.0
"""Seconds that a placeholder is good: as long as Symphony's longest sessions. A bot loses
nothing at its end, it logs in again and is answered here."""

_ISSUER = "symphony-auth-proxy"
_ALGORITHM = "HS256"
_JWT_HEADER = {"kid": _ISSUER}
_JWS = jwt.PyJWS()
_JWT_BEGIN = _JWS.encode(b"", bytes(32), _ALGORITHM, _JWT_HEADER).partition(".")[0] + "."

_HEX_BEGIN = "0100" + _ISSUER.encode().hex()  # all key manager tokens begin with 0100
_HEX_CLAIMS_BYTES = 142
"""Brings a key manager placeholder to the some 390 digits of a real token."""
_MAC_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What a placeholder says, once its MAC was found right."""

    kind: TokenKind
    bot: str
    client: str | None
    """None: it was given when the proxy knew no clients."""


def is_placeholder(value: str) -> bool:
    """Whether a token looks like one of ours. Says nothing about whether it is good."""
    return value.strip().startswith((_JWT_BEGIN, _HEX_BEGIN))


def holds_placeholder(value: str) -> bool:
    """Whether one stands anywhere in a text, as in `Bearer …` or among cookies."""
    return _JWT_BEGIN in value or _HEX_BEGIN in value


class Placeholders:
    """Issues placeholders and reads them back."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        """`key`: at least 32 random bytes. `now`: the wall clock, seconds since the epoch."""
        self._keys = {kind: hmac.digest(key, kind.encode(), hashlib.sha256) for kind in TokenKind}
        self._now = now

    def issue(
        self, kind: TokenKind, bot: str, client: str | None, user_id: int | None = None
    ) -> str:
        """Make one for `client` to speak as `bot`. `user_id`: the bot's, as in real ones."""
        claims: dict[str, Any] = {"sub": bot, "exp": int(self._now() + LIFE)}
        if client is not None:
            claims["client"] = client
        if kind is TokenKind.KEY_MANAGER:
            return self._text(kind, json.dumps(claims).encode().ljust(_HEX_CLAIMS_BYTES))
        if user_id is not None:
            claims["userId"] = user_id
        return self._text(kind, json.dumps(claims).encode())

    def read(self, value: str) -> Placeholder:
        """Read what looks like a placeholder.

        Raises ClientRefused (401, so that the SDK logs in again) when it is broken, from
        another installation, or too old.
        """
        value = value.strip()
        kind = TokenKind.SESSION if value.startswith(_JWT_BEGIN) else TokenKind.KEY_MANAGER
        try:
            claims = self._proven(kind, value)
        except ValueError:
            raise expired_placeholder() from None
        if claims["exp"] <= self._now():
            raise expired_placeholder()
        return Placeholder(kind, claims["sub"], claims.get("client"))

    def _proven(self, kind: TokenKind, value: str) -> Mapping[str, Any]:
        """The claims of a placeholder of this very key. Raises ValueError."""
        if kind is TokenKind.SESSION:
            text = base64url_decode(value.removeprefix(_JWT_BEGIN).partition(".")[0])
        else:
            text = bytes.fromhex(value.removeprefix(_HEX_BEGIN)[_MAC_DIGITS:])
        if not hmac.compare_digest(self._text(kind, text).encode(), value.encode()):
            raise ValueError("it was not issued with this key")
        claims: Mapping[str, Any] = json.loads(text)
        return claims

    def _text(self, kind: TokenKind, claims: bytes) -> str:
        key = self._keys[kind]
        if kind is TokenKind.SESSION:
            return _JWS.encode(claims, key, _ALGORITHM, _JWT_HEADER)
        return _HEX_BEGIN + hmac.digest(key, claims, hashlib.sha256).hex() + claims.hex()


def expired_placeholder() -> ClientRefused:
    """The refusal that makes an SDK log in again."""
    return ClientRefused(
        "this placeholder is not valid here, or not any more",
        status=401,
        reason=Reason.PLACEHOLDER_EXPIRED,
        hint="log in again through this proxy; replicas need the same placeholder.key",
    )
