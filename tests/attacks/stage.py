"""What is attacked, and the one proxy that stands in front of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from attacks.raw import Wire
from support.canaries import Canaries
from support.configuration import change
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import Component, Origin
from symphony_auth_proxy.sandbox import Received, Sandbox

SESSION_INFO = "/pod/v2/sessioninfo"
ECHO = "/agent/v1/util/echo"

_LOGINS = ("/login/pubkey/", "/relay/pubkey/", "/sessionauth/", "/keyauth/")


@dataclass
class Attacked:
    """A sandbox, what it issued, and what arrived there during one test."""

    sandbox: Sandbox
    issued: list[tuple[str, str]]
    _from: int = 0

    def begin(self) -> None:
        self._from = len(self.sandbox.requests)

    @property
    def arrived(self) -> Sequence[Received]:
        """Everything that arrived since the test began, but for the proxy's logins."""
        return [r for r in self.sandbox.requests[self._from :] if not r.path.startswith(_LOGINS)]

    @property
    def logins(self) -> Sequence[Received]:
        return [r for r in self.sandbox.requests[self._from :] if r.path.startswith(_LOGINS)]

    @property
    def with_tokens(self) -> Sequence[Received]:
        return [r for r in self.arrived if any(value in self.tokens for _, value in r.headers)]

    @property
    def tokens(self) -> set[str]:
        return {token for _, token in self.issued}

    def canaries(self) -> Canaries:
        canaries = Canaries()
        for kind, token in self.issued:
            canaries.add(kind, token)
        return canaries

    def origin(self, component: Component = Component.POD) -> Origin:
        return self.sandbox.origin(component)


@dataclass
class Stage:
    """Holds the one proxy that runs: mitmproxy keeps its master in a global, so there are
    never two at a time."""

    attacked: Attacked
    _running: ExitStack = field(default_factory=ExitStack)
    _kept: tuple[str, Proxy] | None = None
    _configurations: int = 0

    def kept(
        self,
        name: str,
        configure: Callable[[Any], None] | None = None,
        *,
        warm: bool = False,
        **more: Any,
    ) -> Proxy:
        """One that stays, under a name, until another is asked for."""
        if self._kept is None or self._kept[0] != name:
            self._kept = name, self.other(configure, warm=warm, **more)
        return self._kept[1]

    def other(
        self,
        configure: Callable[[Any], None] | None = None,
        *,
        warm: bool = False,
        **more: Any,
    ) -> Proxy:
        """With a configuration that `configure` has changed, and `running_proxy`'s arguments."""
        self.clear()
        self._configurations += 1
        config = self.attacked.sandbox.directory / f"attack-{self._configurations}.yaml"
        shutil.copy(self.attacked.sandbox.config, config)
        if configure is not None:
            with change(config) as document:
                configure(document)
        return self._enter(config, warm=warm, **more)

    def clear(self) -> None:
        """Stop what runs. What it still sends counts as arrived."""
        self._kept = None
        self._running.close()

    def _enter(self, config: Path, *, warm: bool, **more: Any) -> Proxy:
        confdir = self.attacked.sandbox.directory / "proxy-ca"
        proxy = self._running.enter_context(running_proxy(config, confdir, **more))
        if warm:
            self._warm(proxy)
        return proxy

    def _warm(self, proxy: Proxy) -> None:
        agent = self.attacked.origin(Component.AGENT)
        with Wire.tunnel(proxy, agent) as wire:
            answer = wire.request(ECHO, str(agent), method="POST", body='{"message": "warm"}')
        assert answer.status == 200, answer
        self.attacked.begin()


class Start(Protocol):
    def __call__(
        self,
        configure: Callable[[Any], None] | None = None,
        *,
        warm: bool = False,
        **more: Any,
    ) -> Proxy: ...


def agent_at(origin: Origin) -> Callable[[Any], None]:
    """A change of the configuration: the agent stands at `origin`, logins stay as they are."""

    def configure(document: Any) -> None:
        document["agent"] = {"host": origin.host, "port": origin.port}

    return configure


def pod_at(origin: Origin) -> Callable[[Any], None]:
    """A change of the configuration: the pod, with its login, stands at `origin`."""

    def configure(document: Any) -> None:
        document["host"], document["port"] = origin.host, origin.port

    return configure


def everything_at(origin: Origin) -> Callable[[Any], None]:
    """A change of the configuration: one bot, and one host for all that is Symphony's."""

    def configure(document: Any) -> None:
        document["host"], document["port"] = origin.host, origin.port
        for component in ("agent", "keyManager", "sessionAuth"):
            del document[component]
        del document["authProxy"]["bots"]

    return configure
