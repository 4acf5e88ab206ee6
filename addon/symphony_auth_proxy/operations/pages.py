"""What the proxy answers about itself: its pages, by path, whoever serves them.

The portal (through the proxy) and `admin.listen` (a port of its own) offer some of these
each. They are read, never changed by; they hold no secret; no page of another site may
read, frame or script them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from symphony_auth_proxy.ca.truststores import java
from symphony_auth_proxy.instructions.guide import Guide, Visit
from symphony_auth_proxy.operations import metrics, status_page
from symphony_auth_proxy.operations.overview import overview
from symphony_auth_proxy.operations.status import Status
from symphony_auth_proxy.telemetry import Telemetry

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

HEALTH, READINESS, METRICS, CA = "/healthz", "/readyz", "/metrics", "/ca.pem"

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    """Further ones, beside those of every page, or in their place."""

    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": self.content_type, **HEADERS, **self.headers}


class Pages:
    """The pages of one running proxy."""

    def __init__(
        self,
        look: Callable[[], Status],
        telemetry: Telemetry,
        guide: Callable[[Visit], Guide | None] = lambda _visit: None,
    ) -> None:
        """`guide`: writes the instructions for a reader; None when there are none."""
        self._look = look
        self._guide = guide
        self._exposition = metrics.exposition(look, telemetry)
        self._pages: dict[str, Callable[[], Page]] = {
            HEALTH: _health,
            READINESS: self._readiness,
            METRICS: self._metrics,
            "/status.json": self._status,
            CA: self._ca,
            "/ca.p12": self._trust_store,
            **{path: partial(_file, path) for path in status_page.FILES},
        }

    def answer(
        self,
        method: str,
        path: str,
        offered: Collection[str] | None = None,
        visit: Visit | None = None,
    ) -> Page:
        """Answer a request for one of the pages `offered` (None: all). Never raises for
        what a client sends. `visit`: who reads, for the instructions on the status page."""
        page = partial(self._index, visit) if path == "/" else self._pages.get(path)
        if page is None or (offered is not None and path not in offered):
            names = ", ".join(sorted({"/", *self._pages} if offered is None else offered))
            return _error(404, f"there is no such page; there are {names}")
        if method not in {"GET", "HEAD"}:
            return _error(405, "pages are only read", {"Allow": "GET, HEAD"})
        return page()

    def _readiness(self) -> Page:
        obstacles = self._look().obstacles()
        return _json(503 if obstacles else 200, {"ready": not obstacles, "reasons": obstacles})

    def _metrics(self) -> Page:
        return Page(200, metrics.CONTENT_TYPE, self._exposition())

    def _status(self) -> Page:
        return _json(200, self._look().as_json())

    def _ca(self) -> Page:
        """The certificate that clients must trust; never its key, which is another file."""
        return self._made_of_ca(
            "ca.pem", "application/x-pem-file", lambda ca: ca.public_bytes(Encoding.PEM)
        )

    def _trust_store(self) -> Page:
        """The same for Java, without a password."""
        return self._made_of_ca("ca.p12", "application/x-pkcs12", lambda ca: java([ca]))

    def _made_of_ca(
        self, name: str, content_type: str, make: Callable[[x509.Certificate], bytes]
    ) -> Page:
        certificate = self._certificate()
        if certificate is None:
            return _error(503, f"{self._look().ca_certificate.name} cannot be read")
        disposition = {"Content-Disposition": f'attachment; filename="proxy-{name}"'}
        return Page(200, content_type, make(certificate), disposition)

    def _certificate(self) -> x509.Certificate | None:
        try:
            return x509.load_pem_x509_certificate(self._look().ca_certificate.read_bytes())
        except (OSError, ValueError):
            return None

    def _index(self, visit: Visit | None) -> Page:
        """For people."""
        guide = self._guide(visit) if visit is not None else None
        certificate = self._certificate()
        ca = status_page.Ca.of(certificate) if certificate is not None else None
        body = status_page.render(overview(self._look().as_json()), guide, ca)
        policy = {"Content-Security-Policy": status_page.POLICY}
        return Page(200, "text/html; charset=utf-8", body, policy)


def _file(path: str) -> Page:
    """Kept for some minutes: an open page asks for itself every few seconds."""
    kept = {"Cache-Control": "private, max-age=300"}
    return Page(200, status_page.FILES[path], status_page.content(path), kept)


def _health() -> Page:
    """200 while somebody is there to answer, also while the proxy is stopping."""
    return _json(200, {"healthy": True})


def _json(status: int, value: object) -> Page:
    text = json.dumps(value, ensure_ascii=False)
    return Page(status, _JSON, f"{text}\n".encode())


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Page:
    """In the shape of all errors of this proxy."""
    text = json.dumps({"code": status, "message": message, "details": {}}, ensure_ascii=False)
    return Page(status, _JSON, f"{text}\n".encode(), headers or {})
