"""An answer that is no success says why, whoever gave it: Symphony, a gateway, or the proxy."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http

from attacks.origins import Http2Origin, RawOrigin, answer, server_tls, stranger
from support.clients import client_of
from support.gallery import (
    AGE,
    ECHO,
    INFO,
    SESSION,
    Gallery,
    asked_of,
    assert_why,
    echo,
    info,
    noted,
    watched_proxy,
)
from support.proxy import Proxy
from support.wire import connect_proxy
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import KEY_BOT, FaultKind, Sandbox

FEEDS = "/agent/v5/datafeeds"
OWN = {"sessionToken": "a-session-of-my-own"}
LAST_YEAR, NEXT_YEAR = (datetime.now(UTC) + timedelta(days=days) for days in (-365, 365))


@pytest.fixture
def gallery() -> Gallery:
    return Gallery()


@pytest.fixture
def proxy(sandbox: Sandbox, gallery: Gallery) -> Iterator[Proxy]:
    with watched_proxy(sandbox, gallery) as running:
        yield running


# --- what others answered ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "diagnosis"),
    [
        ((FaultKind.ERROR, 403), Diagnosis.NOT_ENTITLED),
        ((FaultKind.HTML, 403), Diagnosis.GATEWAY_REFUSED),
        ((FaultKind.HTML, 407), Diagnosis.GATEWAY_REFUSED),
        ((FaultKind.HTML, 502), Diagnosis.GATEWAY_UNAVAILABLE),
        ((FaultKind.HTML, 503), Diagnosis.GATEWAY_UNAVAILABLE),
        ((FaultKind.ERROR, 503), Diagnosis.SYMPHONY_UNAVAILABLE),
        ((FaultKind.HTML, 404), Diagnosis.WRONG_COMPONENT),
    ],
)
def test_an_answer_that_is_no_success_says_why_and_passes_as_it_is(
    sandbox: Sandbox,
    client: httpx.Client,
    gallery: Gallery,
    fault: tuple[FaultKind, int],
    diagnosis: Diagnosis,
) -> None:
    kind, status = fault
    sandbox.fail(Component.POD, kind=kind, status=status, path=INFO, message="as it is")
    answered = info(sandbox, client)
    [flow] = gallery.of(INFO)
    assert (answered.status_code, noted(answered)) == (status, [diagnosis])
    assert "as it is" in answered.text
    assert_why(flow, diagnosis, SESSION + AGE)


@pytest.mark.parametrize(("status", "retry_after"), [(400, None), (404, None), (429, 7)])
def test_symphonys_word_about_a_request_is_left_to_the_client(
    sandbox: Sandbox,
    client: httpx.Client,
    gallery: Gallery,
    status: int,
    retry_after: int | None,
) -> None:
    sandbox.fail(Component.POD, status=status, path=INFO, retry_after=retry_after)
    answered = info(sandbox, client)
    assert "Proxy-Status" not in answered.headers
    assert re.fullmatch(SESSION + AGE, gallery.of(INFO)[0].comment)


def test_members_of_others_in_proxy_status_stay_before_ours(
    sandbox: Sandbox, gallery: Gallery, prepared: Path
) -> None:
    theirs = 'gateway.example; details="a, b"'
    said = answer("403 Forbidden", "Content-Type: application/json", f"Proxy-Status: {theirs}")
    answered = asked_of(sandbox, gallery, RawOrigin(server_tls(prepared), said))
    first, ours = answered.headers.get_list("Proxy-Status")
    assert first == theirs
    assert ours.startswith('symphony-auth-proxy; details="not_entitled: ')


@pytest.mark.parametrize("head", ["Transfer-Encoding: chunked", "Content-Length: 9000000"])
def test_an_answer_that_streams_has_it_in_its_head(
    sandbox: Sandbox, gallery: Gallery, prepared: Path, head: str
) -> None:
    body = b"x" * 9_000_000
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if "chunked" in head else body
    said = f"HTTP/1.1 403 Forbidden\r\n{head}\r\n\r\n".encode() + sent
    answered = asked_of(sandbox, gallery, RawOrigin(server_tls(prepared), said))
    assert (noted(answered), len(answered.content)) == (["not_entitled"], len(body))


def test_http2_carries_it_too(sandbox: Sandbox, gallery: Gallery, prepared: Path) -> None:
    with (
        Http2Origin(server_tls(prepared)) as agent,
        watched_proxy(sandbox, gallery, agent={"host": "localhost", "port": agent.port}) as proxy,
    ):
        url = f"https://localhost:{agent.port}{ECHO}"
        with client_of(proxy, http2=True) as first:
            first.get(url)
        with client_of(proxy, http1=False, http2=True) as client:
            given, kept = client.get(url), client.get(url, headers=OWN)
    assert (given.http_version, kept.http_version) == ("HTTP/2", "HTTP/2")
    assert (noted(given), noted(kept)) == ([], ["client_token"])


# --- what was not reached --------------------------------------------------------------------


def test_a_host_that_is_down_is_named(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    sandbox.outage(Component.AGENT)
    failed = echo(sandbox, client)
    [flow] = gallery.of(ECHO)
    assert (failed.status_code, noted(failed)) == (502, ["refused"])
    assert "; error=connection_refused;" in failed.headers["Proxy-Status"]
    assert flow.comment.startswith("pricing-bot · why: refused – no answer from localhost:")
    assert flow.marked == ":no_entry:"


@pytest.mark.parametrize(
    ("server", "diagnosis"),
    [
        ({"ca": stranger}, Diagnosis.CERTIFICATE_UNTRUSTED),
        ({"host": "evil.example"}, Diagnosis.CERTIFICATE_NAME),
        ({"valid_from": LAST_YEAR}, Diagnosis.CERTIFICATE_EXPIRED),
        ({"valid_from": NEXT_YEAR}, Diagnosis.CERTIFICATE_EXPIRED),
    ],
)
def test_a_certificate_that_is_not_accepted_is_named(
    sandbox: Sandbox,
    gallery: Gallery,
    prepared: Path,
    server: dict[str, Any],
    diagnosis: Diagnosis,
) -> None:
    given = {name: value() if callable(value) else value for name, value in server.items()}
    failed = asked_of(sandbox, gallery, RawOrigin(server_tls(prepared, **given)))
    assert (failed.json()["details"]["reason"], noted(failed)) == (
        "upstream_certificate",
        [diagnosis],
    )
    assert f" · why: {diagnosis} – no answer from localhost:" in gallery.of(ECHO)[0].comment


class _Plain(RawOrigin):
    """Speaks HTTP where TLS is expected, and says so, as web servers do."""

    def converse(self, stream: socket.socket) -> None:
        self.heard(stream.recv(65536))
        stream.sendall(answer("400 Bad Request"))


def test_a_port_without_tls_is_named(sandbox: Sandbox, gallery: Gallery) -> None:
    failed = asked_of(sandbox, gallery, _Plain(None))
    assert (failed.status_code, noted(failed)) == (502, ["not_tls"])
    assert " · why: not_tls – no answer from localhost:" in gallery.of(ECHO)[0].comment


def test_an_answer_that_breaks_off_is_named(
    sandbox: Sandbox, client: httpx.Client, gallery: Gallery
) -> None:
    sandbox.fail(Component.AGENT, kind=FaultKind.CUT, status=200, path=ECHO)
    failed = echo(sandbox, client, json={"message": "x" * 500})
    assert (failed.status_code, noted(failed)) == (502, ["upstream_broken"])
    assert " · why: upstream_broken – no answer from " in gallery.of(ECHO)[0].comment


@pytest.mark.parametrize(
    ("credentials", "diagnosis"),
    [("bank:secret", Diagnosis.PROXY_CREDENTIALS), (None, Diagnosis.PROXY_UNREACHABLE)],
)
def test_a_corporate_proxy_in_the_way_is_named(
    sandbox: Sandbox, gallery: Gallery, credentials: str | None, diagnosis: Diagnosis
) -> None:
    with connect_proxy(credentials) as corporate:
        port = corporate.port if credentials else 1
        place = {
            "host": "localhost",
            "port": sandbox.origin(Component.AGENT).port,
            "proxy": {"host": "127.0.0.1", "port": port},
        }
        with watched_proxy(sandbox, gallery, agent=place) as proxy, client_of(proxy) as client:
            failed = echo(sandbox, client)
    assert (failed.status_code, noted(failed)) == (502, [diagnosis])
    assert f" · why: {diagnosis} – " in gallery.of(ECHO)[0].comment


# --- refused here ----------------------------------------------------------------------------


def test_a_client_that_is_not_known_is_named(sandbox: Sandbox, gallery: Gallery) -> None:
    desk = {"name": "desk", "password": "password of desk", "bots": [KEY_BOT]}
    with watched_proxy(sandbox, gallery, own={"clients": [desk]}) as proxy:
        url = f"http://localhost:{sandbox.origin(Component.POD).port}{INFO}"
        refused = httpx.get(url, proxy=proxy.url, trust_env=False)
        with client_of(proxy) as client, pytest.raises(httpx.ProxyError, match="407"):
            info(sandbox, client)
    assert (refused.status_code, noted(refused)) == (407, ["client_unknown"])
    assert [flow.comment.partition(" – ")[0] for flow in gallery.flows] == [
        "refused here · why: client_unknown"
    ] * 2


def test_what_comes_while_the_proxy_stops_is_named(sandbox: Sandbox, gallery: Gallery) -> None:
    answers: list[httpx.Response] = []
    with (
        watched_proxy(sandbox, gallery, own={"drainSeconds": 0.2}) as proxy,
        client_of(proxy) as client,
    ):
        feeds = f"{sandbox.url(Component.AGENT)}{FEEDS}"
        feed = client.post(feeds).json()["id"]
        url = f"{feeds}/{feed}/read"
        reader = threading.Thread(target=lambda: answers.append(client.post(url, json={})))
        reader.start()
        sandbox.wait_for(lambda arrived: arrived[-1].path.endswith("/read"))
        proxy.stop()
        reader.join(20)
    [answered] = answers
    assert (answered.status_code, noted(answered)) == (503, ["draining"])
    assert " · why: draining – " in gallery.flows[-1].comment


def test_a_request_that_another_addon_turned_elsewhere_is_named(sandbox: Sandbox) -> None:
    class Turner:
        def request(self, flow: http.HTTPFlow) -> None:
            flow.request.port = sandbox.origin(Component.KEY_MANAGER).port

    gallery = Gallery(Turner())
    with watched_proxy(sandbox, gallery) as proxy, client_of(proxy) as client:
        refused = echo(sandbox, client)
    assert (refused.status_code, noted(refused)) == (502, ["insecure_upstream"])
    assert " · why: insecure_upstream – the request was turned" in gallery.of(ECHO)[0].comment
