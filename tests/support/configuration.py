"""Changing a configuration file as a person would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@contextmanager
def change(path: Path) -> Iterator[Any]:
    """Yield the document; what was changed is written at the end."""
    yaml = YAML()
    document = yaml.load(path)
    yield document
    yaml.dump(document, path)
