"""ORA: whoever reaches the proxy would speak as the bot, if nobody asked who they are.

Nothing of an unknown caller's request may have any effect: no name is looked up, nothing is
connected to, nothing is logged in to; and nothing may tell them which clients there are.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.addons.clientplayback import ClientPlayback

from attacks.origins import RawOrigin, server_tls
from attacks.raw import Answer, Http2Wire, Wire
from attacks.replays import last, replay, saved
from attacks.seen import Seen
from attacks.stage import ECHO, SESSION_INFO, Attacked, Stage, Start
from attacks.witness import Witness
from support.audit import audit_records
from support.clients import basic, trust_of
from support.configuration import read_with
from support.processes import free_port
from support.proxy import Proxy
from support.settings import client
from symphony_auth_proxy import config
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.mitm.runner import Run, build, check_modes
from symphony_auth_proxy.model import Component, Origin, TokenKind
from symphony_auth_proxy.passwords import PlainPassword

NAME, PASSWORD = "pricing", "proxy-canary-0123456789abcdef:with:colons"
RIGHT = basic(f"{NAME}:{PASSWORD}")

CLIENTS = (
    client(NAME, "pricing-bot", password=PASSWORD),
    client("compliance", "compliance-bot"),
)

UNKNOWN = {
    "none": [],
    "an empty value": [""],
    "a wrong password": [basic(f"{NAME}:wrong")],
    "a password up to its colon": [basic(f"{NAME}:{PASSWORD.partition(':')[0]}")],
    "an empty password": [basic(f"{NAME}:")],
    "another client's password": [basic(f"compliance:{PASSWORD}")],
    "an unknown user": [basic(f"nobody:{PASSWORD}")],
    "an empty user": [basic(f":{PASSWORD}")],
    "the name in other letters": [basic(f"PRICING:{PASSWORD}")],
    "a name with a space": [basic(f"{NAME} :{PASSWORD}")],
    "no colon": [basic(NAME)],
    "a NUL": [basic(f"{NAME}:{PASSWORD}\0")],
    "a line end": [basic(f"{NAME}:{PASSWORD}\r\nX-Evil: 1")],
    "no base64": ["Basic %%%%"],
    "cut off": [RIGHT[:-3]],
    "twice in one": [f"{RIGHT}, {RIGHT}"],
    "twice": [RIGHT, RIGHT],
    "a wrong and the right one": [basic(f"{NAME}:wrong"), RIGHT],
    "the right one and an empty one": [RIGHT, ""],
    "beyond ASCII": [basic("prïcing:pässword")],
    "beyond ASCII, raw": ["Basic prïcing:pässword"],
    "no text in any charset": [basic(b"\xff\xfe:\x80")],
    "oversized": [basic(f"{NAME}:{'x' * 50_000}")],
    "just too long": [basic(f"{NAME}:{'x' * 4096}")],
    "Bearer": [RIGHT.replace("Basic", "Bearer")],
    "Negotiate": ["Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa8="],
    "Digest": [f'Digest username="{NAME}", realm="symphony-auth-proxy", response="0"'],
    "no scheme": [RIGHT.partition(" ")[2]],
}


@pytest.fixture
def guarded(stage: Stage, attacked: Attacked) -> Proxy:
    """A proxy with two clients, kept from test to test, its tokens in its cache."""
    proxy = stage.kept("guarded", load=read_with({"clients": CLIENTS}))
    warm(proxy, attacked)
    return proxy


def warm(proxy: Proxy, attacked: Attacked) -> None:
    """Let both bots have both of their tokens."""
    agent = attacked.origin(Component.AGENT)
    for who in CLIENTS:
        assert isinstance(who.password, PlainPassword)
        password = who.password.value.reveal()
        with Wire(proxy) as wire:
            authorized = sent(basic(f"{who.name}:{password}"))
            target = f"http://{agent}{ECHO}"
            answer = wire.request(target, str(agent), authorized, method="POST", body="{}")
            assert answer.reason is None
    attacked.begin()


def sent(value: str) -> str:
    return f"Proxy-Authorization: {value}"


def ask(wire: Wire, target: str, values: list[str], method: str) -> Answer:
    """Byte for byte; text beyond ASCII goes as UTF-8."""
    host = target.removeprefix("http://").partition("/")[0]
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *map(sent, values)]
    return wire.ask("\r\n".join(lines) + "\r\n\r\n", method=method)


def assert_unknown(answer: Answer, secrets: list[str]) -> None:
    assert (answer.status, answer.reason) == (407, "client_unknown")
    assert answer.values("Proxy-Authenticate")
    told = repr(answer.wire)
    assert not [value for value in secrets if len(value) > 12 and value in told]


@pytest.mark.parametrize("values", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_callers_reach_nothing(
    guarded: Proxy, attacked: Attacked, values: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    pod = attacked.origin()
    with RawOrigin(server_tls(attacked.sandbox.directory)) as other:
        for target in (str(pod), str(other.origin)):
            with Wire(guarded) as wire:
                assert_unknown(ask(wire, target, values, "CONNECT"), values)
                assert wire.ended(), "mitmproxy would keep each refused CONNECT"
            with Wire(guarded) as wire:
                assert_unknown(ask(wire, f"http://{target}/", values, "GET"), values)
        assert other.connections == 0
    assert attacked.arrived == attacked.logins == []
    records = audit_records(caplog, "refused")
    assert [record["reason"] for record in records] == ["client_unknown"] * 4
    assert {record.get("client", NAME) for record in records} <= {NAME, "compliance"}
    assert "crash" not in caplog.text.lower()
    assert "A hook failed" not in caplog.text


def test_the_right_credentials_would_have_reached_it(guarded: Proxy, attacked: Attacked) -> None:
    """The other tests here say «nothing arrived»; this one says that something could have."""
    pod = attacked.origin()
    with Wire(guarded) as wire:
        assert wire.connect(str(pod), sent(RIGHT)).status == 200
        wire.start_tls()
        assert wire.request(SESSION_INFO, str(pod)).status == 200
    assert len(attacked.with_tokens) == 1


def test_no_name_is_looked_up_for_unknown_callers(
    guarded: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
        if str(host).endswith(".example"):
            looked_up.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return real(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for values in UNKNOWN.values():
        with Wire(guarded) as wire:
            ask(wire, "secret-in-the-name.example:443", values, "CONNECT")
        with Wire(guarded) as wire:
            ask(wire, "http://secret-in-the-name.example/", values, "GET")
    assert looked_up == []
    with Wire(guarded) as wire:
        ask(wire, "http://known.example/", [RIGHT], "GET")
    assert "known.example" in looked_up


def test_a_second_request_on_an_authorised_connection_is_asked_again(
    guarded: Proxy, attacked: Attacked
) -> None:
    """It may be another program's, that shares a pool or a load balancer with the first."""
    target = f"http://{attacked.origin()}{SESSION_INFO}"
    with Wire(guarded) as wire:
        assert ask(wire, target, [RIGHT], "GET").status == 200
        assert_unknown(ask(wire, target, [], "GET"), [])
        assert_unknown(ask(wire, str(attacked.origin()), [], "CONNECT"), [])
    assert len(attacked.arrived) == 1


