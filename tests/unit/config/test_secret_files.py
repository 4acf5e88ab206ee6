"""Which files hold secrets is read off the configuration; and keys can be left unopened."""

from __future__ import annotations

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.errors import ConfigError

EVERYWHERE = """
    host: acme.symphony.com
    bot: {username: pricing-bot, privateKey: {path: encrypted.pem, passwordFile: password}}
    app: {appId: desk-app, privateKey: {path: bot.pem}}
    ssl: {trustStore: {path: system.pem, passwordFile: bot.p12}}
    authProxy:
      bots:
        - {username: other-bot, certificate: {path: certificate.pem, keyPath: combined.pem}}
        - {username: inline-bot, privateKey: {content: "${KEY}"}}
      clients:
        - {name: desk, passwordFile: ca.pem, bots: [pricing-bot]}
"""


def test_keys_and_password_files_are_named_and_nothing_that_is_public(workplace):
    # What is in them is of no interest here; some would be refused.
    (workplace.directory / "ca.pem").write_text("a long enough password")
    (workplace.directory / "bot.p12").write_text("changeit")
    path = workplace.write(EVERYWHERE)

    found = config.secret_files(path, environ={**workplace.environ, "KEY": "no key"})

    assert len(found) == len(set(found))
    names = {one.name for one in found}
    assert names == {"encrypted.pem", "password", "bot.pem", "combined.pem", "ca.pem"}


def test_keys_that_are_left_unopened_can_be_anything(workplace):
    path = workplace.write("""
        host: acme.symphony.com
        bot: {username: pricing-bot, privateKey: {path: ca.pem}}
    """)

    with pytest.raises(ConfigError):
        config.load(path, environ=workplace.environ)
    settings = config.load(path, environ=workplace.environ, open_keys=False)
    assert settings.bot("pricing-bot") is not None
    assert settings.warnings == ()


def test_all_else_that_is_wrong_is_still_told(workplace):
    path = workplace.write("""
        host: acme.symphony.com
        bot: {username: pricing-bot, privateKey: {path: ca.pem}, passwort: x}
    """)

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ, open_keys=False)
    assert [problem.path for problem in caught.value.problems] == ["bot.passwort"]
