"""Twelve ways in which a set-up is broken in practice, as running systems with a known cause.

Each is a simulated Symphony with real TLS, a configuration in which one thing is wrong, the
request that a client would send, and the cause out of the list in `diagnoses`: what `doctor`
and the flow are expected to name.

    with stage(SET_UPS["wrong_password"], prepared_directory, tmp_path) as scene:
        ...                                   # scene.config, scene.ask, scene.load

The table in the README's section on troubleshooting is made from here, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from pki import rsa_key
from support.configuration import change
from support.scenes import (
    ECHO,
    INFO,
    Outlived,
    Scene,
    black_hole,
    certificate_for,
    certificate_scene,
    expired_certificate,
    host_of_another_company,
    impatient,
    install,
    only_the_key_bot,
    refusing_port,
    scene,
    without_key_manager,
    wrong_credentials,
)
from symphony_auth_proxy.auth import CertificateLogin
from symphony_auth_proxy.certificates import public_key_pem
from symphony_auth_proxy.config import load as load_file
from symphony_auth_proxy.core import backoff
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.keys import ClientCertificate
from symphony_auth_proxy.model import Component, Settings
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, FaultKind, Sandbox

TEN_MINUTES = 600.0
_FOR_EVER = 1e9

type Build = Callable[[Sandbox, ExitStack], Scene]


@dataclass(frozen=True)
class SetUp:
    number: int
    """Of the twelve, in the order of the README's table."""
    symptom: str
    """What people see who do not know the cause, in Markdown; empty: as in the row of another."""
    cause: Diagnosis | None
    """None: all is well."""
    build: Build
    status: int | None = 503
    """Of the answer that the client gets; None: there is no flow, as none of its requests
    reaches the proxy."""
    serves: bool = True
    """False: `serve` does not start (exit code 78). mitmproxy's own tools do, and the addon in
    them refuses every request for Symphony."""
    noted: Diagnosis | None = None
    """What `doctor` finds that is not for the proxy to mend."""


SET_UPS: dict[str, SetUp] = {}
"""By name, in the order of the README's table."""


def set_up(
    number: int, symptom: str, cause: Diagnosis | None, **more: Any
) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        SET_UPS[build.__name__] = SetUp(number, symptom, cause, build, **more)
        return build

    return register


@contextmanager
def stage(broken: SetUp, prepared: Path, directory: Path) -> Iterator[Scene]:
    """Start it. `prepared`: the fixture `prepared_directory`; `directory`: of this test."""
    with ExitStack() as stack:
        # Trouble that may pass is tried again for 10 s, before a client is told of it.
        stack.enter_context(mock.patch.multiple(backoff, BASE=_FOR_EVER, REQUEST_CAP=_FOR_EVER))
        copied = shutil.copytree(prepared, directory / "sandbox")
        sandbox = stack.enter_context(Sandbox(copied))
        yield broken.build(sandbox, stack)


def troubleshooting() -> str:
    """The README's table: what one sees, what it is, and the way out."""
    lines = ["| what you see | what `doctor` says | way out |", "|---|---|---|"]
    for one in SET_UPS.values():
        diagnosis = one.cause or one.noted
        if one.symptom and diagnosis:
            meaning = MEANINGS[diagnosis]
            said = f"`{diagnosis}`: {meaning.sentence}"
            lines.append(f"| {one.symptom} | {said} | {meaning.way_out} |")
    return "\n".join(lines)


# 1–3: the bot's certificate, at the start and once the proxy runs.


@set_up(
    1,
    "`serve` ends with 78; or the certificate was replaced, and calls are a 503",
    Diagnosis.BOT_CERTIFICATE_NAME,
    serves=False,
)
def wrong_cn(sandbox: Sandbox, _: ExitStack) -> Scene:
    install(sandbox, certificate_for(sandbox, "Compliance-Bot"))
    return certificate_scene(sandbox)


@set_up(1, "", Diagnosis.BOT_CERTIFICATE_NAME)
def wrong_cn_later(sandbox: Sandbox, _: ExitStack) -> Scene:
    wrong = certificate_for(sandbox, "other-bot")
    return certificate_scene(sandbox, later=lambda: install(sandbox, wrong))


@set_up(
    2,
    "`serve` ends with 78; or certificate logins fail from one day to the next",
    Diagnosis.BOT_CERTIFICATE_EXPIRED,
    serves=False,
)
def expired_certificate_at_start(sandbox: Sandbox, _: ExitStack) -> Scene:
    install(sandbox, expired_certificate(sandbox))
    return certificate_scene(sandbox)


