"""What is secret by its name: headers, fields, parameters and cookies.

Names are told by how they end, whatever their spelling: `sessionToken`, `session_token`,
`Session-Token`, `x-access-token`. So a gateway's own token header counts as well as
Symphony's. A name never makes a value public, it can only make it secret.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    """What a secret is good for. One that is met under several kinds is of the first."""

    SESSION_TOKEN = "session token"  # noqa: S105 (a kind's name)
    KEY_MANAGER_TOKEN = "key manager token"  # noqa: S105 (a kind's name)
    PRIVATE_KEY = "private key"
    PASSWORD = "password"  # noqa: S105 (a kind's name)
    API_KEY = "API key"
    COOKIE = "cookie"
    TOKEN = "other token"  # noqa: S105 (a kind's name)
    SIGNED_TOKEN = "signed token (JWT)"  # noqa: S105 (a kind's name)
    CREDENTIALS = "Authorization header"


_COOKIES = {"cookie", "setcookie", "setcookie2", "skey", "kmsession"}
_ENDINGS = {
    "sessiontoken": Kind.SESSION_TOKEN,
    "keymanagertoken": Kind.KEY_MANAGER_TOKEN,
    "token": Kind.TOKEN,
    "jwt": Kind.TOKEN,
    "assertion": Kind.TOKEN,
    "samlresponse": Kind.TOKEN,
    "password": Kind.PASSWORD,
    "passwd": Kind.PASSWORD,
    "passphrase": Kind.PASSWORD,
    "secret": Kind.PASSWORD,
    "apikey": Kind.API_KEY,
    "privatekey": Kind.PRIVATE_KEY,
    "authorization": Kind.CREDENTIALS,
}


@lru_cache(4096)  # asked for every field of every flow, in few spellings
def kind_of(name: str) -> Kind | None:
    """Tell what a value under this name is; None: nothing secret by its name."""
    plain = re.sub(r"\[\d*\]$|[^a-z0-9]", "", name.lower())  # `token[]` is one of several
    if plain in _COOKIES:
        return Kind.COOKIE
    return next((kind for ending, kind in _ENDINGS.items() if plain.endswith(ending)), None)
