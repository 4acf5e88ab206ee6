"""WEB: a page in a browser that uses the proxy, or that reaches it, must not speak as the bot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.raw import CLOSED, Answer, Http2Wire, Wire
from attacks.stage import ECHO, Attacked, Stage, Start
from support.proxy import Proxy
from symphony_auth_proxy.model import Component

BODY = '{"message": "as the bot"}'
POST = (f"Content-Length: {len(BODY)}", "Content-Type: text/plain")


def post(proxy: Proxy, attacked: Attacked, *headers: str, method: str = "POST") -> Answer:
    agent = attacked.origin(Component.AGENT)
    with Wire.tunnel(proxy, agent) as wire:
        lines = [f"{method} {ECHO} HTTP/1.1", f"Host: {agent}", *POST, *headers]
        return wire.ask("\r\n".join(lines) + f"\r\n\r\n{BODY}", method=method)


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-Fetch-Site: cross-site",),
        ("sec-fetch-site:cross-site",),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"),
        ("Origin: https://evil.example",),
        ("Origin: http://localhost:1",),
        ("Origin: https://localhost",),
        ("Origin: null",),
        ("Origin: ",),
        ("Origin: https://evil.example", "Sec-Fetch-Site: same-origin"),
        ("Origin: https://localhost:{port}.evil.example",),
        ("Origin: https://localhost:{port}@evil.example",),
        ("Origin: https://localhost:{port}, https://evil.example",),
        ("Origin: https://localhost:{port}", "Origin: https://evil.example"),
        ("Origin: chrome-extension://abcdef",),
        ("Origin: https://[",),
        ("Origin: https://localhost:99999",),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_a_page_of_another_site_is_refused(
    proxy: Proxy, attacked: Attacked, headers: tuple[str, ...], method: str
) -> None:
    port = attacked.origin(Component.AGENT).port
    answered = post(
        proxy, attacked, *(h.replace("{port}", str(port)) for h in headers), method=method
    )
    assert (answered.status, answered.reason) == (403, "cross_site")
    assert attacked.arrived == []


def test_a_page_of_another_site_is_refused_over_http2(proxy: Proxy, attacked: Attacked) -> None:
    agent = attacked.origin(Component.AGENT)
    with Http2Wire.open(proxy, agent) as wire:
        answered = wire.fetch(ECHO, str(agent), [("sec-fetch-site", "cross-site")])
    assert (answered.status, answered.reason) == (403, "cross_site")
    assert attacked.arrived == []


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Sec-Fetch-Site: same-origin",),
        ("Sec-Fetch-Site: none",),
        ("Origin: https://localhost:{port}",),
    ],
)
def test_programs_and_the_hosts_own_pages_are_served(
    proxy: Proxy, attacked: Attacked, headers: tuple[str, ...]
) -> None:
    port = attacked.origin(Component.AGENT).port
    answered = post(proxy, attacked, *(h.replace("{port}", str(port)) for h in headers))
    assert answered.status == 200
    assert len(attacked.with_tokens) == 1


def test_no_answer_of_ours_invites_pages_to_read_it(proxy: Proxy, attacked: Attacked) -> None:
    answered = post(proxy, attacked, "Origin: https://evil.example", method="OPTIONS")
    assert not [name for name, _ in answered.headers if name.lower().startswith("access-control")]


def test_plain_http_is_no_way_around(proxy: Proxy, attacked: Attacked) -> None:
    agent = attacked.origin(Component.AGENT)
    with Wire(proxy) as wire:
        lines = [f"POST http://{agent}{ECHO} HTTP/1.1", f"Host: {agent}", *POST]
        answered = wire.ask(
            "\r\n".join([*lines, "Origin: http://evil.example"]) + f"\r\n\r\n{BODY}"
        )
    assert (answered.status, answered.reason) == (403, "cross_site")
    assert attacked.arrived == []


def test_an_image_of_a_page_without_tls_is_no_way_around(proxy: Proxy, attacked: Attacked) -> None:
    """Browsers send neither Origin nor Sec-Fetch-Site with it: all that there is, is Referer."""
    agent = attacked.origin(Component.AGENT)
    with Wire(proxy) as wire:
        answered = wire.request(
            f"http://{agent}{ECHO}", str(agent), "Referer: http://evil.example/", "Accept: image/*"
        )
    assert (answered.status, answered.reason) == (403, "cross_site")
    assert attacked.arrived == []


class TestReverseMode:
    """There, every page can reach the proxy by its own address."""

    @pytest.fixture
    def reverse(self, stage: Stage, attacked: Attacked) -> Iterator[Proxy]:
        agent = attacked.origin(Component.AGENT)
        yield stage.other(modes=[f"reverse:https://{agent}"])
        stage.clear()

    def ask(self, proxy: Proxy, host: str, *headers: str) -> Answer:
        body = BODY.encode()
        lines = [f"POST {ECHO} HTTP/1.1", f"Host: {host}", *POST, *headers]
        with Wire(proxy) as wire:
            return wire.ask("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    @pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}"])
    def test_a_program_is_served(self, reverse: Proxy, attacked: Attacked, host: str) -> None:
        assert self.ask(reverse, host.format(port=reverse.port)).status == 200
        assert len(attacked.with_tokens) == 1

    @pytest.mark.parametrize(
        "header", ["Sec-Fetch-Site: cross-site", "Origin: http://evil.example", "Origin: null"]
    )
    def test_a_page_of_another_site_is_refused(
        self, reverse: Proxy, attacked: Attacked, header: str
    ) -> None:
        answered = self.ask(reverse, f"localhost:{reverse.port}", header)
        assert (answered.status, answered.reason) == (403, "cross_site")
        assert attacked.arrived == []

    @pytest.mark.parametrize("name", ["evil.example", "127.evil.example", "localhost.evil.example"])
    def test_a_page_whose_name_was_bound_to_this_address_is_refused(
        self, reverse: Proxy, attacked: Attacked, name: str
    ) -> None:
        """DNS rebinding (CVE-2018-14505): to the browser it is the page's own site, and
        without TLS there is no Sec-Fetch-Site. The Host tells."""
        answered = self.ask(reverse, f"{name}:{reverse.port}")
        assert answered == CLOSED or answered.status in {403, 421}
        assert attacked.arrived == []

    def test_an_absolute_target_of_another_place_is_refused(
        self, reverse: Proxy, attacked: Attacked
    ) -> None:
        with Wire(reverse) as wire:
            answered = wire.request(f"https://evil.example{ECHO}", f"localhost:{reverse.port}")
        assert answered.status in {400, 403, 421}
        assert attacked.arrived == []


def test_a_page_that_names_the_proxy_itself_reaches_nothing(
    proxy: Proxy, attacked: Attacked, start: Start
) -> None:
    """DNS rebinding of a forward proxy: the request comes in origin-form."""
    with Wire(proxy) as wire:
        answered = wire.request(ECHO, f"evil.example:{proxy.port}", "Origin: http://evil.example")
    assert answered == CLOSED or answered.status >= 400
    assert attacked.arrived == []
