"""A token as people may see it.

Of a JWT, header and claims stay and the signature is cut, without which it is worth nothing;
of any other token only its fingerprint is shown. The same token has the same fingerprint
everywhere: in flows, logs, audit records and the status.
"""

from __future__ import annotations

from symphony_auth_proxy.core.claims import claims_of
from symphony_auth_proxy.secret import Secret

_SCHEME = "Bearer "


def masked(token: str) -> str:
    """Return what stands for a token, as in `eyJhbGciOi….eyJzdWIiOi….[sealed #7f3a]`.

    The value of an `Authorization: Bearer` keeps its scheme and has the token's fingerprint.
    """
    scheme = _SCHEME if token.startswith(_SCHEME) else ""
    token = token.removeprefix(_SCHEME)
    sealed = f"[sealed #{Secret(token).fingerprint()}]"
    if not claims_of(token):
        return scheme + sealed
    header, claims, _signature = token.split(".")
    return f"{scheme}{header}.{claims}.{sealed}"
