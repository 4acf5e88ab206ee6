"""What a token says about itself, believed by nobody.

Nothing is verified here: claims choose a bot or hint at a time, they never prove anything.
Whoever acts on them trusts something else, as the TLS connection by which the token came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the claims of what may be a JWT; of anything else, nothing."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def asserted_user(body: bytes) -> str | None:
    """Return the `sub` of the assertion in an RSA login's body, `{"token": JWT}`; None when
    it cannot be read."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = document.get("token") if isinstance(document, dict) else None
    user = claims_of(token).get("sub") if isinstance(token, str) else None
    return user if isinstance(user, str) else None


def user_id_of(session_token: str) -> int | None:
    """Return the `userId` in a session token, which the older Java SDK reads."""
    user_id = claims_of(session_token).get("userId")
    return user_id if isinstance(user_id, int) and not isinstance(user_id, bool) else None
