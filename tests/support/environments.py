"""Real components that tests run: programs of the system, and clients in environments of
their own.

The BDK for Python is such a client: version 3 wants a newer `cryptography` than mitmproxy
allows, so the two cannot be installed side by side. Packages for Node are such clients, too.
An environment is made once, is kept in the user's cache, and serves all checkouts and all
later runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

_INSTALL_SECONDS = 300


def missing(component: str, reason: str) -> NoReturn:
    """End a test whose real component is not there: skipped for a person, failed in CI,
    where nothing may go untested without anybody's notice."""
    text = f"{component}: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def program(name: str) -> str:
    """Return the path of a program that the system has."""
    return shutil.which(name) or missing(name, "the program is not installed")


def own_script(name: str) -> str:
    """Return the path of a command that is installed beside this interpreter."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def java_for_sources() -> str:
    """Return a `java` that runs a program's source: one that has a compiler."""
    java = program("java")
    listed = subprocess.run(
        (java, "--list-modules"), capture_output=True, text=True, timeout=60, check=False
    )
    if "jdk.compiler@" not in listed.stdout:
        missing(java, "it has no compiler: a JDK (of version 11 or newer) is needed, not a JRE")
    return java


def python_with(requirement: str) -> str:
    """Return the interpreter of an environment that holds `requirement` (`name==version`)."""
    name = f"{requirement.replace('==', '-')}-{sys.implementation.name}-{sys.version_info[0]}"
    place = _cache() / f"{name}.{sys.version_info[1]}.{sys.version_info[2]}"

    def make(unfinished: Path) -> None:
        _run(requirement, sys.executable, "-m", "venv", str(unfinished))
        _run(requirement, str(_python_of(unfinished)), "-m", "pip", *_PIP, requirement)

    # Not there either when the interpreter that it was made with has been removed.
    _make(place, make, is_there=lambda: _python_of(place).exists())
    return str(_python_of(place))


def node_modules_with(requirement: str) -> Path:
    """Return a `node_modules` that holds `requirement` (`name@version`). No package's own
    scripts are run."""
    place, npm = _cache() / f"node-{requirement.replace('@', '-')}", program("npm")

    def make(unfinished: Path) -> None:
        _run(requirement, npm, *_NPM, "--prefix", str(unfinished), requirement)

    _make(place, make, is_there=(place / "node_modules").exists)
    return place / "node_modules"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "symphony-auth-proxy-tests"


def _python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(place: Path, make: Callable[[Path], None], *, is_there: Callable[[], bool]) -> None:
    """Make it under another name first, so that it is there whole or not at all."""
    if is_there():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, ignore_cleanup_errors=True) as temporary:
        unfinished = Path(temporary) / "environment"
        make(unfinished)
        if place.exists() and not is_there():
            shutil.rmtree(place)
        try:
            unfinished.rename(place)
        except OSError:
            # Another run was faster; what it made is as good.
            if not is_there():
                raise


_PIP = ("install", "--quiet", "--no-input", "--disable-pip-version-check")
_NPM = ("install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save")


def _run(requirement: str, *command: str) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        missing(requirement, f"could not be installed within {_INSTALL_SECONDS} s")
    except subprocess.CalledProcessError as problem:
        last = (problem.stderr or problem.stdout).strip().rpartition("\n")[2]
        missing(requirement, f"could not be installed: {last}")
