"""The JSON Schema of the whole file, for editors that complete and check while one types."""

from __future__ import annotations

import copy
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.config.spellings import FLAT
from symphony_auth_proxy.model import Origin

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _ForEditors(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:
        return False  # the key itself says it

    def encode_default(self, dft: object) -> object:
        return str(dft) if isinstance(dft, Origin) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the schema, BDK Java's old flat keys marked as deprecated."""
    schema = File.model_json_schema(schema_generator=_ForEditors)
    definitions = schema["$defs"]
    # The root's sections have old spellings, a further bot's have not.
    definitions["FurtherApp"] = copy.deepcopy(definitions["App"])
    _reference(definitions["FurtherBot"]["properties"]["app"])["$ref"] = "#/$defs/FurtherApp"
    for name, table in FLAT.items():
        reference = _reference(schema["properties"][name])["$ref"]
        section = definitions[reference.rpartition("/")[2]]
        for flat, (below, key) in table.items():
            section["properties"][flat] = {
                "type": "string",
                "deprecated": True,
                "description": f"The old spelling of {below}.{key}.",
            }
    return {"$schema": _DIALECT, **schema, "title": "symphony-auth-proxy configuration"}


def _reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Find the reference to a section in the schema of a key that may also be null."""
    return next(one for one in (schema, *schema.get("anyOf", ())) if "$ref" in one)
