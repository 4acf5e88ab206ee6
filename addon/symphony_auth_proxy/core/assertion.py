"""The login assertion: the short-lived JWT by which a bot proves that it holds its key.

Symphony accepts RS512 only, `sub` = the service account's username, and an `exp` that its
own clock finds in the future and at most five minutes ahead. Nothing else belongs in it.
"""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from symphony_auth_proxy.secret import Secret

ASSERTION_LIFE = 240
"""Seconds. At the full 300 that the pod allows, a machine whose clock runs slightly ahead
is refused (symphony-bdk-java#573); a minute of slack is what both BDKs settled on."""


def login_assertion(username: str, key: RSAPrivateKey, now: float) -> Secret:
    """Sign one assertion for `username`. `now`: wall clock, seconds since the epoch."""
    claims = {"sub": username, "exp": int(now) + ASSERTION_LIFE}
    return Secret(jwt.encode(claims, key, algorithm="RS512"))
