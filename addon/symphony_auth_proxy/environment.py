"""The environment of a program that uses the proxy: which variables tell which runtime of it.

Pure: from the variables that there are to the ones that there should be. Every runtime has
names of its own for the same three things: where the proxy is, which CAs to trust, and which
hosts go without a proxy. The last must not name Symphony's hosts, or the program would call
them without tokens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit

from symphony_auth_proxy.ca.truststores import TrustFiles
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.core.hosts import canonical_host
from symphony_auth_proxy.model import Origin, UpstreamProxy
from symphony_auth_proxy.secret import Secret

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
"""ALL_PROXY stays as it is: these go before it, and what is not HTTP is not for this proxy."""

_NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")
_LOCAL = ("localhost", "127.0.0.1", "::1")

PASSWORD = "SYMPHONY_PROXY_PASSWORD"  # noqa: S105 (the name of a variable)
"""Where a person puts the password of a client of a proxy that runs, for `env`."""

_JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"
_JAVA_OPTION = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*'|["'])+""")
"""As the JVM splits them: quotes keep white space together."""
_JAVA_DIRECT = "-Dhttp.nonProxyHosts="
_JAVA_PASSWORD = "-Djavax.net.ssl.trustStorePassword="  # noqa: S105 (the name of an option)


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where the proxy listens, and as whom to use it."""

    origin: Origin
    username: str | None = None
    password: str = ""
    """As it shall stand in a URL."""

    def __str__(self) -> str:
        user = "" if self.username is None else f"{quote(self.username, safe='')}:{self.password}@"
        return f"http://{user}{self.origin}"


def variables(
    inherited: Mapping[str, str],
    proxy: ProxyAddress,
    trust: TrustFiles,
    symphony: Collection[str],
) -> dict[str, str | None]:
    """Return the variables to set, and (None) to remove. `symphony`: its hosts' names."""
    entries = no_proxy(inherited)
    if not any(is_loopback(host) for host in symphony):
        # Some runtimes ask a proxy even for this machine, unless told not to.
        entries = [*dict.fromkeys((*entries, *_LOCAL))]
    direct = _without_symphony(entries, symphony)
    java = _java_direct(inherited.get(_JAVA_OPTIONS, ""))
    patterns = [*_java_patterns(direct), *_without_symphony(java, symphony)]
    return {
        **dict.fromkeys(_PROXY_VARIABLES, str(proxy)),
        **dict.fromkeys(_NO_PROXY_VARIABLES, ",".join(direct) or None),
        **{name: str(path) for name, path in trust.pem.items()},
        "NODE_USE_ENV_PROXY": "1",  # Node 22.21, 24 and later
        _JAVA_OPTIONS: " ".join(_java(inherited.get(_JAVA_OPTIONS, ""), proxy, trust, patterns)),
    }


def upstream(inherited: Mapping[str, str]) -> UpstreamProxy | None:
    """Return the proxy that the program would have used for https.

    Raises ValueError, whose text repeats nothing of the URL, for one that this proxy cannot
    use.
    """
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    text = next((inherited[name] for name in names if inherited.get(name)), None)
    if text is None or "*" in no_proxy(inherited):
        return None
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http":
        raise ValueError("only proxies that are spoken to by plain http can be used")
    try:
        host, port = canonical_host(parts.hostname or ""), parts.port or 80
    except ValueError:
        raise ValueError("it is no URL as in http://proxy.corp.example:3128") from None
    if parts.username is None:
        return UpstreamProxy(host, port)
    password = Secret(unquote(parts.password or ""))
    return UpstreamProxy(host, port, unquote(parts.username), password)


def no_proxy(inherited: Mapping[str, str]) -> list[str]:
    """Split what is inherited; lower case goes first, as in curl and Python."""
    text = next((inherited[name] for name in ("no_proxy", "NO_PROXY") if inherited.get(name)), "")
    return list(dict.fromkeys(re.findall(r"[^\s,]+", text)))


def _without_symphony(entries: Iterable[str], symphony: Collection[str]) -> list[str]:
    """Drop the entries that some runtime would take for one of Symphony's hosts."""
    return [entry for entry in entries if not any(_matches(entry, host) for host in symphony)]


def _matches(entry: str, host: str) -> bool:
    """Whether anybody would read `entry` as one that `host` matches.

    There is no standard. curl and Go take a name with all below it, requests any ending of
    the host's name, some want a leading dot or `*.`, others a port; `*` is everything.
    """
    written = entry.lower()
    for pattern in (written.strip("[]"), re.sub(r":[0-9]+$", "", written).strip("[]")):
        if fnmatchcase(host, pattern):
            return True
        with suppress(ValueError):
            return ip_address(host) in ip_network(pattern, strict=False)
    return not _is_address(host) and host.endswith(pattern.strip("*."))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _java_direct(inherited: str) -> list[str]:
    """Return the patterns of the hosts that Java was told to call without a proxy."""
    told = java_option({_JAVA_OPTIONS: inherited}, _JAVA_DIRECT)
    return list(filter(None, told.split("|"))) if told else []


def java_option(inherited: Mapping[str, str], start: str) -> str | None:
    """Return the rest of the last option of every JVM that starts so, without quotes."""
    options = _JAVA_OPTION.findall(inherited.get(_JAVA_OPTIONS, ""))
    plain = [re.sub("[\"']", "", option) for option in options]
    told = [option.removeprefix(start) for option in plain if option.startswith(start)]
    return told[-1] if told else None


def _java(
    inherited: str, proxy: ProxyAddress, trust: TrustFiles, direct: Iterable[str]
) -> Iterator[str]:
    """Yield what is inherited, then ours; those that ours take the place of are dropped."""
    host, port = proxy.origin.host, proxy.origin.port
    ours = {
        "-Dhttp.proxyHost=": host,
        "-Dhttp.proxyPort=": str(port),
        "-Dhttps.proxyHost=": host,
        "-Dhttps.proxyPort=": str(port),
        # Java would not use a proxy for this machine unless told so.
        _JAVA_DIRECT: "|".join(dict.fromkeys(direct)),
        # Java would send no password to a proxy in order to open a tunnel.
        "-Djdk.http.auth.tunneling.disabledSchemes=": "",
        "-Djavax.net.ssl.trustStore=": str(trust.java),
        "-Djavax.net.ssl.trustStoreType=": "PKCS12",
    }
    for option in _JAVA_OPTION.findall(inherited):
        if not option.lstrip("\"'").startswith((*ours, _JAVA_PASSWORD)):
            yield option
    for name, value in ours.items():
        yield f'"{name}{value}"' if re.search(r"\s", value) else f"{name}{value}"


def _java_patterns(direct: Iterable[str]) -> Iterator[str]:
    """Write NO_PROXY as Java's patterns, which know a `*` at either end and nothing else."""
    for entry in direct:
        name = entry.lstrip("*.")
        if not name:
            yield "*"
        elif ":" in name.strip("[]"):
            yield f"[{name.strip('[]')}]"
        elif _is_address(name):
            yield "127.*" if name == "127.0.0.1" else name
        elif "/" not in name:
            yield from (name, f"*.{name}")
