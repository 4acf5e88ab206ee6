"""Stopping without losing a request.

mitmproxy drops whatever is in flight when it stops (#3895). Here new connections are
refused first, then requests in flight get their time, and what still waits after that (a
long poll, mostly) is told to come back instead of being cut off.
"""

from __future__ import annotations

import asyncio
import logging

from mitmproxy.addons.proxyserver import Proxyserver

from symphony_auth_proxy.mitm.requests import Requests

logger = logging.getLogger(__name__)

_LAST_SECONDS = 2.0
"""For answers to reach their clients after the upstream side was closed."""

_LOOK_AGAIN_SECONDS = 0.02
"""mitmproxy tells nobody when the last byte of an answer is on its way, so one has to look;
only while stopping."""


async def drain(proxyserver: Proxyserver, requests: Requests, seconds: float) -> None:
    """Stop accepting, wait up to `seconds` for requests in flight, then end the rest."""
    await proxyserver.servers.update([])
    if waiting := requests.in_flight():
        logger.info("Stopping: waiting up to %g s for %d requests.", seconds, waiting)
    if not await _idle(proxyserver, requests, seconds):
        for handler in list(proxyserver.connections.values()):
            for connection, io in list(handler.transports.items()):
                if connection is not handler.client and io.writer is not None:
                    io.writer.close()
        requests.resends.interrupt()
        await _idle(proxyserver, requests, _LAST_SECONDS)


async def _idle(proxyserver: Proxyserver, requests: Requests, seconds: float) -> bool:
    """Whether everything was answered, and the answers sent, in time."""
    try:
        async with asyncio.timeout(seconds):
            while requests.in_flight() or _unsent(proxyserver):  # noqa: ASYNC110 (there is no event)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    except TimeoutError:
        return False
    return True


def _unsent(proxyserver: Proxyserver) -> int:
    """Bytes of answers that clients have not taken yet."""
    ends = [handler.transports.get(handler.client) for handler in proxyserver.connections.values()]
    writers = [io.writer for io in ends if io is not None]
    return sum(
        writer.transport.get_write_buffer_size()
        for writer in writers
        if isinstance(writer, asyncio.StreamWriter)
    )
