"""aiohttp: HTTPS_PROXY when told to look for it, and SSL_CERT_FILE."""

import asyncio
import json
import sys

import aiohttp


async def main(pod: str, agent: str) -> None:
    timeout = aiohttp.ClientTimeout(20)
    async with aiohttp.ClientSession(trust_env=True, timeout=timeout) as session:
        async with session.get(f"{pod}/pod/v2/sessioninfo") as info:
            seen = [info.status, await info.json()]
        text = {"message": "hello"}
        async with session.post(f"{agent}/agent/v1/util/echo", json=text) as echo:
            seen += [echo.status, await echo.json()]
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
