"""One Chromium a module, and a place for pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser.stage import PICTURES, UPDATING
from support.browser import Photograph, chromium

_LARGEST = 200_000
"""Bytes of a picture: the README loads them all."""
_EMPTY = 6_000
"""Bytes that a picture of nothing but a frame has."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, because playwright has an event loop of its own in the thread of the tests:
    as long as it runs, no other test can have one there."""
    with chromium() as running:
        yield running


@pytest.fixture
def photograph(tmp_path: Path) -> Photograph:
    """Takes a picture of what a page shows, and keeps it if pictures are to be updated:

    UPDATE_PICTURES=1 pytest tests/browser
    """
    directory = PICTURES if UPDATING else tmp_path

    def take(page: Page, name: str, height: int, part: str = "") -> None:
        size = page.viewport_size
        assert size is not None
        page.set_viewport_size({"width": size["width"], "height": height})
        page.evaluate("() => document.activeElement.blur()")
        path = directory / f"{name}.png"
        shown = page.locator(part) if part else page
        shown.screenshot(path=path, animations="disabled")
        page.set_viewport_size(size)
        assert _EMPTY < path.stat().st_size < _LARGEST, f"{path.stat().st_size} bytes"

    return take
