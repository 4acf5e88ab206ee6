"""RED: answers that send the next request elsewhere (CVE-2018-18074, CVE-2023-32681)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.origins import RawOrigin, ScriptedSymphony, answer, server_tls
from attacks.raw import Wire
from attacks.stage import ECHO, Attacked, Start, everything_at
from support.proxy import Proxy

STATUSES = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]


@pytest.fixture(scope="module")
def elsewhere(module_sandbox: Attacked) -> Iterator[RawOrigin]:
    with RawOrigin(server_tls(module_sandbox.sandbox.directory, "127.0.0.1")) as running:
        yield running


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_is_the_clients_to_follow(
    one_host: Proxy, symphony: ScriptedSymphony, elsewhere: RawOrigin, status: str
) -> None:
    location = f"https://127.0.0.1:{elsewhere.port}/agent/v1/util/echo"
    symphony.scripted = answer(status, f"Location: {location}")
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert str(answered.status) == status[:3]
    assert answered.values("location") == [location]
    assert elsewhere.connections == 0

    # The client follows it through the same proxy: no token goes along.
    with Wire.tunnel(one_host, f"127.0.0.1:{elsewhere.port}", sni=None) as wire:
        assert wire.request(ECHO, f"127.0.0.1:{elsewhere.port}").status == 200
    assert not any(token.encode() in elsewhere.received for token in symphony.tokens)
    elsewhere.connections = 0


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_of_a_login_is_not_followed(
    attacked: Attacked, start: Start, elsewhere: RawOrigin, status: str
) -> None:
    """Neither the assertion nor a request for a token goes to another host."""
    moved = answer(status, f"Location: https://127.0.0.1:{elsewhere.port}/login")
    with RawOrigin(server_tls(attacked.sandbox.directory), moved) as pod:
        before = elsewhere.connections
        proxy = start(everything_at(pod.origin))
        with Wire.tunnel(proxy, pod.origin) as wire:
            assert wire.request(ECHO, str(pod.origin)).status == 503
        assert elsewhere.connections == before
        assert all(b"/pubkey/authenticate " in request for request in pod.requests)


def test_another_service_is_not_announced_to_clients(
    one_host: Proxy, symphony: ScriptedSymphony
) -> None:
    """`Alt-Svc` would lead the client around this proxy, or to another host."""
    symphony.scripted = answer(
        "200 OK", 'Alt-Svc: h3="evil.example:443"; ma=86400', 'alt-svc: h2=":1"', "X-Kept: yes"
    )
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert answered.values("x-kept") == ["yes"]
    assert answered.values("alt-svc") == []


def test_a_location_that_holds_our_token_loses_it(
    one_host: Proxy, symphony: ScriptedSymphony
) -> None:
    symphony.scripted = answer(
        "302 Found", f"Location: https://evil.example/?token={symphony.session_token}"
    )
    with Wire.tunnel(one_host, symphony.origin) as wire:
        answered = wire.request(ECHO, str(symphony.origin))
    assert answered.status == 302
    assert symphony.session_token.encode() not in answered.wire
