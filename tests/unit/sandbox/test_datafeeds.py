"""Datafeeds: real long polls, acknowledgements, limits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

FEEDS = "/agent/v5/datafeeds"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def feed(bot) -> str:
    """The path of a feed of the bot's."""
    answer = bot.agent("POST", FEEDS, json={})
    assert answer.status_code == 201
    return f"{FEEDS}/{answer.json()['id']}"


def read(bot, feed, ack_id=""):
    answer = bot.agent("POST", f"{feed}/read", json={"ackId": ack_id, "updatePresence": True})
    assert answer.status_code == 200
    return answer.json()


def texts(answer):
    messages = [one["payload"]["messageSent"]["message"]["message"] for one in answer["events"]]
    return [message.partition(">")[2].removesuffix("</div>") for message in messages]


def is_waiting(path):
    return lambda requests: any(one.path == path and one.status is None for one in requests)


def test_a_read_is_held_until_a_message_arrives(bot, feed, sandbox, background):
    answer = background.submit(read, bot, feed)
    sandbox.wait_for(is_waiting(f"{feed}/read"))
    assert not answer.done()

    message_id = sandbox.post("Hello")

    event = answer.result(10)["events"][0]
    assert (event["type"], event["messageId"]) == ("MESSAGESENT", message_id)
    assert event["initiator"]["user"]["username"] == "alice"


def test_an_empty_read_ends_after_its_time_with_an_ack_id(bot, feed, sandbox):
    sandbox.set_poll_seconds(0)
    answer = read(bot, feed)
    assert answer["events"] == []
    assert answer["ackId"]


def test_events_are_kept_until_they_are_acknowledged(bot, feed, sandbox):
    sandbox.set_poll_seconds(0)
    sandbox.post("one")
    first = read(bot, feed)
    sandbox.post("two")

    again = read(bot, feed, "")
    late = read(bot, feed, first["ackId"])
    rest = read(bot, feed, late["ackId"])

    assert texts(first) == ["one"]
    assert texts(again) == ["one", "two"]
    assert texts(late) == ["one", "two"], "an ackId that is not the last one forgets nothing"
    assert texts(rest) == []


def test_what_arrives_between_two_reads_is_not_forgotten_by_the_acknowledgement(bot, feed, sandbox):
    sandbox.post("one")
    first = read(bot, feed)
    sandbox.post("two")
    assert texts(read(bot, feed, first["ackId"])) == ["two"]


def test_a_feed_outlives_its_session(bot, feed, sandbox):
    sandbox.revoke()
    sandbox.post("meanwhile")
    assert bot.agent("POST", f"{feed}/read", json={}).status_code == 401
    bot.log_in()
    assert texts(read(bot, feed)) == ["meanwhile"]


def test_feeds_are_listed_found_by_tag_and_deleted(bot, feed):
    tagged = bot.agent("POST", FEEDS, json={"tag": "prices"}).json()
    again = bot.agent("POST", FEEDS, json={"tag": "prices"}).json()

    assert tagged["id"] == again["id"]
    assert len(bot.agent("GET", FEEDS).json()) == 2
    assert [one["id"] for one in bot.agent("GET", f"{FEEDS}?tag=prices").json()] == [tagged["id"]]
    assert bot.agent("DELETE", feed).status_code == 204
    assert bot.agent("POST", f"{feed}/read", json={}).status_code == 400
    assert bot.agent("DELETE", feed).status_code == 400


def test_a_null_tag_and_no_body_at_all_are_accepted(bot):
    assert bot.agent("POST", FEEDS, json={"tag": None}).status_code == 201
    assert bot.agent("POST", FEEDS).status_code == 201


def test_feeds_of_others_are_not_found(bot, feed, sandbox):
    sandbox.add_bot("other-bot", (sandbox.directory / "pricing-bot.public.pem").read_text())
    bot.username = "other-bot"
    bot.log_in()
    assert bot.agent("GET", FEEDS).json() == []
    assert bot.agent("POST", f"{feed}/read", json={}).status_code == 400


def test_the_twenty_first_feed_is_refused(bot):
    made = [bot.agent("POST", FEEDS, json={}).status_code for _ in range(21)]
    assert made == [201] * 20 + [403]
    assert bot.agent("POST", "/agent/v4/datafeed/create").status_code == 503


def test_a_feed_that_nobody_reads_is_dropped_after_half_an_hour(bot, feed, sandbox):
    sandbox.set_poll_seconds(0)
    sandbox.set_clock_offset(29 * 60)
    read(bot, feed)
    sandbox.set_clock_offset(58 * 60)
    assert len(bot.agent("GET", FEEDS).json()) == 1, "a read keeps it alive"
    sandbox.set_clock_offset(59 * 60 + 5)
    assert bot.agent("GET", FEEDS).json() == []


def test_the_old_datafeed_hands_events_out_once(bot, sandbox, background):
    feed_id = bot.agent("POST", "/agent/v4/datafeed/create").json()["id"]
    path = f"/agent/v4/datafeed/{feed_id}/read"
    answer = background.submit(bot.agent, "GET", path)
    sandbox.wait_for(is_waiting(path))
    sandbox.post("Hello")

    assert answer.result(10).json()[0]["type"] == "MESSAGESENT"
    sandbox.set_poll_seconds(0)
    assert bot.agent("GET", path).status_code == 204
    assert bot.agent("GET", "/agent/v4/datafeed/nonsense/read").status_code == 400


def test_a_reader_that_leaves_does_not_lose_events(bot, feed, sandbox):
    with pytest.raises(httpx.ReadTimeout):
        bot.agent("POST", f"{feed}/read", json={}, timeout=0.2)
    sandbox.post("after it left")
    assert texts(read(bot, feed)) == ["after it left"]
