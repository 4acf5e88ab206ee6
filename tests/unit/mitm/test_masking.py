"""What a flow shows, and what goes on the wire instead."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.test import tflow

from support.settings import token_pair
from symphony_auth_proxy.mitm import masking
from symphony_auth_proxy.mitm.seal import Seal

CANARY = "canary-token-b81d"


def flow_with(path: str = "/agent/v1/util/echo", **headers: str) -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.request.path = path
    flow.request.headers.clear()
    for name, value in headers.items():
        flow.request.headers.add(name.replace("_", "-"), value)
    return flow


def shown(flow: http.HTTPFlow) -> str:
    return repr(flow.get_state())


def sent(seal: Seal, flow: http.HTTPFlow, *, http2: bool = False) -> http.Request:
    request = seal.unsealed(flow.request)
    seal.dress(request, http2=http2)
    return request


def test_what_a_client_brings_is_hidden_and_still_arrives() -> None:
    flow = flow_with(sessionToken=CANARY, Authorization=f"Bearer {CANARY}", Cookie=f"a={CANARY}")
    seal = masking.seal_request(flow)
    assert CANARY not in shown(flow)
    assert sent(seal, flow).headers["sessionToken"] == CANARY
    assert sent(seal, flow).headers["Authorization"] == f"Bearer {CANARY}"
    assert sent(seal, flow).headers["Cookie"] == f"a={CANARY}"


def test_a_token_in_the_query_is_hidden_and_still_arrives() -> None:
    flow = flow_with(f"/v1/channelco/x?a=1&token={CANARY}&b=2")
    seal = masking.seal_request(flow)
    assert CANARY not in shown(flow)
    assert flow.request.path.startswith("/v1/channelco/x?a=1&token=sealed-")
    assert sent(seal, flow).path == f"/v1/channelco/x?a=1&token={CANARY}&b=2"


def test_credentials_for_this_proxy_are_never_forwarded() -> None:
    flow = flow_with(Proxy_Authorization=f"Basic {CANARY}")
    flow.metadata["proxyauth"] = ("user", CANARY)
    seal = masking.seal_request(flow)
    assert CANARY not in shown(flow)
    assert "Proxy-Authorization" not in sent(seal, flow).headers


def test_a_flow_that_is_replayed_is_read_as_the_client_sent_it() -> None:
    flow = flow_with(Authorization=f"Bearer {CANARY}")
    masking.seal_request(flow)
    assert dict(masking.brought_headers(flow))["Authorization"] == f"Bearer {CANARY}"
    seal = masking.seal_request(flow)
    assert sent(seal, flow).headers["Authorization"] == f"Bearer {CANARY}"


def test_tokens_replace_every_spelling_and_arrive_exactly_once() -> None:
    flow = flow_with(session_token="x", sessiontoken="y", keyManagerToken="", Accept="*/*")
    flow.request.headers.add("session_token", CANARY)
    seal = masking.seal_request(flow)
    masking.show_tokens(flow, seal, token_pair("session-secret", "key-secret"))
    assert "session-secret" not in shown(flow)
    assert flow.request.headers["sessionToken"].startswith("[sealed pricing-bot #")
    request = sent(seal, flow)
    names = [name.lower().replace("_", "").replace("-", "") for name in request.headers]
    assert names.count("sessiontoken") == names.count("keymanagertoken") == 1
    assert request.headers["sessionToken"] == "session-secret"
    assert request.headers["keyManagerToken"] == "key-secret"
    assert sent(seal, flow, http2=True).headers.fields[-1][0] == b"keymanagertoken"


def test_connection_cannot_make_the_next_hop_drop_our_header() -> None:
    flow = flow_with(Connection="keep-alive, sessionToken")
    seal = masking.seal_request(flow)
    masking.show_tokens(flow, seal, token_pair())
    assert sent(seal, flow).headers["Connection"].strip() == "keep-alive"


def test_a_browser_session_does_not_travel_beside_a_bots_tokens() -> None:
    flow = flow_with(Cookie=f"lb=7; skey={CANARY}; kmsession={CANARY}; x=y")
    seal = masking.seal_request(flow)
    masking.show_tokens(flow, seal, token_pair())
    assert sent(seal, flow).headers["Cookie"] == "lb=7; x=y"


def test_an_answers_secrets_are_for_nobody_when_they_are_ours() -> None:
    flow = flow_with()
    seal = masking.seal_request(flow)
    masking.show_tokens(flow, seal, token_pair("session-secret"))
    flow.response = http.Response.make(
        200,
        b"",
        {"X-Echo": "got session-secret", "Set-Cookie": f"skey={CANARY}; Path=/", "Alt-Svc": "h3"},
    )
    masking.seal_response(flow, injected=True, ours=False)
    assert CANARY not in shown(flow)
    assert "session-secret" not in shown(flow)
    answer = seal.response(flow.response)
    assert "Set-Cookie" not in answer.headers
    assert "Alt-Svc" not in answer.headers
    assert answer.headers["X-Echo"].startswith("got [sealed")


def test_what_a_clients_own_login_brings_is_for_the_client_only() -> None:
    flow = flow_with("/login/pubkey/authenticate")
    seal = masking.seal_request(flow)
    flow.response = http.Response.make(200, b"", {"Set-Cookie": f"skey={CANARY}"})
    masking.seal_response(flow, injected=False, ours=True)
    assert CANARY not in shown(flow)
    assert seal.response(flow.response).headers["Set-Cookie"] == f"skey={CANARY}"


def test_the_headers_that_choose_never_leave() -> None:
    flow = flow_with(Symphony_Bot="pricing-bot", Symphony_On_Behalf_Of="jane")
    seal = masking.seal_request(flow)
    assert flow.request.headers["Symphony-Bot"] == "pricing-bot"
    assert not sent(seal, flow).headers
