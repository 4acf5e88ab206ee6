"""Passwords of the proxy's clients: checked without telling, by the time it takes, how much
of one was right.

A password stands in a file of its own, or the configuration holds its Argon2 hash (PHC
string format, RFC 9106), which `symphony-auth-proxy config hash` makes.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Protocol

import argon2

from symphony_auth_proxy.secret import Secret

LONG_ENOUGH = 12
"""Characters. Shorter passwords are worth a warning: nothing but the network slows down who
tries them one by one."""

_MAXIMUM_MEMORY = 256 * 1024
"""KiB for one check. Whoever reaches the proxy can make it check passwords, so a hash that
asks for gigabytes would let them exhaust this machine."""
_MAXIMUM_WORK = 1024 * 1024
"""KiB times passes: about a second of one core."""
_MAXIMUM_LANES = 16
_PHC = re.compile(
    r"\$argon2(?:id|i|d)\$v=(?:16|19)\$m=[0-9]{1,7},t=[0-9]{1,7},p=[0-9]{1,3}"
    r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_HASHER = argon2.PasswordHasher()


class Password(Protocol):
    """What a client's password is checked against."""

    def matches(self, candidate: str) -> bool:
        """Whether `candidate` is the password. May take tens of milliseconds of CPU."""
        ...


@dataclass(frozen=True, slots=True)
class PlainPassword:
    """A password that is known as it is."""

    value: Secret

    def matches(self, candidate: str) -> bool:
        return hmac.compare_digest(_bytes(self.value.reveal()), _bytes(candidate))


@dataclass(frozen=True, slots=True)
class HashedPassword:
    """A password of which only the Argon2 hash is known."""

    phc: Secret
    """As in `$argon2id$v=19$m=65536,t=3,p=4$…`."""

    def matches(self, candidate: str) -> bool:
        if not candidate:  # nobody's password, even if somebody made a hash of it
            return False
        try:
            return _HASHER.verify(self.phc.reveal(), _bytes(candidate))
        except argon2.exceptions.VerificationError:
            return False


def check(password: Secret) -> None:
    """Raise ValueError unless `password` can be a client's. RFC 7617 section 2 rules out
    control characters."""
    if not password:
        raise ValueError("it is empty")
    if _CONTROL.search(password.reveal()):
        raise ValueError("it holds a line break or another control character")


def check_hash(phc: Secret) -> None:
    """Raise ValueError unless `phc` is an Argon2 hash that is safe to check against."""
    if not _PHC.fullmatch(phc.reveal()):
        raise ValueError("it is not an Argon2 hash ($argon2id$v=19$m=…,t=…,p=…$…$…)")
    found = argon2.extract_parameters(phc.reveal())
    if (
        found.memory_cost > _MAXIMUM_MEMORY
        or found.memory_cost * found.time_cost > _MAXIMUM_WORK
        or found.parallelism > _MAXIMUM_LANES
    ):
        raise ValueError(
            f"every check would take m={found.memory_cost} KiB, t={found.time_cost} passes, "
            f"p={found.parallelism} lanes, which lets strangers exhaust this machine; "
            f"m may be {_MAXIMUM_MEMORY}, m times t {_MAXIMUM_WORK}, p {_MAXIMUM_LANES}"
        )


def hashed(password: Secret) -> str:
    """Return the Argon2id hash of a password, for `passwordHash`."""
    return _HASHER.hash(_bytes(password.reveal()))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # what a stranger sends need not be Unicode
