"""Passwords of clients: what matches, and which hashes are refused."""

from __future__ import annotations

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy import passwords
from symphony_auth_proxy.passwords import HashedPassword, PlainPassword
from symphony_auth_proxy.secret import Secret

PASSWORD = "correct: hörse 🐎"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def test_only_the_password_matches():
    for password in (
        PlainPassword(Secret(PASSWORD)),
        HashedPassword(Secret(QUICK.hash(PASSWORD))),
        HashedPassword(Secret(passwords.hashed(Secret(PASSWORD)))),
    ):
        assert password.matches(PASSWORD)
        for other in ("", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), "\ud800"):
            assert not password.matches(other)


def test_an_empty_password_is_nobody_s():
    assert not HashedPassword(Secret(QUICK.hash(""))).matches("")


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=20))
def test_whatever_a_stranger_sends_is_answered(candidate):
    for password in (
        PlainPassword(Secret(PASSWORD)),
        HashedPassword(Secret(QUICK.hash(PASSWORD))),
    ):
        assert not password.matches(candidate)


def test_no_password_is_shown():
    for password in (PlainPassword(Secret(PASSWORD)), HashedPassword(Secret(QUICK.hash(PASSWORD)))):
        assert "hörse" not in repr(password)
        assert "argon2" not in repr(password)


@pytest.mark.parametrize("variant", argon2.Type)
def test_every_variant_of_argon2_is_understood(variant):
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=variant)
    phc = Secret(hasher.hash(PASSWORD))

    passwords.check_hash(phc)
    assert HashedPassword(phc).matches(PASSWORD)


def test_our_own_hashes_are_argon2id_and_accepted():
    phc = Secret(passwords.hashed(Secret(PASSWORD)))

    passwords.check_hash(phc)
    assert argon2.extract_parameters(phc.reveal()).type is argon2.Type.ID


@pytest.mark.parametrize(
    "profile",
    [
        "m=19456,t=2,p=1",  # OWASP's
        "m=65536,t=3,p=4",  # RFC 9106's second
    ],
)
def test_recommended_parameters_are_accepted(profile):
    passwords.check_hash(Secret(f"$argon2id$v=19${profile}${'A' * 22}${'A' * 43}"))


@pytest.mark.parametrize(
    "profile",
    [
        "m=2097152,t=1,p=4",  # RFC 9106's first: 2 GiB for each stranger who tries
        "m=262145,t=1,p=1",
        "m=262144,t=5,p=1",
        "m=8,t=9999999,p=1",
        "m=65536,t=3,p=200",
    ],
)
def test_hashes_that_would_let_strangers_exhaust_the_machine_are_refused(profile):
    with pytest.raises(ValueError, match="exhaust"):
        passwords.check_hash(Secret(f"$argon2id$v=19${profile}${'A' * 22}${'A' * 43}"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        PASSWORD,
        "$2b$12$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghij",
        "$argon2id$v=19$m=65536,t=3,p=4$",
        f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}$",
        f"$argon2id$v=19$m=-1,t=3,p=4${'A' * 22}${'A' * 43}",
        f"$argon2id$v=19$m=99999999999,t=3,p=4${'A' * 22}${'A' * 43}",
        f"$argon2id$v=19$m=٣,t=3,p=4${'A' * 22}${'A' * 43}",
        f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}\n",
    ],
)
def test_what_is_no_argon2_hash_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match="not an Argon2 hash") as caught:
        passwords.check_hash(Secret(text))

    assert "hörse" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb"])
def test_passwords_that_cannot_be_sent_are_refused(text):
    with pytest.raises(ValueError, match=r"empty|control character"):
        passwords.check(Secret(text))


def test_any_printable_password_is_accepted():
    passwords.check(Secret(PASSWORD))
