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

from symphony_auth_proxy.mitm.seal import attach, seal_of

# As long as the BDK for Python waits for an answer; a datafeed read is a long poll.
_TIMEOUT_SECONDS = 300.0


async def resend(
    flow: http.HTTPFlow, body: bytes, resent: WeakSet[http.HTTPFlow]
) -> http.Response | None:
    """Send the request of `flow` again. Returns the whole answer, or None if none came.

    `resent`: where the copy is remembered, so that it is never sent a third time.
    """
    again: http.HTTPFlow = flow.copy()
    again.response = again.error = None
    again.is_replay = "request"
    again.request.raw_content = body
    seal = seal_of(flow)
    assert seal is not None
    copied = dataclasses.replace(seal, brought=list(seal.brought), answered=[])
    attach(again, copied)
    resent.add(again)

    # Held however long it gets: with this option it would begin to stream, and be lost.
    options = copy.deepcopy(ctx.options)
    options.update(stream_large_bodies=None)
    handler = ReplayHandler(again, options)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await handler.replay()
    except TimeoutError:
        return None
    finally:
        for transport in handler.transports.values():
            if transport.handler is not None:
                transport.handler.cancel()
    seal.answered = copied.answered
    return again.response
