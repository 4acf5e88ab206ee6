"""The levers: what can be switched while the sandbox runs, by Python or by HTTP.

Every `@operation` of `Control` is a method for tests and, under the same name and with the
same arguments as JSON, an address of the control API: `sandbox.revoke("pricing-bot")` is
`POST /revoke {"username": "pricing-bot"}`. Methods may be called from any thread.

The control listener is plain HTTP on its own loopback port, apart from all that is simulated:
whoever reaches it may do everything.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial, wraps
from typing import Any, Concatenate

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError, validate_call
from tornado.web import Application, RequestHandler

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox.faults import Delay, Fault, FaultKind, Faults
from symphony_auth_proxy.sandbox.server import Listener
from symphony_auth_proxy.sandbox.state import Account, State

_OPERATIONS: dict[str, Callable[..., Any]] = {}


def operation[**P, R](
    method: Callable[Concatenate[Control, P], R],
) -> Callable[Concatenate[Control, P], R]:
    """Run the method on the sandbox's event loop, and offer it by its name over HTTP."""

    @wraps(method)
    def on_loop(self: Control, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(partial(method, self, *args, **kwargs))

    _OPERATIONS[method.__name__] = on_loop
    return on_loop


class Control:
    """Needs a running event loop: `attach` is called on it before anything else."""

    def attach(self, state: State, faults: Faults, listeners: Sequence[Listener]) -> None:
        self._state = state
        self._faults = faults
        self._listeners = listeners
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def _run[R](self, action: Callable[[], R]) -> R:
        if threading.get_ident() == self._thread:
            return action()
        result: Future[R] = Future()

        def act() -> None:
            try:
                result.set_result(action())
            except Exception as problem:  # noqa: BLE001 (raised again in the caller's thread)
                result.set_exception(problem)

        self._loop.call_soon_threadsafe(act)
        return result.result()

    @operation
    def revoke(self, username: str | None = None, kind: TokenKind | None = None) -> int:
        """End sessions: of one account or all, of one kind or both. Returns how many."""
        ended = self._state.sessions.live(username, kind)
        self._state.sessions.end(*ended)
        return len(ended)

    @operation
    def fail(
        self,
        component: Component,
        *,
        status: int = 503,
        kind: FaultKind = FaultKind.ERROR,
        path: str = "",
        times: int | None = None,
        retry_after: int | None = None,
        message: str | None = None,
    ) -> None:
        """Spoil the answers of a component, `times` times or until `recover`.

        `path`: only requests whose path starts so. `retry_after`: seconds.
        """
        self._faults.add(Fault(component, kind, status, path, times, retry_after, message))

    @operation
    def slow(self, component: Component, seconds: float, path: str = "") -> None:
        """Let requests wait so long for their answer, until `recover`."""
        self._faults.slow_down(Delay(component, path, seconds))

    @operation
    def outage(self, component: Component) -> None:
        """Close the component's port and its connections, until `recover`.

        In the one-host layout that takes every component of the port along.
        """
        for listener in self._listeners:
            if component in listener.components:
                listener.shut()
                self._state.down.update(listener.components)

    @operation
    def recover(self, component: Component | None = None) -> None:
        """End a component's faults, slowness and outage; those of all unless told."""
        self._faults.clear(component)
        for listener in self._listeners:
            if component is None or component in listener.components:
                listener.open()
                self._state.down.difference_update(listener.components)

    @operation
    def set_token_life(self, seconds: float) -> None:
        """Let sessions that are opened from now on live so long."""
        self._state.sessions.life = seconds

    @operation
    def set_clock_offset(self, seconds: float) -> None:
        """Let the pod's clock run ahead of the machine's (behind it when negative).

        All that the pod knows of time moves: `exp` of assertions, ends of sessions, `Date`.
        """
        self._state.clock_offset = seconds

    @operation
    def set_poll_seconds(self, seconds: float) -> None:
        """Hold empty datafeed reads so long from now on."""
        self._state.poll_seconds = seconds

    @operation
    def set_agent_version(self, version: str) -> None:
        """Let the agent be of this version, as in `Agent-24.11.0`."""
        self._state.agent_version = version

    @operation
    def set_simplified_key_delivery(self, username: str, enabled: bool = True) -> None:
        """Switch Simplified Key Delivery for a bot's sessions that are opened from now on."""
        self._account(username).simplified_key_delivery = enabled

    @operation
    def add_bot(
        self, username: str, public_key: str | None = None, certificate_login: bool = False
    ) -> int:
        """Make a service account, or change how a known one logs in. Returns its user id.

        `public_key`: PEM (SubjectPublicKeyInfo). Sessions of a changed account are ended, as
        Symphony does when a key is revoked. New accounts become members of all rooms.
        """
        key = None if public_key is None else _public_key(public_key)
        self.revoke(username)
        account = self._state.add_account(
            username, public_key=key, certificate_login=certificate_login
        )
        for stream in self._state.conversations.streams.values():
            if stream.name:
                stream.members |= {username}
        return account.user_id

    @operation
    def add_app(self, app_id: str, public_key: str) -> None:
        """Make an extension app that may open sessions on behalf of users."""
        self._state.apps[app_id] = _public_key(public_key)

    @operation
    def post(self, text: str, author: str = "alice", stream_id: str | None = None) -> str:
        """Let somebody write into a stream (the room unless told); returns the message's id.

        `text`: MessageML without its root element. Datafeeds of the members deliver it.
        """
        streams = self._state.conversations.streams
        stream = streams.get(stream_id) if stream_id else next(iter(streams.values()))
        if stream is None:
            raise ValueError(f"there is no stream {stream_id}")
        message = self._state.conversations.post(stream, self._account(author).username, text)
        return message.message_id

    @operation
    def statistics(self) -> dict[str, Any]:
        """Return counts: logins granted, requests arrived, sessions alive, streams."""
        journal, sessions = self._state.journal, self._state.sessions.live()
        accounts = [name for name, account in self._state.accounts.items() if account.service]
        return {
            "logins": {
                name: {kind.value: journal.logins(kind, name) for kind in TokenKind}
                for name in accounts
            },
            "sessions": {
                name: {
                    kind.value: sum(one.username == name and one.kind is kind for one in sessions)
                    for kind in TokenKind
                }
                for name in accounts
            },
            "requests": {one.value: count for one, count in journal.arrivals().items()},
            "streams": {
                one.stream_id: one.name or one.type
                for one in self._state.conversations.streams.values()
            },
        }

    def _account(self, username: str) -> Account:
        account = self._state.accounts.get(username)
        if account is None:
            raise ValueError(f"there is no account {username}")
        return account


class Lever(RequestHandler):
    """One call of the control API."""

    def initialize(self, control: Control) -> None:
        self._control = control

    def get(self, name: str) -> None:
        if name == "":
            self._answer(200, {"operations": sorted(_OPERATIONS)})
        elif name == "statistics":
            self._answer(200, self._control.statistics())
        else:
            self._answer(404, {"error": f"GET knows / and /statistics only, not /{name}"})

    def post(self, name: str) -> None:
        method = _OPERATIONS.get(name)
        if method is None:
            self._answer(404, {"error": f"there is no {name}", "operations": sorted(_OPERATIONS)})
            return
        try:
            result = validate_call(method)(self._control, **self._arguments())
        except ValidationError as problems:
            lines = {".".join(map(str, one["loc"])): one["msg"] for one in problems.errors()}
            self._answer(400, {"error": "wrong arguments", "arguments": lines})
        except ValueError as problem:
            self._answer(400, {"error": str(problem)})
        else:
            self._answer(200, {"result": result})

    def _arguments(self) -> dict[str, Any]:
        try:
            arguments = json.loads(self.request.body or b"{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise ValueError("the arguments are not a JSON object")  # noqa: TRY004 (an unfit value, not a caller's mistake)
        return arguments

    def _answer(self, status: int, value: object) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value) + "\n")


def application(control: Control) -> Application:
    return Application(
        [(r"/(\w*)", Lever, {"control": control})], log_function=lambda _handler: None
    )


def _public_key(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is not an RSA key")  # noqa: TRY004 (an unfit value, not a caller's mistake)
    return key
