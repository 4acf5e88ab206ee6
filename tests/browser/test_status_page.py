"""The portal's status page in a real browser that has the proxy in its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browser.stage import DESK, SESSION_INFO, Served, desk, morning, serving
from support.browser import Photograph, Watched, visitor
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT

STATUS_PAGE = "http://symphony.proxy/"
REFRESHED = 10_000
"""Milliseconds after which it has asked for news."""
PHONE = {"width": 360, "height": 740}

type Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def served(prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("portal") / "desk"
    with desk(prepared_directory, directory) as sandbox, serving(sandbox) as running:
        morning(running)
        yield running


@pytest.fixture
def opened(browser: Browser, served: Served) -> Iterator[Opened]:
    """Opens the page as somebody would. At the end nobody has complained, and nothing was
    asked of anybody but of the proxy."""
    with ExitStack() as visits:
        seen: list[Watched] = []

        def open_page(**options: Any) -> Page:
            visit = visitor(browser, proxy=proxy_settings(served), **options)
            page, watched = visits.enter_context(visit)
            seen.append(watched)
            page.clock.install()
            answer = page.goto(STATUS_PAGE)
            assert answer is not None
            assert answer.status == 200
            return page

        yield open_page
    for watched in seen:
        assert watched.complaints == []
        assert watched.origins() == {"symphony.proxy:"}


def proxy_settings(served: Served, password: str | None = None) -> dict[str, str]:
    """What a person puts into the browser's settings; `password`: another than the right one."""
    name, right = served.credentials
    server = f"http://{served.address}"
    return {"server": server, "username": name, "password": password or right}


def text_of(page: Page, place: str) -> str:
    return page.locator(place).inner_text()


def status_of(served: Served) -> dict[str, Any]:
    with served.client() as client:
        status: dict[str, Any] = client.get(f"{STATUS_PAGE}status.json").json()
    return status


def test_it_tells_of_bots_logins_and_requests(opened: Opened, served: Served) -> None:
    page = opened()
    for bot in (KEY_BOT, CERTIFICATE_BOT):
        assert bot in text_of(page, "#bots")
    fingerprint = status_of(served)["bots"][1]["session"]["fingerprint"]
    assert f"#{fingerprint}" in text_of(page, "#bots")
    assert "mallory" in text_of(page, "#logins")
    assert "unknown_bot" in text_of(page, "#requests")
    assert f"as the client {DESK}" in text_of(page, "#connect")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_made_for_light_and_for_dark(
    opened: Opened, photograph: Photograph, scheme: str
) -> None:
    page = opened(color_scheme=scheme)
    lightness = page.evaluate(_LIGHTNESS)
    assert (lightness > 0.9) if scheme == "light" else (lightness < 0.1)
    assert page.evaluate(_FAINT) == []
    photograph(page, f"status-page-{scheme}", 800)


_COLOURS = """
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
        const [r, g, b] = parts(colour).map((one) => one / 255).map(
            (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if ((parts(colour)[3] ?? 1) > 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
"""
_LIGHTNESS = f"() => {{ {_COLOURS} return luminance(ground(document.body)); }}"
_FAINT = f"""() => {{ {_COLOURS}
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {{
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        const [one, other] = [getComputedStyle(element).color, ground(element)].map(luminance);
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (contrast < 4.5) faint.push([texts.currentNode.data, contrast]);
    }}
    return faint;
}}"""
"""Texts with less contrast than WCAG 2.2, 1.4.3 asks for."""


def test_it_fits_on_a_phone(opened: Opened, photograph: Photograph) -> None:
    page = opened(viewport=PHONE, is_mobile=True, has_touch=True)
    for recipe in page.locator("details").all():
        recipe.evaluate("(it) => { it.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate("document.documentElement.clientWidth") == PHONE["width"]
    photograph(page, "status-page-phone", 740)


def test_everything_is_there_without_javascript(opened: Opened) -> None:
    with_it, without = opened(), opened(java_script_enabled=False)
    for section in ("#bots", "#logins", "#connect"):
        told = [_steady(page, section) for page in (with_it, without)]
        assert told[0] == told[1]
    assert without.get_by_role("button").count() == 0
    without.locator("summary").first.click()
    assert without.locator("details pre").first.is_visible()


def _steady(page: Page, section: str) -> list[str]:
    """What it says, but for buttons and for what grows older."""
    text = re.sub(r"\d+ (s|min|h|d)\b", "…", text_of(page, section))
    return [line for line in text.splitlines() if line.strip() not in {"", "Copy"}]


def test_what_is_to_be_copied_has_a_button(opened: Opened) -> None:
    page = opened()
    page.locator("summary").first.click()
    box = page.locator("details .code").first
    wanted = box.locator("pre").inner_text().strip()
    box.get_by_role("button").click()
    box.get_by_role("button", name="Copy").filter(has_text="Copied").wait_for()
    assert pasted(page).strip() == wanted


def pasted(page: Page) -> str:
    """What is in the clipboard, as another field gets it: a page without TLS cannot ask."""
    page.evaluate("""() => {
        const field = document.body.appendChild(document.createElement('textarea'));
        field.focus();
    }""")
    page.keyboard.press("Control+V")
    return page.locator("textarea").input_value()


def test_it_keeps_itself_current(opened: Opened, served: Served) -> None:
    page = opened()
    page.evaluate("window.same = true")
    before = text_of(page, "#requests")
    with served.client() as client:
        client.get(served.url(SESSION_INFO), headers={"Symphony-Bot": CERTIFICATE_BOT})
    page.clock.fast_forward(REFRESHED)
    page.wait_for_function(
        "(old) => document.querySelector('#requests').innerText != old", arg=before
    )
    assert page.evaluate("window.same") is True


def test_it_says_when_the_proxy_is_gone(browser: Browser, served: Served) -> None:
    with visitor(browser, proxy=proxy_settings(served)) as (page, _):
        page.clock.install()
        page.goto(STATUS_PAGE)
        page.route("**/*", lambda route: route.abort())
        page.clock.fast_forward(REFRESHED)
        page.get_by_text("The proxy does not answer").wait_for()


def test_nobody_reads_it_without_the_password(browser: Browser, served: Served) -> None:
    with visitor(browser, proxy=proxy_settings(served, "guessed, and wrong")) as (page, _):
        answer = page.goto(STATUS_PAGE)
        assert answer is not None
        assert answer.status == 407
        assert KEY_BOT not in page.content()
