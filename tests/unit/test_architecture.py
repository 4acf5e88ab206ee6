"""The walls of the house, read off the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import symphony_auth_proxy

PACKAGE = Path(symphony_auth_proxy.__file__).parent
NAME = "symphony_auth_proxy"
IO = {"asyncio", "socket", "ssl", "http", "httpx", "httpcore", "anyio", "tornado", "subprocess"}
CLOCKS = {"time"}


def modules(*below: str) -> list[Path]:
    return [path for part in below or ("",) for path in sorted((PACKAGE / part).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def names(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", modules("core", "auth", "inspection"), ids=names)
def test_core_auth_and_inspection_do_no_io_and_have_no_clock(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports(path)}
    assert not roots & (IO | CLOCKS | {"mitmproxy"})


@pytest.mark.parametrize("path", modules(), ids=names)
def test_only_mitm_and_what_runs_it_know_mitmproxy(path: Path) -> None:
    """`cli` may start what `mitm` offers; nothing else may even import it."""
    part = names(path).split("/", maxsplit=1)[0]
    if part == "mitm":
        return
    found = imports(path)
    assert part == "cli" or not any(name.startswith(f"{NAME}.mitm") for name in found)
    assert not any(name.partition(".")[0] == "mitmproxy" for name in found)


@pytest.mark.parametrize("path", modules(), ids=names)
def test_only_transport_opens_sockets_to_symphony(path: Path) -> None:
    """The sandbox is Symphony, the demo is a client of the proxy: both are other ends. `admin`
    only listens."""
    others = (
        "transport/",
        "operations/admin.py",
        "sandbox/",
        "demo.py",
        "cli/demo.py",
    )
    if names(path).startswith(others):
        return
    roots = {name.partition(".")[0] for name in imports(path)}
    assert not roots & {"httpx", "httpcore", "anyio", "tornado", "aiohttp", "requests", "urllib3"}


@pytest.mark.parametrize("path", modules(), ids=names)
def test_only_config_parses_configuration(path: Path) -> None:
    part = names(path).split("/", maxsplit=1)[0]
    roots = {name.partition(".")[0] for name in imports(path)}
    assert part == "config" or "ruamel" not in roots


@pytest.mark.parametrize("path", modules(), ids=names)
def test_every_module_tells_its_story_and_fits_one_room(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module opens with what it is for"


def test_decisions_are_never_made_by_pretty_host() -> None:
    """`pretty_host` is the client's own word (its Host header or SNI)."""
    for path in modules():
        assert "pretty_host" not in path.read_text(), names(path)