def test_over_http2_a_tunnel_speaks_for_no_other_stream(guarded: Proxy, attacked: Attacked) -> None:
    """In TLS to the proxy itself; HTTP/1 has no other requests beside a tunnel."""
    pod = str(attacked.origin())
    with Http2Wire(guarded) as wire:
        wire.start_tls(alpn=("h2",))
        wire.start()
        authorized = [("proxy-authorization", RIGHT)]
        refused = wire.fetch("/", pod, authorized, method="CONNECT")
        assert (refused.status, refused.reason) == (400, "malformed_request")
        assert_unknown(wire.fetch(SESSION_INFO, pod), [])
        assert wire.fetch(SESSION_INFO, pod, authorized).status == 200
    assert len(attacked.arrived) == 1


@pytest.mark.parametrize("body", ["Content-Length", "Transfer-Encoding"])
def test_a_request_in_the_body_of_a_refused_connect_is_none(
    guarded: Proxy, attacked: Attacked, body: str
) -> None:
    pod = attacked.origin()
    inner = f"GET http://{pod}{SESSION_INFO} HTTP/1.1\r\nHost: {pod}\r\n{sent(RIGHT)}\r\n\r\n"
    head = f"CONNECT {pod} HTTP/1.1\r\nHost: {pod}\r\n"
    if body == "Content-Length":
        data = f"{head}Content-Length: {len(inner)}\r\n\r\n{inner}"
    else:
        data = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(inner):x}\r\n{inner}\r\n0\r\n\r\n"
    with Wire(guarded) as wire:
        assert wire.ask(data).status in {400, 407}
        assert wire.ended()
    assert attacked.arrived == []


