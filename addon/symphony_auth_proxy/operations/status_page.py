"""The status page: `overview` and the instructions for its reader, as HTML.

Made here, whole, for each request; the script beside it only keeps it current and copies. All
that is put into it is escaped by the template engine, without exception.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from jinja2 import Environment, PackageLoader, StrictUndefined

from symphony_auth_proxy.core.spans import span, utc
from symphony_auth_proxy.instructions.guide import Guide
from symphony_auth_proxy.operations.overview import Overview

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own files, and nothing that stands in it."""

FILES = {
    "/status.css": "text/css; charset=utf-8",
    "/status.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
"""What the page consists of besides, by path: the types."""

_FOLDER = "web"


@dataclass(frozen=True, slots=True)
class Ca:
    """The certificate that clients must trust, as people compare and judge it."""

    fingerprint: str
    """SHA-256, as keytool and openssl write it."""
    expires: float
    """Seconds since the epoch."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Ca:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        return cls(fingerprint, certificate.not_valid_after_utc.timestamp())


def render(view: Overview, guide: Guide | None, ca: Ca | None) -> bytes:
    """Write the page. `guide`, `ca`: None when there are none."""
    return _TEMPLATE.render(view=view, guide=guide, ca=ca).encode()


def content(path: str) -> bytes:
    """Return one of `FILES`."""
    return resources.files(__package__).joinpath(_FOLDER, path.removeprefix("/")).read_bytes()


def _anchor(name: str) -> str:
    """An id for an element, whatever characters the name has."""
    return f"bot-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("symphony_auth_proxy.operations", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {
        "span": span,
        "utc": utc,
        "iso": _iso,
        "grouped": _grouped,
        "anchor": _anchor,
    }
    return environment


_TEMPLATE = _environment().get_template("status.html")
