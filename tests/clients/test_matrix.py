"""Every client of the table in the README, with its own proxy and CA settings, in a process
that holds no token."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import httpx
import pytest

from clients.matrix import ROWS, Row, table
from clients.stage import told
from support.clients import Told
from support.wire import recorded_origin
from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Sandbox

INFO, ECHO = "/pod/v2/sessioninfo", "/agent/v1/util/echo"
README = Path(__file__).parents[2] / "README.md"

speak_http1 = [row for row in ROWS if "1.1" in row.http]
speak_http2 = [row for row in ROWS if "2" in row.http.split(", ")]


def named(row: Row) -> str:
    return f"{row.client} {row.tried}".replace("`", "")


def version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def check(row: Row, told: Told) -> None:
    """Run a client and compare what it saw with what its row says."""
    seen = row.run(told)
    assert seen["info"]["username"] == KEY_BOT
    assert "hello" in seen["echo"]["message"]
    assert seen.get("http", "1.1") == "1.1"
    least, found = version(row.tried), version(seen["version"])
    assert found == least if row.pinned else found >= least


@pytest.mark.parametrize("row", speak_http1, ids=named)
def test_a_client_without_tokens_speaks_as_the_bot_before_and_after_its_session_died(
    sandbox: Sandbox, machine: Path, junk_key: Path, row: Row
) -> None:
    with told(sandbox, machine, junk_key) as client:
        for round_ in (1, 2):
            check(row, client)
            assert sandbox.logins(TokenKind.SESSION, KEY_BOT) == round_
            assert sandbox.logins(TokenKind.KEY_MANAGER, KEY_BOT) == 1
            sandbox.revoke(KEY_BOT, TokenKind.SESSION)
    for call in sandbox.requests:
        if call.path.startswith("/agent/"):
            tokens = [len(call.values(name)) for name in ("sessionToken", "keyManagerToken")]
            assert tokens == [1, 1]


@pytest.mark.parametrize("row", speak_http1, ids=named)
def test_a_client_gives_the_password_for_the_proxy(
    sandbox: Sandbox, machine: Path, junk_key: Path, row: Row
) -> None:
    with told(sandbox, machine, junk_key, user="pricing") as client:
        check(row, client)
    assert not any(call.values("Proxy-Authorization") for call in sandbox.requests)


@pytest.mark.parametrize("row", speak_http2, ids=named)
def test_a_client_speaks_http2_where_symphony_is_known_to(
    sandbox: Sandbox, machine: Path, junk_key: Path, row: Row
) -> None:
    """Somebody's first connection finds out, and itself settles for HTTP/1.1."""
    with (
        recorded_origin(sandbox.directory, http2=True) as agent,
        told(sandbox, machine, junk_key, user="pricing", agent=agent.url) as client,
    ):
        trust = ssl.create_default_context(cafile=client.ca)
        with httpx.Client(
            proxy=client.proxy_url, verify=trust, trust_env=False, http2=True
        ) as somebody:
            somebody.get(agent.url + ECHO)
        agent.requests.clear()
        assert row.run(client)["http"] == "2"
    assert [(call.path, call.http_version) for call in agent.requests] == [(INFO, "2"), (ECHO, "2")]
    names = [name for name, _ in agent.requests[1].headers]
    assert (names.count("sessiontoken"), names.count("keymanagertoken")) == (1, 1)


def test_the_readme_has_these_clients_and_no_others() -> None:
    found = re.search(r"<!-- clients -->\n(.*?)\n<!-- /clients -->", README.read_text(), re.DOTALL)
    assert found is not None, "README.md has no table of clients between its marks"
    assert found[1].strip() == table()
