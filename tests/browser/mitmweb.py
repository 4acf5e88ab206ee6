"""mitmweb as a person uses it, by what it shows; and the walk through all of it.

Elements are found by their texts and by the few class names that carry meaning in
mitmproxy 12 (`flow-table`, `flow-detail`, `col-…`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Locator, Page, WebSocket

# Counts the requests that are under way, until their answers are whole: what they bring is
# shown a moment later.
_COUNTING = """
    window.underWay = 0;
    const plain = window.fetch;
    window.fetch = async (...given) => {
        window.underWay += 1;
        try {
            const answer = await plain(...given);
            await answer.clone().arrayBuffer();
            return answer;
        } finally { window.underWay -= 1; }
    };
    window.settled = async () => {
        const moment = () => new Promise((done) => setTimeout(done));
        do { await moment(); } while (window.underWay > 0);
        await moment();
    };
"""

_WALK = """async (flows) => {
    const shown = [];
    const see = async (selector) => {
        await window.settled();
        const seen = document.querySelector(selector);
        shown.push(seen.outerHTML, ...[...seen.querySelectorAll('input')].map((one) => one.value));
    };
    const all = (place) => [...document.querySelectorAll(place)];
    document.querySelector('.flow-table tr.has-request').click();
    for (let flow = 0; flow < flows; flow++) {
        if (flow % 10 === 0) await see('html');  // there are more rows in sight at a time
        for (let tab = 0; tab < all('.flow-detail nav a').length; tab++) {
            all('.flow-detail nav a')[tab].click();
            await see('.flow-detail');
        }
        const down = new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true});
        document.querySelector('#container').dispatchEvent(down);
    }
    for (const text of ['Capture', 'Options', 'Display Event Log', 'Edit Options']) {
        const menu = all('header a, header label, header button');
        menu.find((one) => one.textContent.includes(text)).click();
        await see('html');
    }
    document.querySelector('.modal .close').click();
    await window.settled();
    return shown;
}"""

_FETCH = """async (paths) => {
    const answers = [];
    for (const path of paths) answers.push(await (await fetch(path)).text());
    return answers;
}"""

_COMMAND = """async (commands) => {
    const [, token] = document.cookie.match(/_mitmproxy_xsrf=([^;]*)/);
    const headers = {'Content-Type': 'application/json', 'X-XSRFToken': token};
    const answers = [];
    for (const [name, given] of commands) {
        const body = JSON.stringify({arguments: given});
        const answer = await fetch('/commands/' + name, {method: 'POST', headers, body});
        answers.push(await answer.json());
    }
    return answers;
}"""


DETAIL = ".flow-detail"
"""What is shown of the flow that is selected."""


class Mitmweb:
    """The screen of one visitor."""

    def __init__(self, page: Page, news: WebSocket) -> None:
        self.page = page
        self._news = news
        self._detail = page.locator(DETAIL)

    @classmethod
    def open(cls, page: Page, url: str, password: str) -> Mitmweb:
        """Open the address that `serve --web` prints, and log in."""
        page.add_init_script(_COUNTING)
        page.goto(url)
        page.locator("input[type=password]").fill(password)
        with page.expect_websocket() as news:
            page.keyboard.press("Enter")
        page.get_by_text("connected", exact=True).wait_for()
        return cls(page, news.value)

    def rows(self, text: str = "") -> Locator:
        """The flows in the list, or those of them that hold a text."""
        rows = self.page.locator(".flow-table tr.has-request")
        return rows.filter(has_text=text) if text else rows

    def select(self, row: Locator, tab: str) -> Locator:
        """Click at a flow, and at one of its tabs; return what it shows."""
        row.click()
        self._detail.locator("nav a").get_by_text(tab, exact=True).click()
        self.page.evaluate("() => window.settled()")
        return self._detail

    def headers(self, row: Locator, tab: str) -> dict[str, str]:
        """Read the header table of a request or of a response."""
        shown = self.select(row, tab).locator(".headers .kv-row")
        rows = [one.split(":", 1) for one in shown.all_inner_texts()]
        return {name.strip(): value.strip() for name, value in rows}

    def cut_off(self, cell: Locator) -> bool:
        """Whether a cell has no room for all of its text."""
        return bool(cell.evaluate("(it) => it.scrollWidth > it.clientWidth"))

    def begin(self) -> None:
        """Show the whole list and nothing else."""
        self.search("")
        close = self.page.get_by_test_id("close-button-id")
        if close.is_visible():
            close.click()

    def search(self, expression: str) -> None:
        """Type into the search field. What is found comes over the WebSocket."""
        self.page.get_by_role("link", name="Flow List").click()
        field = self.page.get_by_placeholder("Search")
        if field.input_value() != expression:
            with self._news.expect_event("framereceived", _tells_what_is_found):
                field.fill(expression)
        self.page.evaluate("() => window.settled()")

    def copy(self, row: Locator, entry: str) -> str:
        """Choose an entry of the menu Export, as in `Copy as cURL`; return the clipboard."""
        row.click()
        self.page.get_by_role("link", name="Flow", exact=True).click()
        self.page.get_by_role("button", name="Export").click()
        with self.page.expect_response("**/commands/export"):
            self.page.get_by_text(entry, exact=True).click()
        self.page.evaluate("() => window.settled()")
        return str(self.page.evaluate("() => navigator.clipboard.readText()"))

    def everything_shown(self) -> bytes:
        """Go down the list, click at each tab of each flow, then at each menu; return the DOM
        at every step."""
        return "\n".join(self.page.evaluate(_WALK, len(self.flows()))).encode()

    def fetch(self, *paths: str) -> list[str]:
        """Ask mitmweb's API, as its own page does."""
        answers: list[str] = self.page.evaluate(_FETCH, list(paths))
        return answers

    def flows(self) -> list[Any]:
        flows: list[Any] = json.loads(self.fetch("/flows")[0])
        return flows

    def commands(self, *commands: tuple[str, Sequence[str]]) -> list[Any]:
        """Run commands of mitmproxy, each with its arguments; return what they answer."""
        answers: list[Any] = self.page.evaluate(_COMMAND, list(commands))
        return answers


def _tells_what_is_found(frame: str | bytes) -> bool:
    told = json.loads(frame)
    return bool(told["type"] == "flows/filterUpdate" and told["payload"]["name"] == "search")
