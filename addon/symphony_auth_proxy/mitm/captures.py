"""Saved captures, read entry by entry and written again.

Two formats: mitmproxy's own (`mitmdump -w`, "Save" in its UIs), which is read as a stream, and
HAR 1.2, as browsers, mitmproxy's `hardump` and other tools make it. A capture that breaks off in
the middle gives what is before that. What mitmproxy says about a file that it cannot read is
never passed on: it quotes the file.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mitmproxy.addons.savehar import SaveHar
from mitmproxy.exceptions import FlowReadException
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader, FlowWriter

from symphony_auth_proxy.errors import SymphonyAuthProxyError

type Progress = Callable[[float], None]
"""Is told how much of the capture is done, from 0 to 1."""

type Entry = Flow | dict[str, Any]
"""A flow, or an entry of a HAR document."""

_NOT_A_CAPTURE = "{path} is neither a capture of mitmproxy nor a HAR document"
_HINT = "mitmproxy saves captures with -w FILE or hardump=FILE, browsers as HAR"
_ENTRIES = re.compile(r'"entries"\s*:\s*\[')
_SEPARATOR = re.compile(r"[\s,]*")


class Capture:
    """A saved capture. It can be walked several times."""

    def __init__(self, path: Path) -> None:
        """Raise SymphonyAuthProxyError when this cannot be a capture, OSError when it cannot be
        read."""
        self.path = path
        self.broken_off = False
        """Whether the last walk ended before the capture's end was understood."""
        self.frame: dict[str, Any] = {}
        """What a HAR document tells beside its entries."""
        with path.open("rb") as file:
            begin = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        self.is_har = begin.startswith((b"{", b"\x78"))  # `hardump=….zhar` is compressed
        if not self.is_har and not re.match(rb"\d{1,12}:", begin):
            raise SymphonyAuthProxyError(_NOT_A_CAPTURE.format(path=path), hint=_HINT)

    def entries(self, progress: Progress) -> Iterator[Entry]:
        """Yield all that can be read. Raises SymphonyAuthProxyError when nothing can."""
        self.broken_off, count = False, 0
        for entry in self._har(progress) if self.is_har else self._flows(progress):
            count += 1
            yield entry
        if not count and self.broken_off:
            raise SymphonyAuthProxyError(_NOT_A_CAPTURE.format(path=self.path), hint=_HINT)

    def _flows(self, progress: Progress) -> Iterator[Flow]:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            try:
                for flow in FlowReader(file).stream():
                    yield flow
                    progress(file.tell() / size)
            except FlowReadException:
                self.broken_off = True

    def _har(self, progress: Progress) -> Iterator[dict[str, Any]]:
        data = self.path.read_bytes()
        if data.startswith(b"\x78"):
            data = _inflated(data)
        entries = self._entries_of(data.decode("utf-8-sig", "surrogateescape"))
        for number, entry in enumerate(entries, start=1):
            if isinstance(entry, dict):
                yield entry
            else:
                self.broken_off = True
            progress(number / len(entries))

    def _entries_of(self, text: str) -> list[Any]:
        try:
            log = json.loads(text)["log"]
            entries = log.pop("entries")
            if isinstance(entries, list):
                self.frame = log
                return entries
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            pass
        self.broken_off = True
        return list(_entries_before_the_break(text))


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""


def _entries_before_the_break(text: str) -> Iterator[Any]:
    """Read the entries of a document that is not whole."""
    begin = _ENTRIES.search(text)
    decoder, at = json.JSONDecoder(), begin.end() if begin else len(text)
    while at < len(text):
        match = _SEPARATOR.match(text, at)
        try:
            entry, at = decoder.raw_decode(text, match.end() if match else at)
        except (ValueError, RecursionError):
            return
        yield entry


def flow_of(entry: dict[str, Any]) -> Flow | None:
    """Return what mitmproxy makes of a HAR entry; None when it cannot read it."""
    request = entry.get("request")
    if isinstance(request, dict) and isinstance(form := request.get("postData"), dict):
        # Browsers leave the text out when they list the fields of a form.
        entry = {**entry, "request": {**request, "postData": {"text": "", **form}}}
    document = json.dumps({"log": {"entries": [entry]}}).encode()
    try:
        return next(iter(FlowReader(io.BytesIO(document)).stream()), None)
    except FlowReadException:
        return None


def write_flows(flows: Iterable[Flow], file: BinaryIO) -> None:
    """Write flows as mitmproxy saves them."""
    writer = FlowWriter(file)
    for flow in flows:
        writer.add(flow)


def write_har(frame: dict[str, Any], entries: Iterable[dict[str, Any]], file: BinaryIO) -> None:
    """Write a HAR document with these entries in this frame."""
    document = {"log": {**frame, "entries": list(entries)}}
    file.write(json.dumps(document, indent=1).encode())


def har_of(flows: Iterable[HTTPFlow]) -> dict[str, Any]:
    """Return the `log` of the HAR document that mitmproxy makes of flows."""
    # It takes what can be walked once, so that flows need not be held together.
    document = SaveHar().make_har(flows)  # type: ignore[arg-type]
    log = document["log"]
    assert isinstance(log, dict)
    return log
