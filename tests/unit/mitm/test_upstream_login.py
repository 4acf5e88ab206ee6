"""The password for an upstream proxy gets into no flow that is for another place."""

from __future__ import annotations

import base64

import pytest
from mitmproxy import http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from symphony_auth_proxy.mitm.seal import Seal, attach
from symphony_auth_proxy.mitm.upstream_login import UpstreamLogin
from symphony_auth_proxy.secret import Secret

PLACE, ELSEWHERE = ("proxy.example", 3128), ("other-proxy.example", 3128)
CREDENTIALS = "bank:hunter2-canary"
BASIC = f"Basic {base64.b64encode(CREDENTIALS.encode()).decode()}"


@pytest.fixture
def login() -> UpstreamLogin:
    return UpstreamLogin([PLACE], Secret(CREDENTIALS))


def request_in(mode: str, scheme: str = "http", *, live: bool = True) -> tuple[http.HTTPFlow, Seal]:
    flow, seal = tflow.tflow(live=live), Seal()
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    flow.request.scheme = scheme
    attach(flow, seal)
    return flow, seal


@pytest.mark.parametrize(("address", "sent"), [(PLACE, BASIC), (ELSEWHERE, None)])
def test_a_tunnel_gets_it_at_its_own_proxy_alone(
    login: UpstreamLogin, address: tuple[str, int], sent: str | None
) -> None:
    flow = tflow.tflow()
    flow.server_conn.address = address
    login.http_connect_upstream(flow)
    assert flow.request.headers.get("Proxy-Authorization") == sent


def test_without_a_tunnel_the_flow_shows_that_it_is_there_and_the_seal_has_it(
    login: UpstreamLogin,
) -> None:
    flow, seal = request_in("upstream:http://proxy.example:3128")
    login.requestheaders(flow)
    assert "hunter2" not in str(flow.get_state())
    assert BASIC not in str(flow.get_state())
    assert [field.value.reveal() for field in seal.brought] == [BASIC]
    assert flow.request.headers["Proxy-Authorization"].startswith("[sealed ")


@pytest.mark.parametrize(
    ("mode", "scheme", "live"),
    [
        ("regular", "http", True),
        ("upstream:http://proxy.example:3128", "https", True),
        ("upstream:http://proxy.example:3128", "http", False),
    ],
    ids=["another listener", "within a tunnel", "sent again"],
)
def test_what_goes_another_way_gets_none(
    login: UpstreamLogin, mode: str, scheme: str, live: bool
) -> None:
    flow, seal = request_in(mode, scheme, live=live)
    login.requestheaders(flow)
    assert not seal.brought
    assert "Proxy-Authorization" not in flow.request.headers
