"""The agent's API but for datafeeds: messages, attachments, echo, health.

A bot shows its session token and its key manager token, both alive and both its own; on
Simplified Key Delivery, and on behalf of a user, the session token alone. Shapes are those
of the `agent` OpenAPI file of finos/symphony-api-spec.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox.conversations import Message, Stream
from symphony_auth_proxy.sandbox.exchange import Answer, Call, Refusal, Route, answer_json
from symphony_auth_proxy.sandbox.pod import session_of
from symphony_auth_proxy.sandbox.sessions import Holder
from symphony_auth_proxy.sandbox.state import Account, State

VERSION = "24.12.1"


def account_of(state: State, call: Call) -> Account:
    """Return the account whose tokens a request presents. Raises Refusal (401)."""
    session = session_of(state, call)
    account = state.accounts[session.username]
    token = call.headers.get("keyManagerToken", "")
    if account.simplified_key_delivery and state.agent_delivers_keys():
        return account
    if session.holder is Holder.ON_BEHALF_OF and not token:
        return account
    # A bot's key manager token beside a user's session is a wrong mix, not a stronger one.
    key_manager = state.sessions.find(token, TokenKind.KEY_MANAGER)
    if key_manager is None or key_manager.username != session.username:
        raise Refusal(401, "Invalid session")
    return account


async def create_message(state: State, call: Call) -> Answer:
    me = account_of(state, call)
    stream = _stream(state, call.parts["sid"], me)
    fields, files = _form(call)
    return answer_json(message_json(state, _post(state, stream, me, fields, files)))


async def blast_message(state: State, call: Call) -> Answer:
    me = account_of(state, call)
    fields, files = _form(call)
    sent, failed = [], {}
    for stream_id in fields.get("sids", "").split(","):
        try:
            stream = _stream(state, stream_id, me)
            sent.append(message_json(state, _post(state, stream, me, fields, files)))
        except Refusal as refusal:
            failed[stream_id] = {"code": refusal.answer.status, "message": str(refusal)}
    return answer_json({"messages": sent, "errors": failed})


async def read_messages(state: State, call: Call) -> Answer:
    """List a stream's messages, newest first.

    The answer is of unknown length, as Java servers send lists.
    """
    stream = _stream(state, call.parts["sid"], account_of(state, call))
    since, skip, limit = call.number("since"), call.number("skip", 0), call.number("limit", 50)
    found = [one for one in reversed(stream.messages) if one.timestamp >= since]
    shapes = [message_json(state, one) for one in found[skip : skip + limit]]
    return answer_json(shapes, chunked=True) if shapes else Answer(204)


async def attachment(state: State, call: Call) -> Answer:
    """Return an attachment's content, in base64 as the agent does."""
    stream = _stream(state, call.parts["sid"], account_of(state, call))
    for message in stream.messages:
        for one in message.attachments:
            if (message.message_id, one.attachment_id) == (
                call.query.get("messageId"),
                call.query.get("fileId"),
            ):
                return Answer(200, base64.b64encode(one.content), "application/octet-stream")
    raise Refusal(400, "The attachment is not known")


async def echo(state: State, call: Call) -> Answer:
    account_of(state, call)
    message = call.json().get("message")
    if not isinstance(message, str):
        raise Refusal(400, "No text in the field message")
    return answer_json({"message": message})


async def health(_state: State, _call: Call) -> Answer:
    return answer_json({"status": "UP"})


async def extended_health(state: State, _call: Call) -> Answer:
    def status(component: Component) -> str:
        return "DOWN" if component in state.down else "UP"

    services = {
        "pod": {"status": status(Component.POD), "version": VERSION},
        "key_manager": {"status": status(Component.KEY_MANAGER), "version": VERSION},
        "datafeed": {"status": "UP", "version": VERSION},
    }
    well = all(service["status"] == "UP" for service in services.values())
    shape = {
        "services": services,
        "status": "UP" if well else "DOWN",
        "users": {"agentservice": {"authType": "RSA", "status": "UP"}},
        "version": state.agent_version.removeprefix("Agent-"),
    }
    return answer_json(shape, status=200 if well else 503)


async def info(state: State, _call: Call) -> Answer:
    return answer_json(
        {
            "ipAddress": "127.0.0.1",
            "hostname": "localhost",
            "serverFqdn": "https://localhost",
            "version": state.agent_version,
            "url": "https://localhost/agent",
            "onPrem": True,
            "mt": False,
            "commitId": "sandbox",
        }
    )


def message_json(state: State, message: Message) -> dict[str, Any]:
    """Return a message as the agent shows it (V4Message)."""
    stream = state.conversations.streams[message.stream_id]
    shape: dict[str, Any] = {
        "messageId": message.message_id,
        "timestamp": message.timestamp,
        "message": (
            '<div data-format="PresentationML" data-version="2.0" class="wysiwyg">'
            f"{message.text}</div>"
        ),
        "attachments": [
            {"id": one.attachment_id, "name": one.name, "size": len(one.content), "images": []}
            for one in message.attachments
        ],
        "user": user_json(state.accounts[message.author]),
        "stream": {"streamId": stream.stream_id, "streamType": stream.type},
        "externalRecipients": False,
        "userAgent": "Sandbox",
        "originalFormat": "com.symphony.messageml.v2",
    }
    return shape if message.data is None else shape | {"data": message.data}


def user_json(account: Account) -> dict[str, Any]:
    """Return a user as the agent shows it (V4User)."""
    return {
        "userId": account.user_id,
        "displayName": account.display_name,
        "email": account.email,
        "username": account.username,
    }


def _stream(state: State, stream_id: str, member: Account) -> Stream:
    stream = state.conversations.streams.get(stream_id)
    if stream is None:
        raise Refusal(400, "The stream is not known")
    if member.username not in stream.members:
        raise Refusal(403, "The user is not a member of this stream")
    return stream


def _form(call: Call) -> tuple[dict[str, str], list[HTTPFile]]:
    """Read a multipart form: its fields and its attachments."""
    content_type = call.headers.get("Content-Type", "")
    if not content_type.startswith("multipart/form-data"):
        raise Refusal(400, "The content type is not multipart/form-data")
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_body_arguments(content_type, call.body, arguments, files)
    except HTTPInputError:
        raise Refusal(400, "The multipart form is malformed") from None
    fields = {name: values[-1].decode(errors="replace") for name, values in arguments.items()}
    return fields, files.get("attachment", [])


def _post(
    state: State, stream: Stream, author: Account, fields: dict[str, str], files: list[HTTPFile]
) -> Message:
    found = re.fullmatch(r"\s*<messageML>(.*)</messageML>\s*", fields.get("message", ""), re.DOTALL)
    if found is None:
        raise Refusal(400, "No <messageML>…</messageML> in the field message")
    attachments = [(file.filename, file.body) for file in files]
    return state.conversations.post(
        stream, author.username, found[1], fields.get("data"), attachments
    )


ROUTES = (
    Route("POST", "/agent/v4/stream/{sid}/message/create", create_message),
    Route("POST", "/agent/v4/message/blast", blast_message),
    Route("GET", "/agent/v4/stream/{sid}/message", read_messages),
    Route("GET", "/agent/v1/stream/{sid}/attachment", attachment),
    Route("POST", "/agent/v1/util/echo", echo),
    Route("GET", "/agent/v3/health", health),
    Route("GET", "/agent/v3/health/extended", extended_health),
    Route("GET", "/agent/v1/info", info),
)
