"""Nested objects and lists, walked by the names of what they hold.

JSON bodies, saved flows and HAR entries name their values in three ways: as members of objects,
by a `name` or `key` beside a `value`, and in pairs (the headers of a flow). What has no secret's
name is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from symphony_auth_proxy.inspection.secret_kinds import Kind, kind_of

type Leaf = Callable[[Any, str], Any]
"""Of a text or bytes and the name of the member that it is, what to put there."""

_PAIRED = frozenset({"headers", "trailers"})
_IN_URLS = frozenset({"queryString", "params"})
_BASIC_AUTHENTICATION = "proxyauth"
"""Where mitmproxy notes the name and password of a client."""


class Masking(Protocol):
    """What is done to secrets."""

    def member(self, name: str, value: bytes, *, url: bool = False) -> bytes: ...

    def seal(self, kind: Kind, value: bytes, *, url: bool = False) -> bytes: ...


def walked(node: Any, masking: Masking, leaf: Leaf, key: str = "") -> Any:
    """Return a copy in which every secret that is told by a name is masked. `key`: of which
    member `node` is the value."""
    if isinstance(node, dict):
        name = node.get("name", node.get("key"))
        if isinstance(name, str) and isinstance(node.get("value"), str):
            rest = {k: walked(v, masking, leaf, k) for k, v in node.items() if k != "value"}
            value = _named(name, node["value"], masking, key)
            return {k: value if k == "value" else rest[k] for k in node}
        return {
            _text(leaf(k, "")): _member(k, v, masking, leaf)
            for k, v in node.items()
            if k != _BASIC_AUTHENTICATION or not _forgotten(v, masking)
        }
    if isinstance(node, list | tuple):
        if key in _PAIRED and len(node) == 2 and all(isinstance(i, bytes | str) for i in node):
            name = leaf(node[0], "")
            return _like(node, [name, _named(_text(node[0]), node[1], masking, key)])
        return _like(node, [walked(item, masking, leaf, key) for item in node])
    return leaf(node, key) if isinstance(node, bytes | str) else node


def _named(name: str, value: bytes | str, masking: Masking, key: str) -> bytes | str:
    if key == "cookies":
        return _applied(lambda octets: masking.seal(Kind.COOKIE, octets), value)
    url = key in _IN_URLS
    return _applied(lambda octets: masking.member(name, octets, url=url), value)


def _member(name: str, value: Any, masking: Masking, leaf: Leaf) -> Any:
    return _secret(name, value, masking) if kind_of(name) else walked(value, masking, leaf, name)


def _secret(name: str, value: Any, masking: Masking) -> Any:
    """All that stands under a secret's name is secret."""
    if isinstance(value, dict):
        return {k: _secret(name, v, masking) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return _like(value, [_secret(name, item, masking) for item in value])
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, bytes | str):
        return _applied(lambda octets: masking.member(name, octets), value)
    return value


def _forgotten(value: Any, masking: Masking) -> bool:
    """Leave name and password out, but have the password looked for elsewhere."""
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[1], bytes | str):
        _applied(lambda octets: masking.seal(Kind.PASSWORD, octets), value[1])
    return True


def _applied(mask: Callable[[bytes], bytes], value: bytes | str) -> bytes | str:
    if isinstance(value, bytes):
        return mask(value)
    octets = value.encode("utf-8", "surrogateescape")
    return mask(octets).decode("utf-8", "surrogateescape")


def _like(node: list[Any] | tuple[Any, ...], items: list[Any]) -> list[Any] | tuple[Any, ...]:
    return tuple(items) if isinstance(node, tuple) else items


def _text(name: Any) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)
