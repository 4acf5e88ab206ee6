"""Instructions are for the one who reads them: their address, their name, their bots."""

from __future__ import annotations

import dataclasses

import pytest

from support.settings import bot, client, cloud_pod, settings
from symphony_auth_proxy.instructions.guide import Guide, Visit, guide
from symphony_auth_proxy.model import Client, Origin, Settings

PLACE = Origin("10.0.0.7", 8080)
OTHER = cloud_pod("other.symphony.com")
QUOTES = dataclasses.replace(bot("quotes-bot"), listen=Origin("0.0.0.0", 8082))
THREE = (bot("pricing-bot"), bot("other-bot", OTHER), QUOTES)


def written(
    *clients: Client, place: Origin = PLACE, name: str | None = None, wanted: str | None = None
) -> Guide:
    found: Settings = settings(*THREE, clients=clients)
    return guide(found, Visit(place, name, wanted))


def text(told: Guide, key: str) -> str:
    [found] = [recipe.snippet.text for recipe in told.recipes if recipe.key == key]
    return found


def test_they_are_for_the_default_bot_at_the_address_that_was_used() -> None:
    told = written()

    assert (told.bot, told.others) == ("pricing-bot", ("other-bot", "quotes-bot"))
    assert told.proxy == "http://10.0.0.7:8080"
    assert told.fetch_pem == (
        "curl --proxy http://10.0.0.7:8080 -o proxy-ca.pem http://symphony.proxy/ca.pem"
    )
    for recipe in told.recipes:
        assert "10.0.0.7" in recipe.snippet.text
        assert "Symphony-Bot" not in recipe.snippet.text


def test_another_bot_is_named_in_a_header() -> None:
    told = written(wanted="other-bot")

    assert (told.bot, told.others) == ("other-bot", ("pricing-bot", "quotes-bot"))
    assert "'Symphony-Bot: other-bot'" in text(told, "curl")
    assert "https://other.symphony.com/pod/v2/sessioninfo" in text(told, "curl")
    assert "username: other-bot" in text(told, "sdk-bdk-python")


@pytest.mark.parametrize("wanted", ["nobody", "", "<script>"])
def test_a_bot_that_there_is_not_is_the_default_one(wanted: str) -> None:
    assert written(wanted=wanted).bot == "pricing-bot"


def test_a_bots_own_port_means_that_bot() -> None:
    told = written(place=Origin("10.0.0.7", 8082), wanted="pricing-bot")

    assert (told.bot, told.others) == ("quotes-bot", ())
    assert "Symphony-Bot" not in text(told, "curl")


def test_a_client_sees_its_own_name_and_bots() -> None:
    risk = client("risk", "other-bot", password="canary")
    told = written(risk, name="risk")

    assert (told.client, told.bot, told.others) == ("risk", "other-bot", ())
    assert "--proxy-user risk" in text(told, "curl")
    assert "Symphony-Bot" not in text(told, "curl"), "it can be no other"
    assert "--proxy-user" not in told.fetch_pem, "that is there for everybody"
    assert "--proxy-user risk" in told.fetch_p12
    assert "canary" not in repr(told.recipes)


def test_a_client_that_calls_for_users_only_is_told_how() -> None:
    desk = client("desk", on_behalf_of=None)
    told = written(desk, name="desk")

    assert "'Symphony-On-Behalf-Of: USERNAME'" in text(told, "curl")
    assert not [recipe for recipe in told.recipes if recipe.key.startswith("sdk-")]


def test_each_recipe_has_a_name_of_its_own() -> None:
    keys = [recipe.key for recipe in written().recipes]

    assert len(keys) == len(set(keys))
    assert {"curl", "variables", "requests", "httpx", "node", "java", "browser"} <= set(keys)
    assert {"sdk-bdk-python", "sdk-bdk-java", "sdk-spring", "sdk-node"} <= set(keys)
