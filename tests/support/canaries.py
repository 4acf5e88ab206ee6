"""Searching for secrets in whatever the proxy leaves behind.

A secret that leaks seldom looks as it did: it may be cut off, or stand inside JSON, a URL
or an encoded body. So each is searched for in all of these forms.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import Received, Sandbox
from symphony_auth_proxy.sandbox.sessions import Session, Sessions

_SHORTEST = 12
"""Characters; anything shorter is found by chance."""
_ENDING = 40


class Canaries:
    """Secrets by what they are, and the forms in which each may hide."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self.kinds: set[str] = set()

    def add(self, kind: str, secret: str) -> None:
        assert len(secret) >= _SHORTEST, f"{kind}: too short to search for"
        self.kinds.add(kind)
        for form, text in _forms(secret):
            self._forms.setdefault(text, f"{kind}, {form}")

    def found_in(self, haystack: bytes) -> set[str]:
        """Return what was found, and in which form: never the secret itself."""
        return {name for needle, name in self._forms.items() if needle in haystack}


def _forms(secret: str) -> Iterator[tuple[str, bytes]]:
    parts = [("whole", secret), ("its end", secret[-_ENDING:])]
    if secret.count(".") == 2:
        # Headers of JWTs all look alike; the signature is what nobody else has.
        parts.append(("its signature", secret.rpartition(".")[2]))
    for name, part in parts:
        yield name, part.encode()
        for escaped in {quote(part, safe=""), quote_plus(part), quote(part)}:
            yield f"{name}, URL-escaped", escaped.encode()
        as_json = json.dumps(part)[1:-1]
        for escaped in (as_json, as_json.replace("/", "\\/")):
            yield f"{name}, JSON-escaped", escaped.encode()
        yield f"{name}, hexadecimal", part.encode().hex().encode()
        for encoded in _in_base64(part.encode()):
            yield f"{name}, base64", encoded
            yield f"{name}, base64", encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Encode for each of the three places at which a secret may begin in an encoded text,
    without the characters that its neighbours have a share in."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)
        start = -(-offset * 8 // 6)
        yield encoded[start : (offset + len(secret)) * 8 // 6]


def canaries_of(sandbox: Sandbox, issued: Iterable[tuple[str, str]]) -> Canaries:
    """Collect every secret of a sandbox: keys, passwords, what it issued (see
    `issuing_noted`) and what it was shown."""
    canaries = Canaries()
    for kind, secret in (*issued, *_shown(sandbox.requests)):
        canaries.add(kind, secret)
    for path in (*sandbox.directory.glob("*.pem"), *sandbox.directory.glob("proxy-ca/*.pem")):
        for line in _key_lines(path):
            canaries.add("private key", line)
    for path in sandbox.directory.glob("*.password"):
        canaries.add("password", path.read_text())
    return canaries


def _shown(requests: Iterable[Received]) -> Iterator[tuple[str, str]]:
    for request in requests:
        for name, kind in (("sessionToken", "session"), ("keyManagerToken", "key manager")):
            yield from ((kind, value) for value in request.values(name) if value)
        if request.path.endswith("/pubkey/authenticate") and request.body:
            yield "assertion", json.loads(request.body)["token"]


def _key_lines(path: Path) -> Iterator[str]:
    """The lines of the private keys in a PEM file, but for those that hold the modulus: it
    comes first and is public, part of every certificate."""
    _, *keys = path.read_text().split("PRIVATE KEY-----\n")
    for body in keys[::2]:
        lines = body.partition("\n-----END")[0].splitlines()
        yield from lines[len(lines) // 3 : -1]


@contextmanager
def issuing_noted() -> Iterator[list[tuple[str, str]]]:
    """Note every token that sandboxes in this process issue: not all of them come back in
    a request."""
    issued: list[tuple[str, str]] = []
    open_session, sign = Sessions.open, Sessions.sign

    def noting_open(self: Sessions, kind: TokenKind, *args: Any, **more: Any) -> Session:
        session = open_session(self, kind, *args, **more)
        issued.append(
            ("key manager" if kind is TokenKind.KEY_MANAGER else "session", session.token)
        )
        return session

    def noting_sign(self: Sessions, claims: dict[str, Any], expires: float) -> str:
        token = sign(self, claims, expires)
        issued.append(("access token" if "scope" in claims else "session", token))
        return token

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sessions, "open", noting_open)
        patch.setattr(Sessions, "sign", noting_sign)
        yield issued
