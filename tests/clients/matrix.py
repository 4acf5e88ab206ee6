"""The clients that are tried: how each is told of the proxy and of its CA, and how to run it.

This is the table of clients in the README, row by row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import bdk, legacy_node
from support.clients import Told
from support.environments import java_for_sources, node_modules_with, own_script, program
from support.processes import environment

PROGRAMS = Path(__file__).with_name("programs")
UNDICI = "6.29.1"

type Run = Callable[[Told], Mapping[str, Any]]
"""Makes a GET at the pod and a POST at the agent. Returns the client's `version`, the answers
as `info` and `echo`, and which version of `http` it spoke, as far as it tells."""


@dataclass(frozen=True)
class Row:
    client: str
    tried: str
    """The version; of what the system or the tests' environment brings, the least one."""
    proxy: str
    ca: str
    http: str
    password: str
    """How it is given a password for the proxy."""
    login: str
    run: Run
    pinned: bool = False

    @property
    def logs_in(self) -> bool:
        return self.login != NO_LOGIN

    def cells(self) -> tuple[str, ...]:
        tried = self.tried if self.pinned else f"{self.tried} or newer"
        return self.client, tried, self.proxy, self.ca, self.http, self.password, self.login


NO_LOGIN, ANSWERED = "–", "answered"