def test_a_request_that_follows_a_refused_connect_unasked_is_none(
    guarded: Proxy, attacked: Attacked
) -> None:
    pod = attacked.origin()
    inner = f"GET http://{pod}{SESSION_INFO} HTTP/1.1\r\nHost: {pod}\r\n{sent(RIGHT)}\r\n\r\n"
    with Wire(guarded) as wire:
        assert wire.ask(f"CONNECT {pod} HTTP/1.1\r\nHost: {pod}\r\n\r\n{inner}").status == 407
        assert wire.ended()
    assert attacked.arrived == []


def test_credentials_are_in_no_sink(attacked: Attacked, seen: Seen, start: Start) -> None:
    proxy = start(load=read_with({"clients": CLIENTS}), prepare=seen.add_to)
    pod = attacked.origin()
    for value in (RIGHT, basic(f"nobody:{PASSWORD}"), RIGHT.replace("Basic", "Bearer")):
        with Wire(proxy) as wire:
            if wire.connect(str(pod), sent(value)).status == 200:
                wire.start_tls()
                wire.request(SESSION_INFO, str(pod), sent(value))
                wire.request(SESSION_INFO, str(pod), "Symphony-Bot: compliance-bot")
        with Wire(proxy) as wire:
            ask(wire, f"http://{pod}{SESSION_INFO}", [value], "GET")
    assert len(attacked.with_tokens) == 2
    assert {"requestheaders", "http_connect", "response"} <= seen.witness.hooks
    assert seen.leaks() == set()
    assert all("proxyauth" not in flow.metadata for flow in seen.witness.flows)


def test_credentials_to_a_reverse_proxy_are_in_no_sink_either(
    attacked: Attacked, seen: Seen, start: Start
) -> None:
    mode = f"reverse:https://{attacked.origin()}"
    load = read_with({"clients": CLIENTS})
    proxy = start(load=load, modes=[mode], prepare=seen.add_to)
    with Wire(proxy) as wire:
        host = f"127.0.0.1:{proxy.port}"
        assert wire.request(SESSION_INFO, host, f"Authorization: {RIGHT}").status == 200
        wire.request(SESSION_INFO, host, f"Authorization: {basic(f'x:{PASSWORD}')}")
    assert len(attacked.arrived) == 1
    assert seen.leaks() == set()


# --- where nobody can be asked -------------------------------------------------------


def built(attacked: Attacked, *, mode: str = "regular", **changes: Any) -> None:
    async def main() -> None:
        sandbox = attacked.sandbox
        modes = [mode.replace("POD", sandbox.url(Component.POD))]
        usual = {"listen": Origin("127.0.0.1", 0), "confdir": str(sandbox.directory / "proxy-ca")}
        _, addon = build(Run(config=str(sandbox.config), modes=modes, **(usual | changes)))
        await addon.done()

    asyncio.run(main())


OFF_LOOPBACK: list[dict[str, Any]] = [
    {"listen": Origin("0.0.0.0", 0)},
    {"listen": Origin("::", 0)},
    {"mode": "regular@192.0.2.1:0"},
    {"mode": "reverse:POD@0.0.0.0:0"},
]


@pytest.mark.parametrize("changes", OFF_LOOPBACK, ids=str)
def test_off_loopback_nothing_starts_without_clients(
    attacked: Attacked, stage: Stage, changes: dict[str, Any]
) -> None:
    stage.clear()
    with pytest.raises(ConfigError, match="clients"):
        built(attacked, **changes)


