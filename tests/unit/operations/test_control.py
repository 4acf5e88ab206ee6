"""The control socket: for its owner alone, one for a configuration, gone at the end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopback import run
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.operations import control
from symphony_auth_proxy.operations.control import ControlSocket, NoProxyRuns, ask, socket_path

CONFIG = Path("config.yaml")


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="sap-") as directory:
        yield Path(directory)


@pytest.fixture
def environ(state: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(state)}


@pytest.fixture
def path(environ: dict[str, str]) -> Path:
    return socket_path(CONFIG, environ)


async def echo(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return dict(arguments)


async def refuse(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    raise SymphonyAuthProxyError("the file has 2 problems", hint="correct them")


async def break_down(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    raise ValueError("canary-in-an-exception")


HANDLERS = {"echo": echo, "refuse": refuse, "break": break_down}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def asked(environ: dict[str, str], command: str, **arguments: object) -> dict[str, Any]:
    """Ask from a thread, as another process would."""
    return await asyncio.to_thread(ask, CONFIG, command, environ=environ, **arguments)


def test_a_question_reaches_its_handler_and_the_answer_comes_back(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> dict[str, Any]:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            return await asked(environ, "echo", bot="prïcing-bot", long="x" * 50_000)
        finally:
            await server.close()

    assert run(main()) == {"bot": "prïcing-bot", "long": "x" * 50_000}


def test_it_is_private_and_leaves_nothing_behind(path: Path) -> None:
    async def main() -> tuple[int, int]:
        server = ControlSocket(path, HANDLERS)
        previous = os.umask(0)
        try:
            await server.open()
        finally:
            os.umask(previous)
        modes = mode(path), mode(path.parent)
        await server.close()
        return modes

    assert run(main()) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == []


def test_a_directory_that_is_open_to_others_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o777)

    async def main() -> int:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        await server.close()
        return mode(path.parent)

    assert run(main()) == 0o700


def test_nobody_asks_a_socket_that_somebody_else_may_have_put_there(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> None:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        path.parent.chmod(0o777)
        try:
            with pytest.raises(NoProxyRuns):
                await asked(environ, "echo")
        finally:
            await server.close()

    run(main())


def test_a_directory_that_is_a_link_is_not_used(path: Path, state: Path) -> None:
    (state / "elsewhere").mkdir(mode=0o700)
    path.parent.symlink_to(state / "elsewhere")

    with pytest.raises(SymphonyAuthProxyError, match="cannot listen"):
        run(ControlSocket(path, HANDLERS).open())


def test_what_a_killed_proxy_left_behind_is_replaced(path: Path, environ: dict[str, str]) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def main() -> dict[str, Any]:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            return await asked(environ, "echo", alive=True)
        finally:
            await server.close()

    assert run(main()) == {"alive": True}


def test_a_second_proxy_leaves_the_first_one_its_socket(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> dict[str, Any]:
        first, second = ControlSocket(path, HANDLERS), ControlSocket(path, HANDLERS)
        await first.open()
        with pytest.raises(SymphonyAuthProxyError, match="another proxy runs with this"):
            await second.open()
        await second.close()
        try:
            return await asked(environ, "echo", still="there")
        finally:
            await first.close()

    assert run(main()) == {"still": "there"}


def test_a_proxy_that_ends_leaves_its_successor_the_socket(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> dict[str, Any]:
        first, successor = ControlSocket(path, HANDLERS), ControlSocket(path, HANDLERS)
        await first.open()
        path.unlink()  # noqa: ASYNC240 (nothing else runs here)
        await successor.open()
        await first.close()
        try:
            return await asked(environ, "echo", still="there")
        finally:
            await successor.close()

    assert run(main()) == {"still": "there"}


def test_a_place_that_is_no_directory_is_told(path: Path) -> None:
    path.parent.touch()
    with pytest.raises(SymphonyAuthProxyError, match="File exists") as caught:
        run(ControlSocket(path, HANDLERS).open())
    assert "XDG_STATE_HOME" in caught.value.hint()


def test_without_a_proxy_one_is_told_how_to_start_it(environ: dict[str, str]) -> None:
    with pytest.raises(NoProxyRuns, match=r"no proxy runs with config\.yaml") as caught:
        ask(CONFIG, "status", environ=environ)
    assert caught.value.hint().endswith("symphony-auth-proxy serve --config config.yaml")


def test_what_the_proxy_refuses_is_told_in_its_own_words(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> None:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            with pytest.raises(SymphonyAuthProxyError, match="the file has 2 problems") as caught:
                await asked(environ, "refuse")
            assert caught.value.hint() == "correct them"
            assert not isinstance(caught.value, NoProxyRuns)
            with pytest.raises(SymphonyAuthProxyError, match="it knows break, echo, refuse"):
                await asked(environ, "unheard-of")
        finally:
            await server.close()

    run(main())


def test_a_failure_inside_ends_nothing_and_quotes_nothing(
    path: Path, environ: dict[str, str]
) -> None:
    async def main() -> dict[str, Any]:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            with pytest.raises(SymphonyAuthProxyError, match="ValueError") as caught:
                await asked(environ, "break")
            assert "canary" not in str(caught.value)
            return await asked(environ, "echo", still="there")
        finally:
            await server.close()

    assert run(main()) == {"still": "there"}


@settings(max_examples=50, deadline=None)
@given(
    line=st.binary(max_size=200).map(lambda some: some.replace(b"\n", b" "))
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_whatever_is_asked_is_answered_or_left_unanswered(line: bytes) -> None:
    server = ControlSocket(Path("unused"), HANDLERS)

    answer = asyncio.run(server._answer(line))

    assert "no question" in answer["error"]


def test_who_asks_nothing_or_without_end_is_left(
    path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_ASKING_SECONDS", 0.05)

    async def main() -> None:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            for sent in (b"", b'{"command": ', b"x" * 200_000):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(sent)
                with suppress(ConnectionError):  # what was not read turns the end into a reset
                    assert await reader.read() == b""
                writer.close()
            assert await asked(environ, "echo") == {}
        finally:
            await server.close()

    run(main())


@pytest.mark.parametrize("accepted", [True, False])
def test_closing_does_not_wait_for_those_who_ask(
    path: Path, environ: dict[str, str], accepted: bool
) -> None:
    async def main() -> None:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command"')
        if accepted:  # in the order in which they came
            await asked(environ, "echo")
        await server.close()
        async with asyncio.timeout(control._ASKING_SECONDS / 2):
            with suppress(ConnectionError):  # what was not read turns the end into a reset
                assert await reader.read() == b""
        writer.close()

    run(main())


def test_each_configuration_file_has_its_own(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = socket_path(tmp_path / "config.yaml", environ)

    assert one == socket_path(Path("config.yaml"), environ)
    assert one == socket_path(tmp_path / "below" / ".." / "config.yaml", environ)
    assert one != socket_path(tmp_path / "other.yaml", environ)


def test_a_link_that_changes_is_one_configuration(environ: dict[str, str], tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as a link, and turns it when the map changes."""
    link = tmp_path / "config.yaml"
    names = []
    for version in ("one", "two"):
        (tmp_path / version).touch()
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / version)
        names.append(socket_path(link, environ))

    assert names[0] == names[1]


def test_it_is_in_the_state_directory() -> None:
    home = {"HOME": "/home/somebody"}
    name = socket_path(CONFIG, {"XDG_STATE_HOME": "/state"}).name

    assert socket_path(CONFIG, {"XDG_STATE_HOME": "/state"}).parent == Path(
        "/state/symphony-auth-proxy"
    )
    assert socket_path(CONFIG, home) == Path(
        "/home/somebody/.local/state/symphony-auth-proxy", name
    )


def test_a_state_directory_far_down_still_has_a_socket(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(state))
    deep = state.joinpath(*["d" * 50] * 4)
    environ = {"XDG_STATE_HOME": str(deep)}
    path = socket_path(CONFIG, environ)

    async def main() -> dict[str, Any]:
        server = ControlSocket(path, HANDLERS)
        await server.open()
        try:
            return await asked(environ, "echo", reached=True)
        finally:
            await server.close()

    assert run(main()) == {"reached": True}
    assert mode(path.parent) == 0o700
