"""mitmproxy's own tools with the addon loaded as a script, as processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.environments import own_script
from support.processes import Child, environment, running
from symphony_auth_proxy.sandbox import Sandbox

ADDON = Path(__file__).parents[2] / "addon" / "symphony_auth.py"

_LOG_LINE = r"proxy listening at \S+:(\d+)\."
_STATUS_LINE = r"\[127\.0\.0\.1:(\d+)\]"


@dataclass(frozen=True)
class Tool:
    child: Child
    port: int
    ca: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def stock_tool(
    name: str,
    sandbox: Sandbox,
    *arguments: str,
    addon: Path | None = ADDON,
    listen_host: str = "127.0.0.1",
) -> Iterator[Tool]:
    """Start `mitmdump`, `mitmweb` or `mitmproxy`, at its most talkative."""
    confdir = sandbox.directory / "proxy-ca"
    options = {
        "confdir": str(confdir),
        "termlog_verbosity": "debug",
        "flow_detail": "4",
        "ssl_verify_upstream_trusted_ca": str(sandbox.ca),
    }
    script: list[str] = []
    if addon is not None:
        options["symphony_config"] = str(sandbox.config)
        script = ["-s", str(addon)]
    settings = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    listen = ["--listen-host", listen_host, "--listen-port", "0"]
    command = (own_script(name), *script, *settings, *listen, *arguments)
    with running(
        *command,
        env=environment(sandbox.directory),
        cwd=sandbox.directory,
        terminal=name == "mitmproxy",
    ) as child:
        port = child.seen(_STATUS_LINE if name == "mitmproxy" else _LOG_LINE)[1]
        yield Tool(child, int(port), confdir / "mitmproxy-ca-cert.pem")
