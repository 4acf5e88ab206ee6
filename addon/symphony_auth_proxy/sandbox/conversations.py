"""Streams, their messages, and the datafeeds that deliver them.

Feeds keep every event until the reader acknowledges it: an answer that is lost on the way is
delivered again, as by Symphony's datafeed 2. Everything here belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

FEEDS_PER_USER = 20
FEED_LIFE = 30 * 60.0
"""Seconds after which a feed that nobody reads is dropped."""
EVENTS_PER_READ = 100


@dataclass(frozen=True, slots=True)
class Attachment:
    attachment_id: str
    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    message_id: str
    stream_id: str
    author: str
    text: str
    """MessageML, without its root element."""
    timestamp: int
    """Milliseconds since the epoch."""
    data: str | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(slots=True)
class Stream:
    stream_id: str
    members: frozenset[str]
    name: str | None = None
    """A room's name; an IM has none."""
    messages: list[Message] = field(default_factory=list)

    @property
    def type(self) -> str:
        if self.name:
            return "ROOM"
        return "IM" if len(self.members) <= 2 else "MIM"


class Feed:
    """One reader's queue of events."""

    def __init__(self, owner: str, tag: str | None, now: float) -> None:
        self.feed_id = f"{secrets.token_hex(16)}_f"
        self.owner = owner
        self.tag = tag
        self.created = now
        self.last_read = now
        self._queue: list[Message] = []
        self._offered = 0
        self._ack_id = ""
        self._arrival = asyncio.Event()

    def deliver(self, message: Message) -> None:
        self._queue.append(message)
        self._arrival.set()

    def acknowledge(self, ack_id: str) -> None:
        """Forget what was handed out under this id. Any other id forgets nothing."""
        if ack_id and ack_id == self._ack_id:
            del self._queue[: self._offered]
            self._offered = 0
            if not self._queue:
                self._arrival.clear()

    async def wait(self, seconds: float) -> None:
        """Hold a long poll until there is something to hand out, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrival.wait()
        except TimeoutError:
            pass

    def hand_out(self) -> tuple[list[Message], str]:
        """Return the events that wait, and the id that acknowledges them."""
        events = self._queue[:EVENTS_PER_READ]
        self._offered = len(events)
        self._ack_id = secrets.token_urlsafe(24)
        return events, self._ack_id


class Conversations:
    """All streams and feeds of the pod."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.streams: dict[str, Stream] = {}
        self._feeds: dict[str, Feed] = {}
        self._now = now

    def open_stream(self, members: Iterable[str], name: str | None = None) -> Stream:
        """Make a room, or find or make the one IM between these people."""
        people = frozenset(members)
        if name is None:
            for stream in self.streams.values():
                if stream.name is None and stream.members == people:
                    return stream
        stream = Stream(_identifier(), people, name)
        self.streams[stream.stream_id] = stream
        return stream

    def post(
        self,
        stream: Stream,
        author: str,
        text: str,
        data: str | None = None,
        attachments: Iterable[tuple[str, bytes]] = (),
    ) -> Message:
        """Add a message to a stream and to the feeds of all its members, the author's too."""
        message = Message(
            message_id=_identifier(),
            stream_id=stream.stream_id,
            author=author,
            text=text,
            timestamp=int(self._now() * 1000),
            data=data,
            attachments=tuple(
                Attachment(_identifier(), name, content) for name, content in attachments
            ),
        )
        stream.messages.append(message)
        for feed in self._feeds.values():
            if feed.owner in stream.members:
                feed.deliver(message)
        return message

    def open_feed(self, owner: str, tag: str | None = None) -> Feed | None:
        """Make a feed, or find the one with this tag; None when the user has too many."""
        mine = self.feeds(owner)
        if tag and (known := next((feed for feed in mine if feed.tag == tag), None)):
            return known
        if len(mine) >= FEEDS_PER_USER:
            return None
        feed = Feed(owner, tag, self._now())
        self._feeds[feed.feed_id] = feed
        return feed

    def feeds(self, owner: str) -> list[Feed]:
        """List a user's feeds that have not been forgotten."""
        oldest = self._now() - FEED_LIFE
        self._feeds = {name: feed for name, feed in self._feeds.items() if feed.last_read >= oldest}
        return [feed for feed in self._feeds.values() if feed.owner == owner]

    def feed(self, feed_id: str, owner: str) -> Feed | None:
        """Return a user's feed, marked as read now."""
        feed = next((feed for feed in self.feeds(owner) if feed.feed_id == feed_id), None)
        if feed:
            feed.last_read = self._now()
        return feed

    def drop_feed(self, feed: Feed) -> None:
        self._feeds.pop(feed.feed_id, None)


def _identifier() -> str:
    """An id as Symphony's: URL-safe text that may hold hyphens and underscores."""
    return secrets.token_urlsafe(25)
