"""Takes the secrets out of whatever was recorded, and remembers which they were.

Each becomes what people see of it in live flows and in logs: `[sealed #7f3a]`, or of a JWT its
header and claims; in URLs, where brackets would not do, `sealed-7f3a`. The same secret has the
same fingerprint everywhere. What is sealed already stays as it is, so nothing changes when it is
done twice.

It takes two walks. The first learns the secrets from the places that tell them; after
`seek_echoes` the second also finds them, in any disguise, where nothing tells them. Nothing is
read or written here, and no secret is ever part of a message.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from symphony_auth_proxy.core.masked import masked
from symphony_auth_proxy.inspection.disguises import disguises
from symphony_auth_proxy.inspection.layers import Candidate, layers
from symphony_auth_proxy.inspection.members import walked
from symphony_auth_proxy.inspection.needles import Needles
from symphony_auth_proxy.inspection.secret_kinds import Kind, kind_of
from symphony_auth_proxy.inspection.secret_patterns import Place, Trace, traces
from symphony_auth_proxy.secret import Secret

type Masker = Callable[[Kind, Secret], str]
type _Edit = tuple[int, int, bytes]

_SEALED = re.compile(
    rb"(?:ey[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]*+\.)?"
    rb"(?:\[sealed [^\]\r\n]{0,120}\]|sealed-[0-9a-f]{4})"
)
_NOTHING = re.compile(rb"\s*+(?:null|none|undefined|true|false)?\s*+", re.IGNORECASE)
_CERTIFICATE = re.compile(
    rb"\s*+-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]++-----END CERTIFICATE-----\s*+"
)
_AUTHORIZATION = re.compile(
    rb"(?s)(?P<scheme>[A-Za-z][A-Za-z0-9-]{1,29}) +(?P<value>%b|\S++)(?P<rest>.*+)"
    % _SEALED.pattern
)
_NEXT_COOKIE = re.compile(rb"(\n|,(?=\s*+[^\s;,=]++=))")
"""Browsers join several `Set-Cookie` by a line end, others by a comma."""
_NAMELESS_COOKIE = 16
_USER = re.compile(r"[\w.@+-]{1,64}")
_URL_HEADERS = frozenset({"location", "content-location", "referer", "refresh", "link"})
_URL_MEMBERS = frozenset({"url", "redirectURL", "path", "authority"})

_DEEPEST = 4
"""Texts inside of texts that are looked into: more is nothing that anybody wrote."""
_MOST_WALKS = 4
_SHORT = 512
"""Bytes of a text that is remembered when nothing is in it: headers repeat."""
_REMEMBERED = 100_000


@dataclass(slots=True)
class Finding:
    """What is known of one secret."""

    kind: Kind
    secret: Secret
    places: int = 0
    """How often it was masked since the last `seek_echoes`."""


def people_see(_kind: Kind, secret: Secret) -> str:
    """Return what is shown of a secret, here as everywhere."""
    return masked(secret.reveal())


class Redactor:
    """Masks what it recognises."""

    def __init__(self, masker: Masker = people_see) -> None:
        """`masker`: what is shown of a secret."""
        self._masker = masker
        self._findings: dict[Secret, Finding] = {}
        self._echoes: Needles[Finding] = Needles({})
        self._clean: set[bytes] = set()

    @property
    def findings(self) -> Sequence[Finding]:
        """Every secret so far, in the order in which they were found."""
        return tuple(self._findings.values())

    def needles(self) -> Needles[Finding]:
        """Make what finds all secrets so far, in all their disguises."""
        meanings: dict[bytes, Finding] = {}
        for finding in self._findings.values():
            for form in disguises(finding.kind, _octets(finding.secret.reveal())):
                meanings.setdefault(form, finding)
        return Needles(meanings)

    def seek_echoes(self) -> None:
        """From now on find what is known wherever it stands. Counting begins anew."""
        self._echoes = self.needles()
        self._clean.clear()
        for finding in self._findings.values():
            finding.places = 0

    def text(self, data: bytes, *, url: bool = False, depth: int = 0) -> bytes:
        """Mask the secrets in a text of whatever kind."""
        return self.stream([data], url=url, depth=depth)[0]

    def body(self, data: bytes) -> bytes:
        """Mask the secrets in a body; in JSON also where only its structure tells them."""
        data = self.text(data)
        if data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] not in {b"{", b"["}:
            return data
        try:
            document = json.loads(data)
            mended = walked(document, self, lambda leaf, _key: leaf)
        except (ValueError, RecursionError):
            return data
        return data if mended == document else json.dumps(mended).encode()

    def tree(self, node: Any) -> Any:
        """Mask the secrets in nested objects, as flows and HAR entries are saved."""
        return walked(node, self, self._leaf)

    def stream(self, parts: Sequence[bytes], *, url: bool = False, depth: int = 0) -> list[bytes]:
        """Mask the secrets in what was sent in parts, also those that two parts share.

        The parts stay parts: a mask stands where its secret began."""
        kept = list(parts)
        for _ in range(_MOST_WALKS):
            whole = b"".join(kept)
            if whole in self._clean or _CERTIFICATE.fullmatch(whole):
                break
            edits = _disjoint(self._candidates(whole, url, depth))
            if not edits:
                if len(whole) <= _SHORT and len(self._clean) < _REMEMBERED:
                    self._clean.add(whole)
                break
            kept = _edited(kept, edits)
        return kept

    def member(self, name: str, value: bytes, *, url: bool = False) -> bytes:
        """Mask a header, field or parameter: as a whole when its name says so, else what is
        in it."""
        low = name.lower()
        if low == "cookie":
            return b";".join(map(self._cookie, value.split(b";")))
        if low == "set-cookie":
            return self._set_cookie(value)
        if kind := kind_of(name):
            return self.credentials(kind, value, url=url)
        return self.text(value, url=url or low in _URL_HEADERS)

    def credentials(self, kind: Kind, value: bytes, *, url: bool = False) -> bytes:
        """Seal what may begin with a scheme (RFC 9110, 11.4), which stays."""
        match = _AUTHORIZATION.fullmatch(value.strip())
        scheme = match["scheme"] if match else b""
        if match and scheme.lower() == b"basic" and kind is Kind.CREDENTIALS:
            return scheme + b" " + self._basic(match["value"]) + self.text(match["rest"])
        if match and scheme.lower() == b"bearer":
            kind = Kind.TOKEN if kind is Kind.CREDENTIALS else kind
            shown = self.seal(kind, match["value"], url=url)
            return scheme + b" " + shown + self.text(match["rest"], url=url)
        if match and kind is Kind.CREDENTIALS:
            return scheme + b" " + self.seal(kind, match["value"] + match["rest"], url=url)
        return self.seal(kind, value, url=url)

    def seal(self, kind: Kind, value: bytes, *, url: bool = False) -> bytes:
        """Return what stands for a secret. `url`: where brackets and blanks would not do."""
        if _NOTHING.fullmatch(value) or _SEALED.fullmatch(value.strip()):
            return value
        finding = self._learn(kind, value)
        finding.places += 1
        shown = self._masker(finding.kind, finding.secret)
        return _octets(_in_url(shown, finding) if url else shown)

    def _learn(self, kind: Kind, value: bytes) -> Finding:
        if kind is Kind.TOKEN and value.startswith(b"ey") and value.count(b".") in {2, 4}:
            kind = Kind.SIGNED_TOKEN
        secret = Secret(value.strip().decode("utf-8", "surrogateescape"))
        finding = self._findings.setdefault(secret, Finding(kind, secret))
        finding.kind = min(kind, finding.kind, key=list(Kind).index)
        return finding

    def _basic(self, value: bytes) -> bytes:
        """Seal name and password (RFC 7617). The name is shown, unless it is all there is."""
        try:
            user, _, password = base64.b64decode(value, validate=True).partition(b":")
        except ValueError:
            return self.seal(Kind.CREDENTIALS, value)
        if password:
            self._learn(Kind.PASSWORD, password)
        shown = self.seal(Kind.PASSWORD, value)
        name = user.decode("utf-8", "replace")
        if password and _USER.fullmatch(name):
            return shown.replace(b"[sealed #", b"[sealed %b #" % name.encode())
        return shown

    def _cookie(self, cookie: bytes) -> bytes:
        name, equals, value = cookie.partition(b"=")
        if equals:
            return name + equals + self.seal(Kind.COOKIE, value)
        # A cookie without a name, or a word that got in between.
        nameless = len(cookie.strip()) >= _NAMELESS_COOKIE
        return self.seal(Kind.COOKIE, cookie) if nameless else cookie

    def _set_cookie(self, value: bytes) -> bytes:
        return b"".join(map(self._one_set_cookie, _NEXT_COOKIE.split(value)))

    def _one_set_cookie(self, value: bytes) -> bytes:
        cookie, semicolon, attributes = value.partition(b";")
        return self._cookie(cookie) + semicolon + attributes

    def _leaf(self, value: Any, key: str) -> Any:
        octets = value if isinstance(value, bytes) else _octets(value)
        if octets in self._clean:
            return value
        shown = self.text(octets, url=True) if key in _URL_MEMBERS else self.body(octets)
        return shown if isinstance(value, bytes) else shown.decode("utf-8", "surrogateescape")

    def _candidates(self, text: bytes, url: bool, depth: int) -> Iterator[Candidate]:
        for trace in traces(text):
            yield trace.start, trace.end, partial(self._masked, trace, url)
        for hit in self._echoes.find(text):
            yield hit.start, hit.end, partial(_echo, hit.meaning, url)
        if depth < _DEEPEST:
            yield from layers(text, partial(self.text, depth=depth + 1))

    def _masked(self, trace: Trace, url: bool) -> bytes | None:
        if trace.place is Place.HEADER:
            shown = self.member(trace.name, trace.value, url=url)
        else:
            url = url or trace.place is Place.URL
            shown = self.credentials(trace.kind, trace.value, url=url)
        return shown if shown != trace.value else None


def _echo(finding: Finding, url: bool) -> bytes:
    """Of an echo never more than the fingerprint: it may be a part of the secret."""
    finding.places += 1
    shown = f"[sealed #{finding.secret.fingerprint()}]"
    return _octets(_in_url(shown, finding) if url else shown)


def _in_url(shown: str, finding: Finding) -> str:
    fingerprint = finding.secret.fingerprint()
    return shown.replace(f"[sealed #{fingerprint}]", f"sealed-{fingerprint}")


def _disjoint(candidates: Iterable[Candidate]) -> list[_Edit]:
    """Choose among what overlaps: the outermost that changes something, grown so that nothing
    of another sticks out."""
    edits: list[_Edit] = []
    for start, end, make in sorted(candidates, key=lambda one: (one[0], -one[1])):
        if edits and end <= edits[-1][1]:
            continue
        new = make()
        if new is None:
            continue
        if edits and start < edits[-1][1]:
            begin, _, before = edits[-1]
            edits[-1] = (begin, end, before)
        else:
            edits.append((start, end, new))
    return edits


def _edited(parts: Sequence[bytes], edits: Sequence[_Edit]) -> list[bytes]:
    """Apply edits of the joined parts: what is new goes to the part where the old began."""
    edited: list[bytes] = []
    pending = list(reversed(edits))
    begin = 0
    for part in parts:
        end, at, kept = begin + len(part), begin, []
        while pending and pending[-1][0] < end:
            start, stop, new = pending[-1]
            if start >= begin:
                kept += [part[at - begin : start - begin], new]
            at = min(stop, end)
            if stop > end:
                break
            pending.pop()
        edited.append(b"".join([*kept, part[at - begin :]]))
        begin = end
    return edited


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
