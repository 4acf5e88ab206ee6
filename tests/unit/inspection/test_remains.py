"""The search through what is about to be sent finds secrets however it is cut into pieces."""

from __future__ import annotations

import jwt
import pytest

from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.inspection.redaction import Redactor
from symphony_auth_proxy.inspection.remains import remains
from symphony_auth_proxy.inspection.secret_kinds import Kind
from symphony_auth_proxy.secret import Secret

SESSION = jwt.encode({"sub": "pricing-bot", "exp": 4_102_444_800}, "k" * 64, "HS512")
OPAQUE = "0100" + "8c3fd17be2" * 8
KEY = f"-----BEGIN PRIVATE KEY-----\n{'MIIEvAIBADAN' * 5}\n-----END PRIVATE KEY-----"


def found(pieces: list[bytes]) -> set[Kind]:
    """Kinds that are still there, when `OPAQUE` alone is known."""
    redactor = Redactor()
    redactor.seal(Kind.KEY_MANAGER_TOKEN, OPAQUE.encode())
    return {one.kind for one in remains(pieces, redactor.needles())}


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        (OPAQUE, Kind.KEY_MANAGER_TOKEN),
        (SESSION, Kind.SIGNED_TOKEN),
        (KEY, Kind.PRIVATE_KEY),
    ],
    ids=["known", "signed", "key"],
)
def test_a_secret_is_found_wherever_a_piece_ends(secret: str, kind: Kind) -> None:
    text = f"before {secret} after".encode()
    for cut in range(len(text) + 1):
        assert found([text[:cut], text[cut:]]) == {kind}
    assert found([text[i : i + 1] for i in range(len(text))]) == {kind}


def test_what_is_sealed_is_no_secret_wherever_a_piece_ends() -> None:
    in_url = masked(SESSION).replace("[sealed #", "sealed-").replace("]", "")
    for shown in (masked(SESSION), in_url, f"[sealed #{Secret(OPAQUE).fingerprint()}]"):
        text = f"before {shown} after".encode()
        for cut in range(len(text) + 1):
            assert found([text[:cut], text[cut:]]) == set()
