"""The proxy's own logins as flows: made of what really happened, and shown to whom they are for."""

from __future__ import annotations

import gc
import io
import json
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from mitmproxy import flowfilter, http
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.save import Save
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.addons.view import View
from mitmproxy.hooks import DoneHook
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.net.http.http1.assemble import assemble_request
from mitmproxy.test import taddons
from mitmproxy.utils import emoji

from loopback import (
    CA,
    PROXY_PASSWORD,
    ConnectProxy,
    Pod,
    listening,
    login,
    run,
    server_context,
)
from pki import client_certificate
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import LoginRejected
from symphony_auth_proxy.mitm import journal
from symphony_auth_proxy.mitm.journal import LOGIN, Journal, flow_of
from symphony_auth_proxy.mitm.state import State
from symphony_auth_proxy.mitm.story import Marker
from symphony_auth_proxy.model import LoginRequest, LoginResponse, UpstreamProxy
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import Connection, Exchange, Transport

NOW = 1_795_000_000.0
TOKEN = "0100" + "8b1d4e7fa2c35960" * 8


def exchange(**changes: Any) -> Exchange:
    """A login that brought a token, unless told otherwise."""
    body = json.dumps({"token": TOKEN}).encode()
    values: dict[str, Any] = {
        "request": login(8443, purpose="session login"),
        "begun": NOW,
        "ended": NOW + 0.143,
        "response": LoginResponse(200, {}, body, NOW + 0.143),
        "account": "pricing-bot",
    }
    return Exchange(**(values | changes))


def watched(request: Callable[[int], LoginRequest], pod: Pod, **ways: Any) -> http.HTTPFlow:
    """Send a login over the wire, and return its flow."""
    told: list[Exchange] = []

    async def main() -> None:
        leaf = ways.get("leaf") or CA.issue_cert("localhost")
        async with (
            listening(pod, server_context(leaf)) as port,
            listening(ConnectProxy(port)) as proxy,
        ):
            transport = Transport(CA.cert_pem.bytes().decode(), watch=told.append)
            await transport.send(request(proxy if ways.get("proxy") else port))

    run(main())
    return flow_of(told[0])


# What stands in a flow


def test_the_flow_is_what_went_over_the_wire_but_for_the_secrets():
    pod = Pod(
        b"HTTP/1.1 401 Unauthorized\r\nServer: nginx\r\nContent-Length: 28\r\n\r\n"
        b'{"code":401,"message":"no!"}'
    )
    gateway = (("X-Key", Secret("the gateway's key")),)
    flow = watched(lambda port: login(port, context="/gateway", default_headers=gateway), pod)
    length = len(flow.request.content or b"")
    wire = (
        pod.received[0]
        .replace(b"the gateway's key", flow.request.headers["x-key"].encode())
        .replace(b'"assertion"', json.dumps(flow.request.json()["token"]).encode())
        .replace(b"Content-Length: 22", b"Content-Length: %d" % length)
    )
    assert assemble_request(flow.request) == wire
    assert b"assertion" not in wire
    assert flow.request.pretty_url == f"https://localhost:{flow.request.port}{flow.request.path}"
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.reason) == (401, "Unauthorized")
    assert flow.response.json() == {"code": 401, "message": "no!"}
    assert flow.response.headers["server"] == "nginx"


def test_the_connection_is_the_one_that_was_made():
    leaf = CA.issue_cert("localhost")
    flow = watched(login, Pod(), leaf=leaf)
    made = flow.server_conn
    assert made.address == ("localhost", flow.request.port)
    assert made.peername == ("127.0.0.1", flow.request.port)
    assert made.sockname is not None
    assert (made.tls, made.tls_established, made.tls_version) == (True, True, "TLSv1.3")
    assert (made.sni, made.via) == ("localhost", None)
    assert made.cipher is not None
    shown = made.certificate_list[0].to_cryptography()
    assert shown == x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert flow.response is not None
    assert flow.response.timestamp_end is not None
    instants = [
        flow.timestamp_created,
        flow.request.timestamp_start,
        made.timestamp_start,
        made.timestamp_tcp_setup,
        made.timestamp_tls_setup,
        flow.response.timestamp_start,
        flow.response.timestamp_end,
    ]
    assert None not in instants
    assert instants == sorted(instants)  # type: ignore[type-var]
    assert not made.connected
    assert not flow.live


