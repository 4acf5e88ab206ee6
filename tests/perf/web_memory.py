"""What the inspection UI costs in memory: `serve --web`, which takes the oldest flows out,
beside a stock mitmweb with the same addon, which keeps them all.

Run by hand:  PYTHONPATH=tests .venv/bin/python tests/perf/web_memory.py [FLOWS]

Both run at the same time and get the same requests in turn, one in four with tokens to the
sandbox and the others to a plain host, each with 500 bytes either way. RSS is what Linux
tells; the stock tool needs about 1 GiB for 100,000 flows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from support.processes import free_port
from support.traffic import plain_origin, resident, send
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

BIN = Path(sys.executable).parent
ADDON = Path(__file__).parents[2] / "addon" / "symphony_auth.py"
BODY = b'{"message": "' + b"x" * 485 + b'"}'
STEPS = 10


def commands(config: Path) -> dict[str, tuple[int, list[str]]]:
    """Each with the port that it listens on."""
    ports = [free_port() for _ in range(4)]
    serve = [str(BIN / "symphony-auth-proxy"), "serve", "--config", str(config), "--web"]
    stock = [str(BIN / "mitmweb"), "-s", str(ADDON), "--set", f"symphony_config={config}"]
    stock += ["--no-web-open-browser", "--listen-host", "127.0.0.1"]
    return {
        "serve --web": (
            ports[0],
            [*serve, "--listen", f"127.0.0.1:{ports[0]}", "--web-port", str(ports[1])],
        ),
        "mitmweb": (ports[2], [*stock, "-p", str(ports[2]), "--web-port", str(ports[3])]),
    }


@contextmanager
def process(port: int, command: list[str]) -> Iterator[int]:
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            except httpx.ConnectError:
                time.sleep(0.05)
            else:
                break
        yield running.pid
    finally:
        running.terminate()
        running.wait(60)


def main() -> None:
    flows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    step = flows // STEPS
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        sandbox = stack.enter_context(Sandbox(Path(directory), key_bits=2048))
        plain = stack.enter_context(plain_origin(BODY))
        echo = sandbox.url(Component.AGENT).replace("https:", "http:") + "/agent/v1/util/echo"
        variants = commands(sandbox.config)
        pids = {
            name: stack.enter_context(process(port, command))
            for name, (port, command) in variants.items()
        }

        def row(count: int) -> None:
            held = "".join(f"{resident(pid):>16.0f}" for pid in pids.values())
            print(f"{count:>10,}{held}", flush=True)

        print(f"{'flows':>10}" + "".join(f"{name:>16}" for name in pids) + "  (RSS, MiB)")
        row(0)
        for done in range(step, flows + 1, step):
            for port, _ in variants.values():
                send(port, echo, step // 4, BODY)
                send(port, plain, step - step // 4, BODY)
            row(done)


if __name__ == "__main__":
    main()
