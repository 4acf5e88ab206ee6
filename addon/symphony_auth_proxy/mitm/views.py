"""Content views for mitmproxy: what `inspection` writes, where it applies.

A view is cosmetics, not redaction: the raw view, exports and saved flows do not ask it. It
takes part only for Symphony's hosts and for bodies that it is made for; for all others
mitmproxy chooses as if it were not there. Nothing is fetched or opened.
(https://docs.mitmproxy.org/stable/addons/contentviews/)
"""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from typing import override

from mitmproxy import contentviews, http

from symphony_auth_proxy.inspection.events import pretty_events
from symphony_auth_proxy.inspection.json_text import pretty_json
from symphony_auth_proxy.inspection.messages import pretty_message
from symphony_auth_proxy.mitm.state import State

_UNFIT = -1.0
_BEFORE_MITMPROXYS, _BEFORE_OURS = 2.0, 3.0
"""Its own views for JSON and for forms have 1."""

_LONGEST_BODY = 8 * 1024 * 1024
"""Bytes. Longer bodies are streamed, and not kept; a view must not stop the proxy for one."""

_CLOUD = ".symphony.com"
_EVENTS = re.compile(r"/v[45]/(?:datafeeds?/[^/]+/read|events/read)$")
_MESSAGES = re.compile(
    r"/v[1-4]/(?:message/blast|stream/[^/]+/(?:message/create|message/[^/]+/update))$"
)

_state: State | None = None


def install(state: State) -> None:
    """Register the views, for the rest of the process: flows may outlive the addon. A second
    call only replaces the first one's `state`, whose configuration tells Symphony's hosts."""
    global _state  # noqa: PLW0603 (mitmproxy's registry is one for the process, too)
    _state = state
    for view in _VIEWS:
        if contentviews.registry.get(view.name) is not view:
            contentviews.add(view)


def _is_symphony(flow: http.HTTPFlow) -> bool:
    """Whether a host is configured, or one of the cloud, as in captures from elsewhere."""
    host, active = flow.request.host, _state.active if _state is not None else None
    served = active is not None and active.routes.serves(host, flow.request.port)
    return served or host.endswith(_CLOUD)


class _SymphonyView(contentviews.Contentview):
    """One that looks at who the body is from before anything else."""

    priority = _BEFORE_OURS

    @abstractmethod
    def fits(self, data: bytes, metadata: contentviews.Metadata, flow: http.HTTPFlow) -> bool:
        """Whether the view is made for this body of Symphony's."""

    @override
    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        flow = metadata.flow
        if not isinstance(flow, http.HTTPFlow) or metadata.http_message is None:
            return _UNFIT
        if not data or len(data) > _LONGEST_BODY:
            return _UNFIT
        fits = _is_symphony(flow) and self.fits(data, metadata, flow)
        return self.priority if fits else _UNFIT


class SymphonyJson(_SymphonyView):
    """Any JSON of Symphony's, logins above all: tokens decoded, instants with their date."""

    name = "Symphony JSON"
    syntax_highlight = "yaml"
    priority = _BEFORE_MITMPROXYS

    @override
    def fits(self, data: bytes, metadata: contentviews.Metadata, flow: http.HTTPFlow) -> bool:
        kind = metadata.content_type
        return (
            data[:1] in b"{["
            if kind is None
            else kind.startswith("application/") and kind.endswith("json")
        )

    @override
    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        return pretty_json(data, time.time())


class SymphonyEvents(_SymphonyView):
    """What a datafeed or the datahose brought."""

    name = "Symphony events"

    @override
    def fits(self, data: bytes, metadata: contentviews.Metadata, flow: http.HTTPFlow) -> bool:
        answer = flow.response
        return (
            metadata.http_message is answer
            and answer is not None
            and answer.status_code == 200
            and _EVENTS.search(_path(flow)) is not None
        )

    @override
    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        return pretty_events(data)


class SymphonyMessage(_SymphonyView):
    """A message that is sent, out of its form."""

    name = "Symphony message"

    @override
    def fits(self, data: bytes, metadata: contentviews.Metadata, flow: http.HTTPFlow) -> bool:
        return (
            metadata.http_message is flow.request
            and metadata.content_type == "multipart/form-data"
            and _MESSAGES.search(_path(flow)) is not None
        )

    @override
    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        if metadata.http_message is None:
            raise ValueError("it belongs to no HTTP message")
        content_type = metadata.http_message.headers.get("content-type", "")
        return pretty_message(data, content_type, time.time())


def _path(flow: http.HTTPFlow) -> str:
    return flow.request.path.partition("?")[0]


_VIEWS = (SymphonyJson(), SymphonyEvents(), SymphonyMessage())
