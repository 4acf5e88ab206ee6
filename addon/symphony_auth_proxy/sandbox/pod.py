"""The pod's own API, as far as bots need it: who am I, who is that, which streams.

Every operation but the published certificate asks for a live session token and for nothing
else: a key manager token beside it is ignored. Shapes are those of the `pod` OpenAPI file
of finos/symphony-api-spec.
"""

from __future__ import annotations

from typing import Any

from symphony_auth_proxy.model import TokenKind
from symphony_auth_proxy.sandbox.conversations import Stream
from symphony_auth_proxy.sandbox.exchange import Answer, Call, Refusal, Route, answer_json
from symphony_auth_proxy.sandbox.sessions import Holder, Session
from symphony_auth_proxy.sandbox.state import Account, State


def session_of(state: State, call: Call) -> Session:
    """Return the live session that a request presents. Raises Refusal (401).

    An application's own session opens nothing but sessions on behalf of users.
    """
    session = state.sessions.find(call.headers.get("sessionToken", ""), TokenKind.SESSION)
    if session is None or session.holder is Holder.APP:
        raise Refusal(401, "Invalid session")
    return session


async def session_info(state: State, call: Call) -> Answer:
    return answer_json(_user(state.accounts[session_of(state, call).username]))


async def find_users(state: State, call: Call) -> Answer:
    session_of(state, call)
    searched = [name for name in ("uid", "email", "username") if call.query.get(name)]
    if len(searched) != 1:
        raise Refusal(400, "Give exactly one of uid, email and username")
    wanted = call.query[searched[0]].split(",")
    found = [
        account
        for account in state.accounts.values()
        if {"uid": str(account.user_id), "email": account.email, "username": account.username}[
            searched[0]
        ]
        in wanted
    ]
    if not found:
        return Answer(204)
    return answer_json({"users": [_user(account) for account in found]})


async def create_im(state: State, call: Call) -> Answer:
    me = session_of(state, call).username
    others = [state.account_by_id(str(user_id)) for user_id in call.json_list()]
    if not others or None in others:
        raise Refusal(400, "The body is not a list of known user ids")
    members = {me, *(account.username for account in others if account)}
    return answer_json({"id": state.conversations.open_stream(members).stream_id})


async def list_streams(state: State, call: Call) -> Answer:
    me = session_of(state, call).username
    types = {one.get("type") for one in call.json().get("streamTypes", [])}
    mine = [
        stream
        for stream in state.conversations.streams.values()
        if me in stream.members and (not types or stream.type in types)
    ]
    skip, limit = call.number("skip", 0), call.number("limit", 50)
    return answer_json([_stream(state, stream) for stream in mine[skip : skip + limit]])


async def list_sessions(state: State, call: Call) -> Answer:
    sessions = state.sessions.live(_own_account(state, call).username, TokenKind.SESSION)
    return answer_json(
        {
            "sessions": [
                {
                    "sessionId": session.session_id,
                    "userId": state.accounts[session.username].user_id,
                    "creationTime": int(session.created * 1000),
                    "expirationDelay": int(session.expires * 1000),
                }
                for session in sessions
            ]
        }
    )


async def end_all_sessions(state: State, call: Call) -> Answer:
    account = _own_account(state, call)
    state.sessions.end(*state.sessions.live(account.username, TokenKind.SESSION))
    return answer_json({"message": "OK"})


async def end_session(state: State, call: Call) -> Answer:
    account = _own_account(state, call)
    live = state.sessions.live(account.username, TokenKind.SESSION)
    ended = [session for session in live if session.session_id == call.parts["sid"]]
    if not ended:
        raise Refusal(400, "The session is not known")
    state.sessions.end(*ended)
    return answer_json({"message": "OK"})


async def certificate(state: State, _call: Call) -> Answer:
    return answer_json({"certificate": state.certificate})


def _own_account(state: State, call: Call) -> Account:
    """Bots have no entitlement for other users' sessions."""
    account = state.accounts[session_of(state, call).username]
    if call.parts["uid"] != str(account.user_id):
        raise Refusal(403, "The user lacks the required entitlement to perform this operation")
    return account


def _user(account: Account) -> dict[str, Any]:
    return {
        "id": account.user_id,
        "emailAddress": account.email,
        "firstName": account.display_name.split(" ")[0],
        "lastName": account.display_name.split(" ")[-1],
        "displayName": account.display_name,
        "company": "Sandbox",
        "username": account.username,
        "location": "Loopback",
        "accountType": "SYSTEM" if account.service else "NORMAL",
        "avatars": [{"size": "small", "url": "../avatars/static/50/default.png"}],
        "roles": ["INDIVIDUAL"],
    }


def _stream(state: State, stream: Stream) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": stream.stream_id,
        "crossPod": False,
        "active": True,
        "streamType": {"type": stream.type},
    }
    if stream.name:
        return shape | {"roomAttributes": {"name": stream.name}}
    members = [state.accounts[name].user_id for name in sorted(stream.members)]
    return shape | {"streamAttributes": {"members": members}}


ROUTES = (
    Route("GET", "/pod/v2/sessioninfo", session_info),
    Route("GET", "/pod/v3/users", find_users),
    Route("POST", "/pod/v1/im/create", create_im),
    Route("POST", "/pod/v1/streams/list", list_streams),
    Route("GET", "/pod/v1/users/{uid}/sessions", list_sessions),
    Route("POST", "/pod/v1/users/{uid}/sessions/logout", end_all_sessions),
    Route("POST", "/pod/v1/users/{uid}/sessions/{sid}/logout", end_session),
    Route("GET", "/pod/v1/podcert", certificate),
)
