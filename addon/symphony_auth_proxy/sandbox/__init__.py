"""The simulated Symphony: pod, key manager, agent, with real TLS and real checks.

For people who try the proxy, for their own CI, and for this project's tests:

    with Sandbox(directory) as sandbox:
        ...                                   # use sandbox.config, sandbox.url(Component.POD)
        sandbox.revoke("pricing-bot")
        sandbox.wait_for(lambda requests: len(requests) == 3)

It checks what the real services check and answers in their shapes; it listens on loopback
only. What it never does: stand in for a real pod in anything about performance or limits.
"""

from symphony_auth_proxy.sandbox.faults import FaultKind
from symphony_auth_proxy.sandbox.journal import Received
from symphony_auth_proxy.sandbox.pki import CERTIFICATE_BOT, KEY_BOT, prepare
from symphony_auth_proxy.sandbox.sandbox import Sandbox

__all__ = [
    "CERTIFICATE_BOT",
    "KEY_BOT",
    "FaultKind",
    "Received",
    "Sandbox",
    "prepare",
]
