"""`status`, `flush` and `reload` as people read them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from support.statuses import bot_status, eventful, status
from symphony_auth_proxy.cli import cli, status_view
from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.operations.control import ControlSocket, NoProxyRuns, socket_path
from symphony_auth_proxy.operations.status import Status

CONFIG = Path("config.yaml")


def told(found: Status | None = None) -> dict[str, Any]:
    """As it comes over the socket."""
    result: dict[str, Any] = json.loads(json.dumps((found or status()).as_json()))
    return result


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="sap-") as directory:
        monkeypatch.setenv("XDG_STATE_HOME", directory)
        yield


@contextmanager
def answering(result: dict[str, Any] | SymphonyAuthProxyError) -> Iterator[list[dict[str, Any]]]:
    """A proxy that gives this answer to everything, and what it was asked."""
    asked: list[dict[str, Any]] = []
    started, stop = threading.Event(), threading.Event()

    async def handle(arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(dict(arguments))
        if isinstance(result, SymphonyAuthProxyError):
            raise result
        return result

    async def main() -> None:
        server = ControlSocket(
            socket_path(CONFIG), dict.fromkeys(("status", "flush", "reload"), handle)
        )
        await server.open()
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(10)
    try:
        yield asked
    finally:
        stop.set()
        thread.join(10)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(CONFIG)])


def test_status_is_a_page_for_people() -> None:
    with answering(told(eventful())):
        shown = invoke("status")

    assert shown.exit_code == 0
    assert (
        shown.output
        == """\
  proxy                 1.2.3, ready, but 1 bot cannot log in
  since                 2023-11-13 21:12:19 UTC, for 25 h 01 min
  listens on            127.0.0.1:8080
  clients               pricing, risk
  configuration         config.yaml
  clients trust         certs/ca/mitmproxy-ca-cert.pem
  got tokens            3 (1 sent again after a 401)
  logins answered here  1
  left as they were     8 (7 other path, 1 login)
  refused               13
  tunnels to others     4

pricing-bot: logged in, acme.symphony.com, on behalf of 2 users, 1 request waiting
  session token         fresh, #7f3a gen 2, 12 min old, expires in 50 min, renewed in 30 min
  key manager token     fresh, #9e21 gen 2, 12 min old, expires in 50 min, renewed in 30 min
  requests              3 (agent 2, pod 1)

compliance-bot: cannot log in, acme.symphony.com
  session token         none, next login in 2 min
                        certificate_not_accepted: the pod refuses the certificate
                        What to do: import its CA at the pod
  key manager token     none

last logins and errors
  2023-11-14 22:13:18 UTC  2 s ago         compliance-bot, session token: login failed: \
certificate_not_accepted: the pod refuses the certificate. What to do: its CN must be the \
username, and its issuer be uploaded and trusted in the Admin portal
  2023-11-14 22:08:20 UTC  5 min ago       pricing-bot, session token: token refused, \
gen 1, by the agent
  2023-11-14 22:01:20 UTC  12 min ago      pricing-bot, session for alice: logged in, \
#7f3a gen 2, in 0.21 s
  2023-11-14 19:43:20 UTC  2 h 30 min ago  pricing-bot: new key unusable, the key before it \
stays in use: bot.pem holds no key

refused
  2023-11-14 22:12:50 UTC  30 s ago         client_unknown: 12 requests, the last for \
