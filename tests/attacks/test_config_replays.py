"""CFG, saved flows: what is sent again is decided again (`replay.client`).

A file holds what was shown, never a secret. It may come from anybody, and whoever sends it
again must not get more than they would have got by asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.addons.clientplayback import ClientPlayback
from mitmproxy.test import tflow, tutils

from attacks.origins import RawOrigin, ScriptedSymphony, server_tls
from attacks.raw import Wire
from attacks.replays import last, replay, saved
from attacks.stage import ECHO, Attacked, Start, everything_at
from attacks.witness import Witness
from support.proxy import Proxy


@pytest.fixture
def symphony(attacked: Attacked) -> Iterator[ScriptedSymphony]:
    with ScriptedSymphony(server_tls(attacked.sandbox.directory)) as running:
        yield running


@pytest.fixture
def elsewhere(attacked: Attacked) -> Iterator[RawOrigin]:
    """Trusted, on another port of the same host."""
    with RawOrigin(server_tls(attacked.sandbox.directory)) as running:
        yield running


@pytest.fixture
def replaying(symphony: ScriptedSymphony, start: Start) -> tuple[Proxy, Witness]:
    witness = Witness()
    proxy = start(
        everything_at(symphony.origin),
        prepare=lambda m, _: m.addons.add(ClientPlayback(), witness),
    )
    return proxy, witness


def _call(proxy: Proxy, symphony: ScriptedSymphony) -> int:
    with Wire.tunnel(proxy, symphony.origin) as wire:
        return wire.request(ECHO, str(symphony.origin), method="POST", body="").status


def test_a_call_of_the_bot_is_decided_again(
    symphony: ScriptedSymphony, replaying: tuple[Proxy, Witness], tmp_path: Path
) -> None:
    proxy, witness = replaying
    assert _call(proxy, symphony) == 200
    flow = saved(witness, tmp_path / "flows")
    symphony.requests.clear()
    assert replay(proxy, flow).response.status_code == 200  # type: ignore[union-attr]
    assert symphony.values("sessionToken") == [symphony.session_token]


def test_a_call_of_the_bot_that_was_edited_to_go_elsewhere(
    symphony: ScriptedSymphony,
    elsewhere: RawOrigin,
    replaying: tuple[Proxy, Witness],
    tmp_path: Path,
) -> None:
    proxy, witness = replaying
    assert _call(proxy, symphony) == 200
    flow = saved(witness, tmp_path / "flows")
    symphony.requests.clear()
    flow.request.port = elsewhere.port
    replay(proxy, flow)
    flow.request.port, flow.request.path = symphony.port, "/login/idm/tokens"
    replay(proxy, flow)
    assert symphony.with_tokens == []
    assert not any(token.encode() in elsewhere.received for token in symphony.tokens)


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer token-of-a-person",
        "Authorization: Basic token-of-a-person",
        "sessionToken: token-of-a-person",
        "keyManagerToken: token-of-a-person",
        "Cookie: skey=token-of-a-person",
    ],
)
def test_a_persons_call_never_becomes_one_of_the_bot(
    symphony: ScriptedSymphony,
    replaying: tuple[Proxy, Witness],
    tmp_path: Path,
    header: str,
) -> None:
    """The file holds what was shown, not the person's secret. Without it the call must fail,
    not be made in another name."""
    proxy, witness = replaying
    bearer = "Basic" not in header
    with Wire.tunnel(proxy, symphony.origin) as wire:
        assert wire.request(ECHO, str(symphony.origin), header).status == 200
    if bearer:
        assert symphony.with_tokens == []
    flow = saved(witness, tmp_path / "flows")
    assert "token-of-a-person" not in repr(flow.get_state())
    symphony.requests.clear()
    replay(proxy, flow)
    if bearer:
        assert symphony.with_tokens == []


def test_a_persons_call_that_is_sent_again_at_once_is_still_theirs(
    symphony: ScriptedSymphony, replaying: tuple[Proxy, Witness]
) -> None:
    proxy, witness = replaying
    with Wire.tunnel(proxy, symphony.origin) as wire:
        wire.request(
            f"{ECHO}?token=query-of-a-person", str(symphony.origin), "sessionToken: of-a-person"
        )
    flow = last(witness)
    symphony.requests.clear()
    replay(proxy, flow)
    assert symphony.values("sessionToken") == ["of-a-person"]
    (call,) = symphony.calls
    assert b"?token=query-of-a-person " in call
    assert symphony.with_tokens == []


def test_a_flow_from_a_file_cannot_choose_an_unverified_way(
    symphony: ScriptedSymphony, replaying: tuple[Proxy, Witness]
) -> None:
    """Files may come from anybody: one that claims plain http, another Host, another SNI."""
    proxy, _ = replaying
    for change in (
        {"scheme": b"http"},
        {"authority": b"evil.example"},
        {"host": "127.0.0.1"},
    ):
        request = tutils.treq(
            **{
                "host": "localhost",
                "port": symphony.port,
                "scheme": b"https",
                "path": ECHO.encode(),
                "headers": http.Headers(Host="evil.example"),
                "content": b"",
                **change,
            }
        )
        flow = http.HTTPFlow(tflow.tclient_conn(), tflow.tserver_conn())
        flow.request = request
        replay(proxy, flow)
    assert symphony.with_tokens == []
