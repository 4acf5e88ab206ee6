"""mitmweb, as `serve --web` opens it, in a real browser: which call got which token, how a login
went, and why there was none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.mitmweb import DETAIL, Mitmweb
from browser.stage import (
    PASSWORDS,
    SESSION_INFO,
    Served,
    desk,
    morning,
    refused_twice,
    serving,
    web,
)
from support.browser import Photograph, Watched, visitor
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT

LOGIN, RELAY = "/login/pubkey/authenticate", "/relay/pubkey/authenticate"
TALL = {"width": 1280, "height": 1600}
"""The list makes rows only of flows that are in sight."""
FINGERPRINT = re.compile(r"#[0-9a-f]{4}")


@pytest.fixture(scope="module")
def opened(
    browser: Browser, prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Mitmweb, Watched, Served]]:
    directory = tmp_path_factory.mktemp("screen") / "desk"
    with (
        desk(prepared_directory, directory) as sandbox,
        serving(sandbox, *web()) as served,
        visitor(browser, viewport=TALL) as (page, watched),
    ):
        screen = Mitmweb.open(page, served.web_url, PASSWORDS["web.password"])
        watched.complaints.clear()  # the form that asks for the password is a 403
        morning(served)
        refused_twice(served)
        yield screen, watched, served
        assert watched.complaints == []
        assert watched.origins() == {served.web_url.removeprefix("http://").rstrip("/")}


@pytest.fixture
def screen(opened: tuple[Mitmweb, Watched, Served]) -> Mitmweb:
    """Showing the whole list, as at the beginning."""
    opened[0].begin()
    return opened[0]


def comment(screen: Mitmweb, path: str, number: int = 0) -> str:
    """What stands in the list beside a call, the n-th of its kind."""
    return screen.rows(path).nth(number).locator(".col-comment").inner_text()


def test_the_list_tells_which_call_got_which_token(screen: Mitmweb, photograph: Photograph) -> None:
    told = comment(screen, SESSION_INFO)
    assert told.startswith(f"{KEY_BOT} · session #")
    session = FINGERPRINT.search(told)
    assert session is not None
    assert session[0] in comment(screen, LOGIN)
    assert f"{KEY_BOT} · key manager login" in comment(screen, RELAY)
    assert comment(screen, SESSION_INFO, 1).startswith(f"{CERTIFICATE_BOT} · session #")
    assert f"{KEY_BOT} for alice" in comment(screen, SESSION_INFO, 2)
    assert screen.cut_off(screen.rows(SESSION_INFO).first.locator(".col-comment")) is False
    photograph(screen.page, "flow-list", 640)


def test_the_list_tells_what_was_healed_passed_and_refused(
    screen: Mitmweb, photograph: Photograph
) -> None:
    screen.search("~comment 'resent after 401'")
    assert screen.rows().count() == 2
    assert "🔁" in screen.rows(SESSION_INFO).inner_text()
    screen.search("~comment cross_site")
    assert "403" in screen.rows().inner_text()
    screen.search("~marker no_entry")
    reasons = {"unknown_bot", "user_not_accepted", "symphony_unavailable", "gateway_refused"}
    shown = " ".join(screen.rows().all_inner_texts())
    assert [reason for reason in reasons if f"why: {reason}" not in shown] == []
    photograph(screen.page, "why-not", 460)


def test_a_login_is_decoded(screen: Mitmweb, photograph: Photograph) -> None:
    """The proxy's own, by RSA: the assertion that it sent, and the token that it got."""
    asked = screen.select(screen.rows(LOGIN).first, "Request").inner_text()
    assert "RS512" in asked
    assert KEY_BOT in asked
    assert "expires in" in asked
    answered = screen.select(screen.rows(LOGIN).first, "Response").inner_text()
    assert "sessionToken" in answered
    assert FINGERPRINT.search(answered)
    photograph(screen.page, "login", 700, DETAIL)


def test_a_login_by_certificate_shows_the_facts_of_its_connection(screen: Mitmweb) -> None:
    row = screen.rows("/sessionauth/v1/authenticate").first
    shown = screen.select(row, "Connection").inner_text()
    assert [
        fact for fact in ("TLSv1.3", "Symphony sandbox CA", "localhost") if fact not in shown
    ] == []
    assert f"{CERTIFICATE_BOT} · session login" in row.inner_text()


def test_tokens_are_sealed_in_the_header_table(screen: Mitmweb, photograph: Photograph) -> None:
    row = screen.rows("/agent/v5/datafeeds").first
    headers = screen.headers(row, "Request")
    for name in ("sessionToken", "keyManagerToken"):
        assert re.fullmatch(rf"\[sealed {KEY_BOT} #[0-9a-f]{{4}} gen 1]", headers[name])
    told = row.locator(".col-comment").inner_text()
    for value in (headers["sessionToken"], headers["keyManagerToken"]):
        assert FINGERPRINT.search(value)[0] in told  # type: ignore[index]
    photograph(screen.page, "sealed-headers", 520, DETAIL)


def test_a_datafeed_is_read_as_a_list_of_events(screen: Mitmweb, photograph: Photograph) -> None:
    shown = screen.select(screen.rows("/read").first, "Response").inner_text()
    assert "Symphony events" in shown
    assert "alice" in shown
    assert "ACME 4.25% 2031" in shown
    assert "data-format" not in shown
    photograph(screen.page, "events", 660, DETAIL)


def test_a_message_is_read_out_of_its_form(screen: Mitmweb) -> None:
    shown = screen.select(screen.rows("/message/create").first, "Request").inner_text()
    assert "Symphony message" in shown
    assert "99.12" in shown
    assert "quotes.csv" in shown
    assert "Content-Disposition" not in shown


def test_a_refusal_says_why_and_what_to_do(screen: Mitmweb) -> None:
    screen.search("~comment unknown_bot")
    told = screen.select(screen.rows().first, "Comment").inner_text()
    assert "names no bot of this proxy" in told
    answer = screen.headers(screen.rows().first, "Response")
    assert "unknown_bot" in answer["Proxy-Status"]


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ("~comment {fingerprint}", "datafeeds"),
        ("~marker no_entry", "why: cross_site"),
        ("~marker repeat", "resent after 401"),
        ('~comment "untouched: client_token" & ~c 401', "client_token_dead"),
        ('~hs "proxy-status: symphony-auth-proxy; error="', "unknown_bot"),
    ],
)
def test_the_search_field_takes(screen: Mitmweb, recipe: str, found: str) -> None:
    fingerprint = FINGERPRINT.search(comment(screen, "/agent/v5/datafeeds"))
    assert fingerprint is not None
    everything = screen.rows().count()
    screen.search(recipe.format(fingerprint=fingerprint[0]))
    assert 0 < screen.rows().count() < everything
    assert found in " ".join(screen.rows().all_inner_texts())
