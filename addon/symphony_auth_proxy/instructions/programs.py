"""How programs that know nothing of Symphony use this proxy: one text per tool or library.

Each is whole: pasted as it stands, in a directory with the CA's file, it makes one call. The
texts hold names of bots and clients, so each name is quoted as its language wants it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from symphony_auth_proxy import environment
from symphony_auth_proxy.ca.truststores import TrustFiles
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.environment import ProxyAddress
from symphony_auth_proxy.instructions.access import CA_FILE, Access, Snippet

_PEM, _P12 = CA_FILE.format("pem"), CA_FILE.format("p12")
_TRUST_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
_PASSWORD = f"${{{environment.PASSWORD}}}"
_PERCENT = (
    f"{environment.PASSWORD} holds the client's password, percent-encoded as in a URL. It is "
    "not known here."
)
_ALONE = (
    f"{_PEM} alone makes other hosts fail in programs that take it in place of the system's CAs. "
    "On the proxy's machine, symphony-auth-proxy env prints the same with files that hold both."
)


def variables(access: Access) -> Snippet:
    """Environment variables for whatever reads them."""
    here = Path("$PWD")
    files = TrustFiles(dict.fromkeys(_TRUST_VARIABLES, here / _PEM), here / _P12)
    user = access.client.name if access.client else None
    address = ProxyAddress(access.listen, user, _PASSWORD)
    hosts = {endpoint.origin.host for _, endpoint in access.bot.pod.endpoints()}
    changes = environment.variables({}, address, files, hosts)
    lines = [f'export {name}="{value}"' for name, value in changes.items() if value is not None]
    return Snippet(_lines(lines), (*_about_password(access), *_named_in_headers(access), _ALONE))


def curl(access: Access) -> Snippet:
    words = ["curl", f"--proxy {access.proxy_url()}"]
    if access.client is not None:
        words.append(f"--proxy-user {shlex.quote(access.client.name)}")
    words.append(f"--cacert {_PEM}")
    words += [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in access.headers]
    words.append(shlex.quote(access.call))
    notes = ("curl asks for the password.",) if access.client else ()
    return Snippet(_lines([" \\\n  ".join(words)]), notes)


def requests(access: Access) -> Snippet:
    lines = [
        *_imports(access, "requests"),
        "",
        f"proxy = {_python_proxy(access)}",
        "answer = requests.get(",
        f"    {_quoted(access.call)},",
        '    proxies={"https": proxy},',
        f'    verify="{_PEM}",',
        *(f"    headers={headers}," for headers in _dictionary(access)),
        ")",
        "print(answer.status_code, answer.text)",
    ]
    return Snippet(_lines(lines), _about_password(access))


def httpx(access: Access) -> Snippet:
    lines = [
        *_imports(access, "ssl", "httpx"),
        "",
        f"proxy = {_python_proxy(access)}",
        f'trust = ssl.create_default_context(cafile="{_PEM}")',
        "with httpx.Client(proxy=proxy, verify=trust) as client:",
        "    answer = client.get(",
        f"        {_quoted(access.call)},",
        *(f"        headers={headers}," for headers in _dictionary(access)),
        "    )",
        "print(answer.status_code, answer.text)",
    ]
    return Snippet(_lines(lines), _about_password(access))


def node(access: Access) -> Snippet:
    options = "".join(f", {{headers: {headers}}}" for headers in _dictionary(access))
    program = (
        f"const answer = await fetch({_quoted(access.call)}{options});\n"
        "console.log(answer.status, await answer.text());"
    )
    lines = [
        "export NODE_USE_ENV_PROXY=1",
        f'export HTTPS_PROXY="{access.proxy_url(_PASSWORD)}"',
        f"export NODE_EXTRA_CA_CERTS={_PEM}",
        f"node --input-type=module -e {shlex.quote(program)}",
    ]
    versions = "Node 22.21, 24 or newer. Older ones need EnvHttpProxyAgent of the package undici."
    return Snippet(_lines(lines), (versions, *_about_password(access)))


def java(access: Access) -> Snippet:
    options = [
        f"-Dhttps.proxyHost={access.listen.host}",
        f"-Dhttps.proxyPort={access.listen.port}",
        f"-Djavax.net.ssl.trustStore={_P12}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
    ]
    if is_loopback(access.bot.pod.pod.origin.host):
        options.append("-Dhttp.nonProxyHosts=")
    notes = [
        f"{_P12} opens without a password. It is all that the program trusts then.",
        *_named_in_headers(access),
    ]
    if access.client is not None:
        options.append("-Djdk.http.auth.tunneling.disabledSchemes=")
        notes.append(
            f"Name ({access.client.name}) and password come from the program's own Authenticator."
        )
    command = " \\\n  ".join(["java", *options, "-jar program.jar"])
    return Snippet(_lines([command]), tuple(notes))


def browser(access: Access) -> Snippet:
    profile = '--user-data-dir="$HOME/symphony-profile"'
    notes = [
        "Use a profile of its own: whoever browses with it speaks as the bot.",
        f"Import {_PEM} there as an authority for web sites: in Chromium below Privacy and "
        "security, Security, Manage certificates, Authorities.",
        f"Firefox: Settings, Network Settings, Manual proxy configuration, {access.listen} for "
        "HTTPS; then Privacy & Security, View Certificates, Authorities, Import.",
        *_named_in_headers(access),
    ]
    if access.client is not None:
        notes.append(f"The browser asks for the name ({access.client.name}) and the password.")
    return Snippet(
        _lines([f"chromium {profile} --proxy-server={access.proxy_url()}"]), tuple(notes)
    )


def _imports(access: Access, *modules: str) -> list[str]:
    lines = [f"import {module}" for module in modules]
    return lines if access.client is None else ["import os", *lines]


def _python_proxy(access: Access) -> str:
    if access.client is None:
        return _quoted(access.proxy_url())
    return f"f{_quoted(access.proxy_url(f"{{os.environ['{environment.PASSWORD}']}}"))}"


def _dictionary(access: Access) -> Iterator[str]:
    """The headers to send as Python and JavaScript write them; nothing when there are none."""
    if access.headers:
        pairs = (f"{_quoted(name)}: {_quoted(value)}" for name, value in access.headers)
        yield f"{{{', '.join(pairs)}}}"


def _quoted(text: str) -> str:
    """A literal in Python and JavaScript alike."""
    return json.dumps(text, ensure_ascii=False)


def _about_password(access: Access) -> tuple[str, ...]:
    return (_PERCENT,) if access.client is not None else ()


def _named_in_headers(access: Access) -> list[str]:
    return [f"Each request has to say {name}: {value}" for name, value in access.headers]


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
