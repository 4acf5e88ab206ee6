"""From a checked file to the program's own nouns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from symphony_auth_proxy.config import own, sections
from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.config.places import Place
from symphony_auth_proxy.config.pods import DefaultProxy, given, pod_of, upstream_proxy
from symphony_auth_proxy.config.values import Reading
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.model import App, Bot, Client, Component, Origin, Settings, Web
from symphony_auth_proxy.passwords import HashedPassword, Password, PlainPassword


def settings_of(
    file: File, source: Path, reading: Reading, trust_bundle: str, default: DefaultProxy
) -> Settings:
    part = file.auth_proxy
    ways = zip(file.bots, file.places, strict=True)
    return Settings(
        bots=tuple(_bot(bot, place, default) for bot, place in ways),
        listen=part.listen,
        ca_directory=part.ca.directory or reading.directory / "certs" / "ca",
        ca_directory_configured=part.ca.directory is not None,
        trust_bundle=trust_bundle,
        proxy=upstream_proxy(file.proxy) if "proxy" in file.model_fields_set else default.proxy,
        clients=tuple(_client(client) for client in part.clients or ()),
        answer_logins=part.answer_logins,
        admin_listen=part.admin.listen if part.admin else None,
        web=_web(part.web),
        client_tokens=part.client_tokens,
        other_hosts=part.other_hosts,
        token_lifetime=part.tokens.lifetime,
        drain_seconds=part.drain_seconds,
        source=source,
        warnings=tuple(dict.fromkeys((*reading.warnings, *_warnings(file)))),
    )


def _bot(bot: sections.Bot, place: Place, default: DefaultProxy) -> Bot:
    listen = bot.listen if isinstance(bot, own.FurtherBot) else None
    return Bot(bot.username, pod_of(place, default), bot.method(), listen, _app(place.app))


def _app(app: sections.App | None) -> App | None:
    if app is None or app.private_key is None:
        return None
    return App(app.app_id, app.private_key.source())


def _client(client: own.Client) -> Client:
    users = None if client.on_behalf_of == "any" else frozenset(client.on_behalf_of)
    return Client(client.name, _password(client), tuple(client.bots), users)


def _web(part: own.InspectionUi) -> Web:
    secret = part.secret()
    return Web(part.listen, PlainPassword(secret) if secret is not None else None, part.flows)


def _password(client: own.Client) -> Password:
    if client.password_hash is not None:
        return HashedPassword(client.password_hash)
    plain = client.password_file.secret if client.password_file else client.password
    assert plain is not None  # the section itself has seen to it that one is given
    return PlainPassword(plain)


def _warnings(file: File) -> Iterator[str]:
    places = file.places
    for bot, place in zip(file.bots, places, strict=True):
        if bot.certificate and _goes_where_no_certificate_is_asked(place):
            yield (
                f"{bot.username}: certificate logins go to the pod's own port, where Symphony "
                f"asks for no certificate; `{Component.SESSION_AUTH}` and "
                f"`{Component.KEY_MANAGER}` are usually the pod's -api host or its port 8444"
            )
    for place in places:
        balancing = place.agent.load_balancing
        if balancing and balancing.mode == "external":
            yield (
                "agents that the load balancer names at run time get no tokens unless they are "
                "listed in `agent.loadBalancing.nodes`"
            )
        if place.app and not place.app.private_key:
            yield (
                f"the app {place.app.app_id} is of no use: calls on behalf of users need its "
                "`privateKey`, as Symphony does not log apps in by certificate any more"
            )
    admin = file.auth_proxy.admin
    if admin and not is_loopback(admin.listen.host):
        yield (
            f"health and metrics at {admin.listen} can be read by every machine that reaches "
            "this one; they hold no secret, but the names of bots"
        )


def _goes_where_no_certificate_is_asked(place: Place) -> bool:
    pod, session_auth = (
        Origin(given("host", component, place), given("port", component, place))
        for component in (place.pod, place.session_auth)
    )
    return pod == session_auth
