"""Programs as processes of their own, whose output tests wait for."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_GRACE = 5.0
"""Seconds that a process has to clean up before it is killed."""
_TERMINAL_LINES, _TERMINAL_COLUMNS = 50, 1200
"""So wide that nothing that a test looks for is wrapped."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Make the environment of a process: nothing of a person's own proxies, CAs and files."""
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return inherited | {"HOME": str(home), "PYTHONUNBUFFERED": "1"} | variables


class Child:
    """A running process. All that it writes is kept, standard error among the rest."""

    def __init__(self, process: subprocess.Popen[bytes], output: int, keyboard: int | None) -> None:
        self._process = process
        self._output = output
        self._keyboard = keyboard
        self._written = b""
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # A terminal whose other side was closed answers with an error instead of an end.
        with suppress(OSError):
            while some := os.read(self._output, 65536):
                with self._changed:
                    self._written += some
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        with self._changed:
            return self._written.decode(errors="backslashreplace")

    def seen(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """Return the first place where the output matches, once there is one.

        Raises AssertionError when the process ends without it, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = re.search(pattern, self.output)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"{pattern!r} was not written; output:\n{self.output}")
                self._changed.wait(left)

    @property
    def pid(self) -> int:
        return self._process.pid

    def press(self, keys: str) -> None:
        assert self._keyboard is not None, "it has no terminal"
        os.write(self._keyboard, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self, timeout: float = 20.0) -> int:
        """Wait for the end; everything has been read then."""
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        return code

    def terminate(self) -> int:
        """Ask it to end, as `kill` does, and wait."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def close(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(_GRACE)
        self._process.kill()
        self.exit_code()
        os.close(self._output)


@contextmanager
def running(
    *command: str, env: Mapping[str, str], cwd: Path | None = None, terminal: bool = False
) -> Iterator[Child]:
    """Start a process; at the end it is made to end, unless it has by itself.

    `terminal`: let it believe that a person sits before it.
    """
    ours, its = _terminal() if terminal else os.pipe()
    process = subprocess.Popen(
        command,
        env={"TERM": "xterm", "LANG": "C.UTF-8", **env} if terminal else env,
        cwd=cwd,
        stdin=its if terminal else subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    child = Child(process, ours, ours if terminal else None)
    try:
        yield child
    finally:
        child.close()


def _terminal() -> tuple[int, int]:
    import pty  # not on Windows, like the next one
    import termios

    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (_TERMINAL_LINES, _TERMINAL_COLUMNS))
    return ours, its


_PORTS = range(20_000, 32_000)
"""Not among those that systems give to outgoing connections (from 32768 on Linux, 49152 on
others): such a one may be taken again before the program listens there."""


def free_port() -> int:
    """Find a port for a program that cannot take any itself."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
