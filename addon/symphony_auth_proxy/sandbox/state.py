"""Everything the simulated Symphony remembers: accounts, apps, sessions, conversations.

It belongs to the sandbox's event loop: nothing here is locked, and other threads reach it
through `control` only.
"""

from __future__ import annotations

import re
import time
from dataclasses import InitVar, dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox.conversations import Conversations
from symphony_auth_proxy.sandbox.journal import Journal
from symphony_auth_proxy.sandbox.sessions import Holder, Session, Sessions

FIRST_SKD_AGENT = (24, 12)
"""Simplified Key Delivery needs this agent or a newer one."""


@dataclass(slots=True)
class Account:
    """A service account, or a person to talk to (who has neither key nor certificate)."""

    username: str
    user_id: int
    public_key: RSAPublicKey | None = None
    certificate_login: bool = False
    """Whether a certificate with this CN may log in."""
    simplified_key_delivery: bool = False

    @property
    def service(self) -> bool:
        return self.public_key is not None or self.certificate_login

    @property
    def display_name(self) -> str:
        return self.username.replace("-", " ").title()

    @property
    def email(self) -> str:
        return f"{self.username}@sandbox.example"


@dataclass(slots=True)
class State:
    signing_key: RSAPrivateKey = field(repr=False)
    certificate: str = field(repr=False)
    """PEM of the certificate that the pod publishes."""
    token_life: InitVar[float]
    """Seconds that new sessions last."""
    poll_seconds: float
    """Seconds that the agent holds an empty datafeed read."""
    agent_version: str
    journal: Journal = field(repr=False)
    clock_offset: float = 0.0
    """Seconds that this pod's clock runs ahead of the machine's."""
    accounts: dict[str, Account] = field(default_factory=dict)
    apps: dict[str, RSAPublicKey] = field(default_factory=dict)
    """Extension apps' public keys, by app id."""
    down: set[Component] = field(default_factory=set)
    """Components that are switched off, for the agent's health answer."""
    sessions: Sessions = field(init=False)
    conversations: Conversations = field(init=False)

    def __post_init__(self, token_life: float) -> None:
        self.sessions = Sessions(self.signing_key, self.now, token_life)
        self.conversations = Conversations(self.now)

    def now(self) -> float:
        """Return the pod's wall clock, in seconds since the epoch."""
        return time.time() + self.clock_offset

    def add_account(self, username: str, **credentials: Any) -> Account:
        """Make an account, or give a known one other credentials."""
        known = self.accounts.get(username)
        user_id = known.user_id if known else 349_871_113_483_264 + len(self.accounts)
        account = Account(username, user_id, **credentials)
        self.accounts[username] = account
        return account

    def account_by_id(self, user_id: str) -> Account | None:
        return next((one for one in self.accounts.values() if str(one.user_id) == user_id), None)

    def open_session(
        self, kind: TokenKind, account: Account, holder: Holder = Holder.BOT
    ) -> Session:
        claims: dict[str, Any] = {"userId": account.user_id}
        if account.simplified_key_delivery and holder is Holder.BOT:
            claims["canUseSimplifiedKeyDelivery"] = True
        return self.sessions.open(kind, account.username, claims, holder)

    def agent_delivers_keys(self) -> bool:
        """Tell whether the agent is new enough for Simplified Key Delivery."""
        found = re.match(r"Agent-(\d+)\.(\d+)", self.agent_version)
        return found is not None and (int(found[1]), int(found[2])) >= FIRST_SKD_AGENT
