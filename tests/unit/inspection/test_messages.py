"""Messages out of their forms."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.jwts import unsigned_jwt
from symphony_auth_proxy.inspection.messages import pretty_message
from symphony_auth_proxy.inspection.page import LONGEST_PAGE

NOW = 1_795_356_300.0
FORM = "multipart/form-data; boundary=b"
MESSAGE = '<messageML>Prices &amp; more for <mention email="alice@acme.example"/></messageML>'


def sent(files: dict[str, tuple[str, bytes, str]] | None = None, **fields: str) -> str:
    """The page about a form as a real client writes it."""
    parts = {name: (None, value) for name, value in fields.items()} | (files or {})
    request = httpx.Request("POST", "https://acme.symphony.com", files=parts)  # type: ignore[arg-type]
    return pretty_message(request.read(), request.headers["Content-Type"], NOW)


def part(head: str, content: str) -> bytes:
    return f"--b\r\n{head}\r\n\r\n{content}\r\n".encode()


def test_a_message_is_read_without_tags_and_with_them() -> None:
    shown = sent(message=MESSAGE, version="2.0")
    assert "message:\n    Prices & more for @alice@acme.example\n" in shown
    assert f"as MessageML:\n    {MESSAGE}\n" in shown
    assert "version: 2.0" in shown


def test_data_is_json_with_its_tokens_decoded() -> None:
    token = unsigned_jwt("c2lnbmF0dXJlLWNhbmFyeQ", exp=NOW + 720)
    shown = sent(message=token, data=json.dumps({"quote": {"token": token}}), version=token)
    assert '    {\n      "quote": {' in shown
    assert "(expires in 12 min)" in shown
    assert "c2lnbmF0dXJlLWNhbmFyeQ" not in shown


def test_data_that_is_no_json_is_shown_as_it_is() -> None:
    assert "data:\n    {not json" in sent(message="x", data="{not json")


def test_files_are_named_and_measured_and_not_shown() -> None:
    shown = sent({"attachment": ("Preise für ACME.pdf", b"%PDF-canary", "application/pdf")})
    assert "attachment: Preise für ACME.pdf · application/pdf · 11 bytes" in shown
    assert "canary" not in shown


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ('content-disposition: form-data; name="attachment"; filename="a\\"b.txt"', 'a"b.txt'),
        ("Content-Disposition: form-data; name=attachment; filename=plain.txt", "plain.txt"),
        (
            "Content-Disposition: form-data; name=\"attachment\"; filename*=UTF-8''%e2%82%ac.txt",
            "€.txt",
        ),
        ('Content-Disposition: form-data; name="attachment"; filename="a\nb"', "a b"),
        ('Content-Disposition: form-data; name="attachment"', "6 bytes"),
    ],
)
def test_file_names_are_read_as_browsers_write_them(head: str, told: str) -> None:
    assert told in pretty_message(part(head, "canary") + b"--b--\r\n", FORM, NOW)


def test_several_streams_of_a_blast_are_told() -> None:
    shown = sent(sids="one,two", message="hello")
    assert "sids: one,two" in shown


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", FORM),
        (b"nonsense", FORM),
        (b"--b--\r\n", FORM),
        (part("", ""), "multipart/form-data"),
        (part("", ""), "multipart/form-data; boundary="),
        (part("", ""), "text/plain"),
    ],
)
def test_what_is_no_form_is_a_value_error(data: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pretty_message(data, content_type, NOW)


@given(
    st.lists(st.tuples(st.text(max_size=80), st.binary(max_size=80)), min_size=1),
    st.sampled_from(["message", "data", "version", "attachment", ""]),
)
def test_whatever_comes_is_a_page_or_a_value_error(
    parts: list[tuple[str, bytes]], name: str
) -> None:
    data = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"; {head}'.encode(errors="replace")
        + b"\r\n\r\n"
        + content
        + b"\r\n"
        for head, content in parts
    )
    try:
        shown = pretty_message(data, FORM, NOW)
    except ValueError:
        return
    assert "\x1b" not in shown


PIECES = [b"--b\r\n\r\n", b"\r\n--b\r\n", b"\r\n--", b"\r\n", b'; name="', b"<"]


@pytest.mark.parametrize("piece", PIECES)
def test_eight_megabytes_are_a_page_in_bounded_time(piece: bytes) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\n'
    data = head + piece * (8 * 1024 * 1024 // len(piece)) + b"\r\n--b--\r\n"
    before = time.process_time()
    with suppress(ValueError):
        assert len(pretty_message(data, FORM, NOW)) < 2 * LONGEST_PAGE
    assert time.process_time() - before < 3.0
