"""What a flow shows instead of secrets: ours, the client's, and those in answers."""

from __future__ import annotations

import re

from mitmproxy import http
from mitmproxy.flow import Error

from symphony_auth_proxy.core import names
from symphony_auth_proxy.core.headers import is_token_header, is_void
from symphony_auth_proxy.core.placeholder import holds_placeholder
from symphony_auth_proxy.mitm.failures import NOT_HTTP_ANSWER, NOT_HTTP_REQUEST
from symphony_auth_proxy.mitm.seal import Seal, SealedField, attach, seal_of
from symphony_auth_proxy.model import Token, TokenPair
from symphony_auth_proxy.secret import Secret

SESSION_TOKEN = "sessionToken"  # noqa: S105 (a header's name)
KEY_MANAGER_TOKEN = "keyManagerToken"  # noqa: S105 (a header's name)

_SECRET_REQUEST_HEADERS = frozenset({"authorization", "cookie"})
_SECRET_RESPONSE_HEADERS = frozenset({"set-cookie", "authorization"})
_SECRET_IN_QUERY = re.compile(
    r"(?<=[?&])((?:access_?|session_?|key_?manager_?)?token)=[^&#]+", re.IGNORECASE
)
_SESSION_COOKIE = re.compile(r"\s*(?:skey|kmsession)\s*=")

Field = tuple[bytes, bytes]


def brought_headers(flow: http.HTTPFlow) -> list[tuple[str, str]]:
    """The headers as the client sent them, also when the flow was sealed before (a replay)."""
    seal = seal_of(flow)
    request = flow.request if seal is None else seal.unsealed(flow.request)
    return list(request.headers.items(multi=True))


def forget(flow: http.HTTPFlow) -> None:
    """Keep nothing of a flow but that there was one, and mitmproxy's words least of all:
    they quote what they complain of."""
    flow.request.headers.clear()
    flow.request.path = "/"
    flow.request.raw_content = b""
    if flow.response is not None:
        flow.response.headers.clear()
        flow.response.reason = ""
    if flow.error is not None and flow.error.msg != Error.KILLED_MESSAGE:
        flow.error.msg = NOT_HTTP_REQUEST if flow.response is None else NOT_HTTP_ANSWER


def seal_request(flow: http.HTTPFlow) -> Seal:
    """Hide the secrets that a client brought; they still reach the server."""
    seal = seal_of(flow) or Seal()
    seal.tokens, seal.secret_body, seal.refusal = (), True, None
    request = flow.request
    # Addressed to this proxy, and never forwarded (RFC 9110, 11.7.2).
    request.headers.pop("proxy-authorization", None)
    flow.metadata.pop("proxyauth", None)

    known = {(field.name.lower(), field.shown) for field in seal.brought}
    shown: list[Field] = []
    for name, value in request.headers.fields:
        text = name.decode("latin-1").lower()
        holds_secret = text in _SECRET_REQUEST_HEADERS or is_token_header(text)
        sealed_already = (name.lower(), value) in known or is_void(value.decode("latin-1"))
        if holds_secret and not sealed_already:
            sealed = SealedField.of(name, value)
            seal.brought.append(sealed)
            shown.append((name, sealed.shown))
        else:
            shown.append((name, value))
    request.headers.fields = tuple(shown)

    sealed_already = seal.target is not None and request.path == seal.target[0]
    if not sealed_already and _SECRET_IN_QUERY.search(request.path):
        secret = Secret(request.path)
        request.path = _SECRET_IN_QUERY.sub(rf"\1=sealed-{secret.fingerprint()}", request.path)
        seal.target = (request.path, secret)
    attach(flow, seal)
    return seal


def brings_token(flow: http.HTTPFlow) -> bool:
    """Whether a sealed request that passes as it is has a token of the client's own."""
    return any(
        name.lower() == "authorization" or (is_token_header(name) and not is_void(value))
        for name, value in flow.request.headers.items(multi=True)
    )


def drop_placeholders(flow: http.HTTPFlow, seal: Seal) -> None:
    """Send none of them to Symphony, to whom they say nothing."""
    held = {(f.name, f.shown) for f in seal.brought if holds_placeholder(f.value.reveal())}
    fields = flow.request.headers.fields
    flow.request.headers.fields = tuple(item for item in fields if item not in held)
    if seal.target is not None and holds_placeholder(seal.target[1].reveal()):
        seal.target = None  # what is shown is sent


def show_tokens(flow: http.HTTPFlow, seal: Seal, pair: TokenPair) -> None:
    """Put what stands for our tokens into the flow, and the tokens under seal."""
    given = [(SESSION_TOKEN, pair.session)]
    if pair.key_manager is not None:
        given.append((KEY_MANAGER_TOKEN, pair.key_manager))
    headers = flow.request.headers
    for name in [name for name in headers if is_token_header(name)]:
        headers.pop(name, None)
    _keep_hop_by_hop_off(headers)
    _drop_session_cookies(seal)

    owner = names.shown(pair.bot, pair.user)
    seal.tokens = tuple(_sealed_token(name, owner, token) for name, token in given)
    for field in seal.tokens:
        shown_name = field.name.lower() if flow.request.is_http2 else field.name
        headers.fields = (*headers.fields, (shown_name, field.shown))


def _sealed_token(name: str, owner: str, token: Token) -> SealedField:
    shown = f"[sealed {owner} #{token.value.fingerprint()} gen {token.generation}]"
    return SealedField(name.encode(), shown.encode("ascii", "replace"), token.value)


def _keep_hop_by_hop_off(headers: http.Headers) -> None:
    """`Connection: sessionToken` would make the next hop drop our header
    (CVE-2022-31813)."""
    listed = headers.get("connection")
    if listed is not None:
        kept = [part for part in listed.split(",") if not is_token_header(part.strip())]
        headers["connection"] = ",".join(kept)


def _drop_session_cookies(seal: Seal) -> None:
    """A browser session beside a bot's tokens would be a second identity."""
    seal.brought = [_without_session(field) for field in seal.brought]


def _without_session(field: SealedField) -> SealedField:
    value = field.value.reveal()
    if field.name.lower() != b"cookie" or not _SESSION_COOKIE.search(value):
        return field
    cookies = [part for part in value.split(";") if not _SESSION_COOKIE.match(part)]
    return SealedField(field.name, field.shown, Secret(";".join(cookies).strip()))


def seal_response(flow: http.HTTPFlow, *, injected: bool, ours: bool) -> None:
    """Hide the secrets in an answer's headers. `injected`: the bot's own secrets are for
    nobody, not even for the client. `ours`: what the client's own login brought is for
    the client only."""
    seal, response = seal_of(flow), flow.response
    if seal is None or response is None or not (injected or ours):
        return
    shown: list[Field] = []
    for name, value in response.headers.fields:
        text = name.decode("latin-1").lower()
        ours_in_name = seal.masked(name) != name
        if injected and (text == "alt-svc" or ours_in_name or _is_session_cookie(text, value)):
            continue
        if ours and (text in _SECRET_RESPONSE_HEADERS or is_token_header(text)):
            sealed = SealedField.of(name, value)
            seal.answered.append(sealed)
            shown.append((name, sealed.shown))
        else:
            shown.append((name, seal.masked(value)))
    response.headers.fields = tuple(shown)
    if seal.masked(response.data.reason) != response.data.reason:
        response.reason = ""


def _is_session_cookie(name: str, value: bytes) -> bool:
    return name == "set-cookie" and _SESSION_COOKIE.match(value.decode("latin-1")) is not None
