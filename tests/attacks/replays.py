"""Sending flows again, as `replay.client` does it in every tool of mitmproxy."""

from __future__ import annotations

import threading
from pathlib import Path

from mitmproxy import http, io

from attacks.witness import Witness
from support.proxy import Proxy


class _Replayed:
    """Waits until a flow that is sent again has come to its end."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.flow: http.HTTPFlow | None = None

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.is_replay:
            self.flow = flow
            self.over.set()

    error = response


def replay(proxy: Proxy, flow: http.HTTPFlow) -> http.HTTPFlow:
    """Send it again and wait for its end. The proxy needs the addon ClientPlayback."""
    replayed = _Replayed()
    proxy.call(lambda: proxy.master.addons.add(replayed))
    proxy.call(lambda: proxy.master.commands.call("replay.client", [flow]))
    assert replayed.over.wait(10)
    proxy.call(lambda: proxy.master.addons.remove(replayed))
    assert replayed.flow is not None
    return replayed.flow


def last(witness: Witness) -> http.HTTPFlow:
    return next(one for one in reversed(witness.flows) if isinstance(one, http.HTTPFlow))


def saved(witness: Witness, path: Path) -> http.HTTPFlow:
    """The last flow, as a file gives it back."""
    with path.open("wb") as file:
        io.FlowWriter(file).add(last(witness))
    with path.open("rb") as file:
        (loaded,) = io.FlowReader(file).stream()
    assert isinstance(loaded, http.HTTPFlow)
    return loaded
