"""Messages and attachments, small and large, of known and of unknown length."""

import base64
import hashlib
import os

import pytest

CREATE = "/agent/v4/stream/{}/message/create"


@pytest.fixture
def room(sandbox):
    return sandbox.room


def create(bot, room, text="<messageML>Hello</messageML>", files=None, **more):
    form = {"message": (None, text)} | (files or {})
    return bot.agent("POST", CREATE.format(room), files=form, **more)


def test_a_message_is_sent_and_read_back(bot, room):
    sent = create(bot, room).json()
    read = bot.agent("GET", f"/agent/v4/stream/{room}/message?since=0").json()

    assert read == [sent]
    assert ">Hello</div>" in sent["message"]
    assert sent["user"]["username"] == "pricing-bot"
    assert sent["stream"] == {"streamId": room, "streamType": "ROOM"}


def test_data_travels_with_the_message(bot, room):
    assert create(bot, room, files={"data": (None, '{"a": 1}')}).json()["data"] == '{"a": 1}'


def test_an_empty_stream_is_a_204(bot, room):
    answer = bot.agent("GET", f"/agent/v4/stream/{room}/message?since=0")
    assert (answer.status_code, answer.content) == (204, b"")


def test_lists_of_messages_come_in_chunks_newest_first(bot, room, sandbox):
    for number in range(3):
        sandbox.post(f"number {number}")

    answer = bot.agent("GET", f"/agent/v4/stream/{room}/message?since=0&skip=1&limit=1")

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert [">number 1</div>" in one["message"] for one in answer.json()] == [True]


def test_since_is_required(bot, room):
    assert bot.agent("GET", f"/agent/v4/stream/{room}/message").status_code == 400
    assert bot.agent("GET", f"/agent/v4/stream/{room}/message?since=then").status_code == 400


def test_an_attachment_of_5_mb_comes_back_as_base64_of_known_length(bot, room):
    content = os.urandom(5 * 1024 * 1024)
    sent = create(bot, room, files={"attachment": ("big.bin", content)}).json()
    about = sent["attachments"][0]

    query = {"messageId": sent["messageId"], "fileId": about["id"]}
    answer = bot.agent("GET", f"/agent/v1/stream/{room}/attachment", params=query)

    assert (about["name"], about["size"]) == ("big.bin", len(content))
    assert base64.b64decode(answer.content) == content
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert bot.agent("GET", f"/agent/v1/stream/{room}/attachment").status_code == 400


def test_an_upload_of_unknown_length_is_read_to_its_end(bot, room, sandbox):
    content = os.urandom(3 * 1024 * 1024)
    head = (
        b"--x\r\nContent-Disposition: form-data; name=message\r\n\r\n<messageML>Hi</messageML>\r\n"
        b'--x\r\nContent-Disposition: form-data; name=attachment; filename="a"\r\n\r\n'
    )
    parts = [head, *(content[at : at + 99_991] for at in range(0, len(content), 99_991))]
    parts.append(b"\r\n--x--\r\n")
    headers = bot.tokens | {"Content-Type": "multipart/form-data; boundary=x"}

    answer = bot.agent("POST", CREATE.format(room), content=iter(parts), headers=headers)

    assert answer.json()["attachments"][0]["size"] == len(content)
    arrived = sandbox.requests[-1]
    assert arrived.values("transfer-encoding") == ["chunked"]
    assert arrived.body_sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert (arrived.body, arrived.body_size) == (None, sum(map(len, parts)))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data"),
        (b"--x\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
def test_what_is_no_multipart_form_with_a_message_is_a_400(bot, room, body, content_type):
    headers = bot.tokens | {"Content-Type": content_type}
    answer = bot.agent("POST", CREATE.format(room), content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_messages_are_message_ml(bot, room):
    assert create(bot, room, text="Hello").status_code == 400


def test_only_members_write_into_a_known_stream(bot, room, sandbox):
    sandbox.add_bot("late-bot", (sandbox.directory / "pricing-bot.public.pem").read_text())
    alice = bot.pod("GET", "/pod/v3/users?username=alice").json()["users"][0]["id"]
    private = bot.pod("POST", "/pod/v1/im/create", json=[alice]).json()["id"]
    bot.username = "late-bot"
    bot.log_in()

    assert create(bot, room).status_code == 200
    assert create(bot, private).status_code == 403
    assert create(bot, "nowhere").status_code == 400


def test_a_blast_says_where_it_failed(bot, room):
    form = {
        "sids": (None, f"{room},nowhere"),
        "message": (None, "<messageML>To all</messageML>"),
    }
    answer = bot.agent("POST", "/agent/v4/message/blast", files=form).json()

    assert [one["stream"]["streamId"] for one in answer["messages"]] == [room]
    assert answer["errors"]["nowhere"]["code"] == 400


def test_echo_wants_a_text(bot):
    assert bot.agent("POST", "/agent/v1/util/echo", json={}).status_code == 400