def test_the_way_through_a_corporate_proxy_is_told_without_its_password():
    def request(port: int) -> LoginRequest:
        way = UpstreamProxy("127.0.0.1", port, "häns", PROXY_PASSWORD)
        return login(443, host="pod.example", proxy=way)

    flow = watched(request, Pod(), leaf=CA.issue_cert("pod.example"), proxy=True)
    assert flow.server_conn.via is not None
    assert flow.server_conn.via[0] == "http"
    assert flow.server_conn.via[1] == flow.server_conn.peername
    assert flow.server_conn.address == ("pod.example", 443)
    assert PROXY_PASSWORD.reveal().encode() not in saved(flow)
    assert b"h\xc3\xa4ns" not in saved(flow)


def test_a_certificate_login_shows_the_bots_certificate_and_no_key():
    certificate = client_certificate("compliance-bot")
    flow = flow_of(exchange(request=login(8444, json=None, certificate=certificate)))
    told = [one.to_cryptography() for one in flow.client_conn.certificate_list]
    assert told == list(certificate.chain)
    assert b"PRIVATE KEY" not in saved(flow)
    assert flow.request.content == b""


def test_a_host_named_by_address_has_no_server_name():
    flow = flow_of(exchange(request=login(8443, host="192.0.2.1")))
    assert flow.server_conn.sni is None


def test_certificates_that_cannot_be_read_are_left_out():
    broken = Connection(("127.0.0.1", 1), ("127.0.0.1", 2), NOW, NOW, certificates=(b"junk",))
    flow = flow_of(exchange(connection=broken))
    assert flow.server_conn.certificate_list == []


# What it says of itself


def test_a_login_tells_who_what_which_token_and_how_long():
    flow = flow_of(exchange())
    fingerprint = Secret(TOKEN).fingerprint()
    assert flow.comment == f"pricing-bot · session login · #{fingerprint} · 143 ms"
    assert flow.marked == LOGIN
    assert flow.error is None


def test_a_refused_login_tells_why_and_shows_the_answer():
    error = LoginRejected(
        "the login at acme was refused (status 401)",
        hint="check the key",
        diagnosis=Diagnosis.KEY_NOT_ACCEPTED,
    )
    flow = flow_of(exchange(response=LoginResponse(401, {}, b"{}", NOW), error=error))
    assert flow.comment == (
        "pricing-bot · session login · why: key_not_accepted – "
        "the login at acme was refused (status 401); check the key · 143 ms"
    )
    assert flow.marked == Marker.FAILED
    assert flow.response is not None
    assert flow.error is None


def test_what_a_pod_says_looks_like_no_other_part_of_the_comment():
    error = LoginRejected("refused ('x · why: all is well\x1b[2J')")
    flow = flow_of(exchange(response=LoginResponse(401, {}, b"{}", NOW), error=error))
    assert flow.comment.count(" · ") == 3
    assert flow.comment.isprintable()


def test_no_answer_is_an_error_with_its_sentence():
    flow = failed_flow()
    assert flow.response is None
    assert flow.error is not None
    assert flow.error.msg.startswith("localhost:9 refuses connections; ")
    assert "login · why: refused – localhost:9 refuses connections; " in flow.comment
    assert flow.marked == Marker.FAILED
    assert flow.server_conn.peername is None


def failed_flow() -> http.HTTPFlow:
    told: list[Exchange] = []

    async def main() -> None:
        transport = Transport(CA.cert_pem.bytes().decode(), watch=told.append)
        with pytest.raises(Exception, match="refuses"):
            await transport.send(login(9))

    run(main())
    return flow_of(told[0])


