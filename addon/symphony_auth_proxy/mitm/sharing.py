"""A saved capture, turned into one that is safe to send.

It is walked twice: the secrets that the first walk learns are found in the second wherever else
they stand, even before the place that told them. What is written is then searched, byte by byte
and independently of what was masked, for every secret in all its disguises and for whatever
still has a secret's shape. Only a file without any gets the name that was asked for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow

from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.inspection import har_entries
from symphony_auth_proxy.inspection.people_words import Bodies
from symphony_auth_proxy.inspection.redaction import Finding, Masker, Redactor, people_see
from symphony_auth_proxy.inspection.remains import place_of, remains
from symphony_auth_proxy.mitm import shared_flows
from symphony_auth_proxy.mitm.captures import Capture, flow_of, har_of, write_flows, write_har

type Progress = Callable[[str, float], None]
"""Is told the step, and how much of it is done, from 0 to 1."""

_CHUNK = 1 << 20


@dataclass(slots=True)
class Report:
    """What became of a capture."""

    flows: int = 0
    """That are in the file."""
    left_out: int = 0
    """That the file's format has no place for."""
    unreadable: int = 0
    """HAR entries that mitmproxy cannot make a flow of."""
    broken_off: bool = False
    """The capture could not be read to its end."""
    bodies_cut: int = 0
    """That people's words were cut out of."""
    findings: tuple[Finding, ...] = ()
    """Every secret that was masked."""


def share(
    source: Path,
    target: Path,
    *,
    bodies: Bodies,
    replace: bool = False,
    progress: Progress = lambda _step, _done: None,
    masker: Masker = people_see,
) -> Report:
    """Write what may be sent of `source` to `target`, as HAR if that ends in `.har`, else as
    mitmproxy saves flows. `replace`: also if there is such a file.

    Raises SymphonyAuthProxyError when the capture cannot be read, or when a secret would be in
    the file, which is not written then; FileExistsError, OSError.
    """
    sharing = _Sharing(Capture(source), Redactor(masker), bodies)
    sharing.learn(partial(progress, "reading"))
    with _unfinished(target, replace=replace) as unfinished:
        with unfinished.open("wb") as file:
            sharing.write(file, partial(progress, "writing"), har=target.suffix.lower() == ".har")
        _require_nothing_remains(unfinished, sharing.redactor, partial(progress, "checking"))
    report = sharing.report
    report.broken_off = sharing.capture.broken_off
    report.findings = tuple(one for one in sharing.redactor.findings if one.places)
    return report


class _Sharing:
    """One capture on its way."""

    def __init__(self, capture: Capture, redactor: Redactor, bodies: Bodies) -> None:
        self.capture = capture
        self.redactor = redactor
        self.report = Report()
        self._bodies = bodies

    def learn(self, progress: Callable[[float], None]) -> None:
        for entry in self.capture.entries(progress):
            if isinstance(entry, Flow):
                shared_flows.learn(entry, self.redactor)
            else:
                har_entries.without_secrets(entry, self.redactor, self._bodies)
        self.redactor.tree(self.capture.frame)
        self.redactor.seek_echoes()

    def entries(self, progress: Callable[[float], None]) -> Iterator[Flow | dict[str, Any]]:
        """Yield what may be shown of each entry."""
        for entry in self.capture.entries(progress):
            shown: Flow | dict[str, Any]
            if isinstance(entry, Flow):
                shown, cut = shared_flows.without_secrets(entry, self.redactor, self._bodies)
            else:
                shown, cut = har_entries.without_secrets(entry, self.redactor, self._bodies)
            self.report.bodies_cut += cut
            yield shown

    def write(self, file: BinaryIO, progress: Callable[[float], None], *, har: bool) -> None:
        entries = self.entries(progress)
        if not har:
            write_flows(self._flows(entries), file)
        elif self.capture.is_har:
            known = [entry for entry in entries if isinstance(entry, dict)]
            self.report.flows = len(known)
            write_har(self.redactor.tree(self.capture.frame), known, file)
        else:
            log = har_of(self._http(entries))
            write_har({k: v for k, v in log.items() if k != "entries"}, log["entries"], file)

    def _flows(self, entries: Iterator[Flow | dict[str, Any]]) -> Iterator[Flow]:
        for entry in entries:
            flow = entry if isinstance(entry, Flow) else flow_of(entry)
            if flow is None:
                self.report.unreadable += 1
            else:
                self.report.flows += 1
                yield flow

    def _http(self, entries: Iterator[Flow | dict[str, Any]]) -> Iterator[HTTPFlow]:
        for flow in self._flows(entries):
            if isinstance(flow, HTTPFlow):
                yield flow
            else:
                self.report.flows -= 1
                self.report.left_out += 1


@contextmanager
def _unfinished(target: Path, *, replace: bool) -> Iterator[Path]:
    """Make a private file that gets its name at the end, if all went well."""
    if target.exists() and not replace:
        raise FileExistsError(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        if replace:
            temporary.replace(target)
        else:
            _link(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, target: Path) -> None:
    """Give it its name, unless something came by that name in the meantime."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        temporary.replace(target)


def _require_nothing_remains(
    path: Path, redactor: Redactor, progress: Callable[[float], None]
) -> None:
    needles = redactor.needles()
    found = list(dict.fromkeys(map(str, remains(_chunks(path, progress), needles))))
    if not found:
        return
    places = (
        f"flow {number}, {place}"
        for number, entry in enumerate(Capture(path).entries(lambda _done: None), start=1)
        if (place := place_of(entry.get_state() if isinstance(entry, Flow) else entry, needles))
    )
    where = next(places, "outside of the flows")
    others = f", and {len(found) - 1} more" if len(found) > 1 else ""
    raise SymphonyAuthProxyError(
        f"nothing was written: {found[0]} would still be in the file ({where}){others}",
        hint="leave that flow out of the capture, and please report this as a bug",
    )


def _chunks(path: Path, progress: Callable[[float], None]) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
            progress(file.tell() / size)
