"""CFG: the operator's slips, other addons, saved flows: nothing turns a request elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.addons.mapremote import MapRemote
from mitmproxy.addons.modifyheaders import ModifyHeaders

from attacks.origins import RawOrigin, ScriptedSymphony, server_tls
from attacks.raw import CLOSED, Answer, Http2Wire, Wire
from attacks.stage import ECHO, SESSION_INFO, Attacked, Start, everything_at
from support.proxy import Proxy
from symphony_auth_proxy import config
from symphony_auth_proxy.errors import ConfigError, SymphonyAuthProxyError
from symphony_auth_proxy.mitm import runner


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


@pytest.fixture
def elsewhere(attacked: Attacked) -> Iterator[RawOrigin]:
    """Trusted, on another port of the same host."""
    with RawOrigin(server_tls(attacked.sandbox.directory)) as running:
        yield running


# --- other addons ------------------------------------------------------------------------


class Rewriting:
    """Somebody else's addon, after ours, at one of the hooks before a request is sent."""

    def __init__(self, hook: str, rewrite: Callable[[http.HTTPFlow], None]) -> None:
        setattr(self, hook, rewrite)


def _to(name: str, value: Any) -> Callable[[http.HTTPFlow], None]:
    return lambda flow: setattr(flow.request, name, value)


def _header(name: str, value: str) -> Callable[[http.HTTPFlow], None]:
    return lambda flow: flow.request.headers.__setitem__(name, value)


REWRITES: dict[str, Callable[[int], Callable[[http.HTTPFlow], None]]] = {
    "host": lambda _port: _to("host", "127.0.0.1"),
    "port": lambda port: _to("port", port),
    "scheme": lambda _port: _to("scheme", "http"),
    "url": lambda port: _to("url", f"https://localhost:{port}/agent/v1/util/echo"),
    "path to a login": lambda _port: _to("path", "/login/idm/tokens"),
    "path to a logout": lambda _port: _to("path", "/agent/v1/logout"),
    "path to the pod": lambda _port: _to("path", "/pod/v2/sessioninfo"),
    "ambiguous path": lambda _port: _to("path", "/agent/..%2flogin"),
    "Host": lambda _port: _header("Host", "evil.example"),
    "another bot": lambda _port: _header("Symphony-Bot", "nobody"),
    "a line end in a header": lambda _port: _header("X-A", "b\r\nsessionToken: smuggled"),
    "upgrade": lambda _port: _header("Upgrade", "h2c"),
    "method": lambda _port: _to("method", "TRACE"),
}


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@pytest.mark.parametrize("body", ["", "a body"])
@pytest.mark.parametrize("rewrite", REWRITES)
def test_what_another_addon_rewrites_is_decided_again(  # noqa: PLR0917 (fixtures and parameters)
    symphony: ScriptedSymphony,
    elsewhere: RawOrigin,
    start: Start,
    hook: str,
    rewrite: str,
    body: str,
) -> None:
    """MapRemote does so after tokens were added (OpenSandbox #1466)."""
    other = Rewriting(hook, REWRITES[rewrite](elsewhere.port))
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(other))
    answered = _post(proxy, symphony, body)
    assert answered.status >= 400
    assert answered.reason is not None, "a clear answer, in our shape"
    assert symphony.with_tokens == []
    assert not any(token.encode() in elsewhere.received for token in symphony.tokens)
    assert b"smuggled" not in symphony.received


def _post(proxy: Proxy, symphony: ScriptedSymphony, body: str) -> Answer:
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.socket.settimeout(5)
        return wire.request(ECHO, str(symphony.origin), method="POST", body=body)


def test_a_streamed_upload_that_another_addon_turns_elsewhere(
    symphony: ScriptedSymphony, elsewhere: RawOrigin, start: Start
) -> None:
    other = Rewriting("requestheaders", _to("port", elsewhere.port))
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(other))
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.socket.settimeout(5)
        size = 2 * 2**20
        lines = [f"POST {ECHO} HTTP/1.1", f"Host: {symphony.origin}", f"Content-Length: {size}"]
        answered = wire.ask("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * size)
    assert answered == CLOSED or answered.status == 502
    assert elsewhere.received == b""


def test_a_stream_that_is_refused_leaves_the_others_alone(
    symphony: ScriptedSymphony, start: Start
) -> None:
    def rewrite(flow: http.HTTPFlow) -> None:
        if "turned" in flow.request.headers:
            flow.request.host = "127.0.0.1"

    other = Rewriting("requestheaders", rewrite)
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(other))
    with Http2Wire.open(proxy, symphony.origin) as wire:
        good, bad, again = (
            wire.open_stream(ECHO, str(symphony.origin), headers, method="POST", body=b"body")
            for headers in ((), (("turned", "1"),), ())
        )
        answers = wire.answers(good, bad, again)
    assert [answer.status for answer in answers] == [200, 502, 200]
    assert len(symphony.with_tokens) == 2


@pytest.mark.parametrize(
    ("addon", "option", "value"),
    [
        (MapRemote, "map_remote", "|//localhost:{pod}/|//localhost:{elsewhere}/"),
        (ModifyHeaders, "modify_headers", "/~q/Host/evil.example"),
    ],
)
def test_mitmproxys_own_rewriters(  # noqa: PLR0917 (as above)
    symphony: ScriptedSymphony,
    elsewhere: RawOrigin,
    start: Start,
    addon: Any,
    option: str,
    value: str,
) -> None:
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(addon()))
    spec = value.format(pod=symphony.port, elsewhere=elsewhere.port)
    proxy.call(lambda: proxy.master.options.update(**{option: [spec]}))
    answered = _post(proxy, symphony, "body")
    assert (answered.status, answered.reason) == (502, "insecure_upstream")
    assert symphony.calls == []
    assert elsewhere.received == b""


