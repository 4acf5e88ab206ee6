"""The room in which bots answer."""

from __future__ import annotations

import base64

import httpx

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox


class Room:
    """What has been said in the room, as another bot reads it through the proxy."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self._agent = sandbox.url(Component.AGENT)
        self._room = sandbox.room
        self._http = http

    def quote(self, text: str) -> bytes:
        """Return the attachment of the one quote for `text`."""
        found = self._get(f"/agent/v4/stream/{self._room}/message", since=0).json()
        [message] = [one for one in found if f">quote for {text}<" in one["message"]]
        [attachment] = message["attachments"]
        assert (message["user"]["username"], attachment["name"]) == (KEY_BOT, f"{text}.csv")
        wanted = {"messageId": message["messageId"], "fileId": attachment["id"]}
        return base64.b64decode(
            self._get(f"/agent/v1/stream/{self._room}/attachment", **wanted).content
        )

    def _get(self, path: str, **query: str | int) -> httpx.Response:
        headers = {"Symphony-Bot": CERTIFICATE_BOT}
        answer = self._http.get(self._agent + path, params=query, headers=headers)
        return answer.raise_for_status()
