"""The one place that opens sockets to Symphony.

A login method says what to send, as a `LoginRequest`; `sender` sends it and brings back a
`LoginResponse`, `network` makes the connections, `tls` the contexts for them, and
`unreachable` says in plain words why there is no answer. What became of each request can be
watched, as an `Exchange`. `chain` looks at the certificates that a host shows, and sends
nothing at all.
"""

from symphony_auth_proxy.transport.exchange import Connection, Exchange
from symphony_auth_proxy.transport.sender import MAXIMUM_BODY, Transport

__all__ = ["MAXIMUM_BODY", "Connection", "Exchange", "Transport"]
