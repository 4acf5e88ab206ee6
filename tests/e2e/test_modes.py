"""Every mode in which the proxy runs, and the same guarantees in each: tokens are added, none
leaks, logins are answered, and nobody without a password gets anywhere.

`reverse:` serves programs that cannot use a proxy: to them it is the server. `upstream:` goes
through another proxy, which wants a password of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest

from attacks.witness import Witness
from pki import rsa_key
from support import bdk
from support.canaries import canaries_of, issuing_noted
from support.clients import client_of
from support.configuration import change
from support.processes import environment, free_port, running
from support.proxy import Proxy, running_proxy
from support.wire import ConnectProxy, connect_proxy
from symphony_auth_proxy.certificates import private_key_pem
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.mitm import runner
from symphony_auth_proxy.model import Component, Origin, TokenKind
from symphony_auth_proxy.sandbox import KEY_BOT, Received, Sandbox

ECHO, INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"
LOGIN, RELAY = "/login/pubkey/authenticate", "/relay/pubkey/authenticate"
NAME, PASSWORD = "pricing", "the-password-of-pricing"
CORPORATE = "bank:the-password-of-the-bank"
JUNK = rsa_key(number=7)
"""A key that no Symphony knows."""
QUOTES = Path(__file__).parents[1] / "clients" / "bots" / "quotes.py"
UNGUARDED = ("socks5", "transparent", "local", "wireguard", "dns")


@dataclass
class Scene:
    """A proxy in one mode, and a client that uses it in the way of that mode."""

    sandbox: Sandbox
    proxy: Proxy
    url: Callable[[Component], str]
    """Where a client finds a component."""
    witness: Witness
    client: Callable[..., httpx.Client]
    """With or without `credentials`, a name and a password."""
    corporate: ConnectProxy | None = None


type Start = Callable[[], Scene]


def junk_assertion() -> str:
    """What a bot signs with a key that no Symphony knows."""
    claims = {"sub": KEY_BOT, "exp": int(time.time()) + 240}
    return jwt.encode(claims, JUNK, algorithm="RS512")


@contextmanager
def regular(sandbox: Sandbox) -> Iterator[Scene]:
    with _running(sandbox, ["regular"]) as (proxy, witness):
        yield Scene(sandbox, proxy, sandbox.url, witness, lambda **more: client_of(proxy, **more))


@contextmanager
def reverse(sandbox: Sandbox) -> Iterator[Scene]:
    """One port for each component, in plain HTTP, and no word about a proxy."""
    ports = {component: free_port() for component in Component}
    modes = [
        f"reverse:{sandbox.url(component)}@127.0.0.1:{port}" for component, port in ports.items()
    ]

    def client(credentials: tuple[str, str] | None = None) -> httpx.Client:
        return httpx.Client(auth=credentials, trust_env=False, timeout=30)

    with _running(sandbox, modes) as (proxy, witness):
        yield Scene(
            sandbox,
            proxy,
            lambda component: f"http://127.0.0.1:{ports[component]}",
            witness,
            client,
        )


@contextmanager
def upstream(sandbox: Sandbox) -> Iterator[Scene]:
    with connect_proxy(credentials=CORPORATE) as corporate:
        modes = [f"upstream:http://127.0.0.1:{corporate.port}"]
        with _running(sandbox, modes, upstream_auth=CORPORATE) as (proxy, witness):
            yield Scene(
                sandbox,
                proxy,
                sandbox.url,
                witness,
                lambda **more: client_of(proxy, **more),
                corporate,
            )


@contextmanager
def _running(sandbox: Sandbox, modes: list[str], **options: str) -> Iterator[tuple[Proxy, Witness]]:
    witness = Witness()
    with running_proxy(
        sandbox.config,
        sandbox.directory / "proxy-ca",
        modes=modes,
        options=options,
        prepare=lambda master, _: master.addons.add(witness),
    ) as proxy:
        yield proxy, witness


MODES = {"regular": regular, "reverse": reverse, "upstream": upstream}


@pytest.fixture(autouse=True)
def issued() -> Iterator[list[tuple[str, str]]]:
    with issuing_noted() as noted:
        yield noted


@pytest.fixture
def answering(sandbox: Sandbox) -> None:
    """Logins are answered."""
    with change(sandbox.config) as document:
        document["authProxy"]["answerLogins"] = True


@pytest.fixture(params=MODES.values(), ids=MODES)
def start(request: pytest.FixtureRequest, sandbox: Sandbox, answering: None) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(request.param(sandbox))


def let_in_pricing_only(sandbox: Sandbox) -> None:
    (sandbox.directory / "pricing.password").write_text(PASSWORD)
    with change(sandbox.config) as document:
        document["authProxy"]["clients"] = [
            {"name": NAME, "passwordFile": "pricing.password", "bots": [KEY_BOT]}
        ]


def log_in(scene: Scene, client: httpx.Client) -> dict[str, str]:
    """Log in as a bot with a junk key does; returns what it then sends with each request."""
    body = {"token": junk_assertion()}
    session = client.post(scene.url(Component.POD) + LOGIN, json=body).raise_for_status()
    key_manager = client.post(scene.url(Component.KEY_MANAGER) + RELAY, json=body)
    return {
        "sessionToken": session.json()["token"],
        "keyManagerToken": key_manager.raise_for_status().json()["token"],
    }


def calls(sandbox: Sandbox) -> list[Received]:
    return [call for call in sandbox.requests if call.path in {ECHO, INFO}]


def test_tokens_are_added_before_and_after_the_session_died(start: Start, sandbox: Sandbox) -> None:
    scene = start()
    with scene.client() as client:
        for _ in range(2):
            echo = client.post(scene.url(Component.AGENT) + ECHO, json={"message": "hello"})
            info = client.get(scene.url(Component.POD) + INFO)
            assert (echo.status_code, echo.json()) == (200, {"message": "hello"})
            assert info.json()["username"] == KEY_BOT
            sandbox.revoke(KEY_BOT)
    tokens = [
        (len(c.values("sessionToken")), len(c.values("keyManagerToken"))) for c in calls(sandbox)
    ]
    assert set(tokens) == {(1, 1), (1, 0)}
    if scene.corporate is not None:
        assert str(sandbox.origin(Component.AGENT)) in scene.corporate.targets
        assert scene.corporate.refused == 0


def test_a_login_with_a_junk_key_is_answered_with_placeholders_that_work(
    start: Start, sandbox: Sandbox, issued: list[tuple[str, str]]
) -> None:
    scene = start()
    with scene.client() as client:
        placeholders = log_in(scene, client)
        url = scene.url(Component.AGENT) + ECHO
        echo = client.post(url, json={"message": "hello"}, headers=placeholders)
        assert (echo.status_code, echo.json()) == (200, {"message": "hello"})
    real = {token for _, token in issued}
    assert real.isdisjoint(placeholders.values())
    [call] = calls(sandbox)
    assert {*call.values("sessionToken"), *call.values("keyManagerToken")} <= real
    assert sandbox.logins(TokenKind.SESSION, KEY_BOT) == 1


def test_nothing_of_a_real_token_is_shown_logged_or_answered(
    start: Start,
    sandbox: Sandbox,
    issued: list[tuple[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    scene = start()
    received = []
    with scene.client() as client:
        client.event_hooks["response"] = [lambda answer: received.append(everything_of(answer))]
        placeholders = log_in(scene, client)
        for headers in ({}, placeholders):
            client.get(scene.url(Component.POD) + INFO, headers=headers)
            client.post(scene.url(Component.AGENT) + ECHO, json={"message": "x"}, headers=headers)
            sandbox.revoke(KEY_BOT)
        client.post(scene.url(Component.POD) + "/login/idm/tokens", headers=placeholders)
    canaries = canaries_of(sandbox, issued)
    shown = scene.witness.everything
    assert canaries.kinds >= {"session", "key manager"}
    assert b"[sealed pricing-bot #" in shown
    for sink in (shown, caplog.text.encode(), b"\n".join(received)):
        assert canaries.found_in(sink) == set()


def everything_of(answer: httpx.Response) -> bytes:
    return repr(answer.headers.raw).encode() + answer.read()


@pytest.mark.parametrize("credentials", [None, (NAME, "another-password"), ("nobody", PASSWORD)])
def test_nobody_gets_anywhere_without_the_right_password(
    start: Start, sandbox: Sandbox, credentials: tuple[str, str] | None
) -> None:
    let_in_pricing_only(sandbox)
    scene = start()
    with scene.client(credentials=credentials) as client:
        for method, url in (
            ("GET", scene.url(Component.POD) + INFO),
            ("POST", scene.url(Component.AGENT) + ECHO),
            ("POST", scene.url(Component.POD) + LOGIN),
        ):
            assert status_of(client, method, url) == 407
    assert calls(sandbox) == []


def status_of(client: httpx.Client, method: str, url: str) -> int:
    """The status, the proxy's own included."""
    try:
        return client.request(method, url, json={"token": junk_assertion()}).status_code
    except httpx.ProxyError as refusal:
        return int(str(refusal).split()[0])


