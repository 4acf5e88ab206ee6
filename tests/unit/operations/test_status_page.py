"""The status page: readable by everybody, and nothing that is shown on it becomes a part of it."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.settings import bot, client
from support.settings import settings as configuration
from support.statuses import bot_status, eventful, status
from symphony_auth_proxy.instructions.guide import Guide, Visit, guide
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.operations import status_page
from symphony_auth_proxy.operations.overview import overview
from symphony_auth_proxy.operations.pages import HEADERS, Page, Pages
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.operations.status_page import FILES, POLICY, Ca, content, render
from symphony_auth_proxy.telemetry import Telemetry

CA = Ca("AB:CD", 2_000_000_000.0)
VISIT = Visit(Origin("127.0.0.1", 8080))
VOID = {"meta", "link", "img", "br"}


class Seen(HTMLParser):
    """What a browser makes of a page: its elements in their order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "each element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def instructions(**changes: Any) -> Guide:
    return guide(configuration(bot("pricing-bot"), bot("risk-bot"), **changes), VISIT)


def page(found: Status, written: Guide | None = None) -> Seen:
    return Seen(render(overview(found.as_json()), written, CA).decode())


FULL = page(eventful(), instructions())
STATES = {
    "eventful": FULL,
    "fresh": page(status(decisions={}, awaited=("pricing-bot",)), instructions()),
    "stopping": page(status(draining=True)),
    "without configuration": page(
        dataclasses.replace(status(trouble="configuration: bad", config=None), bots=())
    ),
    "fifty bots": page(
        dataclasses.replace(
            eventful(), bots=tuple(bot_status(f"bot-{number}") for number in range(50))
        )
    ),
}
every_state = pytest.mark.parametrize("seen", STATES.values(), ids=STATES)


@every_state
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(seen: Seen) -> None:
    for tag, attributes in seen.elements:
        assert tag not in {"style", "iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert re.match(r"$|#|/(?!/)", attributes.get(name) or ""), attributes
    assert [attributes["src"] for attributes in seen.all("script")] == ["/status.js"]


@every_state
def test_it_can_be_found_through_without_eyes(seen: Seen) -> None:
    ids = [attributes["id"] for _, attributes in seen.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for name, attributes in seen.elements:
        target = attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids
        if name == "section":
            assert attributes["aria-labelledby"] in ids
    assert seen.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(seen.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(seen.all("table")) == len(seen.all("caption"))
    assert all(attributes.get("scope") in {"row", "col"} for attributes in seen.all("th"))
    assert all("alt" in attributes for attributes in seen.all("img"))
    [news] = [one for _, one in seen.elements if one.get("aria-live")]
    assert (news["aria-live"], news["role"]) == ("polite", "status")


def test_each_bot_is_told_with_its_tokens() -> None:
    for words in (
        "ready, but 1 bot cannot log in",
        "pricing-bot",
        "#7f3a gen 2",
        "12 min old",
        "expires in 50 min",
        "certificate_not_accepted: the pod refuses the certificate",
        "What to do: import its CA at the pod",
        "2023-11-14 22:13:18 UTC",
        "client_unknown",
    ):
        assert words in FULL.text, words


def test_what_there_is_none_of_is_told() -> None:
    text = STATES["fresh"].text

    assert "No login yet." in text
    assert "None was refused." in text
    assert "No bots: there is no configuration in force." in STATES["without configuration"].text


def test_an_obstacle_stands_on_top() -> None:
    seen = page(status(trouble="configuration: config.yaml has 2 problems"))

    assert seen.text.index("config.yaml has 2 problems") < seen.text.index("Session token")


def test_each_recipe_can_be_opened_and_read_without_a_script() -> None:
    recipes = instructions().recipes

    assert len(FULL.all("details")) == len(FULL.all("summary")) == len(recipes)
    for recipe in recipes:
        assert recipe.snippet.text in FULL.text
    assert FULL.all("button") == [], "they are made by the script"


def test_of_fifty_bots_those_in_trouble_are_linked() -> None:
    found = eventful()
    many = tuple(bot_status(f"bot-{number}") for number in range(50))
    seen = page(dataclasses.replace(found, bots=(*many, found.bots[1])))

    [link] = [one for one in seen.all("a") if (one["href"] or "").startswith("#bot-")]
    assert link["href"] in {f"#{one.get('id')}" for one in seen.all("tbody")}


EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'--></pre></td></main><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "javascript:alert(1)",
    "\x1b[31m\r\n\u202e\udc80",
)


def with_text(text: str) -> Seen:
    text += "!"  # no name that means something here, as that of a diagnosis
    told = json.loads(json.dumps(eventful().as_json()))
    for one in told["bots"]:
        one |= {"bot": text, "pod": text}
        one["session"] |= {"trouble": text, "hint": text, "fingerprint": text}
    for one in told["logins"]:
        one |= {"bot": text, "error": text, "reason": text}
    for one in told["refusals"]:
        one |= {"reason": text, "host": text, "client": text}
    told |= {"reasons": [text], "clients": [text], "config": text, "ready": False}
    told["requests"] = {text: {text: 1}}
    told["passed"] = {text: 1}
    # Names in a configuration are printable.
    name = "".join(c for c in text if c.isprintable()) or "x"
    settings = configuration(bot(name), bot("other"), clients=(client(name, name, "other"),))
    written = guide(settings, dataclasses.replace(VISIT, client=name, bot=text))
    return Seen(render(overview(told), written, CA).decode())


def structure(seen: Seen) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in seen.elements]


@pytest.mark.parametrize("text", EVIL)
def test_what_others_wrote_is_text(text: str) -> None:
    seen = with_text(text)

    assert structure(seen) == structure(with_text("harmless"))
    if text.isprintable():
        assert seen.text.count(f"{text}!") > 10


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1) | st.text(alphabet="<>&\"'/=!-{}%# \n\\`", min_size=1))
def test_whatever_others_write_is_text(text: str) -> None:
    seen = with_text(text)

    assert structure(seen) == structure(with_text("harmless"))
    links = {one["href"] for one in seen.all("a")}
    assert all(re.match(r"$|#|/(?!/)", link or "") for link in links)


