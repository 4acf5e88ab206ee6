"""Keeping what a person may look at bounded: the oldest flows go.

mitmproxy's UIs keep every flow until somebody clears the list, so a proxy that is left open
for a week would take all memory. Here the list has a length, and the bodies in it a size;
beyond either, the oldest flows are taken out. Never taken out is what is still in flight (an
intercepted flow is), and what a person looks at. Of the portal's flows only the last few stay:
a status page that somebody leaves open asks every few seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.addons.view import View

from symphony_auth_proxy.mitm.portal import is_portal

BODY_BYTES = 256 * 1024 * 1024
"""Bytes of all bodies in the list. One flow may hold nine megabytes of them."""

_AFTER_TRIMMING = 0.95
"""Of either bound: a batch goes at a time, so that the flows that have to stay are not passed
over for every new one."""

_LOOKED_AT = 8
"""Flows that somebody looked at last."""

_OF_PORTAL = 20
"""Flows to the portal."""


class Trimming:
    """Stands behind the view, and watches what it holds."""

    def __init__(
        self,
        view: View,
        most: int,
        *,
        body_bytes: int = BODY_BYTES,
        focused: Callable[[], flows.Flow | None] = lambda: None,
    ) -> None:
        """`most`: how many flows to keep; `focused`: the one that a person is at, where the
        tool knows it."""
        self._view = view
        self._most = most
        self._body_bytes = body_bytes
        self._focused = focused
        self._held: OrderedDict[str, int] = OrderedDict()
        """Bytes of bodies by flow, oldest flow first."""
        self._bytes = 0
        self._looked_at: deque[str] = deque(maxlen=_LOOKED_AT)
        self._of_portal: deque[str] = deque()
        view.sig_view_add.connect(self._arrived)
        view.sig_store_remove.connect(self._removed)
        view.sig_store_refresh.connect(self._cleared)

    def look_at(self, flow_id: str) -> None:
        """Keep a flow for now, because a person looks at it."""
        if flow_id not in self._looked_at:
            self._looked_at.append(flow_id)

    # --- what happens to flows -------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._arrived(flow)  # also of what a filter hides, which no signal tells
        if is_portal((flow.request.host, flow.request.port)):
            self._of_portal.append(flow.id)
            if len(self._of_portal) > _OF_PORTAL:
                self._let_go(self._of_portal.popleft())
        self._trim()

    def response(self, flow: http.HTTPFlow) -> None:
        self._measure(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._measure(flow)

    def _arrived(self, flow: flows.Flow) -> None:
        if flow.id not in self._held:
            self._held[flow.id] = 0
            self._measure(flow)

    def _measure(self, flow: flows.Flow) -> None:
        if flow.id in self._held and isinstance(flow, http.HTTPFlow):
            size = _body_bytes(flow)
            self._bytes += size - self._held[flow.id]
            self._held[flow.id] = size
            self._trim()

    def _removed(self, flow: flows.Flow) -> None:
        self._bytes -= self._held.pop(flow.id, 0)

    def _cleared(self) -> None:
        for flow_id in list(self._held):
            if self._view.get_by_id(flow_id) is None:
                self._bytes -= self._held.pop(flow_id)

    # --- what goes -------------------------------------------------------------------

    def _trim(self) -> None:
        if self._is_within(1.0):
            return
        for flow_id in list(self._held):
            if self._is_within(_AFTER_TRIMMING):
                return
            self._let_go(flow_id)

    def _let_go(self, flow_id: str) -> None:
        flow = self._view.get_by_id(flow_id)
        if flow is None:
            self._bytes -= self._held.pop(flow_id, 0)
        elif not flow.live and flow is not self._focused() and flow_id not in self._looked_at:
            self._view.remove([flow])  # one by one: of several it makes an alert

    def _is_within(self, share: float) -> bool:
        return len(self._held) <= self._most * share and self._bytes <= self._body_bytes * share


def _body_bytes(flow: http.HTTPFlow) -> int:
    messages = (flow.request, flow.response)
    return sum(len(message.raw_content or b"") for message in messages if message is not None)
