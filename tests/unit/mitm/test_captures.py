"""Captures are read as far as they go, and HAR documents of whoever made them."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.inspection.people_words import Bodies
from symphony_auth_proxy.mitm.captures import Capture
from symphony_auth_proxy.mitm.sharing import share
from symphony_auth_proxy.secret import Secret

TOKEN = "an-opaque-token-of-a-client"
SEALED = f"[sealed #{Secret(TOKEN).fingerprint()}]"
IN_URL = f"sealed-{Secret(TOKEN).fingerprint()}"


def entries(path: Path) -> tuple[int, bool]:
    capture = Capture(path)
    return len(list(capture.entries(lambda _done: None))), capture.broken_off


def dump(path: Path, count: int = 3) -> bytes:
    with path.open("wb") as file:
        for _ in range(count):
            FlowWriter(file).add(tflow.tflow(resp=True))
    return path.read_bytes()


def browser_entry(**changes: Any) -> dict[str, Any]:
    """As Chromium writes it, with members that no standard knows."""
    return {
        "_initiator": {"type": "script", "stack": {"callFrames": [{"url": f"https://a/?token={TOKEN}"}]}},
        "_priority": "High",
        "startedDateTime": "2026-01-02T03:04:05.678Z",
        "time": 12.5,
        "timings": {"send": 1, "wait": 10, "receive": 1.5},
        "cache": {},
        "pageref": "page_1",
        "serverIPAddress": "127.0.0.1",
        "request": {
            "method": "POST",
            "url": f"https://acme.symphony.com/pod/v1/x?token={TOKEN}",
            "httpVersion": "h2",
            "headers": [
                {"name": "cookie", "value": f"skey={TOKEN}"},
                {"name": "sessiontoken", "value": TOKEN},
            ],
            "cookies": [{"name": "skey", "value": TOKEN, "httpOnly": True}],
            "queryString": [{"name": "token", "value": TOKEN}],
            "headersSize": -1,
            "bodySize": 33,
            "postData": {
                "mimeType": "application/x-www-form-urlencoded",
                "params": [{"name": "appToken", "value": TOKEN}],
            },
        },
        "response": {
            "status": 200,
            "statusText": "",
            "httpVersion": "h2",
            "headers": [
                {"name": "set-cookie", "value": f"skey={TOKEN}; Secure\nkmsession={TOKEN}"},
                {"name": "Content-Length", "value": "30"},
            ],
            "cookies": [{"name": "skey", "value": TOKEN}],
            "content": {"size": 30, "mimeType": "text/plain", "text": f"no {TOKEN}"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": 30,
        },
        **changes,
    }  # fmt: skip


def har(path: Path, *found: object) -> Path:
    pages = [{"id": "page_1", "title": f"https://acme/?token={TOKEN}"}]
    path.write_text(json.dumps({"log": {"version": "1.2", "pages": pages, "entries": found}}))
    return path


def shared_har(path: Path) -> dict[str, Any]:
    out = path.with_name("out.har")
    share(path, out, bodies=Bodies.KEEP)
    assert TOKEN not in out.read_text()
    log = json.loads(out.read_text())["log"]
    assert isinstance(log, dict)
    return log


def test_a_browser_s_document_keeps_all_its_members(tmp_path: Path) -> None:
    log = shared_har(har(tmp_path / "in.har", browser_entry()))
    (entry,) = log["entries"]
    assert log["pages"][0]["title"] == f"https://acme/?token={IN_URL}"
    assert entry["_initiator"]["stack"]["callFrames"][0]["url"] == f"https://a/?token={IN_URL}"
    assert (entry["time"], entry["timings"]["wait"], entry["_priority"]) == (12.5, 10, "High")
    request, response = entry["request"], entry["response"]
    assert request["url"] == f"https://acme.symphony.com/pod/v1/x?token={IN_URL}"
    assert request["queryString"] == [{"name": "token", "value": IN_URL}]
    assert request["cookies"] == [{"name": "skey", "value": SEALED, "httpOnly": True}]
    assert request["headers"][0]["value"] == f"skey={SEALED}"
    assert request["postData"]["params"] == [{"name": "appToken", "value": IN_URL}]
    assert response["headers"][0]["value"] == f"skey={SEALED}; Secure\nkmsession={SEALED}"
    assert response["content"]["text"] == f"no {SEALED}"
    length = len(f"no {SEALED}")
    assert (response["bodySize"], response["content"]["size"]) == (length, length)
    assert response["headers"][1] == {"name": "Content-Length", "value": str(length)}


def test_a_body_in_base64_is_looked_into(tmp_path: Path) -> None:
    body = base64.b64encode(b"\xff\xfe\x00" + f"token={TOKEN}".encode()).decode()
    content = {"size": 1, "mimeType": "image/png", "encoding": "base64", "text": body}
    entry = browser_entry()
    entry["response"]["content"] = content
    log = shared_har(har(tmp_path / "in.har", entry))
    shown = base64.b64decode(log["entries"][0]["response"]["content"]["text"])
    assert shown == b"\xff\xfe\x00" + f"token={IN_URL}".encode()


def test_a_har_document_becomes_flows(tmp_path: Path) -> None:
    out = tmp_path / "out.mitm"
    report = share(
        har(tmp_path / "in.har", browser_entry(), {"request": 7}), out, bodies=Bodies.KEEP
    )
    with out.open("rb") as file:
        (flow,) = FlowReader(file).stream()
    assert flow.request.headers["sessiontoken"] == SEALED  # type: ignore[attr-defined]
    assert (report.flows, report.unreadable) == (1, 1)


def test_what_mitmproxy_dumps_as_har_is_read_compressed_or_not(tmp_path: Path) -> None:
    document = json.dumps(SaveHar().make_har([tflow.tflow(resp=True)] * 3)).encode()
    for name, data in {"a.har": document, "a.zhar": zlib.compress(document)}.items():
        (tmp_path / name).write_bytes(data)
        assert entries(tmp_path / name) == (3, False)


@pytest.mark.parametrize("cut", [1, 10, 400])
def test_of_what_is_cut_off_the_rest_is_read(cut: int, tmp_path: Path) -> None:
    flows = tmp_path / "in.mitm"
    flows.write_bytes(dump(flows)[:-cut])
    assert entries(flows) == (2, True)
    document = har(tmp_path / "in.har", browser_entry(), browser_entry(), browser_entry())
    document.write_text(document.read_text()[: -cut - 3])
    assert entries(document) == (2, True)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n", b"{}", b'{"log": 7}', b"12:hello", b"5:hello,", b"{ no"]
)
def test_what_is_no_capture_is_refused_without_being_quoted(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(data)
    with pytest.raises(SymphonyAuthProxyError, match="neither a capture") as refused:
        entries(path)
    assert "hello" not in str(refused.value)
    assert refused.value.hint()


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    dump(tmp_path / "in.mitm")
    done: list[float] = []
    list(Capture(tmp_path / "in.mitm").entries(done.append))
    assert done == sorted(done)
    assert done[-1] == 1
