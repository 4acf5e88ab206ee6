"""The proxy's own CA: is it there, can it be used, until when, for which hosts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from symphony_auth_proxy.ca import authority, ca_files
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.ca.ca_files import KEY_FILE
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, in_words
from symphony_auth_proxy.errors import ConfigError
from symphony_auth_proxy.keys import EXPIRY_WARNING

_AREA = Area.CA
_CLIENTS = "the proxy answers TLS with it: no client could use the proxy"
_ROTATE = "`symphony-auth-proxy ca rotate` makes a new one, which clients must then get"


def examined(
    directory: Path, hosts: Collection[str], now: float
) -> tuple[Authority | None, list[Finding]]:
    """Look into the CA of a directory, which need not be there. `hosts`: those of Symphony.
    `now`: seconds since the epoch."""
    subject = str(directory)
    try:
        with ca_files.problems_of(directory):
            if not (directory / KEY_FILE).exists():
                what = "there is no CA yet; it is made at the first start"
                return None, [Finding(_AREA, subject, Level.NOTE, what)]
        found = authority.load(directory)
    except ConfigError as error:
        diagnosis = _diagnosis(directory, now)
        return None, [
            Finding(
                _AREA,
                subject,
                Level.PROBLEM,
                one.message,
                _CLIENTS,
                "" if "`" in one.message else _ROTATE,
                diagnosis,
            )
            for one in error.problems
        ]
    return found, list(_about(found, hosts, now))


def _diagnosis(directory: Path, now: float) -> Diagnosis:
    try:
        chain = x509.load_pem_x509_certificates((directory / KEY_FILE).read_bytes())
    except (OSError, ValueError):
        return Diagnosis.CONFIGURATION
    expired = any(one.not_valid_after_utc.timestamp() <= now for one in chain)
    return Diagnosis.CA_EXPIRES if expired else Diagnosis.CONFIGURATION


def _about(found: Authority, hosts: Collection[str], now: float) -> Iterator[Finding]:
    subject, until = str(found.directory), f"{found.not_after:%Y-%m-%d}"
    missing = [host for host in hosts if not found.covers(host)]
    left = found.not_after - datetime.fromtimestamp(now, UTC)
    if missing:
        yield Finding(
            _AREA,
            subject,
            Level.PROBLEM,
            f"the CA is not for {in_words(missing)}",
            "it can sign for the hosts only that were configured when it was made, and `serve` "
            "does not start with others",
            _ROTATE,
            Diagnosis.CONFIGURATION,
        )
    if left < EXPIRY_WARNING:
        yield Finding(
            _AREA,
            subject,
            Level.WARNING,
            f"the CA expires on {until}, in {max(left.days, 0)} days",
            _CLIENTS,
            _ROTATE,
            Diagnosis.CA_EXPIRES,
        )
    if found.hosts is None:
        yield Finding(
            _AREA,
            subject,
            Level.WARNING,
            "the CA can sign for any host",
            "whoever gets its key can pose as any site to the clients that trust it",
            "`symphony-auth-proxy ca rotate` makes one that is limited to the configured hosts",
        )
    if not missing and left >= EXPIRY_WARNING:
        what = f"{found.subject}, valid until {until}, private, for all configured hosts"
        yield Finding(_AREA, subject, Level.OK, what)