def test_a_stranger_that_is_mapped_to_the_pod_gets_no_token(
    symphony: ScriptedSymphony, start: Start
) -> None:
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(MapRemote()))
    spec = f"|http://stranger.example/|https://{symphony.origin}/"
    proxy.call(lambda: proxy.master.options.update(map_remote=[spec]))
    with Wire(proxy) as wire:
        wire.request(f"http://stranger.example{ECHO}", "stranger.example")
    assert symphony.with_tokens == []


def test_another_addon_cannot_read_what_is_under_seal(
    symphony: ScriptedSymphony, start: Start
) -> None:
    seen: list[str] = []
    other = Rewriting("request", lambda flow: seen.extend(flow.request.headers.values()))
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(other))
    assert _post(proxy, symphony, "").status == 200
    assert any("[sealed " in text for text in seen)
    assert not any(token in text for token in symphony.tokens for text in seen)


@pytest.mark.parametrize("name", ["sessionToken", "session-token", "KEYMANAGERTOKEN"])
def test_another_addon_cannot_mix_tokens(
    symphony: ScriptedSymphony, start: Start, name: str
) -> None:
    """Exactly one of each arrives, or nothing."""

    def rewrite(flow: http.HTTPFlow) -> None:
        flow.request.headers.add(name, "of-another-addon")
        del flow.request.headers["keyManagerToken"]

    other = Rewriting("request", rewrite)
    proxy = start(everything_at(symphony.origin), prepare=lambda m, _: m.addons.add(other))
    if _post(proxy, symphony, "").status == 200:
        assert symphony.values("sessionToken") == [symphony.session_token]
        assert symphony.values("keyManagerToken") == [symphony.key_manager_token]
        assert symphony.values("session-token") == []
    else:
        assert symphony.calls == []


# --- the operator's slips ----------------------------------------------------------------


def _listening(document: Any) -> None:
    document["authProxy"]["listen"] = "0.0.0.0:8080"


BROKEN: dict[str, Callable[[Any], None]] = {
    "an unknown key of ours": lambda d: d["authProxy"].__setitem__("clientToken", "keep"),
    "http as host": lambda d: d.__setitem__("host", "http://localhost"),
    "a wildcard as host": lambda d: d.__setitem__("host", "*.symphony.com"),
    "a listener off loopback": _listening,
    "a client without a password": lambda d: d["authProxy"].__setitem__(
        "clients", [{"name": "a", "bots": ["pricing-bot"]}]
    ),
    "a bot's listener off loopback": lambda d: d["authProxy"]["bots"][0].__setitem__(
        "listen", "0.0.0.0:1"
    ),
}


@pytest.mark.parametrize("slip", BROKEN)
def test_a_first_start_with_a_broken_configuration_is_refused(start: Start, slip: str) -> None:
    with pytest.raises(ConfigError):
        start(BROKEN[slip])


def test_a_key_that_stands_there_twice_is_refused(attacked: Attacked, tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text(attacked.sandbox.config.read_text() + "\nhost: evil.example\n")
    with pytest.raises(ConfigError):
        config.load(twice)


def test_a_bad_reload_keeps_the_last_good_configuration(
    attacked: Attacked, start: Start, tmp_path: Path
) -> None:
    proxy = start(warm=True)
    bad = tmp_path / "bad.yaml"
    bad.write_text("host: '*'\n")
    with pytest.raises(exceptions.OptionsError, match="old configuration stays"):
        proxy.call(lambda: proxy.master.options.update(symphony_config=str(bad)))
    with Wire.tunnel(proxy, attacked.origin()) as wire:
        assert wire.request(SESSION_INFO, str(attacked.origin())).status == 200


@pytest.mark.parametrize(
    "mode",
    [
        "socks5",
        "transparent",
        "wireguard",
        "local",
        "dns",
        "reverse:tcp://localhost:1",
        "regular@0.0.0.0:0",
    ],
)
def test_modes_that_cannot_be_guarded_are_refused(mode: str) -> None:
    assert runner.check_modes([mode])
    assert runner.check_modes(["regular", mode])


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_a_listener_off_loopback_serves_no_symphony_request(
    attacked: Attacked, start: Start, host: str
) -> None:
    """As stock mitmproxy tools listen when they are not told otherwise."""
    proxy = start(listen_host=host)
    for path in (SESSION_INFO, "/login/pubkey/authenticate", "/pod/v1/logout"):
        with Wire.tunnel(proxy, attacked.origin()) as wire:
            answered = wire.request(path, str(attacked.origin()))
        assert (answered.status, answered.reason) == (403, "clients_required")
    assert attacked.arrived == []


def test_without_a_usable_configuration_nothing_is_sent(
    attacked: Attacked, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stock tool goes on running when the addon could not read its file."""
    proxy = start()
    with monkeypatch.context() as unconfigured:
        unconfigured.setattr(proxy.addon.state, "active", None)
        unconfigured.setattr(
            proxy.addon.state, "trouble", SymphonyAuthProxyError("there are five mistakes")
        )
        with Wire.tunnel(proxy, attacked.origin()) as wire:
            answered = wire.request(SESSION_INFO, str(attacked.origin()))
    assert answered.status == 503
    assert b"there are five mistakes" in answered.body
    assert attacked.arrived == []
