"""The audit records that a test has seen."""

from __future__ import annotations

import shlex

import pytest

_LOGGER = "symphony_auth_proxy.audit"


def audit_records(log: pytest.LogCaptureFixture, event: str) -> list[dict[str, str]]:
    """The facts of each record of this event, oldest first."""
    lines = [shlex.split(r.getMessage()) for r in log.records if r.name == _LOGGER]
    facts = [dict(word.split("=", 1) for word in line) for line in lines]
    return [one for one in facts if one.pop("event") == event]
