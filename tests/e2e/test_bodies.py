"""Bodies of all sizes, long polls and streams arrive as they were sent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import httpx
import pytest

from support.proxy import Proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox


def create(sandbox: Sandbox, client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post(
        f"{sandbox.url(Component.AGENT)}/agent/v4/stream/{sandbox.room}/message/create",
        data={"message": "<messageML>file</messageML>"},
        files={"attachment": ("file.bin", content)},
    )


@pytest.mark.parametrize("size", [1_000, 5_000_000])
def test_an_attachment_arrives_whole(sandbox: Sandbox, client: httpx.Client, size: int) -> None:
    content = bytes(range(256)) * (size // 256)
    answer = create(sandbox, client, content)
    assert answer.status_code == 200
    [attachment] = answer.json()["attachments"]
    assert attachment["size"] == len(content)


def test_an_upload_of_unknown_length_arrives_whole(sandbox: Sandbox, client: httpx.Client) -> None:
    boundary = "frontier"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="message"\r\n\r\n'
        f"<messageML>big</messageML>\r\n--{boundary}\r\n"
        'Content-Disposition: form-data; name="attachment"; filename="a.bin"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    sent = hashlib.sha256(head)

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(50):
            sent.update(b"z" * 65_536)
            yield b"z" * 65_536
        sent.update(tail)
        yield tail

    answer = client.post(
        f"{sandbox.url(Component.AGENT)}/agent/v4/stream/{sandbox.room}/message/create",
        content=chunks(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    assert answer.status_code == 200
    [call] = [r for r in sandbox.requests if r.path.endswith("/message/create")]
    assert call.body_sha256 == sent.hexdigest()


def test_a_long_poll_is_held_until_an_event_arrives(sandbox: Sandbox, client: httpx.Client) -> None:
    feeds = f"{sandbox.url(Component.AGENT)}/agent/v5/datafeeds"
    feed = client.post(feeds).json()["id"]
    answers: list[httpx.Response] = []

    def read() -> None:
        answers.append(client.post(f"{feeds}/{feed}/read", json={"ackId": ""}))

    reader = threading.Thread(target=read)
    reader.start()
    sandbox.wait_for(lambda arrived: any(r.path.endswith("/read") for r in arrived))
    assert not answers
    sandbox.post("good morning")
    reader.join(20)
    [answer] = answers
    assert "good morning" in str(answer.json()["events"])


def test_a_revoked_session_in_a_long_poll_heals_without_losing_the_feed(
    sandbox: Sandbox, client: httpx.Client, proxy: Proxy
) -> None:
    feeds = f"{sandbox.url(Component.AGENT)}/agent/v5/datafeeds"
    feed = client.post(feeds).json()["id"]
    sandbox.revoke("pricing-bot")
    sandbox.post("after the session died")
    answer = client.post(f"{feeds}/{feed}/read", json={"ackId": ""})
    assert answer.status_code == 200
    assert "after the session died" in str(answer.json()["events"])
