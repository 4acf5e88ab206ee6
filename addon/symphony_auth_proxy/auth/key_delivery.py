"""Simplified Key Delivery: can the agent do without key manager tokens?

The session token's claim says that the pod can; an agent of the customer's own must be at
least 24.12 too, which `GET /agent/v1/info` tells without any token (symphony-bdk-java#811).
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from symphony_auth_proxy.model import LoginRequest, LoginResponse, Pod

type AgentVersion = tuple[int, int]

FIRST_WITH_KEY_DELIVERY: AgentVersion = (24, 12)

_VERSION = re.compile(r"Agent-([0-9]{1,4})\.([0-9]{1,4})(?:\D|$)")


def agent_version(pod: Pod) -> Generator[LoginRequest, LoginResponse, AgentVersion | None]:
    """Ask the agent for its version, as in (24, 12). None: it does not tell one."""
    response = yield LoginRequest(
        endpoint=pod.agent, path="/agent/v1/info", method="GET", purpose="agent version"
    )
    if response.status != 200:
        return None
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    text = document.get("version") if isinstance(document, dict) else None
    found = _VERSION.match(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None
