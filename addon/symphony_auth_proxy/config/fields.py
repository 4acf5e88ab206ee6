"""The types of the file's fields: how a value is checked, and what an editor is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from symphony_auth_proxy.config import values
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.secret import Secret

_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}


def _schema(*alternatives: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [*alternatives, _REFERENCE]})


_PORT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 65535}
_DURATION_SCHEMA = {"type": "string", "pattern": f"^{values.DURATION.pattern}$"}
_NUMBER_SCHEMA = {"type": "number", "minimum": 0}
_TEXT_SCHEMA = WithJsonSchema({"type": "string", "minLength": 1})

Text = Annotated[str, BeforeValidator(values.text), _TEXT_SCHEMA]
Host = Annotated[str, BeforeValidator(values.host), _TEXT_SCHEMA]
Port = Annotated[int, BeforeValidator(values.port), _schema(_PORT_SCHEMA)]
Scheme = Annotated[str, BeforeValidator(values.scheme), _schema({"const": "https"})]
Context = Annotated[str, BeforeValidator(values.context), WithJsonSchema({"type": "string"})]
Headers = Annotated[
    dict[str, Secret],
    BeforeValidator(values.headers),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
Password = Annotated[Secret, BeforeValidator(values.password), WithJsonSchema({"type": "string"})]
Content = Annotated[Secret, BeforeValidator(values.content), _TEXT_SCHEMA]
LocalPath = Annotated[Path, BeforeValidator(values.local_path), _TEXT_SCHEMA]
PasswordPath = Annotated[values.PasswordFile, BeforeValidator(values.password_file), _TEXT_SCHEMA]
Listen = Annotated[Origin, BeforeValidator(values.listen), _TEXT_SCHEMA]
ListenAt = Annotated[Origin, BeforeValidator(values.listen_at), _TEXT_SCHEMA]
ClientName = Annotated[
    str,
    BeforeValidator(values.client_name),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": "^[^:]*$"}),
]
ClientPassword = Annotated[Secret, BeforeValidator(values.client_password), _TEXT_SCHEMA]
ClientPasswordPath = Annotated[
    values.PasswordFile, BeforeValidator(values.client_password_file), _TEXT_SCHEMA
]
PasswordHash = Annotated[
    Secret,
    BeforeValidator(values.password_hash),
    _schema({"type": "string", "pattern": r"^\$argon2"}),
]
Users = Annotated[
    tuple[str, ...] | Literal["any"],
    BeforeValidator(values.users),
    _schema({"const": "any"}, {"type": "array", "items": {"type": ["string", "integer"]}}),
]
Lifetime = Annotated[
    float | None,
    BeforeValidator(values.lifetime),
    _schema({"const": "auto"}, _NUMBER_SCHEMA, _DURATION_SCHEMA),
]
Seconds = Annotated[
    float, BeforeValidator(values.seconds), _schema(_NUMBER_SCHEMA, _DURATION_SCHEMA)
]
_COUNT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": values.MOST}
Count = Annotated[int, BeforeValidator(values.count), _schema(_COUNT_SCHEMA)]
Flag = Annotated[bool, BeforeValidator(values.flag), _schema({"type": "boolean"})]
Store = Annotated[Literal["memory"], BeforeValidator(values.memory_store)]
Elsewhere = Annotated[Any, WithJsonSchema({})]
"""A key of the BDK that says nothing to the proxy: accepted, whatever it holds."""
