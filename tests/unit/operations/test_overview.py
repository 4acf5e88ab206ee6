"""The status in words: what is well, what is not, and nothing that others wrote does harm."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.clock import NOON
from support.statuses import REFUSED, bot_status, eventful, good_token, no_token, status
from symphony_auth_proxy.core.freshness import State
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.operations.overview import Level, Overview, overview
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.tokens.account import BotStatus


def view(found: Status) -> Overview:
    """As `status` sees it, which gets it as JSON."""
    return overview(json.loads(json.dumps(found.as_json())))


LOGGING_IN = no_token(logging_in=True)
RENEWAL_FAILS = good_token(state=State.STALE, trouble="login_unavailable: no answer", retry_in=4.0)


@pytest.mark.parametrize(
    ("bot", "level", "word"),
    [
        (bot_status(), Level.GOOD, "logged in"),
        (bot_status(session=no_token()), Level.IDLE, "not logged in"),
        (bot_status(session=LOGGING_IN), Level.BUSY, "logging in"),
        (bot_status(session=REFUSED), Level.BAD, "cannot log in"),
        (bot_status(session=RENEWAL_FAILS), Level.WARN, "cannot renew"),
        (bot_status(key_manager=REFUSED), Level.BAD, "cannot log in"),
    ],
)
def test_each_bot_has_a_word_for_how_it_is(bot: BotStatus, level: Level, word: str) -> None:
    [seen] = view(status(bot)).bots

    assert (seen.mark.level, seen.mark.word) == (level, word)


@pytest.mark.parametrize(
    ("changes", "level", "word"),
    [
        ({}, Level.GOOD, "ready"),
        ({"awaited": ("pricing-bot",)}, Level.BUSY, "starting"),
        ({"draining": True}, Level.WARN, "stopping"),
        ({"listeners": ()}, Level.BAD, "not ready"),
        ({"trouble": "configuration: bad"}, Level.BAD, "not ready"),
        ({"trouble": "configuration: bad", "awaited": ("b",)}, Level.BAD, "not ready"),
        ({"bots": (bot_status(session=REFUSED),)}, Level.WARN, "ready, but 1 bot cannot log in"),
    ],
)
def test_the_proxy_has_a_word_for_how_it_is(
    changes: dict[str, Any], level: Level, word: str
) -> None:
    seen = view(status(**changes))

    assert (seen.mark.level, seen.mark.word) == (level, word)


def test_a_token_is_told_by_fingerprint_generation_age_and_end() -> None:
    [bot] = view(status()).bots
    session, key_manager = bot.tokens

    assert (session.name, session.mark.word, session.sign) == (
        "session token",
        "fresh",
        "#7f3a gen 2",
    )
    assert session.facts == ("12 min old", "expires in 50 min", "renewed in 30 min")
    assert session.obtained == NOON - 720
    assert key_manager.sign == "#9e21 gen 2"


def test_a_token_that_cannot_be_had_says_why_and_what_to_do() -> None:
    [bot] = view(status(bot_status(session=REFUSED))).bots
    session = bot.tokens[0]

    assert session.mark == dataclasses.replace(session.mark, level=Level.BAD, word="none")
    assert session.facts == ("next login in 2 min",)
    assert session.trouble == "certificate_not_accepted: the pod refuses the certificate"
    assert session.hint == "import its CA at the pod"


def test_where_an_error_has_no_advice_there_is_that_of_its_diagnosis() -> None:
    silent = dataclasses.replace(REFUSED, hint=None)
    [bot] = view(status(bot_status(session=silent))).bots

    assert bot.tokens[0].hint


def test_no_renewal_is_promised_while_it_fails() -> None:
    [bot] = view(status(bot_status(session=RENEWAL_FAILS))).bots

    assert "next login in 4 s" in bot.tokens[0].facts
    assert not [fact for fact in bot.tokens[0].facts if fact.startswith("renewed")]


def test_the_last_logins_tell_what_became_of_them() -> None:
    logins = view(eventful()).logins

    assert [(one.ago, one.bot, one.what, one.mark.word) for one in logins] == [
        ("2 s ago", "compliance-bot", "session token", "login failed"),
        ("5 min ago", "pricing-bot", "session token", "token refused"),
        ("12 min ago", "pricing-bot", "session for alice", "logged in"),
        ("2 h 30 min ago", "pricing-bot", "", "new key unusable"),
    ]
    assert logins[0].trouble == "certificate_not_accepted: the pod refuses the certificate"
    assert logins[1].facts == ("gen 1, by the agent",)
    assert logins[2].facts == ("#7f3a gen 2", "in 0.21 s")
    assert logins[3].facts == ("the key before it stays in use",)


def test_refusals_tell_how_often_and_what_it_means() -> None:
    often, rare = view(eventful()).refusals

    assert (often.reason, often.count, often.facts) == (
        "client_unknown",
        12,
        ("for acme.symphony.com", "by pricing"),
    )
    assert often.meaning
    assert (rare.count, rare.ago) == (1, "23 h 53 min ago")


def test_requests_are_counted_in_all_and_by_bot() -> None:
    seen = view(eventful())

    assert {figure.label: figure.number for figure in seen.figures} == {
        "got tokens": 3,
        "logins answered here": 1,
        "left as they were": 8,
        "refused": 13,
        "tunnels to others": 4,
    }
    assert seen.figures[0].details == ("1 sent again after a 401",)
    assert seen.figures[2].details == ("7 other path", "1 login")
    assert (seen.bots[0].requests, seen.bots[0].by_component) == (3, (("agent", 2), ("pod", 1)))
    assert seen.bots[0].notes == ("acme.symphony.com", "on behalf of 2 users", "1 request waiting")


def test_those_who_need_looking_at_are_named() -> None:
    assert [bot.name for bot in view(eventful()).troubled] == ["compliance-bot"]


def test_a_proxy_of_an_older_version_is_understood() -> None:
    told = status().as_json()
    for name in ("requests", "passed", "resends", "logins", "refusals"):
        del told[name]
    [bot] = told["bots"]
    del bot["pod"], bot["waiting"]
    for kind in ("session", "key_manager"):
        for name in ("diagnosis", "hint", "obtained", "renew_in"):
            del bot[kind][name]

    assert overview(told).bots[0].tokens[0].sign == "#7f3a gen 2"


def test_what_only_a_newer_version_knows_is_shown_by_its_name() -> None:
    told = json.loads(json.dumps(eventful().as_json()))
    told["logins"][0]["event"] = "unheard_of"
    told["refusals"][0]["reason"] = "unheard_of"
    told["bots"][0]["session"] |= {"state": "unheard_of", "diagnosis": "unheard_of"}

    seen = overview(told)

    assert seen.logins[0].mark.word == "unheard_of"
    assert (seen.refusals[0].reason, seen.refusals[0].meaning) == ("unheard_of", "")
    assert seen.bots[0].tokens[0].mark.word == "unheard_of"


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple | list):
        return [text for one in value for text in texts(one)]
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return [text for field in fields for text in texts(getattr(value, field.name))]
    return []


def spoilt(value: Any, text: str) -> Any:
    """The same, with every text that others could have written replaced."""
    if isinstance(value, dict):
        kept = {"state", "event", "kind"}
        return {name: one if name in kept else spoilt(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [spoilt(one, text) for one in value]
    return text if isinstance(value, str) else value


@settings(max_examples=50)
@given(st.text(min_size=1))
def test_nothing_that_others_wrote_controls_a_screen(text: str) -> None:
    told = spoilt(json.loads(json.dumps(eventful().as_json())), text)

    assert all(one.isprintable() for one in texts(overview(told)))


def test_a_key_manager_token_that_nobody_needs_is_none_that_is_missing() -> None:
    spared = no_token(TokenKind.KEY_MANAGER, state=State.NOT_REQUIRED)
    [bot] = view(status(bot_status(key_manager=spared))).bots

    assert bot.mark.word == "logged in"
    assert bot.tokens[1].mark.word == "not needed"
