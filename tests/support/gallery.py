"""Every flow that a proxy has had, as the last addon in its chain sees them, and what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from mitmproxy import http, master
from mitmproxy.addons.clientplayback import ClientPlayback

from attacks.origins import RawOrigin
from support.clients import client_of
from support.configuration import change
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

ECHO, INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"

SESSION = r"pricing-bot · session #[0-9a-f]{4} gen \d+"
BOTH = SESSION + r" · key manager #[0-9a-f]{4} gen \d+"
AGE = r" · age \d+ s"
"""How comments of flows begin that got tokens of the sandbox's first bot."""


class Gallery:
    """An addon that keeps flows."""

    def __init__(self, *others: object) -> None:
        """`others`: addons that come after it."""
        self.flows: list[http.HTTPFlow] = []
        self._others = others

    def prepare(self, proxy: master.Master, _: SymphonyAuth) -> None:
        """For `running_proxy`; flows can be sent again, too."""
        proxy.addons.add(ClientPlayback(), self, *self._others)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow not in self.flows:
            self.flows.append(flow)

    http_connect = requestheaders

    def of(self, path: str) -> list[http.HTTPFlow]:
        """The flows of requests whose path starts so, oldest first."""
        return [flow for flow in self.flows if flow.request.path.startswith(path)]


@contextmanager
def watched_proxy(
    sandbox: Sandbox, gallery: Gallery, *, own: dict[str, Any] | None = None, **changes: Any
) -> Iterator[Proxy]:
    """A proxy whose flows are kept. `changes`: what the file says instead; `own`: the same
    below `authProxy`."""
    with change(sandbox.config) as document:
        document.update(changes)
        document["authProxy"] |= own or {}
    confdir = sandbox.directory / "proxy-ca"
    with running_proxy(sandbox.config, confdir, prepare=gallery.prepare) as running:
        yield running


def echo(sandbox: Sandbox, client: httpx.Client, **arguments: Any) -> httpx.Response:
    url = sandbox.url(Component.AGENT) + ECHO
    return client.post(url, **({"json": {"message": "x"}} | arguments))


def info(sandbox: Sandbox, client: httpx.Client, **arguments: Any) -> httpx.Response:
    return client.get(sandbox.url(Component.POD) + INFO, **arguments)


def noted(response: httpx.Response) -> list[str]:
    """The codes in our members of `Proxy-Status`."""
    return re.findall(
        r'symphony-auth-proxy;(?: error=\w+;)? details="(\w+): ',
        response.headers.get("Proxy-Status", ""),
    )


def assert_why(flow: http.HTTPFlow, diagnosis: Diagnosis, rest: str) -> None:
    """The comment has a diagnosis behind its head; `rest`: a pattern for all else."""
    meaning = MEANINGS[diagnosis]
    head, why, tail = flow.comment.partition(
        f" · why: {diagnosis} – {meaning.sentence}; {meaning.way_out}"
    )
    assert why
    assert re.fullmatch(rest, head + tail)
    assert flow.marked == ":no_entry:"


def asked_of(sandbox: Sandbox, gallery: Gallery, server: RawOrigin) -> httpx.Response:
    """An agent call, where another server stands in the agent's place."""
    with server as agent:
        place = {"host": "localhost", "port": agent.port}
        with watched_proxy(sandbox, gallery, agent=place) as proxy, client_of(proxy) as client:
            return client.get(f"https://localhost:{agent.port}{ECHO}")
