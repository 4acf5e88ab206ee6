"""A bot as people write them with the BDK for Python, 2 or 3: it answers every message with
a quote and an attachment. What it has done, it says on standard output.

    python quotes.py config.yaml
"""

import asyncio
import io
import re
import sys

from symphony.bdk.core.config.loader import BdkConfigLoader
from symphony.bdk.core.service.datafeed.real_time_event_listener import RealTimeEventListener
from symphony.bdk.core.symphony_bdk import SymphonyBdk


class Quotes(RealTimeEventListener):
    def __init__(self, messages):
        self._messages = messages

    async def on_message_sent(self, initiator, event):
        text = re.sub(r"<[^>]*>", "", event.message.message)
        print("received", text, flush=True)
        attachment = io.BytesIO(f"price of {text}: 42\n".encode())
        attachment.name = f"{text}.csv"
        await self._messages.send_message(
            event.message.stream.stream_id,
            f"<messageML>quote for {text}</messageML>",
            attachment=[attachment],
        )
        print("answered", text, flush=True)


async def main():
    async with SymphonyBdk(BdkConfigLoader.load_from_file(sys.argv[1])) as bdk:
        bdk.datafeed().subscribe(Quotes(bdk.messages()))
        await bdk.datafeed().start()


asyncio.run(main())
