"""A bot in plain requests: nothing about tokens, logins, proxies or CAs."""

import os

import requests

AGENT = os.environ["AGENT"] + "/agent"

with requests.Session() as symphony:
    feed = symphony.post(f"{AGENT}/v5/datafeeds", json={}, timeout=20).json()["id"]
    print("waiting", flush=True)
    read = symphony.post(f"{AGENT}/v5/datafeeds/{feed}/read", json={}, timeout=60).json()
    message = read["events"][0]["payload"]["messageSent"]["message"]
    stream, name = message["stream"]["streamId"], message["user"]["displayName"]
    answer = {"message": (None, f"<messageML>Hello, {name}</messageML>")}
    sent = symphony.post(f"{AGENT}/v4/stream/{stream}/message/create", files=answer, timeout=20)
    print("answered", sent.json()["message"])
