"""What stands in a bot's own configuration so that it uses this proxy, one text per SDK.

Symphony's SDKs differ in where they look for a proxy and its CA: BDK Java reads neither
`HTTPS_PROXY` nor `-Dhttps.proxyHost`, the old SDK for Node sends its key manager login past
`proxyURL`. A password is never in these texts, only where it goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from symphony_auth_proxy.auth import RsaLogin
from symphony_auth_proxy.instructions.access import CA_FILE, PROXY_HOST, Access, Snippet
from symphony_auth_proxy.model import Bot, Endpoint, Origin

PASSWORD = "${SYMPHONY_PROXY_PASSWORD}"  # noqa: S105 (a placeholder)
THROW_AWAY_KEY = "throw-away.pem"
_INDENT = "  "
_PLAIN = re.compile(r"[A-Za-z/$][A-Za-z0-9_./${}-]*|[0-9]+(?:\.[0-9]+){3}")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # YAML 1.1

type _Entry = str | tuple[str, str | int | list[_Entry]]
"""A comment, or a key with its value."""


def bdk_python(access: Access) -> Snippet:
    trust_store: list[_Entry] = [
        "The proxy's CA. For its calls to Symphony, BDK 3 trusts this file alone, BDK 2 beside\n"
        f"the system's CAs.{_how_to_make_it(access, 'pem')}",
        ("path", access.ca_pem),
    ]
    introduction = [
        "For the bot's own configuration (Symphony's BDK for Python): these keys in place of the",
        "same ones there, and no `proxy` below `pod`, `agent` and `keyManager`.",
    ]
    return Snippet(
        _yaml(
            [
                "\n".join(introduction),
                *_addresses(access.bot),
                ("bot", _bot(access)),
                ("proxy", _proxy(access, "Nothing replaces ${…}: write the password itself here.")),
                ("ssl", [("trustStore", trust_store)]),
            ]
        )
    )


def bdk_java(access: Access) -> Snippet:
    introduction = [
        "For the bot's own configuration (Symphony's BDK for Java), the only way: it reads neither",
        "HTTPS_PROXY nor -Dhttps.proxyHost. These keys in place of the same ones there, and no",
        "`proxy` below `pod`, `agent` and `keyManager`.",
    ]
    return Snippet(_yaml(["\n".join(introduction), *_java(access)]))


def spring(access: Access) -> Snippet:
    introduction = [
        "For the bot's application.yaml (Symphony's BDK for Spring Boot), the only way: it reads",
        "neither HTTPS_PROXY nor -Dhttps.proxyHost. These keys in place of the same ones there,",
        "and no `proxy` below `pod`, `agent` and `keyManager`.",
    ]
    return Snippet(_yaml(["\n".join(introduction), ("bdk", _java(access))]))


def node(access: Access) -> Snippet:
    """Symphony's older SDK for Node; there is no BDK. Its key manager login ignores `proxyURL`."""
    url = f"http://{access.host}:{access.listen.port}"
    document: dict[str, str | int] = {}
    pod = access.bot.pod
    for name, endpoint in (
        ("pod", pod.pod),
        ("agent", pod.agent),
        ("sessionAuth", pod.session_auth),
        ("keyAuth", pod.key_manager),
    ):
        document[f"{name}Host"] = endpoint.origin.host
        document[f"{name}Port"] = endpoint.origin.port
        if endpoint.context:
            document[f"{name}ContextPath"] = endpoint.context
    document["botUsername"] = access.bot.username
    if access.answers_logins:
        document |= {
            "authType": "rsa",
            "botPrivateKeyPath": "./",
            "botPrivateKeyName": THROW_AWAY_KEY,
        }
    for name in ("proxy", "keyManagerProxy"):
        document[f"{name}URL"] = url
        if access.client is not None:
            document[f"{name}Username"] = access.client.name
            document[f"{name}Password"] = PASSWORD
    notes = [
        "For the bot's config.json (symphony-api-client-node): these keys in place of the same "
        "ones there, and no `podProxyURL` and `agentProxyURL`.",
        "Both proxy URLs are needed: the key manager login does not use `proxyURL`.",
        f"Start the bot with NODE_EXTRA_CA_CERTS={access.ca_pem}{_how_to_make_it(access, 'pem')}",
        _login_note(access),
    ]
    if access.client is not None:
        notes.append(f"Nothing replaces {PASSWORD}: write the password itself there.")
    return Snippet(json.dumps(document, indent=2, ensure_ascii=False) + "\n", tuple(notes))


