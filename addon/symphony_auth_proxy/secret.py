"""A value that people must not see.

Tokens, keys and passwords travel through this program as `Secret`. Nothing that
formats, logs, compares by accident or serialises an object gets at the value: the only
way out is `reveal()`, which is called where a value goes on the wire or into a
cryptographic library. What people are shown instead is `fingerprint()`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn


class Secret:
    """Holds one secret text.

    The lack of `__str__` output, `__format__` output and pickling is intentional: each is
    a way by which secrets reach logs, error pages and saved files.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself. For the wire and for cryptography only."""
        return self._value

    def fingerprint(self) -> str:
        """Return the first four hex digits of the SHA-256, as in `7f3a`.

        Enough for a person to follow one token through lists and logs, too little to
        test a guess.
        """
        return hashlib.sha256(_bytes(self)).hexdigest()[:4]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, format_spec: str) -> str:
        return "…"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")


def _bytes(secret: Secret) -> bytes:
    """Of any text: what came out of a header or a body need not have been UTF-8."""
    return secret.reveal().encode("utf-8", "surrogateescape")
