"""WEB: the inspection UI shows all traffic and sends requests as the bot. Nobody gets in but
the person who has its password: no page in a browser, no client of the proxy, no neighbour."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from attacks.stage import ECHO, Attacked
from support.configuration import change
from support.environments import own_script
from support.processes import Child, environment, free_port, running
from support.traffic import plain_origin, send
from symphony_auth_proxy.model import Component

PROGRAM = own_script("symphony-auth-proxy")
PASSWORD = "the-password-of-the-screen-ü"
PAGES = ["/", "/flows", "/flows.json", "/flows/dump", "/options", "/events", "/state", "/commands"]
CHANGES = ["/clear", "/flows/resume", "/flows/kill", "/commands/view.clear", "/options/save"]


@dataclass
class Ui:
    child: Child
    port: int
    proxy_port: int
    admin_port: int
    token: str

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """One request, with these headers and no others but Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value.encode())
        connection.endheaders()
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")  # type: ignore[attr-defined]
        connection.close()
        return answer

    def let_in(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        return self.ask(path, method, Authorization=f"Bearer {self.token}", **headers)


@contextmanager
def serving(attacked: Attacked, *arguments: str, **own: Any) -> Iterator[Child]:
    """Run it with the sandbox's configuration and, below `authProxy`, this."""
    config = attacked.sandbox.directory / "web-ui.yaml"
    shutil.copy(attacked.sandbox.config, config)
    with change(config) as document:
        document["authProxy"].update(own)
    command = [PROGRAM, "serve", "--config", str(config), "--listen", "127.0.0.1:0", "--web"]
    home = environment(attacked.sandbox.directory, SCREEN=PASSWORD)
    with running(*command, *arguments, env=home) as child:
        yield child


@pytest.fixture(scope="module")
def ui(module_sandbox: Attacked) -> Iterator[Ui]:
    """One that the attacks of this module share; nothing of it is ever changed by them."""
    port, admin = free_port(), free_port()
    listen = {"listen": f"127.0.0.1:{admin}"}
    with serving(module_sandbox, "--web-port", str(port), admin=listen) as child:
        proxy_port = int(child.seen(r"Listening on 127\.0\.0\.1:(\d+) ")[1])
        token = child.seen(r"Inspect at \S+\?token=(\w+)")[1]
        yield Ui(child, port, proxy_port, admin, token)


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_there_is_nothing(ui: Ui, path: str) -> None:
    assert ui.let_in(path).status == 200
    for answer in (
        ui.ask(path),
        ui.ask(f"{path}?token=wrong"),
        ui.ask(f"{path}?token="),
        ui.ask(path, Authorization="Bearer "),
        ui.ask(path, Authorization="Bearer wrong"),
        ui.ask(path, Authorization="Bearer ü"),
        ui.ask(path, Authorization=f"Basic {ui.token}"),
        ui.ask(path, Cookie=f"mitmproxy-auth-{ui.port}=y"),
    ):
        assert answer.status == 403
        assert not answer.getheader("Set-Cookie", "").startswith("mitmproxy-auth")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example:{port}",
        "localhost.evil.example:{port}",
        "localhost.:{port}",
        "10.0.0.1:{port}",
        "0.0.0.0:{port}",
        "[::]:{port}",
        "[fe80::1]:{port}",
        "2130706433:{port}",
        "symphony.proxy",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/flows", "/updates", "/static/app.js"])
def test_a_name_that_was_bound_to_this_address_reaches_nothing(
    ui: Ui, host: str, path: str
) -> None:
    """DNS rebinding (CVE-2018-14505): to the browser it is the page's own site."""
    answer = ui.let_in(path, Host=host.format(port=ui.port))
    assert answer.status in {400, 403}
    assert "Flow" not in answer.text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "127.0.0.2"]
)
def test_the_names_of_loopback_are_served(ui: Ui, host: str) -> None:
    assert ui.let_in("/flows", Host=host.format(port=ui.port)).status == 200


class TestAPageInTheSameBrowser:
    """The browser of a person who is let in already."""

    @pytest.fixture
    def browser(self, ui: Ui) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=f"http://127.0.0.1:{ui.port}", trust_env=False) as browser:
            assert browser.get("/", params={"token": ui.token}).status_code == 200
            yield browser

    @pytest.mark.parametrize("path", CHANGES)
    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_changes_nothing(self, browser: httpx.Client, path: str, site: str) -> None:
        """Even with a token against CSRF, which would be hard to get."""
        browser.cookies["_mitmproxy_xsrf"] = known = "0123456789abcdef" * 2
        headers = {"X-XSRFToken": known, "Sec-Fetch-Site": "same-origin"}
        assert browser.post("/options/save", headers=headers).status_code == 200
        headers["Sec-Fetch-Site"] = site
        assert browser.post(path, headers=headers).status_code == 403

    @pytest.mark.parametrize("path", CHANGES)
    def test_changes_nothing_where_browsers_tell_no_site(
        self, browser: httpx.Client, path: str
    ) -> None:
        assert browser.post(path).status_code == 403
        headers = {"Origin": "http://evil.example", "X-XSRFToken": "guessed"}
        assert browser.post(path, headers=headers).status_code == 403

    def test_sets_no_option(self, browser: httpx.Client) -> None:
        answer = browser.put("/options", json={"ssl_insecure": True})
        assert answer.status_code == 403
        assert browser.get("/options").json()["ssl_insecure"]["value"] is False

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
    def test_hears_nothing_of_the_traffic(self, browser: httpx.Client, ui: Ui, origin: str) -> None:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Origin": origin,
        }
        assert browser.get("/updates", headers=headers).status_code == 403

    def test_its_cookie_goes_with_no_request_of_another_site(self, ui: Ui) -> None:
        cookies = ui.let_in("/").headers.get_all("Set-Cookie") or []
        kept = [cookie for cookie in cookies if cookie.startswith("mitmproxy-auth")]
        assert kept
        assert all("SameSite=Strict" in cookie and "HttpOnly" in cookie for cookie in kept)

    def test_cannot_frame_it(self, ui: Ui) -> None:
        headers = ui.let_in("/").headers
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_a_token_that_was_refused_is_not_logged(ui: Ui) -> None:
    """Mistyped passwords are nearly right, and a page by another name may bring the right one."""
    almost = ui.token[:-1] + "x"
    for answer in (
        ui.ask(f"/flows?token={almost}"),
        ui.ask(f"/flows?token={ui.token}", Host="evil.example"),
        ui.ask(f"/clear?token={ui.token}", "POST"),
        ui.ask(f"/nowhere?token={ui.token}"),
    ):
        assert answer.status >= 400
    ui.child.seen("/nowhere")
    assert ui.token[:-1] not in ui.child.output.partition("Inspect at ")[2].partition("\n")[2]