@set_up(2, "", Diagnosis.BOT_CERTIFICATE_EXPIRED)
def certificate_expires_later(sandbox: Sandbox, _: ExitStack) -> Scene:
    """The proxy holds what was good when it started; only the pod says that it is not."""
    expired = expired_certificate(sandbox)
    material = ClientCertificate(rsa_key(), "expired meanwhile", (), (expired,))

    def read(path: Path | None) -> Settings:
        settings = load_file(path)
        return replace(settings, bots=tuple(map(aged, settings.bots)))

    def aged(bot: Any) -> Any:
        if bot.username != CERTIFICATE_BOT:
            return bot
        source = Outlived(material, bot.method.credentials)
        return replace(bot, method=CertificateLogin(bot.username, source))

    return certificate_scene(sandbox, later=lambda: install(sandbox, expired), read=read)


@set_up(
    3,
    "`serve` ends with 78; or the PKCS#12 file was replaced, and calls are a 503",
    Diagnosis.KEY_PASSWORD,
    serves=False,
)
def wrong_password(sandbox: Sandbox, _: ExitStack) -> Scene:
    (sandbox.directory / f"{CERTIFICATE_BOT}.password").write_text("not this one")
    return certificate_scene(sandbox)


@set_up(3, "", Diagnosis.KEY_PASSWORD)
def wrong_password_later(sandbox: Sandbox, _: ExitStack) -> Scene:
    renewed = certificate_for(sandbox, CERTIFICATE_BOT)
    return certificate_scene(sandbox, later=lambda: install(sandbox, renewed, "another one"))


# 4–5: what the pod does not accept.


