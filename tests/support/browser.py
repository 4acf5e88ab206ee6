"""The Chromium of the system, as a person would sit before it.

Whatever it was sent is kept, to be searched, and so is whatever it complained of. It can reach
loopback only: a page that wants something from elsewhere gets nothing, and is found out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Response,
    WebError,
    WebSocket,
    sync_playwright,
)

from support.environments import program

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
_PATIENCE = 20_000
"""Milliseconds that something may take to appear."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it without a window. The test is skipped where there is none, and fails in CI.

    Its own sandbox is off, as always with playwright: containers seldom allow it, and the
    pages are this project's.
    """
    path = next(filter(None, map(shutil.which, _NAMES)), None) or program(_NAMES[0])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=[_LOOPBACK_ONLY]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """What the pages of one visitor were sent, asked for and complained of."""

    responses: list[Response] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    """Of WebSockets, in both directions."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, uncaught exceptions, violations of the CSP."""
    asked: list[str] = field(default_factory=list)
    """Every URL that was asked for, WebSockets' among them."""

    def follow(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("response", lambda response: self.responses.append(response))  # noqa: PLW0108 (playwright marks what it is given)
        context.on("console", self._console)
        context.on("weberror", self._web_error)
        context.on("page", lambda page: page.on("websocket", self._web_socket))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "")
            self.complaints.append(f"{message.type}: {message.text} ({where})")

    def _web_error(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")

    def _web_socket(self, socket: WebSocket) -> None:
        self.asked.append(socket.url)
        socket.on("framereceived", lambda payload: self.frames.append(_octets(payload)))
        socket.on("framesent", lambda payload: self.frames.append(_octets(payload)))

    def origins(self) -> set[str]:
        """Whom anything was asked of, but for what a page holds itself."""
        split = [urlsplit(url) for url in self.asked]
        return {f"{one.hostname}:{one.port or ''}" for one in split if one.scheme not in _INLINE}

    def answers(self) -> bytes:
        """Every answer with its head, and every frame. To be asked before a page is left:
        the browser forgets bodies then."""
        return b"\n".join((*map(_answer, self.responses), *self.frames))


_INLINE = {"data", "blob", "about"}


def _answer(response: Response) -> bytes:
    head = "\n".join([response.url, *(f"{name}: {value}" for name, value in _headers(response))])
    try:
        return head.encode() + b"\n\n" + response.body()
    except Error:
        # A redirect and an upgrade have none. An answer that is lost would be noticed by the
        # one who looks for what must be in there.
        return head.encode()


def _headers(response: Response) -> list[tuple[str, str]]:
    return [(one["name"], one["value"]) for one in response.headers_array()]


def _octets(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


@contextmanager
def visitor(browser: Browser, **options: Any) -> Iterator[tuple[Page, Watched]]:
    """Open a page of a new visitor, who has no cookies. `options`: playwright's, for a new
    context: `color_scheme`, `viewport`, `java_script_enabled`, `proxy`, …"""
    watched = Watched()
    settings = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1}
    with browser.new_context(**(settings | options)) as context:
        context.set_default_timeout(_PATIENCE)
        watched.follow(context)
        yield context.new_page(), watched


class Photograph(Protocol):
    """Takes a picture of what a page shows, of this height in pixels, or of a part of it
    (a selector)."""

    def __call__(self, page: Page, name: str, height: int, part: str = "") -> None: ...
