"""aiohttp: HTTPS_PROXY when told to look for it, and SSL_CERT_FILE."""

import asyncio
import json
import sys

import aiohttp


async def main(pod: str, agent: str) -> None:
    timeout = aiohttp.ClientTimeout(20)
    async with aiohttp.ClientSession(trust_env=True, timeout=timeout) as session:
        async with session.get(f"{pod}/pod/v2/sessioninfo") as answer:
            info = await answer.json()
        text = {"message": "hello"}
        async with session.post(f"{agent}/agent/v1/util/echo", json=text) as answer:
            echo = await answer.json()
            http = f"{answer.version.major}.{answer.version.minor}"
    print(json.dumps({"version": aiohttp.__version__, "http": http, "info": info, "echo": echo}))


asyncio.run(main(*sys.argv[1:]))
