"""The BDK for Python, 2 or 3: proxy and CA are in its configuration, and it logs in first.

python with_bdk.py config.yaml ROOM
"""

import asyncio
import json
import sys
from importlib.metadata import version

from symphony.bdk.core.config.loader import BdkConfigLoader
from symphony.bdk.core.symphony_bdk import SymphonyBdk


async def main(config, room):
    async with SymphonyBdk(BdkConfigLoader.load_from_file(config)) as bdk:
        info = await bdk.sessions().get_session()
        sent = await bdk.messages().send_message(room, "<messageML>hello</messageML>")
        seen = {"info": {"username": info.username}, "echo": {"message": sent.message}}
        print(json.dumps({"version": version("symphony-bdk-python"), **seen}))


asyncio.run(main(*sys.argv[1:]))
