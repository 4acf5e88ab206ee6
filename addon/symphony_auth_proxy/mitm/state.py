"""What the hooks share: the configuration in force, or the reason why there is none."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, Unpack
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import connection, http

from symphony_auth_proxy.clock import Clock, SystemClock
from symphony_auth_proxy.core.placeholder import Placeholders
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.mitm.answers import answer
from symphony_auth_proxy.mitm.bodies import declared_length, has_body
from symphony_auth_proxy.mitm.failures import internal, internal_after_answer
from symphony_auth_proxy.mitm.story import Story
from symphony_auth_proxy.model import Settings
from symphony_auth_proxy.telemetry import Event, Facts, Telemetry, whose
from symphony_auth_proxy.tokens.provider import TokenProvider

# A refusal waits for the request's body, so that the connection can be used again. A longer
# body than this is not waited for.
_WAIT_FOR_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Active:
    """A configuration at work."""

    settings: Settings
    routes: Routes
    provider: TokenProvider
    placeholders: Placeholders | None = None
    """Set when logins are answered here."""


@dataclass(slots=True)
class State:
    """One addon's state. `active` is None until a first configuration was good."""

    telemetry: Telemetry = field(default_factory=Telemetry)
    clock: Clock = field(default_factory=SystemClock)
    active: Active | None = None
    trouble: SymphonyAuthProxyError | None = None
    """Why no Symphony request is served, in spite of a good configuration or without one."""
    draining: bool = False
    last_words: WeakKeyDictionary[http.HTTPFlow, http.Response] = field(
        default_factory=WeakKeyDictionary
    )
    """Answers to flows whose connection is closed instead of reading their body."""
    refused: WeakSet[http.HTTPFlow] = field(default_factory=WeakSet)
    client_names: WeakKeyDictionary[http.HTTPFlow, str] = field(default_factory=WeakKeyDictionary)
    """For records: the configured client that sent a flow, or that it claimed to be from."""
    story: Story = field(default_factory=Story)
    verified: WeakSet[connection.Server] = field(default_factory=WeakSet)
    """Connections whose certificate was asked to be verified when they were made."""

    def record(self, event: Event, flow: http.HTTPFlow, **facts: Unpack[Facts]) -> None:
        """Write an audit record about a request, with its client if that is known."""
        if flow in self.client_names:
            facts["client"] = self.client_names[flow]
        self.telemetry.record(event, **facts)

    def refuse(self, flow: http.HTTPFlow, error: SymphonyAuthProxyError) -> None:
        """Answer a request ourselves; nothing of it is sent, whatever fails after that."""
        self.refused.add(flow)
        self.answer(flow, answer(error))
        facts = whose(error.bot, error.user) if error.bot is not None else {}
        self.record(
            Event.REFUSED,
            flow,
            reason=error.reason,
            diagnosis=error.diagnosis,
            host=flow.request.host,
            **facts,
        )
        self.story.failed(flow, error)

    def answer(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Answer a request ourselves, once its body has come; if that may be long, at once."""
        flow.request.stream = False
        length = declared_length(flow.request)
        # A replay's body comes again, from memory.
        whole = flow.request.timestamp_end is not None and not flow.is_replay
        unread = flow.response is None and has_body(flow.request) and not whole
        if unread and (length is None or length > _WAIT_FOR_BODY_BYTES):
            self.cut_off(flow, response)
        else:
            flow.response = response

    def cut_off(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Answer, and close the connection: whatever still comes is not waited for."""
        self.last_words[flow] = response
        flow.kill()

    def forget(self, flow: http.HTTPFlow) -> None:
        """Begin anew with a flow that is replayed."""
        self.refused.discard(flow)
        self.last_words.pop(flow, None)
        self.client_names.pop(flow, None)
        self.story.begin(flow)


class HasState(Protocol):
    @property
    def state(self) -> State: ...


def fail_closed[H: HasState](
    hook: Callable[[H, http.HTTPFlow], Awaitable[None]],
) -> Callable[[H, http.HTTPFlow], Awaitable[None]]:
    """Refuse the request when its hook fails in any way.

    mitmproxy logs an exception in a hook and sends the request all the same, and a
    cancelled hook leaves the client waiting for ever; so neither may escape.
    """

    @functools.wraps(hook)
    async def guarded(self: H, flow: http.HTTPFlow) -> None:
        try:
            await hook(self, flow)
        except SymphonyAuthProxyError as error:
            # An error may be shared by many requests, and its traceback would hold them all.
            self.state.refuse(flow, error.with_traceback(None))
        except BaseException as error:
            done = flow.response is not None and flow.response.status_code != 401
            self.state.refuse(flow, internal_after_answer(error) if done else internal(error))
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise

    return guarded