acme.symphony.com by pricing (the client's name or password for this proxy is missing or wrong)
  2023-11-13 22:20:00 UTC  23 h 53 min ago  cross_site: 1 request \
(a web page of another site sent it)
"""
    )


def test_a_proxy_that_is_not_ready_says_why() -> None:
    with answering(told(status(draining=True, listeners=()))):
        shown = invoke("status")

    assert "1.2.3, stopping\n" in shown.output
    assert "the proxy is stopping\n" in shown.output
    assert re.search("listens on +nothing\n", shown.output)
    assert re.search("clients +whoever reaches it\n", shown.output)
    assert "no login yet\n" in shown.output
    assert "no request\n" in shown.output


@pytest.mark.parametrize("name", ["[bold red]evil[/]", "\x1b[2Jevil", "e\r\nvil", ":smile:"])
def test_names_are_shown_as_they_are_and_do_nothing(name: str) -> None:
    with answering(told(status(bot_status(name)))):
        shown = invoke("status")

    assert f"{harmless(name)}: logged in" in shown.output
    assert "\x1b" not in shown.output


def test_programs_get_one_line_of_json() -> None:
    with answering(told()):
        shown = invoke("status", "--json")

    assert json.loads(shown.output) == told()
    assert shown.output.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--watch",), ("--watch", "--json")])
def test_only_a_terminal_can_be_watched(arguments: tuple[str, ...]) -> None:
    with answering(told()) as asked:
        refused = invoke("status", *arguments)

    assert refused.exit_code == 2
    assert "--json" in refused.output
    assert asked == []


class Enough(Exception):
    """The test has seen all that it wanted."""


def watched(*answers: dict[str, Any] | NoProxyRuns, height: int = 60) -> list[str]:
    """The screens that one sees who watches a proxy that gives these answers in turn."""
    console = Console(
        file=io.StringIO(), width=100, height=height, force_terminal=True, color_system=None
    )
    screens: list[str] = []
    first, *later = answers
    assert isinstance(first, dict)
    following = iter(later)

    def ask() -> dict[str, Any]:
        answer = next(following)
        if isinstance(answer, NoProxyRuns):
            raise answer
        return answer

    def wait() -> None:
        assert isinstance(console.file, io.StringIO)
        written = console.file.getvalue()
        screens.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written))
        console.file.seek(0)
        console.file.truncate()
        if len(screens) == len(answers):
            raise Enough

    with pytest.raises(Enough):
        status_view.watch(ask, first, console, wait)
    return screens


def test_who_watches_sees_each_change() -> None:
    before, after = watched(told(), told(status(draining=True)))

    assert "1.2.3, ready" in before
    assert "1.2.3, stopping" in after
    assert "1.2.3, ready" not in after


def test_a_proxy_that_goes_is_waited_for_and_what_it_said_stays() -> None:
    gone = NoProxyRuns("no proxy runs with config.yaml")
    before, without, again = watched(told(), gone, told())

    assert "no proxy runs" not in before + again
    assert "no proxy runs with config.yaml; waiting for it." in without
    assert "pricing-bot" in without


def test_what_does_not_fit_on_the_screen_is_counted() -> None:
    many = status(*(bot_status(f"bot-{number}") for number in range(50)))
    [whole] = watched(told(many), height=400)
    [part] = watched(told(many), height=20)

    lines = part.splitlines()
    assert len(lines) <= 20
    shown = [line for line in whole.splitlines() if line.strip()]
    assert "bot-49: logged in" in whole
    assert "1.2.3, ready" in part
    more = re.search(r"… (\d+) more lines", lines[-1])
    assert more is not None
    assert int(more[1]) + 19 >= len(shown)


@pytest.mark.parametrize(
    ("arguments", "asked"), [((), {"bot": None}), (("--bot", "risk"), {"bot": "risk"})]
)
def test_flush_asks_for_one_bot_or_for_all(
    arguments: tuple[str, ...], asked: dict[str, Any]
) -> None:
    with answering({"flushed": ["one", "two"]}) as seen:
        shown = invoke("flush", *arguments)

    assert shown.output == "Forgot the tokens of one, two.\n"
    assert seen == [asked]


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        (["bot x: new", "listen: a → b"], "bot x: new\nlisten: a → b\n"),
        ([], "nothing has changed\n"),
    ],
)
def test_reload_lists_what_changed(changes: list[str], output: str) -> None:
    with answering({"changes": changes}):
        assert invoke("reload").output == output


@pytest.mark.parametrize("command", ["status", "flush", "reload"])
def test_without_a_proxy_each_of_them_ends_with_an_error(command: str) -> None:
    result = invoke(command)

    assert result.output == ""
    assert isinstance(result.exception, NoProxyRuns)


def test_what_the_proxy_refuses_is_an_error() -> None:
    with answering(SymphonyAuthProxyError("config.yaml has 2 problems", hint="correct this")):
        result = invoke("reload")

    assert result.output == ""
    assert str(result.exception) == "config.yaml has 2 problems"
