"""The README's recipes for mitmproxy's filters find what they promise, among real flows."""

from __future__ import annotations

from pathlib import Path

import pytest
from mitmproxy import flowfilter

from support.clients import client_of
from support.gallery import INFO, Gallery, info, watched_proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

RECIPES = {
    "~comment #7f3a": {"first", "healed"},
    "~marker no_entry": {"refused", "refused again", "own token", "unknown bot"},
    "~marker repeat": {"healed", "healed again"},
    '~comment "untouched: client_token" & ~c 401': {"own token"},
    '~hs "proxy-status: symphony-auth-proxy; error="': {"unknown bot"},
}
"""Those of the README, and what each finds below; `#7f3a` stands for a token's fingerprint."""


def test_recipes_find_what_they_promise(sandbox: Sandbox) -> None:
    gallery = Gallery()
    with watched_proxy(sandbox, gallery) as proxy, client_of(proxy) as client:
        info(sandbox, client)
        sandbox.revoke(KEY_BOT)
        info(sandbox, client)
        sandbox.fail(Component.POD, status=401, path=INFO)
        info(sandbox, client)
        sandbox.recover()
        info(sandbox, client, headers={"sessionToken": "long dead"})
        info(sandbox, client, headers={"Symphony-Bot": "nobody"})
        client.get(sandbox.url(Component.AGENT) + "/agent/v3/health")
    names = ("first", "healed", "healed again", "refused", "refused again", "own token")
    calls = [flow for flow in gallery.flows if flow.request.method == "GET"]
    flows = dict(zip((*names, "unknown bot", "health"), calls, strict=True))
    fingerprint = flows["first"].comment.split(" ")[3]

    for recipe, expected in RECIPES.items():
        matches = flowfilter.parse(recipe.replace("#7f3a", fingerprint))
        assert {name for name, flow in flows.items() if matches(flow)} == expected, recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_readme_has_each_recipe(recipe: str) -> None:
    assert f"`{recipe}`" in README
