"""The configuration: Symphony's BDK file, extended by `authProxy`, read into `model.Settings`.

The one place that parses configuration. It reads what the file names (keys, certificates,
password files, trust stores) to say at once what is wrong with them, opens no connection and
writes nothing.

    find      which file
    load      the file as Settings, or ConfigError with everything that is wrong
    show      the settings in effect as YAML, secrets masked
    json_schema   for editors
    parse_listen  HOST:PORT, as `authProxy.listen` takes it
    secret_files  the files that it takes keys and passwords from
    secret_variables  and the environment variables
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from symphony_auth_proxy.config.loading import (
    VARIABLE,
    find,
    load,
    read,
    secret_files,
    secret_variables,
)
from symphony_auth_proxy.config.schema import json_schema
from symphony_auth_proxy.config.show import shown
from symphony_auth_proxy.config.values import listen as parse_listen

__all__ = [
    "VARIABLE",
    "find",
    "json_schema",
    "load",
    "parse_listen",
    "secret_files",
    "secret_variables",
    "show",
]


def show(path: Path | None, *, environ: Mapping[str, str] = os.environ) -> str:
    """Return the settings in effect as YAML, secrets masked. Raises ConfigError."""
    return shown(read(path, environ=environ))
