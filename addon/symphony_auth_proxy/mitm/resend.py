"""One more attempt for a request whose tokens were refused.

The copy runs through mitmproxy's own replay machinery and through every hook again, so it
is decided, sealed and checked like any other request, and people can see it as a flow.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from weakref import WeakSet

from mitmproxy import ctx, http
from mitmproxy.addons.clientplayback import ReplayHandler

from symphony_auth_proxy.mitm.clients import Clients
from symphony_auth_proxy.mitm.seal import attach, seal_of

# As long as the BDK for Python waits for an answer; a datafeed read is a long poll.
_TIMEOUT_SECONDS = 300.0


class Resends:
    """The second attempts of one addon."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._copies: WeakSet[http.HTTPFlow] = WeakSet()
        self._running: set[ReplayHandler] = set()

    def __contains__(self, flow: http.HTTPFlow) -> bool:
        """Whether a flow is such an attempt; it is never sent a third time."""
        return flow in self._copies

    async def send(self, flow: http.HTTPFlow, body: bytes) -> http.Response | None:
        """Send the request of `flow` again. Returns the whole answer, or None if none came."""
        again: http.HTTPFlow = flow.copy()
        again.response = again.error = None
        again.is_replay = "request"
        again.request.raw_content = body
        seal = seal_of(flow)
        assert seal is not None
        copied = dataclasses.replace(seal, brought=list(seal.brought), answered=[])
        attach(again, copied)
        self._clients.same_caller(flow, again)
        self._copies.add(again)

        options = copy.deepcopy(ctx.options)
        options.update(
            # Held however long it gets: with this option it would begin to stream, and be lost.
            stream_large_bodies=None,
            # Replays look at the first mode only, which may be another listener's.
            mode=[flow.client_conn.proxy_mode.full_spec],
        )
        handler = ReplayHandler(again, options)
        self._running.add(handler)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await handler.replay()
        except TimeoutError:
            return None
        finally:
            self._running.discard(handler)
            for transport in handler.transports.values():
                if transport.handler is not None:
                    transport.handler.cancel()
        seal.answered = copied.answered
        return again.response

    def interrupt(self) -> None:
        """Let those under way end without an answer."""
        for handler in list(self._running):
            for transport in list(handler.transports.values()):
                if transport.writer is not None:
                    transport.writer.close()
