"""Placeholder in the flow, secret on the wire.

Whatever mitmproxy shows, saves or exports comes from its flow objects. So a secret never
enters one: the flow holds text such as `[sealed pricing-bot #7f3a gen 3]`, and the real
value is put into the copy of a header block that is handed to a connection (see `seam`).
Secrets that clients bring themselves are kept out of flows in the same way, and so are
secrets in response headers on their way to the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Server

from symphony_auth_proxy.core.headers import SELECTING_HEADERS, is_token_header
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.secret import Secret


@dataclass(frozen=True, slots=True)
class SealedField:
    """One header field whose value the flow does not hold."""

    name: bytes
    shown: bytes
    value: Secret

    @classmethod
    def of(cls, name: bytes, value: bytes) -> SealedField:
        secret = Secret(value.decode("utf-8", "surrogateescape"))
        shown = f"[sealed {name.decode('ascii', 'replace')} #{secret.fingerprint()}]"
        return cls(name, shown.encode("ascii", "replace"), secret)

    def reveal(self) -> bytes:
        return self.value.reveal().encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Seal:
    """Everything that one flow does not show."""

    permits: Callable[[http.Request, Server], SymphonyAuthProxyError | None] = (
        lambda _request, _server: None
    )
    """The last check, against the connection that was really made: None, or why not."""
    tokens: tuple[SealedField, ...] = ()
    """Ours: whatever else stands under such a name is dropped."""
    brought: list[SealedField] = field(default_factory=list)
    """The client's own, in requests."""
    answered: list[SealedField] = field(default_factory=list)
    """In responses, for the client's eyes only."""
    target: tuple[str, Secret] | None = None
    """The path as shown and as sent, when the query holds a secret."""
    secret_body: bool = True
    """Whether the request's body holds credentials, or may, as long as nothing is decided.
    It either streams, or is sealed by `seal_body` as soon as it is whole."""
    body: SealedField | None = None
    refusal: SymphonyAuthProxyError | None = None
    """Why the last check let nothing out."""

    def seal_body(self, request: http.Request) -> None:
        """Hide a body that holds credentials; it still reaches the server."""
        content = request.raw_content
        if self.secret_body and content and not self._hides(content):
            self.body = SealedField.of(b"body", content)
            request.raw_content = self.body.shown

    def sent_body(self, shown: bytes) -> bytes:
        """Return the body, or the part of one, that goes on the wire."""
        return self.body.reveal() if self.body is not None and self._hides(shown) else shown

    def _hides(self, content: bytes) -> bool:
        return self.body is not None and content == self.body.shown

    def unsealed(self, shown: http.Request) -> http.Request:
        """Return a copy with what the client brought; it shares the body's bytes."""
        request = shown.copy()
        request.headers.fields = _revealed(request.headers.fields, self.brought)
        if self.target is not None and request.path == self.target[0]:
            request.path = self.target[1].reveal()
        content = request.raw_content or b""
        if self._hides(content) and "content-length" in request.headers:
            # Whatever the flow says: a wrong length would make a second request of the rest.
            request.headers["content-length"] = str(len(self.sent_body(content)))
        return request

    def dress(self, request: http.Request, *, http2: bool) -> None:
        """Put our tokens into an unsealed copy. `http2`: names must be in lower case."""
        dropped = SELECTING_HEADERS | (_token_names(request) if self.tokens else frozenset())
        request.headers.fields = (
            *(f for f in request.headers.fields if _text(f[0]).lower() not in dropped),
            *((t.name.lower() if http2 else t.name, t.reveal()) for t in self.tokens),
        )

    def response(self, shown: http.Response) -> http.Response:
        """Return the copy for the client."""
        response = shown.copy()
        response.headers.fields = _revealed(response.headers.fields, self.answered)
        return response

    def masked(self, value: bytes) -> bytes:
        """Return `value` with our tokens replaced by what stands for them."""
        for token in self.tokens:
            value = value.replace(token.reveal(), token.shown)
        return value


def _revealed(
    fields: Iterable[tuple[bytes, bytes]], sealed: Iterable[SealedField]
) -> tuple[tuple[bytes, bytes], ...]:
    known = {(item.name.lower(), item.shown): item for item in sealed}
    return tuple(
        (name, item.reveal() if (item := known.get((name.lower(), value))) else value)
        for name, value in fields
    )


def _token_names(request: http.Request) -> frozenset[str]:
    return frozenset(name.lower() for name in request.headers if is_token_header(name))


def _text(name: bytes) -> str:
    return name.decode("latin-1")


_seals: WeakKeyDictionary[http.HTTPFlow, Seal] = WeakKeyDictionary()


def attach(flow: http.HTTPFlow, seal: Seal) -> None:
    _seals[flow] = seal


def seal_of(flow: http.HTTPFlow) -> Seal | None:
    return _seals.get(flow)
