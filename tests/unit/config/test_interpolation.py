"""`${NAME}` and `${NAME:-default}` in any text."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.config.interpolation import expand

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a ${NAME} b ${NAME}", "a value b value"),
        ("${MISSING:-other}", "other"),
        ("${MISSING:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("${NAME:-other}", "value"),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${NESTED}", "${NAME}"),
        ("$${NAME}", "${NAME}"),
        ("cash $5 {x} $", "cash $5 {x} $"),
        ("open ${NAME", "open ${NAME"),
    ],
)
def test_texts_are_expanded(text, expected):
    findings = []

    assert expand(text, ENVIRON, (), findings) == expected
    assert findings == []


def test_list_items_and_deep_values_are_expanded():
    tree = {"a": ["${NAME}", {"b": "${NAME}"}], "n": 5, "none": None}

    assert expand(tree, ENVIRON, (), []) == {"a": ["value", {"b": "value"}], "n": 5, "none": None}


@pytest.mark.parametrize("text", ["${}", "${1}", "${NAME:default}", "${NAME-x}", "${se cret}"])
def test_references_of_other_programs_are_refused_without_repeating_them(text):
    findings = []
    expand([text], ENVIRON, ("bots",), findings)

    ((where, message),) = findings
    assert where == ("bots", 0)
    assert "${NAME:-default}" in message
    assert text not in message.replace("${NAME:-default}", "")


def test_a_missing_variable_is_named():
    findings = []
    expand({"path": "${MISSING}"}, ENVIRON, ("bot",), findings)

    assert findings == [(("bot", "path"), "the environment variable MISSING is not set")]


def test_a_missing_variable_is_the_only_problem_of_its_value(workplace):
    assert workplace.problems("""
        host: ${HOST}
        port: ${PORT}
        defaultHeaders: {X-Api-Key: "${KEY}"}
        bot: {username: "${BOT}", privateKey: {path: "${PATH_OF_KEY}"}}
    """) == {
        "host": "the environment variable HOST is not set",
        "port": "the environment variable PORT is not set",
        "defaultHeaders.X-Api-Key": "the environment variable KEY is not set",
        "bot.username": "the environment variable BOT is not set",
        "bot.privateKey.path": "the environment variable PATH_OF_KEY is not set",
    }