def answered(path: str) -> Page:
    return Pages(eventful, Telemetry()).answer("GET", path)


def test_the_policy_allows_the_pages_own_files_and_nothing_else() -> None:
    policy = answered("/").all_headers()["Content-Security-Policy"]

    assert policy == POLICY
    assert "unsafe" not in policy
    sources = dict(one.split(" ", 1) for one in policy.split("; "))
    assert sources.pop("default-src") == "'none'"
    assert set(sources.values()) == {"'self'", "'none'"}
    assert answered("/status.json").all_headers() == {
        "Content-Type": "application/json",
        **HEADERS,
    }


@pytest.mark.parametrize("path", FILES)
def test_its_files_are_in_the_package_and_kept_for_minutes_by_its_reader_alone(path: str) -> None:
    file = answered(path)

    assert (file.status, file.body) == (200, content(path))
    assert file.all_headers()["Content-Type"] == FILES[path]
    assert file.all_headers()["Cache-Control"] == "private, max-age=300"


def test_without_a_certificate_and_without_a_reader_there_still_is_a_page() -> None:
    assert b"pricing-bot" in answered("/").body


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_it_stands_on(scheme: str) -> None:
    css = content("/status.css").decode()
    light, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    dark = rest.partition("\n}\n")[0]
    palette = colours(light) | (colours(dark) if scheme == "dark" else {})

    def contrast(one: str, other: str) -> float:
        lighter, darker = sorted((luminance(palette[one]), luminance(palette[other])), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)

    for text in ("ink", "quiet", "accent"):
        for ground in ("paper", "card", "sunken"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for level in ("good", "busy", "warn", "bad", "idle"):
        assert contrast(level, f"{level}-tint") >= 4.5, level
        assert contrast("ink", f"{level}-tint") >= 4.5, level


def test_the_page_is_beside_its_code_so_that_it_is_in_every_wheel() -> None:
    folder = Path(status_page.__file__).parent / "web"

    assert {path.name for path in folder.iterdir()} == {
        "status.html",
        *(path.removeprefix("/") for path in FILES),
    }
