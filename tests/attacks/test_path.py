"""PATH: paths that two readers understand differently (CVE-2019-9901 and its kin).

Everything stands on one host here, so the path alone keeps calls apart. A path that could
lead elsewhere than where the tokens were meant for is refused; nothing of it is sent.
"""

from __future__ import annotations

import pytest

from attacks.origins import ScriptedSymphony
from attacks.raw import CLOSED, Http2Wire, Wire
from attacks.stage import ECHO
from support.proxy import Proxy

AMBIGUOUS = [
    "/agent/../login/idm/tokens",
    "/agent/v1/../../login/idm/tokens",
    "/agent/%2e%2e/login/idm/tokens",
    "/agent/%2E%2E/login/idm/tokens",
    "/agent/.%2e/login/idm/tokens",
    "/agent/%252e%252e/login/idm/tokens",
    "/agent/%25252e%25252e/login/idm/tokens",
    "/agent/..;/login/idm/tokens",
    "/agent/..;a=b/login/idm/tokens",
    "/agent/%2e%2e%3b/login/idm/tokens",
    "/agent/..%2flogin/idm/tokens",
    "/agent/..%2Flogin/idm/tokens",
    "/agent/..\\login/idm/tokens",
    "/agent/%5c..%5clogin/idm/tokens",
    "/agent/..%5clogin/idm/tokens",
    "/agent/..%00/login/idm/tokens",
    "/agent/v1/util/echo%00",
    "/agent/v1/util/echo%0d%0aX-Smuggled:%201",
    "/agent/./v1/util/echo",
    "/agent;a=b/v1/util/echo",
    "/agent%2fv1%2futil%2fecho",
    "/login/../agent/v1/util/echo",
    "/login/%2e%2e/agent/v1/util/echo",
    "/login/idm/..;/..;/agent/v1/util/echo",
    "/pod/v2/sessioninfo/%2e%2e/%2e%2e/%2e%2e/login/idm/tokens",
    "/pod/..%2f..%2f..%2fprivate",
    # What only some decoders take for a dot or a slash:
    "/agent/%c0%ae%c0%ae/login/idm/tokens",
    "/agent/..%c0%aflogin/idm/tokens",
    "/agent/%u002e%u002e/login/idm/tokens",
    "/agent/%ef%bc%8e%ef%bc%8e/login/idm/tokens",
    # A fragment never travels; where one does, servers disagree whether it is the path's
    # (CVE-2021-32779).
    "/agent/v1/util/echo#/../../../../login/idm/tokens",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_with_two_readings_is_refused(
    one_host: Proxy, symphony: ScriptedSymphony, path: str
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answer = wire.request(path, str(symphony.origin))
    assert answer.status == 400
    assert answer.reason in {"ambiguous_path", "malformed_request"}
    assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "path", ["/agent/v1/\xe9", "/agent/v1/\x80\x81", "/agent/\xc0\xae\xc0\xae/login"]
)
def test_bytes_that_no_path_may_hold_are_refused(
    one_host: Proxy, symphony: ScriptedSymphony, path: str
) -> None:
    before = len(symphony.calls)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        head = f"GET {path} HTTP/1.1\r\nHost: {symphony.origin}\r\n\r\n"
        assert wire.ask(head.encode("latin-1")).status == 400
    assert len(symphony.calls) == before


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_the_same_over_http2(one_host: Proxy, symphony: ScriptedSymphony, path: str) -> None:
    before = len(symphony.calls)
    with Http2Wire.open(one_host, symphony.origin) as wire:
        answer = wire.fetch(path, str(symphony.origin))
    assert answer == CLOSED or answer.status == 400
    assert len(symphony.calls) == before


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login/idm/tokens",
        "//login//idm//tokens",
        "/%6cogin/idm/tokens",
        "/login/idm/tokens/",
        "/pod/v1/logout",
        "/pod/v1/%6cogout",
        "/agent/v1/logout/",
        "/login/v1/logout",
        "/Agent/v1/util/echo",
        "/agentx/v1/util/echo",
        "/agent.evil/v1/util/echo",
        "/%2561gent/v1/util/echo",
        "/x/agent/v1/util/echo",
        "/relay/pubkey/authenticate/",
        "/profile-manager/v1/profiles",
        "/client/agent/",
        "/agent\\..\\login\\idm\\tokens",
    ],
)
def test_what_is_not_a_call_of_the_bot_passes_without_tokens(
    one_host: Proxy, symphony: ScriptedSymphony, path: str
) -> None:
    before = len(symphony.requests)
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answer = wire.request(path, str(symphony.origin))
    assert answer.status in {200, 400}
    assert not any(
        token.encode() in request
        for request in symphony.requests[before:]
        for token in symphony.tokens
    )


@pytest.mark.parametrize(
    "path",
    [
        ECHO,
        "/%61gent/v1/util/echo",
        "/pod/v2/sessioninfo?to=/../../login/idm/tokens",
        "/pod/v1/user/name/Ren%C3%A9%20%e2%82%ac/get",
    ],
)
def test_a_path_with_one_reading_gets_its_tokens_and_stays_as_it_is(
    one_host: Proxy, symphony: ScriptedSymphony, path: str
) -> None:
    with Wire.tunnel(one_host, symphony.origin) as wire:
        assert wire.request(path, str(symphony.origin)).status == 200
    call = symphony.calls[-1]
    assert call.startswith(f"GET {path} HTTP/1.1\r\n".encode())
    assert symphony.session_token.encode() in call
