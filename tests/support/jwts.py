"""Tokens that nobody signed, for what only reads them."""

from __future__ import annotations

import base64
import json
from typing import Any


def unsigned_jwt(signature: str = "c2lnbmF0dXJlLWNhbmFyeS1zaWduYXR1cmU", **claims: Any) -> str:
    """Make one in the form of Symphony's, with the given text in place of a signature."""
    return ".".join([_part({"alg": "RS512"}), _part(claims), signature])


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
