"""The texts that are to be pasted: whole, and no name in them becomes a part of a language."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.settings import bot, client, cloud_pod
from symphony_auth_proxy.instructions import programs
from symphony_auth_proxy.instructions.access import Access, Snippet
from symphony_auth_proxy.model import Origin

PLACE = Origin("127.0.0.1", 8080)
URL = "https://acme.symphony.com/pod/v2/sessioninfo"
ALL: tuple[Callable[[Access], Snippet], ...] = (
    programs.curl,
    programs.variables,
    programs.requests,
    programs.httpx,
    programs.node,
    programs.java,
    programs.browser,
)
names = st.text(min_size=1).filter(str.isprintable)
"""As those of bots and clients in a configuration."""


def access(name: str | None = None, bot_name: str = "") -> Access:
    headers = (("Symphony-Bot", bot_name),) if bot_name else ()
    known = client(name, "pricing-bot", password="canary") if name is not None else None
    return Access(bot(), known, PLACE, answers_logins=False, headers=headers)


def words(snippet: Snippet) -> list[str]:
    """As a shell splits them."""
    return shlex.split(snippet.text.replace("\\\n", ""))


@pytest.mark.parametrize("tell", ALL)
@pytest.mark.parametrize("name", [None, "pricing"])
def test_no_password_is_told_only_where_it_goes(
    tell: Callable[[Access], Snippet], name: str | None
) -> None:
    snippet = tell(access(name, "risk-bot"))
    told = "\n".join((snippet.text, *snippet.notes))

    assert "canary" not in told
    assert "8080" in told
    assert "risk-bot" in told, "the proxy must be told which bot it is"
    assert bool(re.search("(?i)password", told.replace("opens without a password", ""))) == (
        name is not None
    )


@given(name=names, bot_name=names)
def test_curl_gets_each_name_as_one_word(name: str, bot_name: str) -> None:
    given_words = words(programs.curl(access(name, bot_name)))

    assert given_words == [
        "curl",
        *("--proxy", "http://127.0.0.1:8080"),
        *("--proxy-user", name),
        *("--cacert", "proxy-ca.pem"),
        *("--header", f"Symphony-Bot: {bot_name}"),
        URL,
    ]


@given(name=names, bot_name=names)
def test_python_gets_each_name_as_a_text(name: str, bot_name: str) -> None:
    for tell in (programs.requests, programs.httpx):
        tree = ast.parse(tell(access(name, bot_name)).text)
        literals = [
            one.value
            for one in ast.walk(tree)
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        assert URL in literals
        assert bot_name in literals
        assert f"http://{quote(name, safe='')}:" in literals
        called = {ast.unparse(one.func) for one in ast.walk(tree) if isinstance(one, ast.Call)}
        assert called <= {
            *("requests.get", "print"),
            *("ssl.create_default_context", "httpx.Client", "client.get"),
        }


@given(name=names, bot_name=names)
def test_a_shell_gets_each_name_in_its_place(name: str, bot_name: str) -> None:
    proxy = f"http://{quote(name, safe='')}:${{SYMPHONY_PROXY_PASSWORD}}@127.0.0.1:8080"

    *exports, program = words(programs.node(access(name, bot_name)))[1:]
    assert f"HTTPS_PROXY={proxy}" in exports
    assert program.startswith(f"const answer = await fetch({json.dumps(URL)}, {{headers: ")
    headers = program.partition("{headers: ")[2].partition("});\n")[0]
    assert json.loads(headers) == {"Symphony-Bot": bot_name}

    assert f"https_proxy={proxy}" in words(programs.variables(access(name)))


def test_a_symphony_on_this_machine_is_called_through_the_proxy_by_java_too() -> None:
    local = dataclasses.replace(access(), bot=bot(pod_=cloud_pod("localhost", 9443, "/acme")))

    assert "-Dhttp.nonProxyHosts=" in words(programs.java(local))
    assert "-Dhttp.nonProxyHosts=" not in words(programs.java(access()))
    assert words(programs.curl(local))[-1] == "https://localhost:9443/acme/pod/v2/sessioninfo"


def test_java_is_told_to_send_a_password_through_a_tunnel() -> None:
    assert "-Djdk.http.auth.tunneling.disabledSchemes=" in words(programs.java(access("pricing")))


def test_an_ipv6_address_stands_in_brackets() -> None:
    there = dataclasses.replace(access(), listen=Origin("::1", 8080))

    assert "http://[::1]:8080" in words(programs.curl(there))
    assert "-Dhttps.proxyHost=::1" in words(programs.java(there))