def test_with_the_right_password_a_client_is_served_and_its_logins_are_answered(
    start: Start, sandbox: Sandbox
) -> None:
    let_in_pricing_only(sandbox)
    scene = start()
    with scene.client(credentials=(NAME, PASSWORD)) as client:
        placeholders = log_in(scene, client)
        info = client.get(scene.url(Component.POD) + INFO, headers=placeholders)
    assert info.json()["username"] == KEY_BOT
    for call in sandbox.requests:
        assert not call.values("Proxy-Authorization")
        assert not call.values("Authorization")


def test_a_bot_that_cannot_use_a_proxy_is_served_in_reverse_mode(
    sandbox: Sandbox, answering: None, tmp_path: Path
) -> None:
    """The BDK for Python, with Symphony at plain ports of this machine: no proxy, no CA, no
    valid key."""
    (tmp_path / "junk.pem").write_bytes(private_key_pem(JUNK))
    with reverse(sandbox) as scene:
        document = {
            name.value: {
                "scheme": "http",
                "host": "127.0.0.1",
                "port": httpx.URL(scene.url(name)).port,
            }
            for name in (Component.POD, Component.AGENT, Component.KEY_MANAGER)
        }
        document["bot"] = {"username": KEY_BOT, "privateKey": {"path": "junk.pem"}}
        (tmp_path / "bot.json").write_text(json.dumps(document))
        with running(
            bdk.python_of(bdk.VERSIONS[-1]), str(QUOTES), "bot.json",
            env=environment(tmp_path), cwd=tmp_path,
        ) as bot:  # fmt: skip
            sandbox.wait_for(bdk.waits_for_events, 30)
            sandbox.post("bonds")
            bot.seen("answered bonds")
    assert bdk.own_logins(sandbox, TokenKind.SESSION) == 0


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        *((mode, "only regular, reverse:… and upstream:… are guarded") for mode in UNGUARDED),
        ("reverse:tls://localhost:1", "a reverse proxy speaks http or https"),
        ("reverse:dns://127.0.0.1:53", "a reverse proxy speaks http or https"),
        ("reverse:https://localhost:1", "no component is configured at that host and port"),
        ("upstream:socks5://localhost:1", "Invalid server scheme: socks5"),
        ("regular@0.0.0.0:0", "that needs authProxy.clients"),
    ],
)
def test_any_other_mode_refuses_to_start_and_says_why(
    sandbox: Sandbox, answering: None, mode: str, why: str
) -> None:
    with (
        pytest.raises(ConfigError, match=f"{re.escape(mode)}.*{re.escape(why)}"),
        running_proxy(sandbox.config, sandbox.directory / "proxy-ca", modes=[mode]),
    ):
        pass


@pytest.mark.parametrize("kind", ["--mode", "--listen"])
def test_a_port_that_means_a_bot_is_no_other_listeners(sandbox: Sandbox, kind: str) -> None:
    place = Origin("127.0.0.1", free_port())
    with change(sandbox.config) as document:
        document["authProxy"]["bots"][0]["listen"] = str(place)
    listen = place if kind == "--listen" else Origin("127.0.0.1", 0)
    modes = [f"regular@{place.port}"] if kind == "--mode" else ["regular"]

    async def main() -> None:
        runner.build(
            runner.Run(str(sandbox.config), listen, str(sandbox.directory / "proxy-ca"), modes)
        )

    with pytest.raises(ConfigError, match=f"cannot be {place}: that is a port of"):
        asyncio.run(main())
