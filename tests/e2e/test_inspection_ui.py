"""`serve --web` and `serve --console`, as a person has them: as processes, for a long time."""

from __future__ import annotations

import re
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from support.configuration import change
from support.environments import own_script
from support.processes import Child, environment, free_port, running
from support.traffic import plain_origin, resident, send
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox

PROGRAM = own_script("symphony-auth-proxy")
INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
BODY = b'{"message": "' + b"x" * 2000 + b'"}'
SMALL = b'{"message": "x"}'
KEPT = 200


class Ui:
    """A proxy with a UI, a client of the proxy, and the browser of a person."""

    def __init__(self, child: Child, sandbox: Sandbox) -> None:
        self.child = child
        self.sandbox = sandbox
        self.port = int(child.seen(r"Listening on [\d.]+:(\d+) ")[1])
        self.url = child.seen(r"Inspect at (\S+)")[1]

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        base, _, query = self.url.partition("?")
        with httpx.Client(base_url=base, trust_env=False) as browser:
            assert browser.get("/", params=query).status_code == 200
            yield browser

    def client(self) -> httpx.Client:
        ca = self.sandbox.directory / "proxy-ca" / "mitmproxy-ca-cert.pem"
        trust = ssl.create_default_context(cafile=ca)
        return httpx.Client(proxy=f"http://127.0.0.1:{self.port}", verify=trust, trust_env=False)


