"""The search for secrets in what is about to be sent.

It knows nothing of where secrets were masked: it goes through plain bytes, for each known secret
in all its disguises, and for what has the shape of one that nobody knew of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from symphony_auth_proxy.inspection.needles import Needles
from symphony_auth_proxy.inspection.redaction import Finding
from symphony_auth_proxy.inspection.secret_kinds import Kind
from symphony_auth_proxy.inspection.secret_patterns import JWT, PRIVATE_KEY

_OVERLAP = 256 * 1024
"""Bytes that are looked at twice: more than any token or key is long."""


@dataclass(frozen=True, slots=True)
class Remain:
    """A secret that is still there."""

    kind: Kind
    finding: Finding | None
    """None: nobody knew of it."""

    def __str__(self) -> str:
        if self.finding is None:
            return f"a {self.kind} that nothing tells"
        return f"a {self.kind} (#{self.finding.secret.fingerprint()})"


def remains(chunks: Iterable[bytes], needles: Needles[Finding]) -> Iterator[Remain]:
    """Search a text that comes in pieces."""
    overlap = max(_OVERLAP, needles.longest)
    kept = b""
    for chunk in chunks:
        data = kept + chunk
        yield from _in_part(data, needles, whole=False)
        kept = data[-overlap:]
    yield from _in_part(kept, needles, whole=True)


def _in_part(data: bytes, needles: Needles[Finding], *, whole: bool) -> Iterator[Remain]:
    for hit in needles.find(data):
        yield Remain(hit.meaning.kind, hit.meaning)
    for pattern, kind in ((JWT, Kind.SIGNED_TOKEN), (PRIVATE_KEY, Kind.PRIVATE_KEY)):
        for match in pattern.finditer(data):
            # What the piece's end cuts off may be sealed: the next piece has it whole.
            if whole or match.end() < len(data):
                yield Remain(kind, None)


def place_of(tree: Any, needles: Needles[Finding]) -> str | None:
    """Tell where in nested objects something remains, as in `request › headers`."""
    for path, octets in _leaves(tree, ()):
        if next(_in_part(octets, needles, whole=True), None):
            return " › ".join(path)
    return None


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bytes]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield path, str(name).encode("utf-8", "surrogateescape")  # names may hold one, too
            yield from _leaves(value, (*path, str(name)))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _leaves(item, path)
    elif isinstance(node, bytes):
        yield path, node
    elif isinstance(node, str):
        yield path, node.encode("utf-8", "surrogateescape")
