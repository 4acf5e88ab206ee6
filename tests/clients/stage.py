"""A proxy that logs in for everybody, and what a client on another machine is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.clients import Told
from support.configuration import change
from support.proxy import running_proxy
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

PASSWORD = "a-password:with@marks"


@contextmanager
def told(
    sandbox: Sandbox, machine: Path, key: Path, *, user: str | None = None, agent: str = ""
) -> Iterator[Told]:
    """`user`: let the proxy ask for this name, with `PASSWORD`. `agent`: an URL."""
    with change(sandbox.config) as document:
        document["authProxy"]["answerLogins"] = True
        if user is not None:
            (sandbox.directory / "client.password").write_text(PASSWORD)
            document["authProxy"]["clients"] = [
                {"name": user, "passwordFile": "client.password", "bots": [KEY_BOT]}
            ]
        if agent:
            document["agent"]["port"] = int(agent.rpartition(":")[2])
    with running_proxy(sandbox.config, sandbox.directory / "proxy-ca") as proxy:
        yield Told(
            directory=machine,
            sandbox=sandbox,
            proxy_port=proxy.port,
            ca=proxy.ca,
            user=user,
            password=PASSWORD if user is not None else "",
            key=key,
            agent=agent,
        )
