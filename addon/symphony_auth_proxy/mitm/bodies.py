"""Which bodies are held and which stream.

mitmproxy decides by size alone, and for requests too late for answers and resends of our
own. So each body is decided here, when its headers are in; an answer that turns out to be
longer than can be held streams from there on (`stream_large_bodies`, see `addon`).

* a request body that may have to be sent again is kept up to 1 MiB, larger ones stream;
* an answer of known length up to 8 MiB and every JSON answer is held until it is whole,
  because the BDK for Python ends its datafeed loop on a truncated one (symphony-bdk-python
  #391), but retries a 502; all others stream;
* bodies of logins stream: nothing may keep them. One that may be for a bot of ours is held
  until it tells, if it is short, and sealed (see `seal`).
"""

from __future__ import annotations

from mitmproxy import http

RESENDABLE_BYTES = 1024 * 1024
HELD_BYTES = 8 * 1024 * 1024
LOGIN_BYTES = 64 * 1024
"""An assertion has some hundred; a longer body is none that a login of ours could have."""


class KeptCopy:
    """Lets a body of unknown length through, and keeps it as long as it is small."""

    def __init__(self, limit: int = RESENDABLE_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._ended = False
        self._too_large = False

    def __call__(self, chunk: bytes) -> bytes:
        """mitmproxy calls this with each chunk, and with an empty one at the end."""
        self._ended = not chunk
        if len(self._kept) + len(chunk) > self._limit:
            self._too_large = True
            self._kept.clear()
        if not self._too_large:
            self._kept += chunk
        return chunk

    @property
    def whole(self) -> bytes | None:
        """The body, once it has ended and if it was small enough."""
        return bytes(self._kept) if self._ended and not self._too_large else None


def declared_length(message: http.Message) -> int | None:
    """The Content-Length in bytes, or None when there is none that can be read."""
    value = message.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def has_body(request: http.Request) -> bool:
    """Whether a body follows, as far as the headers tell (always possible with HTTP/2)."""
    length = declared_length(request)
    if length is not None:
        return length > 0
    return "transfer-encoding" in request.headers or (
        request.is_http2 and request.method not in {"GET", "HEAD"}
    )


def plan_request(request: http.Request, *, secret: bool) -> None:
    """Decide how a request's body travels. Must be the last step of its hook: mitmproxy
    cannot answer a request itself once it streams."""
    length = declared_length(request)
    if secret or (length is not None and length > RESENDABLE_BYTES):
        request.stream = True
    elif length is None and has_body(request):
        request.stream = KeptCopy()
    else:
        request.stream = False


def may_be_read(request: http.Request) -> bool:
    """Whether a login's body is, as far as its headers tell, one that a login may have."""
    length = declared_length(request)
    return length is None or length <= LOGIN_BYTES


def can_be_held(response: http.Response) -> bool:
    """Whether an answer is, as far as its headers tell, small enough to wait for."""
    length = declared_length(response)
    return length is None or length <= HELD_BYTES


def plan_response(response: http.Response, *, secret: bool, hold: bool) -> None:
    """Decide how an answer's body travels. `hold`: it must wait until it is whole.

    A 401 waits too, because it may be replaced.
    """
    length = declared_length(response)
    waits = "json" in response.headers.get("content-type", "") or response.status_code == 401
    held = waits if length is None else length <= HELD_BYTES
    response.stream = secret or not (hold or held)


def resendable_body(request: http.Request) -> bytes | None:
    """The whole request body, or None when it is not in hand."""
    if isinstance(request.stream, KeptCopy):
        # HTTP/2 may end a request with its headers: then nothing was streamed.
        return request.raw_content if request.stream.whole is None else request.stream.whole
    return None if request.stream else request.raw_content
