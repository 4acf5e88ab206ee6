"""Real components that tests run: programs of the system, and clients in environments of
their own.

The BDK for Python is such a client: version 3 wants a newer `cryptography` than mitmproxy
allows, so the two cannot be installed side by side. Its environment is made once, is kept
in the user's cache, and serves all checkouts and all later runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
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


def python_with(requirement: str) -> str:
    """Return the interpreter of an environment that holds `requirement` (`name==version`)."""
    name = f"{requirement.replace('==', '-')}-{sys.implementation.name}-{sys.version_info[0]}"
    place = _cache() / f"{name}.{sys.version_info[1]}.{sys.version_info[2]}"
    python = _python_of(place)
    # Not there either when the interpreter that it was made with has been removed.
    if not python.exists():
        _make(place, requirement)
    return str(python)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "symphony-auth-proxy-tests"


def _python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(place: Path, requirement: str) -> None:
    """Make it under another name first, so that it is there whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, ignore_cleanup_errors=True) as temporary:
        unfinished = Path(temporary) / "environment"
        _run(requirement, sys.executable, "-m", "venv", str(unfinished))
        _run(requirement, str(_python_of(unfinished)), "-m", "pip", *_PIP, requirement)
        if place.exists() and not _python_of(place).exists():
            shutil.rmtree(place)
        try:
            unfinished.rename(place)
        except OSError:
            # Another run was faster; what it made is as good.
            if not _python_of(place).exists():
                raise


_PIP = ("install", "--quiet", "--no-input", "--disable-pip-version-check")


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
