"""Content views, asked as mitmproxy asks them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import contentviews, http
from mitmproxy.contentviews import Metadata
from mitmproxy.test import taddons, tflow

from support.jwts import unsigned_jwt
from support.settings import settings
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.mitm import views
from symphony_auth_proxy.mitm.state import Active, State

READ = "/agent/v5/datafeeds/abc_f/read"
CREATE = "/agent/v4/stream/sid/message/create"
LOGIN = "/login/pubkey/authenticate"
SIGNATURE = "c2lnbmF0dXJlLWNhbmFyeQ"
TOKEN = unsigned_jwt(SIGNATURE, sub="pricing-bot", exp=4_000_000_000)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\n'
    b"<messageML>Hello <b>you</b></messageML>\r\n--b--\r\n"
)
OURS = {"Symphony JSON", "Symphony events", "Symphony message"}


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    chosen = settings()
    state = State()
    state.active = Active(chosen, Routes(chosen), provider=None)  # type: ignore[arg-type]
    with taddons.context():
        views.install(state)
        yield
        views.install(State())


def exchange(
    path: str,
    answer: bytes = b"{}",
    *,
    host: str = "acme.symphony.com",
    body: bytes = b"",
    sent_as: str = "application/json",
    answered_as: str | None = "application/json",
) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    assert flow.response is not None
    flow.request = http.Request.make(
        "POST", f"https://{host}{path}", body, {"Content-Type": sent_as}
    )
    headers = {} if answered_as is None else {"Content-Type": answered_as}
    flow.response = http.Response.make(200, answer, headers)
    return flow


def shown(flow: http.HTTPFlow, view: str = "auto") -> contentviews.ContentviewResult:
    assert flow.response is not None
    return contentviews.prettify_message(flow.response, flow, view)


def test_a_login_answer_is_decoded() -> None:
    told = shown(exchange(LOGIN, json.dumps({"token": TOKEN}).encode()))
    assert told.view_name == "Symphony JSON"
    assert told.syntax_highlight == "yaml"
    assert "pricing-bot" in told.text
    assert "expires in" in told.text
    assert SIGNATURE not in told.text


def test_a_batch_of_a_datafeed_is_a_list_of_events() -> None:
    batch = {"events": [{"type": "ROOMCREATED", "timestamp": 1_795_356_300_000}], "ackId": "a"}
    for path in (READ, "/agent/v5/events/read", "/gateway" + READ, READ + "?x=1"):
        told = shown(exchange(path, json.dumps(batch).encode()))
        assert told.view_name == "Symphony events"
        assert "2026-11-22 14:05:00 UTC  ROOMCREATED" in told.text
    old = shown(exchange("/agent/v4/datafeed/abc/read", json.dumps(batch["events"]).encode()))
    assert old.view_name == "Symphony events"


def test_an_error_of_a_datafeed_is_json() -> None:
    flow = exchange(READ, b'{"code": 400, "message": "no feed"}')
    assert flow.response is not None
    flow.response.status_code = 400
    assert shown(flow).view_name == "Symphony JSON"


def test_a_message_is_read_out_of_its_form() -> None:
    flow = exchange(CREATE, body=FORM, sent_as="multipart/form-data; boundary=b")
    told = contentviews.prettify_message(flow.request, flow)
    assert told.view_name == "Symphony message"
    assert "    Hello you\n" in told.text


def test_a_compressed_body_is_read_too() -> None:
    flow = exchange(LOGIN, json.dumps({"token": TOKEN}).encode())
    assert flow.response is not None
    flow.response.encode("gzip")
    assert shown(flow).view_name == "Symphony JSON"


@pytest.mark.parametrize("host", ["agent.acme.example", "km.acme.example", "other.symphony.com"])
def test_every_configured_host_and_the_cloud_are_symphony(host: str) -> None:
    assert shown(exchange("/x", host=host)).view_name == "Symphony JSON"


@pytest.mark.parametrize("host", ["example.com", "evilsymphony.com", "acme.symphony.com.evil.com"])
@pytest.mark.parametrize("path", [READ, LOGIN, CREATE, "/"])
def test_other_hosts_are_left_to_mitmproxy(host: str, path: str) -> None:
    flow = exchange(
        path, b'{"events": []}', host=host, body=FORM, sent_as="multipart/form-data; boundary=b"
    )
    assert shown(flow).view_name == "JSON"
    assert contentviews.prettify_message(flow.request, flow).view_name == "Multipart Form"


@pytest.mark.parametrize(
    ("answer", "answered_as", "view"),
    [
        (b"<html></html>", "text/html", "XML/HTML"),
        (b"plain", "text/plain", "Raw"),
        (b"", "application/json", "Raw"),
        (b"nonsense", None, "Raw"),
    ],
)
def test_what_is_no_json_is_left_to_mitmproxy(
    answer: bytes, answered_as: str | None, view: str
) -> None:
    told = shown(exchange("/pod/v1/x", answer, answered_as=answered_as))
    assert told.view_name not in OURS
    if answer:
        assert told.view_name == view


@pytest.mark.parametrize("answer", [b"{", b"[" * 200_000, b"\xff\xfe", b'{"a": tru}'])
@pytest.mark.parametrize("path", [READ, LOGIN])
def test_what_cannot_be_read_falls_back_to_raw(path: str, answer: bytes) -> None:
    assert shown(exchange(path, answer)).view_name == "Raw"


def test_longer_bodies_than_are_held_are_left_alone() -> None:
    data = b"[" + b"1," * (4 * 1024 * 1024) + b"1]"
    view = contentviews.registry["symphony json"]
    flow = exchange("/pod/v1/x", data)
    metadata = Metadata(flow=flow, content_type="application/json", http_message=flow.response)
    assert view.render_priority(data[: 1024 * 1024], metadata) > 1
    assert view.render_priority(data, metadata) < 0


def _metadata(path: str, kind: str | None, message: str) -> Metadata:
    if message == "tcp":
        return Metadata(flow=tflow.ttcpflow(), content_type=kind)
    flow = exchange("/", sent_as="multipart/form-data; boundary=b")
    flow.request.path = path
    chosen: Any = getattr(flow, message, None)
    return Metadata(None if message == "no flow" else flow, kind, chosen)


METADATA = st.builds(
    _metadata,
    st.sampled_from([READ, LOGIN, CREATE, "", "/\x00", "*"]),
    st.none() | st.sampled_from(["application/json", "multipart/form-data"]) | st.text(),
    st.sampled_from(["request", "response", "none", "no flow", "tcp"]),
)


@pytest.mark.parametrize("name", sorted(OURS))
@given(data=st.binary() | st.just(FORM) | st.just(b'{"events": [{}]}'), metadata=METADATA)
def test_a_view_never_fails_but_by_a_value_error(
    name: str, data: bytes, metadata: Metadata
) -> None:
    view = contentviews.registry[name]
    assert isinstance(view.render_priority(data, metadata), float)
    try:
        assert isinstance(view.prettify(data, metadata), str)
    except ValueError:
        return


def test_a_second_addon_in_the_process_registers_nothing_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    views.install(State())
    assert "Replacing" not in caplog.text


def test_without_a_configuration_the_cloud_is_still_known() -> None:
    views.install(State())
    assert shown(exchange("/x")).view_name == "Symphony JSON"
    assert shown(exchange("/x", host="agent.acme.example")).view_name == "JSON"
