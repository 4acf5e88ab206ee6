"""The text of a configuration file as plain mappings, lists and scalars.

JSON is tried first, then YAML 1.2; the file's extension says nothing, as in the BDK. Both
are read into pairs, so that a key that is given twice is found in either, with its path:
the usual parsers keep the last one and say nothing, or stop at the first.

Parser errors quote the file, and the line that they quote may be the one with the password.
So none of their text is passed on, only the place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

type Location = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""

type Finding = tuple[Location, str]
"""A place and what is wrong there, as the second half of a sentence."""


class Wrong(ValueError):
    """What is wrong with a value, as the second half of a sentence that starts with its path.

    Never repeats the value: it may be a secret.
    """


SAYS_BY_NULL = frozenset({"proxy"})
"""Keys whose `null` is no omission: `proxy: null` means direct."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = SafeConstructor(loader=YAML(typ="safe", pure=True))
_PRESENTABLE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


class _Pairs(list[tuple[object, object]]):
    """A mapping before its duplicates are sorted out."""


def parse(text: str) -> tuple[dict[str, object], list[Finding]]:
    """Return the document and what is wrong with its form (keys that are given twice).

    Raises Wrong when there is no document to speak of.
    """
    try:
        tree = _tree(text)
        findings: list[Finding] = []
        document = _plain(tree, (), findings)
    except RecursionError:
        raise Wrong("is nested too deeply, or an alias refers to itself") from None
    if document is None:
        raise Wrong("is empty")
    if not isinstance(document, dict):
        raise Wrong("must be a mapping, as in `host: acme.symphony.com`")
    return document, findings


def is_blank(value: object) -> bool:
    """Whether a value says nothing: none at all, or a section with nothing filled in.

    Both BDKs take the latter as not given; their templates have such sections.
    """
    if isinstance(value, Mapping):
        return all(
            item == "" or (item is None and key not in SAYS_BY_NULL) for key, item in value.items()
        )
    return value is None


def path_text(location: Location) -> str:
    """Return the location as people read it: `authProxy.bots[1].username`.

    Keys come from the file. One that does not look like a key is not shown: it may be a
    secret that slipped out of its place.
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if _PRESENTABLE.fullmatch(part) else "(not a name)"
            text += f".{shown}" if text else shown
    return text


def _tree(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except ValueError as error:
        if text.lstrip().startswith("{") and isinstance(error, json.JSONDecodeError):
            json_place = f"line {error.lineno}, column {error.colno}"
        else:
            json_place = ""
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        return None if node is None else _from_node(node)
    except (YAMLError, ValueError, LookupError) as error:  # the last: `!!int x` and its like
        place = json_place or _place(error)
        raise Wrong(
            f"is neither valid JSON nor YAML{place and f': look at {place}'} (indent with "
            "spaces, put values with special characters in quotes, one document a file)"
        ) from None


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) if isinstance(error, MarkedYAMLError) else None
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _from_node(node: Node) -> object:
    match node:
        case MappingNode():
            return _Pairs(_pairs(node))
        case SequenceNode():
            return [_from_node(item) for item in node.value]
        case ScalarNode():
            return _scalar(node)
        case _:
            raise Wrong("has a part that is not understood")


def _pairs(node: MappingNode) -> Iterator[tuple[object, object]]:
    given = set()
    merged: list[Node] = []
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            merged += value.value if isinstance(value, SequenceNode) else [value]
            continue
        name = key.value if isinstance(key, ScalarNode) else None
        given.add(name)
        yield name, _from_node(value)
    for source in merged:  # `<<`: what stands here already wins (YAML 1.1 merge keys)
        if isinstance(source, MappingNode):
            for name, value in _pairs(source):
                if name not in given:
                    given.add(name)
                    yield name, value


def _scalar(node: ScalarNode) -> object:
    match str(node.tag).removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return _SCALARS.construct_yaml_bool(node)
        case "int":
            return _SCALARS.construct_yaml_int(node)
        case "float":
            return _SCALARS.construct_yaml_float(node)
        case _:  # text; also dates and tags of other programs, which no key here wants
            return node.value


def _plain(tree: object, location: Location, findings: list[Finding]) -> object:
    if isinstance(tree, _Pairs):
        mapping: dict[str, object] = {}
        for key, value in tree:
            if not isinstance(key, str):
                findings.append((location, "has a key that is not a text"))
                continue
            below = (*location, key)
            if key in mapping:
                findings.append((below, "is given twice; keep one of them"))
            mapping[key] = _plain(value, below, findings)
        return mapping
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [_plain(item, (*location, index), findings) for index, item in enumerate(tree)]
    return tree
