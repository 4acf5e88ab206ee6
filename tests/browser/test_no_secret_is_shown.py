"""Whatever a person at the screen can see, copy, save or send on holds no secret.

Every kind of secret that there is goes through one proxy, every place that shows or keeps
something is searched for all of them; and in each of these places the search finds what was
put there to be found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser

from attacks.seen import CLIENT_SECRETS
from browser.mitmweb import Mitmweb
from browser.stage import (
    DESK,
    ECHO,
    PASSWORDS,
    SESSION_INFO,
    Served,
    desk,
    morning,
    refused_twice,
    serving,
    web,
)
from support.browser import visitor
from support.canaries import Canaries, canaries_of, issuing_noted
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, FaultKind, Sandbox

KINDS = {
    "session",
    "key manager",
    "access token",
    "assertion",
    "private key",
    "password",
    "placeholder key",
    "mistyped password",
    *CLIENT_SECRETS,
}
PLANTED = "a-planted-canary-0123456789"
"""No secret: it is in a message, a header, a path and the name of a host."""
MISTYPED = "the-password-of-somebody-else"
_LONG = 300
"""Seconds that a long poll may be under way while everything is looked at."""
FORMATS = ("curl", "httpie", "raw")

SINKS = (
    "the DOM",
    "the answers of the API",
    "the exports",
    "the clipboard",
    "the file saved while it runs",
    "the file saved on demand",
    "the dump that is downloaded",
    "the HAR written at the end",
    "the HAR saved on demand",
    "the log at debug level",
    "the portal",
)
PORTAL = ("/", "/status.json", "/metrics", "/healthz", "/readyz")


def secretive(served: Served) -> None:
    """What clients bring, logins that go wrong, what is still under way, what never works."""
    sandbox = served.sandbox
    with served.client() as client:
        client.headers["Symphony-Bot"] = CERTIFICATE_BOT
        for path in (SESSION_INFO, "/client/index.html"):
            _bring_everything(served, client, path)
        planted = f"{served.url(ECHO)}?note={PLANTED}"
        echoed = client.post(planted, json={"message": PLANTED}, headers={"X-Note": PLANTED})
        assert echoed.json() == {"message": PLANTED}
        _own_logins(served, client)
        sandbox.outage(Component.AGENT)
        assert client.post(served.url(ECHO), json={"message": "x"}).status_code == 502
        sandbox.recover()
        # An answer that breaks off, with half a token in it.
        sandbox.fail(Component.SESSION_AUTH, kind=FaultKind.CUT, times=1)
        sandbox.revoke(CERTIFICATE_BOT)
        client.get(served.url(SESSION_INFO))
    _unwelcome(served)


def _own_logins(served: Served, client: httpx.Client) -> None:
    """Of somebody who brings what he should not, to where it is passed and to where not."""
    body = {"token": CLIENT_SECRETS["the client's assertion"]}
    login = served.url("/login/v1/username/login")
    for url in (served.url("/relay/pubkey/app/authenticate"), login):
        client.post(url, json=body)
    assert client.post(login, json=body, headers={"Host": "a.example"}).status_code == 421


def _bring_everything(served: Served, client: httpx.Client, path: str) -> None:
    secret = quote(CLIENT_SECRETS["the token in the client's query"])
    brought = {
        "sessionToken": CLIENT_SECRETS["the client's session token"],
        "keyManagerToken": CLIENT_SECRETS["the client's key manager token"],
        "Authorization": f"Bearer {CLIENT_SECRETS["the client's bearer token"]}",
        "Cookie": f"skey={CLIENT_SECRETS["the client's cookie"]}",
        "Proxy-Authorization": f"Bearer {CLIENT_SECRETS["the client's proxy password"]}",
    }
    client.get(served.url(path), headers=brought, params={"token": secret})
    bearer = {"Authorization": brought["Authorization"]}
    client.get(f"{served.url(path)}?a=b&sessionToken={secret}", headers=bearer)


def _unwelcome(served: Served) -> None:
    """Somebody with a wrong password; and a host that does not exist."""
    way = f"http://{served.address}"
    for credentials in ((DESK, MISTYPED), served.credentials):
        proxy = httpx.Proxy(way, auth=credentials)
        with (
            httpx.Client(proxy=proxy, trust_env=False) as client,
            pytest.raises(httpx.HTTPError),
        ):
            client.get(f"https://{PLANTED}.invalid/")


@contextmanager
def waiting(served: Served) -> Iterator[None]:
    """A long poll is under way."""
    feeds = served.url("/agent/v5/datafeeds")
    with ThreadPoolExecutor() as pool, served.client() as client:
        client.headers["Symphony-Bot"] = CERTIFICATE_BOT
        feed = client.post(feeds, json={}).raise_for_status().json()["id"]
        served.sandbox.set_poll_seconds(_LONG)
        read = pool.submit(client.post, f"{feeds}/{feed}/read", json={}, timeout=_LONG)
        path = f"/agent/v5/datafeeds/{feed}/read"
        served.sandbox.wait_for(lambda requests: any(one.path == path for one in requests))
        try:
            yield
        finally:
            served.sandbox.post("the last one")
        read.result()


@pytest.fixture(scope="module")
def searched(
    browser: Browser, prepared_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Mapping[str, bytes], Canaries]:
    """What each sink holds at the end, and what must be in none."""
    directory = tmp_path_factory.mktemp("screen")
    streamed, har = directory / "streamed", directory / "at-the-end.har"
    arguments = (*web(), "--verbose", "--set", "termlog_verbosity=debug")
    arguments += ("--set", f"save_stream_file={streamed}", "--set", f"hardump={har}")
    with issuing_noted() as issued, desk(prepared_directory, directory / "desk") as sandbox:
        with serving(sandbox, *arguments) as served:
            rights = ["clipboard-read", "clipboard-write"]
            with visitor(browser, permissions=rights) as (page, watched):
                screen = Mitmweb.open(page, served.web_url, PASSWORDS["web.password"])
                watched.complaints.clear()  # the form that asks for the password is a 403
                morning(served)
                refused_twice(served)
                secretive(served)
                with waiting(served):
                    sinks = _looked_at(screen, directory)
                    sinks["the portal"] = _portal(served)
                sinks["the answers of the API"] = watched.answers()
                assert watched.complaints == []
            assert served.child.terminate() == 0
        sinks |= {
            "the file saved while it runs": streamed.read_bytes(),
            "the HAR written at the end": har.read_bytes(),
            "the log at debug level": served.child.output.encode(),
        }
        return sinks, _secrets_of(sandbox, issued)


def _looked_at(screen: Mitmweb, directory: Path) -> dict[str, bytes]:
    flows = screen.flows()
    dom = screen.everything_shown()
    messages = [
        f"/flows/{flow['id']}/{one}"
        for flow in flows
        for one in ("request", "response")
        if one in flow and flow[one]["contentLength"] is not None
    ]
    known = json.loads(screen.fetch("/state")[0])["contentViews"]
    # The walk has seen what is chosen by itself; all others show less.
    views = [view for view in known if view == "raw" or "symphony" in view]
    pages = ["/events", "/options", "/commands", "/filter-help", "/flows/dump"]
    pages += [f"{one}/content.data" for one in messages]
    pages += [f"{one}/content/{quote(view, safe='')}" for one in messages for view in views]
    answers = dict(zip(pages, screen.fetch(*pages), strict=True))

    saved, har = directory / "saved", directory / "saved.har"
    screen.commands(("save.file", ["@all", str(saved)]), ("save.har", ["@all", str(har)]))
    exports = screen.commands(
        *(("export", [form, f"@{flow['id']}"]) for flow in flows for form in FORMATS)
    )
    screen.search(f"~u {PLANTED}")
    return {
        "the DOM": dom,
        "the exports": json.dumps(exports).encode(),
        "the clipboard": screen.copy(screen.rows().first, "Copy as cURL").encode(),
        "the file saved on demand": saved.read_bytes(),
        "the dump that is downloaded": answers["/flows/dump"].encode(),
        "the HAR saved on demand": har.read_bytes(),
    }


def _portal(served: Served) -> bytes:
    with served.client() as client:
        return b"".join(client.get(f"http://symphony.proxy{path}").content for path in PORTAL)


def _secrets_of(sandbox: Sandbox, issued: list[tuple[str, str]]) -> Canaries:
    canaries = canaries_of(sandbox, issued)
    for kind, secret in CLIENT_SECRETS.items():
        canaries.add(kind, secret)
    canaries.add("mistyped password", MISTYPED)
    canaries.add("placeholder key", (sandbox.directory / "proxy-ca/placeholder.key").read_text())
    return canaries


def test_every_kind_of_secret_is_searched_for(searched: tuple[object, Canaries]) -> None:
    assert searched[1].kinds >= KINDS


@pytest.mark.parametrize("sink", SINKS)
def test_no_secret_is_in(sink: str, searched: tuple[Mapping[str, bytes], Canaries]) -> None:
    sinks, canaries = searched
    assert canaries.found_in(sinks[sink]) == set()


@pytest.mark.parametrize("sink", SINKS)
def test_what_is_put_there_is_found_in(
    sink: str, searched: tuple[Mapping[str, bytes], Canaries]
) -> None:
    canaries = Canaries()
    # The portal tells of nothing that a client has chosen, but who the bots are.
    canaries.add("planted", CERTIFICATE_BOT if sink == "the portal" else PLANTED)
    assert "planted, whole" in canaries.found_in(searched[0][sink])
