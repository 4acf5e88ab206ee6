"""Sessions: what a login opens and what the services check.

A session token is an RS512 JWT and a key manager token a long hexadecimal text, as on real
pods; neither is ever looked into afterwards, only looked up. The two kinds die separately.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from symphony_auth_proxy.model import TokenKind


class Holder(StrEnum):
    """Whom a session speaks for."""

    BOT = "bot"
    APP = "app"
    ON_BEHALF_OF = "on_behalf_of"


@dataclass(frozen=True, slots=True)
class Session:
    kind: TokenKind
    username: str
    """The account; for an app's own session its app id."""
    holder: Holder
    session_id: str
    created: float
    expires: float
    token: str = field(repr=False)


class Sessions:
    """All live sessions. Instants are wall-clock seconds of the simulated pod."""

    def __init__(self, signing_key: RSAPrivateKey, now: Callable[[], float], life: float) -> None:
        """`life`: seconds that new sessions last."""
        self.life = life
        self._signing_key = signing_key
        self._now = now
        self._by_token: dict[str, Session] = {}

    def open(
        self,
        kind: TokenKind,
        username: str,
        claims: dict[str, Any],
        holder: Holder = Holder.BOT,
    ) -> Session:
        """Start a session. `claims` stand in a session token beside the usual ones.

        Earlier sessions of the account go on: several processes share accounts.
        """
        now = self._now()
        session_id = str(uuid.uuid4())
        if kind is TokenKind.SESSION:
            claims = {"sub": username, "sessionId": session_id, **claims}
            token = self.sign(claims, now + self.life)
        else:
            token = "0100" + secrets.token_hex(193)
        session = Session(kind, username, holder, session_id, now, now + self.life, token)
        self._by_token[token] = session
        return session

    def sign(self, claims: dict[str, Any], expires: float) -> str:
        """Sign a JWT as the pod: RS512, `exp` in whole seconds."""
        return jwt.encode({**claims, "exp": int(expires)}, self._signing_key, algorithm="RS512")

    def find(self, token: str, kind: TokenKind) -> Session | None:
        """Return the live session of this kind that the token belongs to."""
        session = self._by_token.get(token)
        if session is None or session.kind is not kind:
            return None
        if session.expires <= self._now():
            del self._by_token[token]
            return None
        return session

    def live(self, username: str | None = None, kind: TokenKind | None = None) -> list[Session]:
        """List the sessions that are alive, of all accounts and kinds unless told."""
        return [
            session
            for session in self._by_token.values()
            if session.expires > self._now()
            and username in (None, session.username)
            and kind in (None, session.kind)
        ]

    def end(self, *sessions: Session) -> None:
        for session in sessions:
            self._by_token.pop(session.token, None)
