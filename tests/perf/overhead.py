"""What the proxy costs: its CPU time per request, beside that of a bare mitmdump.

Run by hand:  .venv/bin/python tests/perf/overhead.py [REQUESTS]

Every variant is a process of its own on loopback, with one client on one connection and the
sandbox behind it. Variants take turns, so that a machine whose speed drifts hurts all of
them alike; quote the ratios, not the milliseconds.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jwt

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

ROUNDS = 5
BIN = Path(sys.executable).parent
ADDON = Path(__file__).parents[2] / "addon" / "symphony_auth.py"
with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]


def commands(config: Path, ca: Path) -> dict[str, list[str]]:
    stock = [
        str(BIN / "mitmdump"), "-q", "--listen-host", "127.0.0.1", "-p", str(PORT),
        "--set", f"confdir={ca}",
    ]  # fmt: skip
    trust = ["--set", f"ssl_verify_upstream_trusted_ca={config.parent / 'ca.pem'}"]
    return {
        "mitmdump, bare": [*stock, *trust],
        "mitmdump with the addon": [*stock, "-s", str(ADDON), "--set", f"symphony_config={config}"],
        "serve": [
            str(BIN / "symphony-auth-proxy"), "serve", "--config", str(config),
            "--listen", f"127.0.0.1:{PORT}",
        ],
    }  # fmt: skip


@contextmanager
def process(command: list[str]) -> Iterator[int]:
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running.pid
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_tokens(sandbox: Sandbox) -> dict[str, str]:
    """What a client of the bare proxy has to bring itself."""
    key = (sandbox.directory / "pricing-bot.pem").read_text()
    claims = {"sub": "pricing-bot", "exp": int(time.time()) + 240}
    body = {"token": jwt.encode(claims, key, algorithm="RS512")}

    def login(component: Component, path: str) -> str:
        url = sandbox.url(component) + path
        return str(httpx.post(url, json=body, verify=str(sandbox.ca)).json()["token"])

    return {
        "sessionToken": login(Component.POD, "/login/pubkey/authenticate"),
        "keyManagerToken": login(Component.KEY_MANAGER, "/relay/pubkey/authenticate"),
    }


def milliseconds(pid: int, url: str, ca: Path, headers: dict[str, str], count: int) -> float:
    """CPU time of the proxy per request, once it is warm."""
    certificate = str(ca / "mitmproxy-ca-cert.pem")
    with httpx.Client(
        proxy=f"http://127.0.0.1:{PORT}", verify=certificate, trust_env=False, headers=headers
    ) as client:
        for _ in range(100):
            assert client.post(url, json={"message": "warm"}).status_code == 200
        before = cpu_seconds(pid)
        for _ in range(count):
            assert client.post(url, json={"message": "x" * 512}).status_code == 200
        return (cpu_seconds(pid) - before) / count * 1000


def wait_until_it_listens(ca: Path) -> None:
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{PORT}/", trust_env=False)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            if (ca / "mitmproxy-ca-cert.pem").exists():
                return


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as directory:
        sandbox = Sandbox(Path(directory), key_bits=2048)
        with sandbox:
            ca = sandbox.directory / "proxy-ca"
            url = sandbox.url(Component.AGENT) + "/agent/v1/util/echo"
            variants = commands(sandbox.config, ca)
            measured: dict[str, list[float]] = {name: [] for name in variants}
            for _ in range(ROUNDS):
                for name, command in variants.items():
                    headers = own_tokens(sandbox) if name.endswith("bare") else {}
                    with process(command) as pid:
                        wait_until_it_listens(ca)
                        measured[name].append(milliseconds(pid, url, ca, headers, count))
    baseline, *_ = measured.values()
    print(f"{'':<26}{'ms CPU/request':>16}{'ratio: median (min … max)':>34}")
    for name, values in measured.items():
        ratios = sorted(value / base for value, base in zip(values, baseline, strict=True))
        print(
            f"{name:<26}{statistics.median(values):>16.2f}"
            f"{statistics.median(ratios):>16.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
