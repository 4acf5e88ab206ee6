"""Statuses of proxies to which this and that has happened, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.clock import NOON
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.model import Origin, TokenKind
from symphony_auth_proxy.operations.status import LoginRecord, Refusals, Status
from symphony_auth_proxy.tokens.account import BotStatus, TokenStatus


def good_token(kind: TokenKind = TokenKind.SESSION, **changes: Any) -> TokenStatus:
    facts: dict[str, Any] = {
        "kind": kind,
        "state": State.FRESH,
        "generation": 2,
        "logging_in": False,
        "age": 720.0,
        "expires_in": 3000.0,
        "fingerprint": "7f3a",
        "obtained": NOON - 720,
        "renew_in": 1800.0,
    }
    return TokenStatus(**(facts | changes))


def no_token(kind: TokenKind = TokenKind.SESSION, **changes: Any) -> TokenStatus:
    facts: dict[str, Any] = {"state": State.EMPTY, "generation": 0, "logging_in": False}
    return TokenStatus(kind, **(facts | changes))


def bot_status(
    name: str = "pricing-bot",
    session: TokenStatus | None = None,
    key_manager: TokenStatus | None = None,
    **changes: Any,
) -> BotStatus:
    session = session or good_token()
    key_manager = key_manager or good_token(TokenKind.KEY_MANAGER, fingerprint="9e21")
    return BotStatus(name, session, key_manager, **({"pod": "acme.symphony.com:443"} | changes))


REFUSED = no_token(
    trouble="login_rejected: the pod refuses the certificate",
    diagnosis="certificate_not_accepted",
    hint="import its CA at the pod",
    retry_in=119.6,
)


def status(*bots: BotStatus, **changes: Any) -> Status:
    """A proxy that has run for a day, at noon."""
    facts: dict[str, Any] = {
        "version": "1.2.3",
        "since": NOON - 90_061.0,
        "uptime": 90_061.0,
        "ca_certificate": Path("certs/ca/mitmproxy-ca-cert.pem"),
        "config": Path("config.yaml"),
        "listeners": (Origin("127.0.0.1", 8080),),
        "bots": bots or (bot_status(),),
        "decisions": {"injected": 3, "refused": 1},
    }
    return Status(**(facts | changes))


def eventful() -> Status:
    """One to which much has happened."""
    return status(
        bot_status(users=2, waiting=1),
        bot_status("compliance-bot", REFUSED, no_token(TokenKind.KEY_MANAGER)),
        clients=("pricing", "risk"),
        decisions={"injected": 3, "passed": 8, "answered": 1, "refused": 13, "passthrough": 4},
        requests={"pricing-bot": {"agent": 2, "pod": 1}},
        passed={"other_path": 7, "login": 1},
        resends={"200": 1},
        logins=(
            LoginRecord(
                NOON - 2,
                "login_failed",
                "failed",
                "compliance-bot",
                kind="session",
                reason="login_rejected",
                diagnosis="certificate_not_accepted",
                error="the pod refuses the certificate",
            ),
            LoginRecord(
                NOON - 300,
                "token_marked_bad",
                "failed",
                "pricing-bot",
                kind="session",
                component="agent",
                generation=1,
            ),
            LoginRecord(
                NOON - 720,
                "login_succeeded",
                "ok",
                "pricing-bot",
                user="alice",
                kind="user_session",
                seconds=0.21,
                fingerprint="7f3a",
                generation=2,
            ),
            LoginRecord(
                NOON - 9000,
                "key_reload_failed",
                "failed",
                "pricing-bot",
                error="bot.pem holds no key",
                fingerprint="ab12",
            ),
        ),
        refusals=(
            Refusals("client_unknown", 12, NOON - 30, "acme.symphony.com", "pricing"),
            Refusals("cross_site", 1, NOON - 86_000),
        ),
    )
