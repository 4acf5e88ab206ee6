"""A bot as people write them with the BDK for Python, 2 or 3: it answers every message with
a quote and an attachment. What it has done, it says on standard output, and which tokens it
has in hand; the BDK's log stands there as well.

    python quotes.py config.yaml
"""

import asyncio
import io
import logging
import re
import sys

from symphony.bdk.core.config.loader import BdkConfigLoader
from symphony.bdk.core.service.datafeed.real_time_event_listener import RealTimeEventListener
from symphony.bdk.core.symphony_bdk import SymphonyBdk


class Quotes(RealTimeEventListener):
    def __init__(self, bdk):
        self._bdk = bdk

    async def on_message_sent(self, initiator, event):
        text = re.sub(r"<[^>]*>", "", event.message.message)
        print("received", text, flush=True)
        attachment = io.BytesIO(f"price of {text}: 42\n".encode())
        attachment.name = f"{text}.csv"
        await self._bdk.messages().send_message(
            event.message.stream.stream_id,
            f"<messageML>quote for {text}</messageML>",
            attachment=[attachment],
        )
        session = self._bdk.bot_session()
        print("holds", await session.session_token, await session.key_manager_token)
        print("answered", text, flush=True)


async def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    async with SymphonyBdk(BdkConfigLoader.load_from_file(sys.argv[1])) as bdk:
        bdk.datafeed().subscribe(Quotes(bdk))
        await bdk.datafeed().start()


asyncio.run(main())
