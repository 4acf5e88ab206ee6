"""Which programs of this machine trust the proxy's CA, as they would be started from here.

Programs look for CAs in files, and which files that are is told by a few variables and by where
a runtime is installed. The files are read; no program is run. Whoever does not trust the CA can
still be started by `run`, or told by `env`, so that is a note; it is a warning where this
environment sends programs to the proxy, for then their calls fail.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from symphony_auth_proxy import environment
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level
from symphony_auth_proxy.doctor.surroundings import sends_to_us
from symphony_auth_proxy.model import Settings

_AREA = Area.RUNTIMES
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_LARGEST = 16 * 1024 * 1024
_WHY = "this environment sends programs to the proxy, and their calls fail in the TLS handshake"


@dataclass(frozen=True, slots=True)
class _Runtime:
    name: str
    program: str | None
    """What must be on the PATH for it to be here; None: always here."""
    stores: Callable[[Mapping[str, str]], list[Path]]
    """The files that it takes CAs from."""
    way_out: str


def examined(ca: Authority, settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    told = sends_to_us(settings, environ)
    for runtime in _RUNTIMES:
        if runtime.program and not shutil.which(runtime.program, path=environ.get("PATH")):
            continue
        stores = runtime.stores(environ)
        trusting = next((store for store in stores if _holds(store, ca.root)), None)
        if trusting is not None:
            what = f"trusts the proxy's CA ({trusting})"
            yield Finding(_AREA, runtime.name, Level.OK, what)
            continue
        looked = ", ".join(map(str, stores))
        what = "does not trust the proxy's CA" + (f" ({looked})" if looked else "")
        yield Finding(
            _AREA,
            runtime.name,
            Level.WARNING if told else Level.NOTE,
            what,
            _WHY if told else "",
            runtime.way_out.format(ca=ca.certificate),
            Diagnosis.CA_NOT_TRUSTED_HERE,
        )


def _holds(store: Path, root: x509.Certificate) -> bool:
    """Whether a PEM bundle, a directory of PEM files as OpenSSL looks them up, a Java keystore
    or a PKCS#12 trust store holds a certificate."""
    if store.is_dir():
        return any(_holds(file, root) for file in sorted(store.iterdir()) if _is_hashed(file))
    try:
        with store.open("rb") as file:
            data = file.read(_LARGEST)
    except OSError:
        return False
    der = root.public_bytes(Encoding.DER)
    # Java's keystores hold certificates as they are; so do PKCS#12 stores without a password.
    if der in data:
        return True
    if b"-----BEGIN" in data:
        body = root.public_bytes(Encoding.PEM).split(b"-----")[2]
        return b"".join(body.split()) in b"".join(data.split())
    try:
        opened = pkcs12.load_pkcs12(data, b"changeit")
    except ValueError:
        return False
    return any(one.certificate == root for one in opened.additional_certs)


def _is_hashed(file: Path) -> bool:
    return bool(_HASHED_NAME.fullmatch(file.name)) and file.is_file()


def _system(environ: Mapping[str, str]) -> list[Path]:
    places = ssl.get_default_verify_paths()
    file = environ.get(places.openssl_cafile_env) or places.openssl_cafile
    directories = environ.get(places.openssl_capath_env) or places.openssl_capath
    return [Path(file), *map(Path, directories.split(os.pathsep))]


def _requests(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    return [Path(named or certifi.where())]


def _node(environ: Mapping[str, str]) -> list[Path]:
    options = environ.get("NODE_OPTIONS", "").split()
    extra = environ.get("NODE_EXTRA_CA_CERTS")
    system = (
        environ.get("NODE_USE_SYSTEM_CA") == "1"
        or "--use-system-ca" in options
        or "--use-openssl-ca" in options
    )
    return [*([Path(extra)] if extra else ()), *(_system(environ) if system else ())]


def _curl(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("CURL_CA_BUNDLE")
    return [Path(named)] if named else _system(environ)


def _java(environ: Mapping[str, str]) -> list[Path]:
    told = environment.java_option(environ, "-Djavax.net.ssl.trustStore=")
    if told is not None:
        return [Path(told)]
    home = environ.get("JAVA_HOME") or _home_of(shutil.which("java", path=environ.get("PATH")))
    # The second is where Java 8 keeps it.
    below = ("lib/security/cacerts", "jre/lib/security/cacerts")
    places = [Path(home) / one for one in below] if home else []
    return [place for place in places if place.exists()]


def _home_of(java: str | None) -> str | None:
    return str(Path(java).resolve().parent.parent) if java else None


_ENV = "`symphony-auth-proxy run` and `symphony-auth-proxy env` see to it"

_RUNTIMES = (
    _Runtime(
        "OpenSSL, Python's ssl",
        None,
        _system,
        _ENV + "; for all users install {ca} in the system's store (`update-ca-certificates`, "
        "`update-ca-trust`)",
    ),
    _Runtime(
        "Python requests",
        None,
        _requests,
        _ENV + "; or `export REQUESTS_CA_BUNDLE=FILE`, a bundle with {ca} in it",
    ),
    _Runtime("Node.js", "node", _node, _ENV + "; or `export NODE_EXTRA_CA_CERTS={ca}`"),
    _Runtime(
        "Java",
        "java",
        _java,
        _ENV + "; or `keytool -importcert -cacerts -alias symphony-auth-proxy -file {ca}`",
    ),
    _Runtime("curl", "curl", _curl, _ENV + "; or `curl --cacert {ca}`"),
)