def output(*command: str, cwd: Path, **variables: str) -> str:
    """Run a program to its end and return what it printed."""
    ended = subprocess.run(
        command,
        env=environment(cwd, **variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _seen(printed: str) -> Mapping[str, Any]:
    """What a program says last; before that, some clients talk of themselves."""
    seen: Mapping[str, Any] = json.loads(printed.splitlines()[-1])
    return seen


def _python(script: str, ca: str, *options: str) -> Run:
    def run(told: Told) -> Mapping[str, Any]:
        command = (sys.executable, str(PROGRAMS / script), *told.urls, *options)
        variables = {"HTTPS_PROXY": told.proxy_url, ca: str(told.ca)}
        return _seen(output(*command, cwd=told.directory, **variables))

    return run


def _node(script: str) -> Run:
    def run(told: Told) -> Mapping[str, Any]:
        variables = {
            "HTTPS_PROXY": told.proxy_url,
            "NODE_EXTRA_CA_CERTS": str(told.ca),
            "NODE_PATH": str(node_modules_with(f"undici@{UNDICI}")),
        }
        command = (program("node"), str(PROGRAMS / script), *told.urls)
        return _seen(output(*command, cwd=told.directory, **variables))

    return run


def _curl(told: Told) -> Mapping[str, Any]:
    variables = {"https_proxy": told.proxy_url, "CURL_CA_BUNDLE": str(told.ca)}
    curl = (program("curl"), "--silent", "--show-error")
    pod, agent = told.urls
    info = output(*curl, f"{pod}/pod/v2/sessioninfo", cwd=told.directory, **variables)
    hello = ("--json", '{"message": "hello"}', "--write-out", r"\n%{http_version}")
    echo = output(*curl, *hello, f"{agent}/agent/v1/util/echo", cwd=told.directory, **variables)
    body, _, http = echo.rpartition("\n")
    version = output(program("curl"), "--version", cwd=told.directory).split()[1]
    return {"version": version, "http": http, "info": json.loads(info), "echo": json.loads(body)}


def java_command(told: Told, **properties: str) -> tuple[str, ...]:
    """Java with the proxy and its CA, as `ca export` gives it. It takes no proxy for this
    machine and sends no password through a tunnel unless told."""
    java, store = java_for_sources(), told.directory / "proxy-ca.p12"
    export = ("ca", "export", "--config", str(told.sandbox.config), "--format", "p12")
    output(own_script("symphony-auth-proxy"), *export, "-o", str(store), cwd=told.directory)
    properties = {
        "https.proxyHost": "127.0.0.1",
        "https.proxyPort": str(told.proxy_port),
        "http.nonProxyHosts": "",
        "jdk.http.auth.tunneling.disabledSchemes": "",
        "javax.net.ssl.trustStore": str(store),
    } | properties
    told_properties = (f"-D{name}={value}" for name, value in properties.items())
    return (java, *told_properties, str(PROGRAMS / "WithHttpClient.java"), *told.urls)


def _java(told: Told) -> Mapping[str, Any]:
    user = {"PROXY_USER": told.user, "PROXY_PASSWORD": told.password} if told.user else {}
    return _seen(output(*java_command(told), cwd=told.directory, **user))


def _bdk(version: str) -> Run:
    def run(told: Told) -> Mapping[str, Any]:
        script, config = str(PROGRAMS / "with_bdk.py"), bdk.bot_config(told).name
        command = (bdk.python_of(version), script, config, told.sandbox.room)
        return _seen(output(*command, cwd=told.directory))

    return run


def _legacy_node(told: Told) -> Mapping[str, Any]:
    config = legacy_node.bot_config(told).name
    script = str(PROGRAMS / "with_symphony_api_client_node.cjs")
    command = (program("node"), script, config, told.sandbox.room)
    return _seen(output(*command, cwd=told.directory, **legacy_node.variables(told)))


_IN_URL = "in the URL"
_SSL_CERT_FILE = "`SSL_CERT_FILE`"
_NODE_CA = "`NODE_EXTRA_CA_CERTS`"

ROWS = (
    Row(
        "curl", "7.88", "`https_proxy` or `--proxy`", "`CURL_CA_BUNDLE` or `--cacert`",
        "1.1, 2", _IN_URL, NO_LOGIN, _curl,
    ),
    Row(
        "requests", "2.32", "`HTTPS_PROXY` or `proxies=`", "`REQUESTS_CA_BUNDLE` or `verify=`",
        "1.1", _IN_URL, NO_LOGIN, _python("with_requests.py", "REQUESTS_CA_BUNDLE"),
    ),
    Row(
        "httpx", "0.28", "`HTTPS_PROXY` or `proxy=`", f"{_SSL_CERT_FILE} or `verify=`",
        "1.1", _IN_URL, NO_LOGIN, _python("with_httpx.py", "SSL_CERT_FILE"),
    ),
    Row(
        "httpx, `http2=True`", "0.28", "the same", "the same",
        "1.1, 2", _IN_URL, NO_LOGIN, _python("with_httpx.py", "SSL_CERT_FILE", "http2"),
    ),
    Row(
        "httpx, `http1=False`", "0.28", "the same", "the same",
        "2", _IN_URL, NO_LOGIN, _python("with_httpx.py", "SSL_CERT_FILE", "http2", "nohttp1"),
    ),
    Row(
        "aiohttp", "3.11", "`HTTPS_PROXY` with `trust_env=True`, or `proxy=`",
        f"{_SSL_CERT_FILE} or `ssl=`",
        "1.1", _IN_URL, NO_LOGIN, _python("with_aiohttp.py", "SSL_CERT_FILE"),
    ),
    Row(
        "urllib3", "2.2", "`ProxyManager(url)`", "`ca_certs=`",
        "1.1", "`proxy_headers=`", NO_LOGIN, _python("with_urllib3.py", "CA"),
    ),
    Row(
        "urllib", "3.12", "`HTTPS_PROXY`", _SSL_CERT_FILE,
        "1.1", _IN_URL, NO_LOGIN, _python("with_urllib.py", "SSL_CERT_FILE"),
    ),
    Row(
        "Node's `fetch`", "18.20", "`HTTPS_PROXY` with undici's `EnvHttpProxyAgent`", _NODE_CA,
        "1.1", _IN_URL, NO_LOGIN, _node("with_fetch.cjs"),
    ),
    Row(
        "undici", UNDICI, "`ProxyAgent`", _NODE_CA,
        "1.1", "`token:`", NO_LOGIN, _node("with_undici.cjs"), pinned=True,
    ),
    Row(
        "Java's `HttpClient`", "17", "`-Dhttps.proxyHost`, `-Dhttps.proxyPort`",
        "`-Djavax.net.ssl.trustStore`",
        "1.1, 2", "`Authenticator`, and `-Djdk.http.auth.tunneling.disabledSchemes=`", NO_LOGIN,
        _java,
    ),
    *(
        Row(
            "BDK Python", version, "`proxy: {host: …, port: …}`",
            "`ssl: {trustStore: {path: …}}`",
            "1.1", "`proxy.username`, `proxy.password`", ANSWERED, _bdk(version), pinned=True,
        )
        for version in bdk.VERSIONS
    ),
    Row(
        "`symphony-api-client-node`", legacy_node.VERSION, "`proxyURL` and `keyManagerProxyURL`",
        _NODE_CA,
        "1.1", "`proxyUsername`, `keyManagerProxyUsername`, …", ANSWERED, _legacy_node,
        pinned=True,
    ),
)  # fmt: skip

_HEAD = ("client", "tried with", "proxy", "CA", "HTTP", "proxy password", "its logins")


def table() -> str:
    """The rows in Markdown."""
    lines = (_HEAD, ("---",) * len(_HEAD), *(row.cells() for row in ROWS))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
