"""Which environment variables hold secrets is read off the file."""

from __future__ import annotations

from typing import get_args

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.config.secret_references import SECRET_KEYS
from symphony_auth_proxy.config.sections import Section
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.secret import Secret


def test_variables_in_secret_places_are_named(workplace):
    path = workplace.write("""
        host: ${HOST}
        defaultHeaders: {X-Api-Key: "${API_KEY}"}
        keyManager: {proxy: {username: "${USER}", password: "a${PROXY}b${TWO:-x}"}}
        bot: {username: b, privateKey: {path: "${HOME}/bot.pem", password: "$${NOT} ${KEY}"}}
        app: {appId: a, privateKeyContent: "${APP_KEY}", certificatePassword: "${APP}"}
        ssl: {trustStorePath: "${STORE}", trustStorePassword: "${STORE_PASSWORD}"}
        extensions: {password: "${NOT_OURS}"}
        authProxy:
          clients: [{name: "${NAME}", passwordHash: "${HASH}", bots: [b]}]
          bots: [{username: c, certificate: {content: "${CERTIFICATE}"}}]
    """)

    assert config.secret_variables(path, environ={}) == {
        "API_KEY",
        "PROXY",
        "TWO",
        "KEY",
        "APP_KEY",
        "APP",
        "STORE_PASSWORD",
        "HASH",
        "CERTIFICATE",
    }


def test_they_are_found_below_the_root_of_spring(workplace):
    path = workplace.write("""
        spring: {password: "${NOT_OURS}"}
        bdk: {bot: {privateKey: {password: "${KEY}"}}}
        authProxy: {clients: [{password: "${CLIENT}"}]}
    """)

    assert config.secret_variables(path, environ={}) == {"KEY", "CLIENT"}


def test_a_file_that_cannot_be_read_is_told(workplace):
    with pytest.raises(ConfigError):
        config.secret_variables(workplace.directory / "nowhere", environ={})


def sections(annotation: object, seen: set[type[Section]]) -> set[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values():
            sections(field.annotation, seen)
    for inner in get_args(annotation):
        sections(inner, seen)
    return seen


def holds_secret(annotation: object) -> bool:
    return annotation is Secret or any(map(holds_secret, get_args(annotation)))


def test_every_key_that_takes_a_secret_is_known_as_one():
    keys = {
        key
        for section in sections(File, set())
        for key, name in section.fields_by_key().items()
        if holds_secret(section.model_fields[name].annotation)
    }

    assert keys == {"password", "passwordHash", "content", "defaultHeaders"}
    assert keys <= SECRET_KEYS