@pytest.mark.parametrize("changes", OFF_LOOPBACK, ids=str)
def test_off_loopback_clients_are_all_that_is_missing(
    attacked: Attacked, stage: Stage, changes: dict[str, Any]
) -> None:
    stage.clear()
    built(attacked, load=read_with({"clients": CLIENTS}), **changes)


@pytest.mark.parametrize("mode", ["socks5", "transparent", "local", "wireguard", "dns"])
def test_modes_that_ask_nobody_for_a_password_never_start(mode: str) -> None:
    assert check_modes([mode], clients=True)
    assert check_modes([mode], clients=False)


def test_a_mode_that_asks_nobody_relays_nothing_in_a_stock_tool(
    attacked: Attacked, start: Start
) -> None:
    """There the addon cannot refuse to start. No connection that nobody answers for is left
    alone: it is read, and its requests are challenged."""
    proxy = start(load=read_with({"clients": CLIENTS}))
    proxy.call(lambda: setattr(proxy.addon, "modes", None))
    proxy.call(lambda: proxy.master.options.update(mode=["socks5@127.0.0.1:0"]))
    with RawOrigin(server_tls(attacked.sandbox.directory)) as other, Wire(proxy) as wire:
        wire.send(b"\x05\x01\x00")
        assert wire.socket.recv(2) == b"\x05\x00"
        wire.send(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + other.port.to_bytes(2))
        assert wire.socket.recv(10)[:2] == b"\x05\x00"
        wire.start_tls(sni=None)
        assert_unknown(wire.request("/", f"127.0.0.1:{other.port}"), [])
        assert other.received == b""


# --- the bot of another --------------------------------------------------------------


