"""The agent's datafeeds: version 2 with acknowledgements, and the old one without.

A read is a real long poll: it is held until an event arrives, at most `poll_seconds`.
Feeds outlive sessions, as on the real agent: a new login reads on where the old one was.
"""

from __future__ import annotations

from typing import Any

from symphony_auth_proxy.sandbox.agent import account_of, message_json, user_json
from symphony_auth_proxy.sandbox.conversations import Feed, Message
from symphony_auth_proxy.sandbox.exchange import Answer, Call, Refusal, Route, answer_json
from symphony_auth_proxy.sandbox.state import State

DEPRECATED = (("X-Warning", "This method is deprecated"),)


async def list_feeds(state: State, call: Call) -> Answer:
    me = account_of(state, call)
    tag = call.query.get("tag")
    feeds = state.conversations.feeds(me.username)
    return answer_json([_feed(feed) for feed in feeds if tag in (None, feed.tag)])


async def create_feed(state: State, call: Call) -> Answer:
    me = account_of(state, call)
    feed = state.conversations.open_feed(me.username, call.json().get("tag"))
    if feed is None:
        raise Refusal(403, "Too many feeds: 20 are active already")
    return answer_json(_feed(feed), status=201)


async def read_feed(state: State, call: Call) -> Answer:
    feed = _own_feed(state, call, "datafeedId")
    feed.acknowledge(call.json().get("ackId") or "")
    await feed.wait(state.poll_seconds)
    messages, ack_id = feed.hand_out()
    return answer_json({"events": [_event(state, one) for one in messages], "ackId": ack_id})


async def delete_feed(state: State, call: Call) -> Answer:
    state.conversations.drop_feed(_own_feed(state, call, "datafeedId"))
    return Answer(204)


async def create_old_feed(state: State, call: Call) -> Answer:
    me = account_of(state, call)
    feed = state.conversations.open_feed(me.username)
    if feed is None:
        raise Refusal(503, "Max number of data feeds reached")
    return answer_json({"id": feed.feed_id}, headers=DEPRECATED)


async def read_old_feed(state: State, call: Call) -> Answer:
    feed = _own_feed(state, call, "id")
    await feed.wait(state.poll_seconds)
    messages, ack_id = feed.hand_out()
    feed.acknowledge(ack_id)
    if not messages:
        return Answer(204, headers=DEPRECATED)
    return answer_json([_event(state, one) for one in messages], headers=DEPRECATED)


def _own_feed(state: State, call: Call, placeholder: str) -> Feed:
    me = account_of(state, call)
    feed = state.conversations.feed(call.parts[placeholder], me.username)
    if feed is None:
        raise Refusal(400, "Could not find a datafeed with this id")
    return feed


def _feed(feed: Feed) -> dict[str, Any]:
    return {"id": feed.feed_id, "createdAt": int(feed.created * 1000), "type": "fanout"}


def _event(state: State, message: Message) -> dict[str, Any]:
    return {
        "id": message.message_id[:6],
        "messageId": message.message_id,
        "timestamp": message.timestamp,
        "type": "MESSAGESENT",
        "initiator": {"user": user_json(state.accounts[message.author])},
        "payload": {"messageSent": {"message": message_json(state, message)}},
    }


ROUTES = (
    Route("GET", "/agent/v5/datafeeds", list_feeds),
    Route("POST", "/agent/v5/datafeeds", create_feed),
    Route("POST", "/agent/v5/datafeeds/{datafeedId}/read", read_feed),
    Route("DELETE", "/agent/v5/datafeeds/{datafeedId}", delete_feed),
    Route("POST", "/agent/v4/datafeed/create", create_old_feed),
    Route("GET", "/agent/v4/datafeed/{id}/read", read_old_feed),
)
