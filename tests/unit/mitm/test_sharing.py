"""Captures, turned into ones that are safe to send."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import brotli
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.flow import Flow
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from support.canaries import Canaries
from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.inspection.people_words import Bodies
from symphony_auth_proxy.inspection.redaction import people_see
from symphony_auth_proxy.inspection.secret_kinds import Kind
from symphony_auth_proxy.mitm.sharing import Report, share
from symphony_auth_proxy.secret import Secret

SESSION = jwt.encode({"sub": "pricing-bot", "exp": 4_102_444_800}, "k" * 64, "HS512")
KEY_MANAGER = "0100" + "8c3fd17be2" * 38
PASSWORD = "Open-Sesame-4711"
COOKIE = "a-cookie-value-that-is-long-enough"
SECRETS = {"session": SESSION, "key manager": KEY_MANAGER, "password": PASSWORD, "cookie": COOKIE}

POD, AGENT = "https://acme.symphony.com/pod", "https://acme.symphony.com/agent"


def canaries() -> Canaries:
    found = Canaries()
    for kind, secret in SECRETS.items():
        found.add(kind, secret)
    return found


def exchange(
    url: str = f"{AGENT}/v1/info",
    headers: dict[str, str] | None = None,
    content: bytes = b"",
    answer: http.Response | None = None,
) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("POST", url, content, headers or {})
    flow.response = answer or http.Response.make(200, b"{}", {"content-type": "application/json"})
    for message in (flow.request, flow.response):
        message.timestamp_start, message.timestamp_end = 1.0, 2.0
    return flow


def telling() -> http.HTTPFlow:
    """A flow from which all secrets are learned."""
    basic = base64.b64encode(f"pricing:{PASSWORD}".encode()).decode()
    return exchange(
        headers={
            "sessionToken": SESSION,
            "key_manager_token": KEY_MANAGER,
            "Proxy-Authorization": f"Basic {basic}",
            "Cookie": f"lang=en; skey={COOKIE}",
        }
    )


def saved(flows: Iterable[Flow], path: Path) -> Path:
    with path.open("wb") as file:
        writer = FlowWriter(file)
        for flow in flows:
            writer.add(flow)
    return path


def read(path: Path) -> list[Any]:
    with path.open("rb") as file:
        return list(FlowReader(file).stream())


def shared(flows: Iterable[Flow], directory: Path, bodies: Bodies = Bodies.KEEP) -> list[Any]:
    out = directory / "out.mitm"
    share(saved(flows, directory / "in.mitm"), out, bodies=bodies, replace=True)
    assert canaries().found_in(out.read_bytes()) == set()
    return read(out)


def tcp(*parts: tuple[bool, bytes]) -> Flow:
    flow = tflow.ttcpflow()
    (first, *_) = flow.messages
    flow.messages = [type(first)(way, content) for way, content in parts]
    return flow


def websocket(text: str) -> Flow:
    flow = tflow.twebsocketflow()
    flow.websocket.messages[0].content = text.encode()
    return flow


def changed(**attributes: Any) -> http.HTTPFlow:
    flow = exchange()
    for name, value in attributes.items():
        setattr(flow, name, value)
    return flow


def with_answer(content: bytes, **headers: str) -> http.HTTPFlow:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = http.Response.make(200, b"", named)
    answer.raw_content = content
    return exchange(answer=answer)


def edited() -> http.HTTPFlow:
    flow = telling()
    flow.backup()
    flow.request.headers.clear()
    return flow


def with_trailer() -> http.HTTPFlow:
    flow = exchange()
    flow.response.trailers = http.Headers(x=KEY_MANAGER)
    return flow


def with_error() -> http.HTTPFlow:
    flow = tflow.tflow(err=True)
    flow.error.msg = f"cannot parse {KEY_MANAGER}"
    return flow


def dns() -> Flow:
    flow = tflow.tdnsflow(resp=True)
    flow.request.questions[0].name = f"{COOKIE}.example.com"
    return flow


def datagram() -> Flow:
    flow = tflow.tudpflow()
    flow.messages[0].content = COOKIE.encode()
    return flow


FIELD = f'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{COOKIE}\r\n--x--'

PLACES: dict[str, Callable[[], Flow]] = {
    "a body": lambda: with_answer(f"no session {KEY_MANAGER}".encode()),
    "the end of one alone": lambda: with_answer(f"…{KEY_MANAGER[-40:]}".encode()),
    "a signature alone": lambda: with_answer(SESSION.rpartition(".")[2].encode()),
    "gzip": lambda: with_answer(gzip.compress(PASSWORD.encode()), content_encoding="gzip"),
    "deflate": lambda: with_answer(zlib.compress(PASSWORD.encode()), content_encoding="deflate"),
    "brotli in gzip": lambda: with_answer(
        gzip.compress(brotli.compress(SESSION.encode())), content_encoding="br, gzip"
    ),
    "UTF-16": lambda: with_answer(
        SESSION.encode("utf-16"), content_type="text/plain; charset=utf-16"
    ),
    "a multipart form": lambda: exchange(
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        content=FIELD.encode(),
    ),
    "a query": lambda: exchange(f"{POD}/v1/x?access_token={SESSION}"),
    "a path": lambda: exchange(f"{POD}/v1/{KEY_MANAGER}"),
    "user information": lambda: exchange(headers={"Referer": f"http://me:{PASSWORD}@acme/"}),
    "a header": lambda: exchange(headers={"X-Trace": f"for {COOKIE}"}),
    "Set-Cookie": lambda: with_answer(b"", set_cookie=f"kmsession={COOKIE}; Secure"),
    "trailers": with_trailer,
    "an error": with_error,
    "the reason phrase": lambda: changed(
        response=http.Response(
            b"HTTP/1.1", 401, f"No {COOKIE}".encode(), http.Headers(), b"", None, 1, 2
        )
    ),
    "the comment": lambda: changed(comment=f"is it {KEY_MANAGER}?"),
    "metadata": lambda: changed(metadata={"proxyauth": ("pricing", PASSWORD), "note": SESSION}),
    "an edited flow": edited,
    "a WebSocket message": lambda: websocket(f'{{"hello": "{COOKIE}"}}'),
    "two segments": lambda: tcp(
        (True, COOKIE[:9].encode()), (False, b"?"), (True, COOKIE[9:].encode())
    ),
    "a datagram": datagram,
    "a DNS question": dns,
}


@pytest.mark.parametrize("target", ["mitm", "har"])
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_found_in(place: str, target: str, tmp_path: Path) -> None:
    capture = saved([PLACES[place](), telling()], tmp_path / "in.mitm")
    before = canaries().found_in(b"\n".join(str(f.get_state()).encode() for f in read(capture)))
    assert before, "the search would find it"
    out = tmp_path / f"out.{target}"
    report = share(capture, out, bodies=Bodies.KEEP)
    assert canaries().found_in(out.read_bytes()) == set()
    assert report.flows + report.left_out == len(read(out)) + report.left_out == 2
    assert {"#" + one.secret.fingerprint() for one in report.findings} >= {
        "#" + Secret(secret).fingerprint() for secret in (SESSION, KEY_MANAGER, COOKIE)
    }


LOGIN = '{"name": "sessionToken", "token": "an-opaque-one-of-17"}'
PACKED = gzip.compress(LOGIN.encode())


@pytest.mark.parametrize(
    "content",
    [
        PACKED,
        b"head\r\n" + gzip.compress(PACKED) + b"\r\nfoot",
        PACKED[:-9],
        json.dumps({"upload": base64.b64encode(PACKED).decode()}).encode(),
        *(LOGIN.encode(charset) for charset in ("utf-16-le", "utf-16-be", "utf-32", "utf-32-be")),
    ],
    ids=["gzip", "in a form", "cut off", "Base64", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32BE"],
)
def test_what_no_header_tells_is_unpacked_and_read(content: bytes, tmp_path: Path) -> None:
    capture, out = saved([with_answer(content)], tmp_path / "in.mitm"), tmp_path / "out.mitm"
    (secret,) = share(capture, out, bodies=Bodies.KEEP).findings
    assert secret.secret == Secret("an-opaque-one-of-17")


def test_what_unpacks_without_end_goes(tmp_path: Path) -> None:
    (flow,) = shared([with_answer(gzip.compress(bytes(17 << 20)))], tmp_path)
    assert flow.response.raw_content == b"[dropped: more than can be searched]"


def test_what_is_shown_is_what_live_flows_show(tmp_path: Path) -> None:
    (flow,) = shared([telling()], tmp_path)
    headers = flow.request.headers
    assert headers["sessionToken"] == masked(SESSION)
    assert headers["key_manager_token"] == masked(KEY_MANAGER)
    assert headers["Proxy-Authorization"].startswith("Basic [sealed pricing #")
    assert headers["Cookie"] == f"lang={masked('en')}; skey={masked(COOKIE)}"


def test_bodies_stay_readable_and_their_length_is_told(tmp_path: Path) -> None:
    body = json.dumps({"token": KEY_MANAGER, "name": "keyManagerToken"}).encode()
    headers = {
        "content_encoding": "gzip",
        "content_length": "999",
        "content_type": "application/json",
    }
    (flow,) = shared([with_answer(gzip.compress(body), **headers)], tmp_path)
    assert flow.response.json() == {"token": masked(KEY_MANAGER), "name": "keyManagerToken"}
    assert "content-encoding" not in flow.response.headers
    assert flow.response.headers["content-length"] == str(len(flow.response.raw_content))


def test_what_cannot_be_decoded_cannot_be_searched_and_goes(tmp_path: Path) -> None:
    (flow,) = shared(
        [with_answer(b"no gzip " + SESSION.encode(), content_encoding="gzip")], tmp_path
    )
    assert flow.response.raw_content == b"[dropped: a body that could not be decoded]"


def test_of_a_secret_in_two_segments_no_part_is_left(tmp_path: Path) -> None:
    request = f"GET / HTTP/1.1\r\nsessionToken: {KEY_MANAGER}\r\n\r\n".encode()
    flow = tcp((True, request[:200]), (False, b"meanwhile"), (True, request[200:]))
    (copy,) = shared([flow], tmp_path)
    assert [(one.from_client, one.content) for one in copy.messages] == [
        (True, f"GET / HTTP/1.1\r\nsessionToken: {masked(KEY_MANAGER)}".encode()),
        (False, b"meanwhile"),
        (True, b"\r\n\r\n"),
    ]


def test_nothing_but_secrets_is_changed(tmp_path: Path) -> None:
    flow = with_answer(b'{"code":401,"message":"Invalid session"}', content_type="application/json")
    flow.request.path = "/pod/v2/sessioninfo?uid=71811853189212"
    (copy,) = shared([flow], tmp_path)
    assert copy.get_state() == flow.get_state()


@pytest.mark.parametrize("suffix", ["mitm", "har"])
def test_sharing_what_was_shared_changes_nothing(suffix: str, tmp_path: Path) -> None:
    flows = [telling(), *(place() for place in PLACES.values())]
    once, twice = tmp_path / f"once.{suffix}", tmp_path / f"twice.{suffix}"
    share(saved(flows, tmp_path / "in.mitm"), once, bodies=Bodies.DROP)
    report = share(once, twice, bodies=Bodies.DROP)
    assert twice.read_bytes() == once.read_bytes()
    assert report.findings == ()


def of_kind(kind: Kind) -> Callable[[Kind, Secret], str]:
    return lambda found, secret: secret.reveal() if found is kind else people_see(found, secret)


@pytest.mark.parametrize("suffix", ["mitm", "har"])
@pytest.mark.parametrize(
    ("kind", "secret"),
    [(Kind.SESSION_TOKEN, SESSION), (Kind.KEY_MANAGER_TOKEN, KEY_MANAGER), (Kind.COOKIE, COOKIE)],
)
def test_a_secret_that_is_left_is_named_and_nothing_is_written(
    kind: Kind, secret: str, suffix: str, tmp_path: Path
) -> None:
    capture = saved([exchange(), telling()], tmp_path / "in.mitm")
    with pytest.raises(SymphonyAuthProxyError) as refused:
        share(capture, tmp_path / f"out.{suffix}", bodies=Bodies.KEEP, masker=of_kind(kind))
    assert f"a {kind} (#{Secret(secret).fingerprint()})" in str(refused.value)
    assert "(flow 2, request › " in str(refused.value)
    assert secret[-20:] not in str(refused.value)
    assert list(tmp_path.iterdir()) == [capture], "nor is anything left behind"


def test_a_signed_token_that_nobody_learned_is_found_by_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = saved([with_answer(SESSION.encode())], tmp_path / "in.mitm")
    monkeypatch.setattr("symphony_auth_proxy.inspection.redaction.traces", lambda _text: ())
    with pytest.raises(SymphonyAuthProxyError, match="nothing was written: a signed token"):
        share(capture, tmp_path / "out.mitm", bodies=Bodies.KEEP)


@pytest.mark.parametrize("bodies", Bodies)
def test_people_s_words_are_kept_shortened_or_dropped(bodies: Bodies, tmp_path: Path) -> None:
    words = "Sell everything on Monday, before the news"
    event = {"type": "MESSAGESENT", "payload": {"messageSent": {"message": {
        "messageId": "Zk2", "message": f"<div>{words}</div>", "user": {"userId": 7},
        "attachments": [{"id": "a1", "name": "Monday.xlsx", "size": 9}]}}}}  # fmt: skip
    answer = http.Response.make(200, json.dumps([event]), {"content-type": "application/json"})
    form = (
        '--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n'
        f'{words}\r\n--x\r\nContent-Disposition: form-data; name="version"\r\n\r\n2.0\r\n--x--\r\n'
    )
    typed = {"Content-Type": "multipart/form-data; boundary=x"}
    read_events, create, attachment, refused = shared(
        [
            exchange(f"{AGENT}/v5/datafeeds/abc/read", answer=answer),
            exchange(f"{AGENT}/v4/stream/s/message/create", typed, form.encode()),
            exchange(f"{AGENT}/v1/stream/s/attachment", answer=http.Response.make(200, "U2VsbA==")),
            exchange(
                f"{AGENT}/v4/stream/s/message/create",
                answer=http.Response.make(400, '{"code": 400, "message": "Message is too long"}'),
            ),
        ],
        tmp_path,
        bodies,
    )
    message = read_events.response.json()[0]["payload"]["messageSent"]["message"]
    assert (message["messageId"], message["user"]) == ("Zk2", {"userId": 7})
    assert (message["attachments"][0]["id"], message["attachments"][0]["size"]) == ("a1", 9)
    shown = {
        Bodies.KEEP: (f"<div>{words}</div>", "Monday.xlsx", words, "U2VsbA=="),
        Bodies.SHORTEN: (
            "<div>Sell everything... [53 characters]",
            "Monday.xlsx",
            "Sell everything on M... [42 characters]",
            "U2VsbA==",
        ),
        Bodies.DROP: (
            "[dropped: 53 characters]",
            "[dropped: 11 characters]",
            "[dropped: 42 characters]",
            "[dropped: 8 characters]",
        ),
    }[bodies]
    assert (message["message"], message["attachments"][0]["name"]) == shown[:2]
    assert f"\r\n\r\n{shown[2]}\r\n--x" in create.request.text
    assert 'name="version"\r\n\r\n2.0\r\n' in create.request.text
    assert attachment.response.text == shown[3]
    assert refused.response.json()["message"] == "Message is too long"


def into_comment(flow: http.HTTPFlow, text: str) -> None:
    flow.comment = text


def into_header(flow: http.HTTPFlow, text: str) -> None:
    flow.request.headers.fields = ((b"x", text.encode()),)


def into_path(flow: http.HTTPFlow, text: str) -> None:
    flow.request.data.path = b"/" + text.encode()


def into_body(flow: http.HTTPFlow, text: str) -> None:
    flow.response.raw_content = text.encode()


def into_json(flow: http.HTTPFlow, text: str) -> None:
    flow.response.raw_content = json.dumps({"x": [text]}).encode()


def into_base64(flow: http.HTTPFlow, text: str) -> None:
    flow.response.raw_content = base64.b64encode(text.encode())


def into_gzip(flow: http.HTTPFlow, text: str) -> None:
    flow.response.headers["content-encoding"] = "gzip"
    flow.response.raw_content = gzip.compress(text.encode())


WAYS = [into_comment, into_header, into_path, into_body, into_json, into_base64, into_gzip]


@given(
    secret=st.sampled_from([KEY_MANAGER, SESSION, PASSWORD, COOKIE]),
    around=st.tuples(st.text(max_size=20), st.text(max_size=20)),
    into=st.sampled_from(WAYS),
    suffix=st.sampled_from(["mitm", "har"]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_stands_around_it_a_secret_is_found(
    secret: str,
    around: tuple[str, str],
    into: Callable[[http.HTTPFlow, str], None],
    suffix: str,
    tmp_path: Path,
) -> None:
    flow = exchange()
    into(flow, secret.join(around))
    out = tmp_path / f"out.{suffix}"
    capture = saved([flow, telling()], tmp_path / "in.mitm")
    share(capture, out, bodies=Bodies.KEEP, replace=True)
    assert canaries().found_in(out.read_bytes()) == set()


def test_time_grows_with_the_number_of_flows_only(tmp_path: Path) -> None:
    """Not with the number of secrets times the number of bytes."""

    def many(count: int) -> Path:
        flows = []
        for number in range(count):
            token = "0100" + f"{number:08x}" * 40
            flows.append(exchange(headers={"keyManagerToken": token}, content=b"x" * 2000))
        return saved(flows, tmp_path / f"{count}.mitm")

    report = share(many(1000), tmp_path / "out.mitm", bodies=Bodies.DROP)
    assert (report.flows, len(report.findings)) == (1000, 1000)


def test_a_report_counts(tmp_path: Path) -> None:
    flows = [telling(), telling(), tcp((True, b"x"))]
    report = share(saved(flows, tmp_path / "in.mitm"), tmp_path / "o.har", bodies=Bodies.DROP)
    assert isinstance(report, Report)
    assert (report.flows, report.left_out, report.broken_off) == (2, 1, False)
    session = next(one for one in report.findings if one.kind is Kind.SESSION_TOKEN)
    assert session.secret == Secret(SESSION)
    assert session.places == 2
