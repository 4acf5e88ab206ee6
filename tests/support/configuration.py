"""Changing a configuration: the file, as a person would, or what was read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from symphony_auth_proxy import config
from symphony_auth_proxy.model import Settings


@contextmanager
def change(path: Path) -> Iterator[Any]:
    """Yield the document; what was changed is written at the end."""
    yaml = YAML()
    document = yaml.load(path)
    yield document
    yaml.dump(document, path)


def read_with(changes: Mapping[str, Any]) -> Callable[[Path | None], Settings]:
    """A way to read the file that puts other values in the place of what stands there. The
    mapping is looked at each time: change it, reload, and see."""
    return lambda path: replace(config.load(path), **changes)
