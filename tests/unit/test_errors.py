"""Every error says what clients are told, and what to do."""

from __future__ import annotations

import pytest

from symphony_auth_proxy import errors
from symphony_auth_proxy.errors import ConfigError, Problem, Reason, SymphonyAuthProxyError


def tree() -> list[type[SymphonyAuthProxyError]]:
    found = [SymphonyAuthProxyError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", tree())
def test_every_kind_has_a_status_a_reason_and_stands_in_the_drawing(
    kind: type[SymphonyAuthProxyError],
) -> None:
    assert 400 <= kind.status < 600
    assert isinstance(kind.reason, Reason)
    assert kind.__name__ in (errors.__doc__ or "")


def test_a_configuration_error_lists_all_its_problems() -> None:
    error = ConfigError([Problem("bot.username", "is missing"), Problem("", "is empty")])
    assert "2 problems" in str(error)
    assert "bot.username: is missing" in str(error)
    assert error.hint()