SNIPPETS: Mapping[str, Callable[[Access], Snippet]] = {
    "bdk-python": bdk_python,
    "bdk-java": bdk_java,
    "node": node,
    "spring": spring,
}


def _java(access: Access) -> list[_Entry]:
    trust_store: list[_Entry] = [
        f"The proxy's CA, which is added to the system's.{_how_to_make_it(access, 'p12')}",
        ("path", CA_FILE.format("p12")),
        "The file has no password, but BDK Java passes over a trust store without one: any text\n"
        "will do.",
        ("password", "changeit"),
    ]
    return [
        *_addresses(access.bot, balances=True),
        ("bot", _bot(access)),
        ("proxy", _proxy(access, "Comes from the environment variable of this name.")),
        ("ssl", [("trustStore", trust_store)]),
    ]


def _addresses(bot: Bot, *, balances: bool = False) -> list[_Entry]:
    """The pod at the root, and what differs from it. Not `sessionAuth`: a certificate login
    does not get through a proxy that decrypts."""
    root = bot.pod.pod
    result = _address(root, Endpoint(Origin("", 443)))
    if balances and bot.pod.agent_nodes:
        result.append("`agent` with its `loadBalancing` stays as it is.")
    elif agent := _address(bot.pod.agent, root):
        result.append(("agent", agent))
    if key_manager := _address(bot.pod.key_manager, root):
        result.append(("keyManager", key_manager))
    return result


def _address(endpoint: Endpoint, above: Endpoint) -> list[_Entry]:
    result: list[_Entry] = []
    if endpoint.origin.host != above.origin.host:
        result.append(("host", endpoint.origin.host))
    if endpoint.origin.port != above.origin.port:
        result.append(("port", endpoint.origin.port))
    if endpoint.context != above.context:
        result.append(("context", endpoint.context))
    return result


def _bot(access: Access) -> list[_Entry]:
    note = _login_note(access)
    key: list[_Entry] = [("privateKey", [note, ("path", THROW_AWAY_KEY)])]
    return [("username", access.bot.username), *(key if access.answers_logins else [note])]


def _login_note(access: Access) -> str:
    if access.answers_logins:
        return (
            "Any throw-away key does, and no `certificate`: the proxy answers the login. This\n"
            "makes one: symphony-auth-proxy keys rsa throw-away"
        )
    advice = "With `authProxy.answerLogins: true` in the proxy's file, any throw-away key would do."
    if isinstance(access.bot.method, RsaLogin):
        return f"Its `privateKey` stays: the bot's own login passes the proxy untouched.\n{advice}"
    return f"Its certificate cannot pass the proxy, which decrypts the login.\n{advice}"


def _proxy(access: Access, about_password: str) -> list[_Entry]:
    result: list[_Entry] = []
    if access.host == PROXY_HOST:
        result.append("The name or address of the proxy's machine.")
    result += [("host", access.host), ("port", access.listen.port)]
    if access.client is not None:
        result += [("username", access.client.name), about_password, ("password", PASSWORD)]
    return result


def _how_to_make_it(access: Access, form: str) -> str:
    if form == "pem" and access.ca is not None:
        return ""
    return f"\nThis makes it: {access.fetch(form)}"


def _yaml(entries: list[_Entry]) -> str:
    return "".join(f"{line}\n" for line in _lines(entries))


def _lines(entries: list[_Entry]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield from (f"# {line}" for line in entry.split("\n"))
            continue
        key, value = entry
        if isinstance(value, list):
            yield f"{key}:"
            yield from (_INDENT + line for line in _lines(value))
        else:
            yield f"{key}: {_scalar(value)}"


def _scalar(value: str | int) -> str:
    if isinstance(value, int) or (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        return str(value)
    return json.dumps(value, ensure_ascii=False)  # JSON's texts are YAML's, too