@contextmanager
def web(sandbox: Sandbox, *arguments: str) -> Iterator[Ui]:
    command = [PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0"]
    command += ["--web", *arguments]
    if "--web-port" not in arguments:
        command += ["--web-port", str(free_port())]
    with running(*command, env=environment(sandbox.directory)) as child:
        yield Ui(child, sandbox)


def plainly(url: str) -> str:
    """The URL as a client without TLS asks for it; the proxy upgrades it."""
    return url.replace("https:", "http:")


def test_ten_thousand_flows_do_not_eat_the_memory(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["web"] = {"flows": KEPT}
    echo = plainly(sandbox.url(Component.AGENT) + ECHO)
    with plain_origin(BODY) as plain, web(sandbox) as ui, ui.browser() as browser:
        for number, count in enumerate((1_500, 8_500)):
            send(ui.port, echo, count // 10, BODY)
            send(ui.port, plain, count - count // 10, BODY)
            if number == 0:
                warm = resident(ui.child.pid)
        grown = resident(ui.child.pid) - warm
        flows = browser.get("/flows").json()
        assert len(flows) <= KEPT
        assert len(flows) > KEPT * 0.9
        # 8,500 flows with 4 kB of bodies each hold 80 MiB and more when nobody trims them.
        assert grown < 25
        assert ui.child.terminate() == 0


def test_the_list_shows_our_comments(sandbox: Sandbox) -> None:
    with web(sandbox) as ui, ui.client() as client, ui.browser() as browser:
        assert client.get(sandbox.url(Component.POD) + INFO).status_code == 200
        options = browser.get("/options").json()
        assert "comment" in options["web_columns"]["value"]


def test_a_login_and_an_answer_are_decoded_for_the_browser(sandbox: Sandbox) -> None:
    with web(sandbox) as ui, ui.client() as client, ui.browser() as browser:
        assert client.get(sandbox.url(Component.POD) + INFO).status_code == 200
        views = browser.get("/state").json()["contentViews"]
        assert {"symphony json", "symphony events", "symphony message"} <= set(views)
        [flow] = [one for one in browser.get("/flows").json() if one["request"]["path"] == INFO]
        shown = browser.get(f"/flows/{flow['id']}/response/content/auto").json()
        assert shown["view_name"] == "Symphony JSON"


def test_what_a_person_looks_at_stays_while_others_go(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["web"] = {"flows": 20}
    with plain_origin(b"{}") as plain, web(sandbox) as ui, ui.browser() as browser:
        send(ui.port, plain, 1, BODY)
        [flow] = [one for one in browser.get("/flows").json() if one["request"]["path"] == "/plain"]
        content = f"/flows/{flow['id']}/request/content.data"
        assert browser.get(content).content == BODY
        send(ui.port, plain, 100, b"{}")
        assert browser.get(content).content == BODY
        assert len(browser.get("/flows").json()) <= 20


def test_a_port_of_the_file_is_overruled_by_the_command_line(sandbox: Sandbox) -> None:
    in_file, given = free_port(), free_port()
    with change(sandbox.config) as document:
        document["authProxy"]["web"] = {"listen": f"127.0.0.1:{in_file}"}
    with web(sandbox, "--web-port", str(given)) as ui:
        assert f":{given}/" in ui.url


def test_a_taken_port_is_told_before_anything_listens(sandbox: Sandbox) -> None:
    with web(sandbox) as ui:
        taken = re.search(r":(\d+)/", ui.url)
        assert taken is not None
        command = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
        other = (*command, "--web", "--web-port", taken[1])
        with running(*other, env=environment(sandbox.directory)) as child:
            assert child.exit_code() == 1
            assert "--web-port" in child.output


def test_a_bot_s_listener_cannot_be_the_ui_s_port(sandbox: Sandbox) -> None:
    port = free_port()
    with change(sandbox.config) as document:
        document["authProxy"]["bots"][0]["listen"] = f"127.0.0.1:{port}"
    command = (PROGRAM, "serve", "--config", str(sandbox.config), "--listen", "127.0.0.1:0")
    arguments = (*command, "--web", "--web-port", str(port))
    with running(*arguments, env=environment(sandbox.directory)) as child:
        assert child.exit_code() == 78
    assert "authProxy.bots[].listen" in child.output
    assert "--web-port" in child.output


def test_a_reload_leaves_the_ui_alone_and_says_what_waits(sandbox: Sandbox) -> None:
    with web(sandbox) as ui, ui.browser() as browser:
        with change(sandbox.config) as document:
            document["authProxy"]["web"] = {"flows": 7}
            document["authProxy"]["admin"] = {"listen": "127.0.0.1:0"}
        ui.child.signal(signal.SIGHUP)
        ui.child.seen(r"Reloaded: .*web changed \(from the next start on\)")
        assert browser.get("/flows").status_code == 200


@contextmanager
def console(sandbox: Sandbox, *arguments: str) -> Iterator[tuple[Child, int]]:
    port = free_port()
    listen = ("--listen", f"127.0.0.1:{port}", "--console")
    command = (PROGRAM, "serve", "--config", str(sandbox.config), *listen, *arguments)
    with running(*command, env=environment(sandbox.directory), terminal=True) as child:
        child.seen(rf"127\.0\.0\.1:{port}")
        yield child, port


def test_the_terminal_s_ui_lists_flows_and_quits_on_a_key(sandbox: Sandbox) -> None:
    with console(sandbox) as (child, port):
        send(port, plainly(sandbox.url(Component.AGENT) + ECHO), 1, SMALL)
        child.seen("echo")
        child.press("\r")  # opens a flow
        child.seen("Flow Details")
        child.press("qqy")  # back, quit, yes
        assert child.exit_code() == 0
    assert "Traceback" not in child.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_terminal_s_ui_ends_on_a_signal(sandbox: Sandbox, number: signal.Signals) -> None:
    with console(sandbox) as (child, port):
        send(port, plainly(sandbox.url(Component.AGENT) + ECHO), 1, SMALL)
        child.signal(number)
        assert child.exit_code() == 0
    assert "Traceback" not in child.output


def test_no_log_is_written_over_the_terminal_s_ui(sandbox: Sandbox) -> None:
    with console(sandbox, "--verbose") as (child, port):
        send(port, plainly(sandbox.url(Component.AGENT) + ECHO), 3, SMALL)
        child.seen("echo")
        child.terminate()
    assert "event=injected" not in child.output


def test_the_terminal_s_ui_is_trimmed_too(sandbox: Sandbox) -> None:
    with change(sandbox.config) as document:
        document["authProxy"]["web"] = {"flows": 20}
    with plain_origin(b"{}") as plain, console(sandbox) as (child, port):
        send(port, plain, 100, b"{}")
        child.seen(r"\[\s*\d+/(?:1\d|20)\s*\]")
        child.terminate()
