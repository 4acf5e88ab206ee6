"""A bot without a secret: no key, no token, no password. It greets a room, and answers.

    python -m symphony_auth_proxy.sandbox.sample_bot

Nothing in it knows how Symphony's logins work. It takes its proxy from the environment, as
any program does (HTTP_PROXY, HTTPS_PROXY), and asks it which CA to trust. Where the pod and
the agent are stands in POD_URL and AGENT_URL.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any

import httpx

_LONGEST_READ = 90.0
"""Seconds. The agent holds a read until there is something to tell."""


def main() -> None:
    pod, agent = os.environ["POD_URL"], os.environ["AGENT_URL"]
    ca = httpx.get("http://symphony.proxy/ca.pem").raise_for_status().text
    trust = ssl.create_default_context(cadata=ca)
    with httpx.Client(verify=trust, timeout=_LONGEST_READ) as http:
        me = http.get(f"{pod}/pod/v2/sessioninfo").raise_for_status().json()["username"]
        room = http.post(f"{pod}/pod/v1/streams/list", json={}).raise_for_status().json()[0]["id"]
        feed = http.post(f"{agent}/agent/v5/datafeeds", json={}).raise_for_status().json()["id"]

        def say(text: str) -> None:
            url = f"{agent}/agent/v4/stream/{room}/message/create"
            message = {"message": (None, f"<messageML>{text}</messageML>")}
            http.post(url, files=message).raise_for_status()

        say("Hello from a bot without a secret")
        print(f"I am {me}, and hold no secret. Listening …", flush=True)
        for event in _events(http, f"{agent}/agent/v5/datafeeds/{feed}/read"):
            author = event["initiator"]["user"]["username"]
            if author != me:
                print(f"{author}: {event['payload']['messageSent']['message']['message']}")
                say(f"{author} wrote something")
                print("I have answered.", flush=True)


def _events(http: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    """Read a datafeed, for ever."""
    acknowledged = ""
    while True:
        read = http.post(url, json={"ackId": acknowledged}).raise_for_status().json()
        yield from read["events"]
        acknowledged = read["ackId"]


if __name__ == "__main__":
    main()
