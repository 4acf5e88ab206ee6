from __future__ import annotations

import jwt

from pki import rsa_key
from symphony_auth_proxy.core.assertion import login_assertion


def test_an_assertion_says_who_and_until_when_and_nothing_else() -> None:
    assertion = login_assertion("pricing-bot", rsa_key(), 1_700_000_000.9).reveal()
    assert jwt.get_unverified_header(assertion) == {"alg": "RS512", "typ": "JWT"}
    claims = jwt.decode(
        assertion,
        rsa_key().public_key(),
        algorithms=["RS512"],
        options={"verify_exp": False},
    )
    assert claims == {"sub": "pricing-bot", "exp": 1_700_000_240}


def test_an_assertion_is_a_secret() -> None:
    assertion = login_assertion("pricing-bot", rsa_key(), 1_700_000_000)
    assert assertion.reveal() not in f"{assertion} {assertion!r}"
