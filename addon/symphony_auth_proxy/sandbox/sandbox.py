"""The sandbox as one object: starts the listeners in a thread of their own and stops them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from tornado.httpserver import HTTPServer

from symphony_auth_proxy.certificates import SYMPHONY_KEY_BITS
from symphony_auth_proxy.model import Component, Origin, TokenKind
from symphony_auth_proxy.sandbox.control import Control, application
from symphony_auth_proxy.sandbox.faults import Faults
from symphony_auth_proxy.sandbox.journal import Journal, Received
from symphony_auth_proxy.sandbox.pki import CERTIFICATE_BOT, KEY_BOT, Pki, prepare
from symphony_auth_proxy.sandbox.server import Listener, bind, server_context
from symphony_auth_proxy.sandbox.state import State

PERSON = "alice"
ROOM = "Trading Desk"

_LAYOUT = (
    ((Component.POD,), ssl.CERT_NONE),
    ((Component.AGENT,), ssl.CERT_NONE),
    # A BDK's `keyManager` is one address for /relay and for /keyauth: ask, insist later.
    ((Component.KEY_MANAGER,), ssl.CERT_OPTIONAL),
    ((Component.SESSION_AUTH,), ssl.CERT_REQUIRED),
)
_ONE_HOST = (
    ((Component.POD, Component.AGENT, Component.KEY_MANAGER), ssl.CERT_OPTIONAL),
    # Symphony, too, demands client certificates per port.
    ((Component.SESSION_AUTH,), ssl.CERT_REQUIRED),
)


class Sandbox(Control):
    """A running Symphony between `with` and its end. Everything public works in any thread."""

    def __init__(
        self,
        directory: Path | str,
        *,
        token_life: float = 3600.0,
        one_host: bool = False,
        port: int = 0,
        key_bits: int = SYMPHONY_KEY_BITS,
        poll_seconds: float = 30.0,
        agent_version: str = "Agent-24.12.1",
    ) -> None:
        """Name the directory for keys and `config.yaml`; one that is prepared is reused.

        Two sandboxes at a time need two directories: `config.yaml` names the ports.
        `token_life`: seconds. `one_host`: pod, agent and key manager on one port. `port`:
        the first of consecutive ports; 0 takes any. `key_bits`: of the bots' keys, when they
        have to be made. `poll_seconds`: how long an empty datafeed read is held.
        """
        self.directory = Path(directory)
        self.config = self.directory / "config.yaml"
        self.journal = Journal()
        self.room = ""
        """The stream id of a room that all bots and `alice` are in."""
        self.control_url = ""
        self._token_life = token_life
        self._layout = _ONE_HOST if one_host else _LAYOUT
        self._port = port
        self._key_bits = key_bits
        self._poll_seconds = poll_seconds
        self._agent_version = agent_version
        self._ports: dict[Component, int] = {}
        self._started: Future[None] = Future()
        self._worker = threading.Thread(target=self._work, name="symphony-sandbox", daemon=True)

    def __enter__(self) -> Self:
        """Start. Returns when all ports listen and `config.yaml` is written.

        Raises FileExistsError when the directory holds other people's files, OSError when a
        wanted port is not free.
        """
        self._pki = prepare(self.directory, self._key_bits)
        self._worker.start()
        self._started.result()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._worker.join()

    @property
    def ca(self) -> Path:
        """The CA that clients must trust, PEM."""
        return self._pki.ca

    @property
    def requests(self) -> tuple[Received, ...]:
        """What arrived so far, oldest first (the last 10,000)."""
        return self.journal.requests()

    def origin(self, component: Component) -> Origin:
        return Origin("localhost", self._ports[component])

    def url(self, component: Component) -> str:
        return f"https://{self.origin(component)}"

    def logins(self, kind: TokenKind | None = None, username: str | None = None) -> int:
        """Count the logins of bots that brought a token."""
        return self.journal.logins(kind, username)

    def wait_for(
        self, predicate: Callable[[Sequence[Received]], bool], timeout: float = 10.0
    ) -> None:
        """Wait until the predicate holds of what arrived; TimeoutError after `timeout` s."""
        self.journal.wait_for(predicate, timeout)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:
            if self._started.done():
                raise
            self._started.set_exception(problem)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        state = self._state_of(self._pki)
        faults = Faults()
        listeners: list[Listener] = []
        control = HTTPServer(application(self))
        try:
            port = self._port
            for components, certificates in self._layout:
                context = server_context(self._pki, certificates)
                listeners.append(Listener(components, context, state, faults, port))
                self._ports |= dict.fromkeys(components, listeners[-1].port)
                port = port and port + 1
            self.attach(state, faults, listeners)
            held = bind(port)
            held.listen()
            control.add_sockets([held])
            self.control_url = f"http://127.0.0.1:{held.getsockname()[1]}"
            self.config.write_text(self._config_text())
            for listener in listeners:
                listener.open()
            self._started.set_result(None)
            await self._stop.wait()
        finally:
            control.stop()
            await control.close_all_connections()
            for listener in listeners:
                await listener.close()

    def _state_of(self, pki: Pki) -> State:
        state = State(
            signing_key=pki.pod_key,
            certificate=pki.ca.read_text(),
            token_life=self._token_life,
            poll_seconds=self._poll_seconds,
            agent_version=self._agent_version,
            journal=self.journal,
        )
        state.add_account(KEY_BOT, public_key=pki.bot_key)
        state.add_account(CERTIFICATE_BOT, certificate_login=True)
        state.add_account(PERSON)
        self.room = state.conversations.open_stream(state.accounts, ROOM).stream_id
        return state

    def _config_text(self) -> str:
        """Write what a BDK bot and the proxy read. Paths are relative to the file."""
        ports = {component.value: port for component, port in self._ports.items()}
        pod = ports.pop(Component.POD)
        others = "".join(
            f"{name}: {{host: localhost, port: {port}}}\n"
            for name, port in ports.items()
            if port != pod
        )
        return (
            "# Written by the sandbox at each start.\n"
            f"host: localhost\nport: {pod}\n{others}"
            "bot:\n"
            f"  username: {KEY_BOT}\n"
            f"  privateKey: {{path: {KEY_BOT}.pem}}\n"
            "ssl: {trustStore: {path: ca.pem}}\n"
            "authProxy:\n"
            "  bots:\n"
            f"    - username: {CERTIFICATE_BOT}\n"
            f"      certificate: {{path: {CERTIFICATE_BOT}.p12, "
            f"passwordFile: {CERTIFICATE_BOT}.password}}\n"
            "  ca: {directory: proxy-ca}\n"
        )