def test_what_upstream_answers_is_never_run(ui: Ui) -> None:
    """A page that Symphony, or whoever, sends through the proxy is text here."""
    page = b"<script>alert(document.domain)</script>"
    with plain_origin(page) as plain:
        send(ui.proxy_port, plain + "/%3Cscript%3Ealert(1)%3C/script%3E.html", 1, page)
    flows = json.loads(ui.let_in("/flows").text)  # type: ignore[attr-defined]
    flow = next(one for one in flows if "script" in one["request"]["path"])
    for message in ("request", "response"):
        body = ui.let_in(f"/flows/{flow['id']}/{message}/content.data")
        assert body.headers["Content-Disposition"].startswith("attachment")
        assert body.headers["X-Content-Type-Options"] == "nosniff"
        assert "html" not in body.headers["Content-Type"]
        for view in ("auto", "raw", "symphony%20json", "symphony%20events"):
            shown = ui.let_in(f"/flows/{flow['id']}/{message}/content/{view}.json")
            assert shown.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.0.0.2", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("which", ["port", "admin_port"])
def test_clients_of_the_proxy_do_not_reach_it(ui: Ui, name: str, which: str) -> None:
    """CVE-2025-23217: to the UI, whoever comes through the proxy would come from loopback."""
    place = f"{name}:{getattr(ui, which)}"
    connection = http.client.HTTPConnection("127.0.0.1", ui.proxy_port, timeout=20)
    connection.request("GET", f"http://{place}/flows?token={ui.token}", headers={"Host": place})
    answer = connection.getresponse()
    assert answer.status in {403, 502}
    assert b"address_refused" in answer.read() or answer.status == 502
    connection.close()

    tunnel = http.client.HTTPConnection("127.0.0.1", ui.proxy_port, timeout=20)
    tunnel.request("CONNECT", place, headers={"Host": place})
    assert tunnel.getresponse().status in {403, 502}
    tunnel.close()


@pytest.mark.parametrize("way", ["password", "passwordFile"])
def test_a_password_lets_in_and_is_shown_nowhere(
    attacked: Attacked, tmp_path: Path, way: str
) -> None:
    port = free_port()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    secret = {"password": "${SCREEN}"} if way == "password" else {way: str(tmp_path / "password")}
    with serving(attacked, web={"listen": f"127.0.0.1:{port}", **secret}) as child:
        url = child.seen(r"Inspect at (\S+)")[1]
        assert urlsplit(url).query == ""
        ui = Ui(child, port, 0, 0, PASSWORD)
        known = quote(PASSWORD)
        answers = [ui.ask(f"{page}?token={known}") for page in PAGES]
        assert {answer.status for answer in answers} == {200}
        shown = [answer.text for answer in answers]  # type: ignore[attr-defined]
        assert ui.ask("/flows").status == 403
        assert ui.ask("/flows?token=").status == 403
        assert ui.ask(f"/flows?token={known}x").status == 403
        child.terminate()
    told = "".join([*shown, child.output])
    assert "password-of-the-screen" not in told


def test_off_loopback_without_a_password_it_does_not_start(attacked: Attacked) -> None:
    with serving(attacked, web={"listen": f"0.0.0.0:{free_port()}"}) as child:
        assert child.exit_code() == 78
    assert "authProxy.web.listen" in child.output
    assert "authProxy.web.passwordFile" in child.output


def test_secrets_that_its_options_would_show_are_refused(attacked: Attacked) -> None:
    with serving(attacked, "--set", "proxyauth=bank:hunter2-canary") as child:
        assert child.exit_code() == 78
    assert "--set proxyauth" in child.output
    assert "hunter2" not in child.output


def test_an_echo_through_it_shows_no_token(ui: Ui, attacked: Attacked) -> None:
    """Symphony's agent is asked; what the UI then holds is searched for what was issued."""
    url = attacked.sandbox.url(Component.AGENT).replace("https:", "http:") + ECHO
    send(ui.proxy_port, url, 1, b'{"message": "x"}')
    shown = "".join(ui.let_in(page).text for page in PAGES)  # type: ignore[attr-defined]
    assert ECHO in shown
    assert not attacked.canaries().found_in(shown.encode())