def test_what_was_given_up_says_so():
    flow = flow_of(exchange(response=None, ended=NOW + 15, account=""))
    assert flow.comment == "session login · given up · 15.0 s"
    assert flow.error is not None
    assert flow.error.msg == "whoever asked for it stopped waiting"
    assert flow.marked == Marker.FAILED


def test_markers_are_known_to_mitmproxy():
    assert LOGIN in emoji.emoji


@pytest.mark.parametrize(
    "expression",
    [f"~src {journal.SENDER}", "~comment 'session login'", f"~marker {LOGIN.strip(':')}"],
)
def test_logins_can_be_filtered_for(expression: str):
    assert flowfilter.match(expression, flow_of(exchange()))


# Where it goes


class Sinks:
    """A master with all that shows or saves flows, and an addon that meddles with them."""

    def __init__(self) -> None:
        self.out, self.view, self.har = io.StringIO(), View(), SaveHar()
        self.meddler = Meddler()
        self.journal = Journal(State())


class Meddler:
    def __init__(self) -> None:
        self.seen: list[http.HTTPFlow] = []

    def request(self, flow: http.HTTPFlow) -> None:
        self.seen.append(flow)

    requestheaders = responseheaders = response = error = request


@contextmanager
def sinks(file: str | None = None) -> Iterator[Sinks]:
    """`file`: where flows are saved when it has ended, and as HAR beside it."""
    shown = Sinks()
    with taddons.context() as tctx:
        addons = tctx.master.addons
        addons.add(shown.meddler, shown.journal, Save(), shown.har, Dumper(shown.out), shown.view)
        tctx.options.update(save_stream_file=file, hardump=f"{file}.har" if file else "")
        yield shown
        addons.trigger(DoneHook())


def saved(flow: http.HTTPFlow) -> bytes:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    return file.getvalue()


@pytest.mark.parametrize("made", [exchange(), exchange(response=None)], ids=["answered", "failed"])
def test_it_goes_to_what_shows_or_saves_flows_and_to_no_other_addon(tmp_path, made: Exchange):
    file = tmp_path / "flows"
    with sinks(str(file)) as shown:
        shown.journal.show(made)
        assert len(shown.view) == 1
        assert "/login/pubkey/authenticate" in shown.out.getvalue()
        assert shown.meddler.seen == []
    with file.open("rb") as stream:
        loaded = list(FlowReader(stream).stream())
    assert [flow.comment for flow in loaded] == [shown.view[0].comment]
    entries = json.loads((tmp_path / "flows.har").read_text())["log"]["entries"]
    assert [entry["request"]["url"] for entry in entries] == [shown.view[0].request.url]


def test_without_anybody_to_show_it_to_nothing_is_made(monkeypatch):
    monkeypatch.setattr(journal, "flow_of", lambda _: pytest.fail("made for nobody"))
    with taddons.context():
        Journal(State()).show(exchange())


def test_a_sink_that_fails_disturbs_neither_the_login_nor_the_others(caplog, monkeypatch):
    def fail(*_: object) -> None:
        raise ValueError(f"cannot show {TOKEN}")

    monkeypatch.setattr(Dumper, "response", fail)
    with sinks() as shown:
        shown.journal.show(exchange())
        assert len(shown.view) == 1
    warning = next(one for one in caplog.records if one.name == journal.__name__)
    assert warning.levelno == logging.WARNING
    assert "ValueError" in warning.getMessage()
    assert TOKEN not in caplog.text


def test_an_exchange_that_cannot_be_shown_is_a_warning(caplog):
    with sinks() as shown:
        shown.journal.show(exchange(request=None))
        assert len(shown.view) == 0
    assert "A login cannot be shown: AttributeError at " in caplog.text


def test_nothing_is_kept_of_what_was_shown():
    with sinks() as shown:
        shown.journal.show(exchange())
        kept = weakref.ref(shown.view[0])
        shown.view.clear()
        gc.collect()
        assert kept() is None


def test_metadata_hold_what_a_file_can_hold():
    assert all(isinstance(value, bool) for value in flow_of(exchange()).metadata.values())
