"""The search for secrets finds them in whatever shape they leak."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote_plus

import pytest

from support.canaries import Canaries

SECRET = (
    "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJwcmljaW5nLWJvdCJ9.cGx1cys/c2xhc2gvZXF1YWxzPT0tYS1zaWduYXR1cmU="
)

SHAPES: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda secret: f"sessionToken: {secret}\r\n".encode(),
    "the signature alone": lambda secret: b"..." + secret.rpartition(".")[2].encode(),
    "the last 40 characters": lambda secret: secret[-40:].encode(),
    "in a URL": lambda secret: f"/?token={quote_plus(secret)}&a=b".encode(),
    "in JSON": lambda secret: json.dumps({"token": secret}).replace("/", r"\/").encode(),
    "in base64": lambda secret: base64.b64encode(secret.encode()),
    "in base64, 1 on": lambda secret: base64.b64encode(f"x{secret}yy".encode()),
    "in base64, 2 on": lambda secret: base64.b64encode(f"xx{secret}y".encode()),
    "in base64 for URLs": lambda secret: base64.urlsafe_b64encode(f'{{"{secret}"}}'.encode()),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_secret_is_found_in_every_shape(shape: Callable[[str], bytes]) -> None:
    canaries = Canaries()
    canaries.add("session", SECRET)
    assert canaries.found_in(shape(SECRET))


def test_the_like_of_a_secret_is_not_taken_for_one() -> None:
    canaries = Canaries()
    canaries.add("session", SECRET)
    head, claims, _ = SECRET.split(".")
    assert canaries.found_in(f"{head}.{claims}.another-signature".encode()) == set()
    assert SECRET not in repr(canaries.found_in(SECRET.encode()))
