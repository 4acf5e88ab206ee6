"""The flat `config.json` of Symphony's older SDKs, recognised and translated.

Those SDKs (`symphony-api-client-*` for Java, Python, Node and .NET) ended in 2021, many of
their files live on. They are not read: a person gets the same settings in the BDK's form,
once, to keep. Passwords stay where they are; the translation says where they go.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from symphony_auth_proxy.config.document import Wrong
from symphony_auth_proxy.core.hosts import canonical_host

type _Legacy = Mapping[str, object]

_SIGNS = frozenset({
    "sessionAuthHost", "keyAuthHost", "podHost", "agentHost", "botUsername",
    "botPrivateKeyPath", "botPrivateKeyName", "botRSAPath", "botRSAName",
    "botCertPath", "botCertName",
})  # fmt: skip
_COMPONENTS = {
    "pod": ("pod", "podProxy"),
    "agent": ("agent", "agentProxy"),
    "keyManager": ("keyAuth", "keyManagerProxy"),
    "sessionAuth": ("sessionAuth", "sessionProxy"),
}
"""BDK component → how its legacy keys begin: address, proxy."""


def refuse(document: _Legacy) -> None:
    """Raise Wrong with what to write instead when this is a file of those SDKs."""
    if not _SIGNS & document.keys():
        return
    stream = io.StringIO()
    YAML(pure=True).dump(_bdk(document), stream)  # round-trip: keeps the order of the keys
    shown = "".join(f"\n      {line}" for line in stream.getvalue().splitlines())
    raise Wrong(
        "is the flat file of an older Symphony SDK; write the same in the form of the BDK:\n"
        f"{shown}\n"
    )


def _bdk(legacy: _Legacy) -> dict[str, object]:
    root = _address(legacy, "pod") or {"host": "POD.symphony.com"}
    proxy = _proxy(legacy, "proxy")
    components = {}
    for name, (address, own_proxy) in _COMPONENTS.items():
        found = _address(legacy, address)
        section = found if found != root else {}
        if (own := _proxy(legacy, own_proxy)) and own != proxy:
            section = {**section, "proxy": own}
        if section:
            components[name] = section
    return {
        **root,
        **({"proxy": proxy} if proxy else {}),
        **components,
        "bot": _bot(legacy),
        **_ssl(legacy),
    }


def _address(legacy: _Legacy, name: str) -> dict[str, object]:
    host = _host(legacy.get(f"{name}Host"))
    if host is None:
        return {}
    port = str(legacy.get(f"{name}Port") or 443)
    address: dict[str, object] = {"host": host}
    if re.fullmatch("[0-9]{1,5}", port) and port != "443":
        address["port"] = int(port)
    if context := _plain(legacy.get(f"{name}ContextPath")):
        address["context"] = context
    return address


def _bot(legacy: _Legacy) -> dict[str, object]:
    bot: dict[str, object] = {"username": _plain(legacy.get("botUsername")) or "BOT-USERNAME"}
    key = _joined(legacy, "botPrivateKey") or _joined(legacy, "botRSA")
    certificate = _joined(legacy, "botCert")
    if certificate and (not key or legacy.get("authType") == "cert"):
        password = {"passwordFile": "certs/bot.password"} if legacy.get("botCertPassword") else {}
        return {**bot, "certificate": {"path": certificate, **password}}
    return {**bot, "privateKey": {"path": key or "certs/bot.pem"}}


def _ssl(legacy: _Legacy) -> dict[str, object]:
    path = _plain(legacy.get("truststorePath"))
    if not path:
        return {}
    password = {"passwordFile": "certs/truststore.password"}
    return {
        "ssl": {
            "trustStore": {"path": path, **(password if legacy.get("truststorePassword") else {})}
        }
    }


def _proxy(legacy: _Legacy, name: str) -> dict[str, object]:
    url = legacy.get(f"{name}URL")
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host, port = _host(parts.hostname), parts.port
    except ValueError:
        return {}
    if host is None:
        return {}
    username = _plain(legacy.get(f"{name}Username")) or _plain(parts.username)
    credentials = {"username": username, "password": "${PROXY_PASSWORD}"} if username else {}
    return {"host": host, "port": port or 80, **credentials}


def _joined(legacy: _Legacy, name: str) -> str:
    directory, file = _plain(legacy.get(f"{name}Path")), _plain(legacy.get(f"{name}Name"))
    return str(PurePosixPath(directory) / file) if file else ""


def _host(value: object) -> str | None:
    try:
        return canonical_host(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _plain(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
