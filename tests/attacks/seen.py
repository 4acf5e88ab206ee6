"""All that a sink could show and all that was logged, searched for every secret there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from attacks.origins import ScriptedSymphony
from attacks.witness import Witness
from support.canaries import Canaries

CLIENT_SECRETS = {
    "the client's session token": "session-canary-0123456789abcdef",
    "the client's key manager token": "keymanager-canary-0123456789abcdef",
    "the client's bearer token": "bearer-canary-0123456789abcdef",
    "the client's cookie": "cookie-canary-0123456789abcdef",
    "the client's proxy password": "proxy-canary-0123456789abcdef",
    "the token in the client's query": "query-canary-0123456789abcdef",
    "the client's assertion": "assertion-canary-0123456789abcdef",
    "the token of the client's login": "login-canary-0123456789abcdef",
}


class Seen:
    """All that a sink could show, and all that was logged."""

    def __init__(self, canaries: Callable[[], Canaries], log: pytest.LogCaptureFixture) -> None:
        self.witness = Witness()
        self._canaries = canaries
        self._log = log

    def add_to(self, master: Any, _addon: Any) -> None:
        master.addons.add(self.witness)

    def behind(self, *others: Any) -> Callable[[Any, Any], None]:
        """A place behind these addons, as `add_to` is one behind ours."""
        return lambda master, _addon: master.addons.add(*others, self.witness)

    def leaks(self) -> set[str]:
        canaries = self._canaries()
        for kind, secret in CLIENT_SECRETS.items():
            canaries.add(kind, secret)
        for token in ScriptedSymphony.tokens:
            canaries.add("a token of the scripted pod", token)
        return canaries.found_in(self.witness.everything + self._log.text.encode())
