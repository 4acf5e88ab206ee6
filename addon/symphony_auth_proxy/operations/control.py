"""The control socket: how `status`, `flush` and `reload` reach the proxy that runs.

A Unix socket for the user who runs the proxy and nobody else: mode 0600, in a directory of
mode 0700. There is one for each configuration file, and never one on a network. A question
is one line of JSON, and so is its answer.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import os
import shlex
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from symphony_auth_proxy.errors import SymphonyAuthProxyError

logger = logging.getLogger(__name__)

type Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Carries out a command with its arguments. Raises SymphonyAuthProxyError."""

_LONGEST_PATH = 100
"""Bytes. A Unix socket's path has at most 108 on Linux and 104 on macOS, with its end."""

_LINE_BYTES = 64 * 1024
"""Of a question. Answers may be longer: they tell of every bot."""

_ASKING_SECONDS = 5.0
"""To send a question, once connected."""

_ANSWERING_SECONDS = 30.0


class NoProxyRuns(SymphonyAuthProxyError):
    """There is no proxy to be asked."""


def socket_path(config: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the proxy with this configuration file is asked.

    In `$XDG_STATE_HOME/symphony-auth-proxy` (`~/.local/state/…`); where that is too long
    for a socket, in a directory of this user's own among the temporary ones.
    """
    # Not resolved: the file may be a link that changes, as Kubernetes mounts them.
    whole = os.path.abspath(config)  # noqa: PTH100 (Path.absolute keeps `..`)
    name = f"{hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]}.sock"
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "~", ".local", "state")
    path = Path(base, "symphony-auth-proxy", name).expanduser()
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return path
    return Path(tempfile.gettempdir(), f"symphony-auth-proxy-{os.getuid()}", name)


def ask(
    config: Path, command: str, *, environ: Mapping[str, str] = os.environ, **arguments: object
) -> dict[str, Any]:
    """Ask the proxy that runs with this configuration file, and return its answer.

    Raises NoProxyRuns, and SymphonyAuthProxyError with what the proxy has to say.
    """
    _require_unix_sockets()
    question = json.dumps({"command": command, **arguments}).encode() + b"\n"
    try:
        with _connection(socket_path(config, environ)) as connection:
            connection.sendall(question)
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
    except TimeoutError as error:
        raise SymphonyAuthProxyError(
            f"the proxy did not answer within {_ANSWERING_SECONDS:.0f} seconds",
            hint="look into its log",
        ) from error
    except (OSError, ValueError) as error:
        raise NoProxyRuns(
            f"no proxy runs with {config}",
            hint=f"start it: symphony-auth-proxy serve --config {shlex.quote(str(config))}",
        ) from error
    if "error" in answer:
        raise SymphonyAuthProxyError(answer["error"], hint=answer.get("hint", ""))
    result: dict[str, Any] = answer["result"]
    return result


@contextmanager
def _connection(path: Path) -> Iterator[socket.socket]:
    """Raises OSError when nobody is there, or somebody else."""
    _require_private(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWERING_SECONDS)
        connection.connect(os.fspath(path))
        yield connection


class ControlSocket:
    """The proxy's end. Belongs to one event loop."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._talking: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen. Raises SymphonyAuthProxyError when it cannot, above all when another
        proxy runs with the same configuration."""
        _require_unix_sockets()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(self.path.parent, mend=True)
            with _alone(self.path.parent):
                listener = _listener(self.path)
        except OSError as error:
            raise SymphonyAuthProxyError(
                f"cannot listen on {self.path}: {error.strerror or error}",
                hint="let XDG_STATE_HOME name a directory that can be written to",
            ) from error
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._talk, sock=listener, limit=_LINE_BYTES)

    async def close(self) -> None:
        """Stop listening and leave nothing behind."""
        server, self._server = self._server, None
        if server is None:
            return
        with suppress(OSError), _alone(self.path.parent):
            if self.path.stat().st_ino == self._inode:  # else it is a successor's
                self.path.unlink()
        server.close()
        for writer in self._talking:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted in the moment of the end
            writer.close()
            return
        self._talking.add(writer)
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                line = await reader.readline()
            answer = await self._answer(line)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked has left, or asks too slowly, or at too great length
        finally:
            self._talking.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            question = json.loads(line)
            handler = self._handlers[question.pop("command")]
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            known = ", ".join(sorted(self._handlers))
            return {"error": f"this is no question to this proxy; it knows {known}"}
        try:
            return {"result": await handler(question)}
        except SymphonyAuthProxyError as error:
            return {"error": str(error), "hint": error.hint()}
        except Exception as error:
            logger.exception("A command over the control socket failed.")
            return {"error": f"the proxy failed: {type(error).__name__}", "hint": "see its log"}


def _require_unix_sockets() -> None:
    if not hasattr(socket, "AF_UNIX"):
        raise SymphonyAuthProxyError("a proxy is asked over a Unix socket; this system has none")


def _require_private(directory: Path, *, mend: bool = False) -> None:
    """Raises PermissionError for a directory in which others may put their own socket."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "is another user's")
    if found.st_mode & 0o077:
        if not mend:
            raise PermissionError(errno.EPERM, "is open to others")
        directory.chmod(0o700)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let no other proxy look at or change the sockets there meanwhile."""
    import fcntl  # noqa: PLC0415 (not on Windows)

    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _listener(path: Path) -> socket.socket:
    """Take the path over from a proxy that left without cleaning up; not from a live one.

    Raises SymphonyAuthProxyError and OSError.
    """
    if _is_alive(path):
        raise SymphonyAuthProxyError(
            "another proxy runs with this configuration, and is the one that `status`, "
            "`flush` and `reload` reach"
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            pass  # it is too busy to take us
        return True