def test_a_client_gets_no_bot_of_another_by_any_way_of_asking(
    attacked: Attacked, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    key_bot, other_bot = config.load(attacked.sandbox.config).bots
    port = free_port()
    other_bot = dataclasses.replace(other_bot, listen=Origin("127.0.0.1", port))
    proxy = start(
        load=read_with({"clients": CLIENTS, "bots": (key_bot, other_bot), "answer_logins": True})
    )
    warm(proxy, attacked)
    active = proxy.addon.state.active
    assert active is not None
    assert active.placeholders is not None
    issue = active.placeholders.issue
    asked: list[tuple[int, dict[str, str]]] = [
        (port, {}),
        (proxy.port, {"Symphony-Bot": "compliance-bot"}),
        *(
            (proxy.port, {"sessionToken": issue(TokenKind.SESSION, bot, who)})
            for bot, who in (("compliance-bot", "compliance"), ("pricing-bot", "compliance"))
        ),
        (proxy.port, {"sessionToken": issue(TokenKind.SESSION, "compliance-bot", NAME)}),
        (proxy.port, {"Symphony-On-Behalf-Of": "alice"}),
    ]
    for at, headers in asked:
        way = httpx.Proxy(f"http://127.0.0.1:{at}", auth=(NAME, PASSWORD))
        with httpx.Client(proxy=way, verify=trust_of(proxy), trust_env=False) as client:
            answer = client.get(f"https://{attacked.origin()}{SESSION_INFO}", headers=headers)
        assert answer.status_code == 403, headers
    records = audit_records(caplog, "refused")
    assert [(r["reason"], r["client"]) for r in records] == [("not_granted", NAME)] * len(asked)
    assert attacked.arrived == attacked.logins == []


def test_a_tunnel_of_one_client_is_not_anothers(guarded: Proxy, attacked: Attacked) -> None:
    """What is said inside of it to a proxy is said to nobody."""
    pod = attacked.origin()
    other = sent(basic("compliance:compliance's password"))
    with Wire(guarded) as wire:
        assert wire.connect(str(pod), sent(RIGHT)).status == 200
        wire.start_tls()
        refused = wire.request(SESSION_INFO, str(pod), other, "Symphony-Bot: compliance-bot")
        assert (refused.status, refused.reason) == (403, "not_granted")
    assert attacked.arrived == []


def test_a_port_that_a_reload_closes_means_no_other_bot(
    attacked: Attacked, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Its open connections outlive it, and their clients think of its bot."""
    key_bot, other_bot = config.load(attacked.sandbox.config).bots
    place = Origin("127.0.0.1", free_port())
    values = {"bots": (key_bot, dataclasses.replace(other_bot, listen=place))}
    proxy, pod = start(load=read_with(values)), str(attacked.origin())
    with Wire(place) as own, Wire.tunnel(proxy, pod) as usual:
        assert own.connect(pod).status == 200
        own.start_tls()
        assert b'"compliance-bot"' in own.request(SESSION_INFO, pod).body
        values["bots"] = (key_bot, other_bot)
        proxy.call(proxy.addon.reload)
        refused = own.request(SESSION_INFO, pod)
        assert (refused.status, refused.reason) == (503, "draining")
        assert b'"pricing-bot"' in usual.request(SESSION_INFO, pod).body
    assert len(attacked.arrived) == 2


@pytest.fixture
def replaying(start: Start) -> tuple[Proxy, Witness]:
    witness = Witness()
    load = read_with({"clients": CLIENTS})
    proxy = start(load=load, prepare=lambda m, _: m.addons.add(ClientPlayback(), witness))
    return proxy, witness


def test_a_flow_is_sent_again_in_the_name_of_its_client(
    attacked: Attacked, replaying: tuple[Proxy, Witness]
) -> None:
    proxy, witness = replaying
    pod = attacked.origin()
    with Wire(proxy) as wire:
        assert ask(wire, f"http://{pod}{SESSION_INFO}", [RIGHT], "GET").status == 200
    answer = replay(proxy, last(witness)).response
    assert answer is not None
    assert answer.status_code == 200
    assert len(attacked.with_tokens) == 2


def test_a_flow_of_a_bot_that_is_gone_is_no_other_bots(attacked: Attacked, start: Start) -> None:
    bots = config.load(attacked.sandbox.config).bots
    values: dict[str, Any] = {"bots": bots, "answer_logins": True}
    witness = Witness()
    proxy = start(
        load=read_with(values), prepare=lambda m, _: m.addons.add(ClientPlayback(), witness)
    )
    active, pod = proxy.addon.state.active, str(attacked.origin())
    assert active is not None
    assert active.placeholders is not None
    held = active.placeholders.issue(TokenKind.SESSION, "compliance-bot", None)
    with Wire.tunnel(proxy, pod) as wire:
        answer = wire.request(SESSION_INFO, pod, f"sessionToken: {held}")
    assert b'"compliance-bot"' in answer.body
    values["bots"] = bots[:1]
    proxy.call(proxy.addon.reload)
    again = replay(proxy, last(witness)).response
    assert again is not None
    assert (again.status_code, len(attacked.arrived)) == (403, 1)


def test_a_flow_from_a_file_is_nobodys(
    attacked: Attacked, replaying: tuple[Proxy, Witness], tmp_path: Path
) -> None:
    """Though the connection that it names is an open tunnel's, and though it holds the right
    credentials: whoever loads a file has not shown any."""
    proxy, witness = replaying
    pod = attacked.origin()
    with Wire(proxy) as wire:
        assert wire.connect(str(pod), sent(RIGHT)).status == 200
        wire.start_tls()
        assert wire.request(SESSION_INFO, str(pod)).status == 200
        loaded = saved(witness, tmp_path / "flows")
        assert loaded.client_conn == last(witness).client_conn
        loaded.request.headers["Proxy-Authorization"] = RIGHT
        answer = replay(proxy, loaded).response
    assert answer is not None
    assert answer.status_code == 407
    assert len(attacked.arrived) == 1


def test_a_refused_flow_is_refused_again(
    attacked: Attacked, replaying: tuple[Proxy, Witness]
) -> None:
    proxy, witness = replaying
    wrong = basic(f"{NAME}:wrong")
    with Wire(proxy) as wire:
        assert ask(wire, f"http://{attacked.origin()}/", [wrong], "GET").status == 407
    answer = replay(proxy, last(witness)).response
    assert answer is not None
    assert answer.status_code == 407
    assert attacked.arrived == []