@set_up(4, "every call is a 503, because the login is refused with 401", Diagnosis.KEY_NOT_ACCEPTED)
def public_key_not_uploaded(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.add_bot(KEY_BOT, public_key=public_key_pem(rsa_key()).decode())
    return scene(sandbox)


@set_up(5, "the same, though account and key are right", Diagnosis.CLOCK_SKEW)
def clock_behind(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.set_clock_offset(TEN_MINUTES)
    return scene(sandbox)


@set_up(5, "", Diagnosis.CLOCK_SKEW)
def clock_ahead(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.set_clock_offset(-TEN_MINUTES)
    return scene(sandbox)


# 6–9: something else answers, or nothing.


@set_up(6, "a certificate login gets a 404 page", Diagnosis.WRONG_PORT)
def certificate_login_on_the_rsa_port(sandbox: Sandbox, _: ExitStack) -> Scene:
    with change(sandbox.config) as document:
        document["sessionAuth"]["port"] = sandbox.origin(Component.POD).port
    return certificate_scene(sandbox)


@set_up(6, "an RSA login fails in the TLS handshake", Diagnosis.CLIENT_CERTIFICATE)
def rsa_login_on_the_certificate_port(sandbox: Sandbox, _: ExitStack) -> Scene:
    return pod_at(sandbox, sandbox.origin(Component.SESSION_AUTH).port)


@set_up(6, "connections are refused", Diagnosis.REFUSED)
def closed_port(sandbox: Sandbox, stack: ExitStack) -> Scene:
    return pod_at(sandbox, stack.enter_context(refusing_port()))


def pod_at(sandbox: Sandbox, port: int) -> Scene:
    with change(sandbox.config) as document:
        document["port"] = port
        only_the_key_bot(document)
    return replace(scene(sandbox), url=f"https://localhost:{port}{INFO}")


@set_up(6, "certificate logins hang (port 8444 is often blocked)", Diagnosis.CONNECT_TIMEOUT)
def blocked_port(sandbox: Sandbox, stack: ExitStack) -> Scene:
    impatient(stack)
    with change(sandbox.config) as document:
        document["sessionAuth"]["port"] = stack.enter_context(black_hole())
    return certificate_scene(sandbox)


@set_up(7, "a login gets a web page with status 200", Diagnosis.NOT_SYMPHONY)
def login_page(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.fail(Component.POD, kind=FaultKind.HTML, status=200, message="Please sign in")
    return scene(sandbox)


@set_up(7, "logins or calls get a web page with status 401 or 403", Diagnosis.GATEWAY_REFUSED)
def gateway_refuses_logins(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.fail(Component.POD, kind=FaultKind.HTML, status=403)
    return scene(sandbox)


@set_up(7, "", Diagnosis.GATEWAY_REFUSED, status=403)
def gateway_refuses_calls(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.fail(Component.AGENT, kind=FaultKind.HTML, status=403)
    return scene(sandbox, Component.AGENT)


@set_up(
    7, "logins or calls get a web page with status 502, 503 or 504", Diagnosis.GATEWAY_UNAVAILABLE
)
def gateway_of_the_pod_is_down(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.fail(Component.POD, kind=FaultKind.HTML, status=503)
    return scene(sandbox)


@set_up(7, "", Diagnosis.GATEWAY_UNAVAILABLE)
def gateway_of_the_agent_is_down(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.fail(Component.AGENT, kind=FaultKind.HTML, status=503)
    return scene(sandbox, Component.AGENT)


@set_up(8, "pod calls work, agent calls are a 503", Diagnosis.KEY_MANAGER_UNAVAILABLE)
def key_manager_down(sandbox: Sandbox, _: ExitStack) -> Scene:
    sandbox.outage(Component.KEY_MANAGER)
    return scene(sandbox, Component.AGENT)


@set_up(8, "the same, while the pod is under maintenance", Diagnosis.KEY_MANAGER_NOT_REGISTERED)
def key_manager_not_registered(sandbox: Sandbox, _: ExitStack) -> Scene:
    message = "This call is not allowed: the KeyManager is not registered in the pod"
    sandbox.fail(Component.KEY_MANAGER, status=400, message=message)
    return scene(sandbox, Component.AGENT)


@set_up(9, "pod calls work, agent calls get a 404 page", Diagnosis.WRONG_COMPONENT, status=404)
def agent_on_the_pods_host(sandbox: Sandbox, _: ExitStack) -> Scene:
    with change(sandbox.config) as document:
        document["agent"]["port"] = sandbox.origin(Component.POD).port
    return replace(scene(sandbox), url=sandbox.url(Component.POD) + ECHO)


# 10–11: the way there.


@set_up(
    10,
    "every call is a 503, or a 502, behind a corporate proxy that answers 407",
    Diagnosis.PROXY_CREDENTIALS,
)
def corporate_proxy_refuses_logins(sandbox: Sandbox, stack: ExitStack) -> Scene:
    with change(sandbox.config) as document:
        document["proxy"] = wrong_credentials(stack)
    return scene(sandbox)


@set_up(10, "", Diagnosis.PROXY_CREDENTIALS, status=502)
def corporate_proxy_refuses_calls(sandbox: Sandbox, stack: ExitStack) -> Scene:
    with change(sandbox.config) as document:
        document["agent"]["proxy"] = wrong_credentials(stack)
    return scene(sandbox, Component.AGENT)


@set_up(
    11,
    "every call is a 503, or a 502: the host's certificate is not trusted",
    Diagnosis.CERTIFICATE_UNTRUSTED,
)
def untrusted_pod(sandbox: Sandbox, _: ExitStack) -> Scene:
    with change(sandbox.config) as document:
        document.pop("ssl")
    return scene(sandbox)


@set_up(11, "", Diagnosis.CERTIFICATE_UNTRUSTED, status=502)
def untrusted_agent(sandbox: Sandbox, stack: ExitStack) -> Scene:
    port = stack.enter_context(host_of_another_company())
    with change(sandbox.config) as document:
        document["agent"]["port"] = port
    return replace(scene(sandbox), url=f"https://localhost:{port}{ECHO}")


@set_up(
    11,
    "the client does not trust the certificate that it is shown, and no flow appears",
    None,
    status=None,
    noted=Diagnosis.CA_NOT_TRUSTED_HERE,
)
def client_without_our_ca(sandbox: Sandbox, _: ExitStack) -> Scene:
    return scene(sandbox)


# 12: Simplified Key Delivery.


@set_up(12, "", None, status=200)
def simplified_key_delivery(sandbox: Sandbox, _: ExitStack) -> Scene:
    without_key_manager(sandbox)
    return scene(sandbox, Component.AGENT)


@set_up(
    12,
    "pod calls work, agent calls are a 503, and there is no key manager",
    Diagnosis.KEY_DELIVERY_INCOMPLETE,
)
def agent_too_old_for_key_delivery(sandbox: Sandbox, _: ExitStack) -> Scene:
    without_key_manager(sandbox)
    sandbox.set_agent_version("Agent-24.11.0")
    return scene(sandbox, Component.AGENT)
