"""Another configuration, while the proxy runs: taken whole, or not at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.clients import client_of, trust_of
from support.configuration import read_with
from support.processes import free_port
from support.proxy import Proxy, running_proxy
from support.settings import bot, endpoint
from symphony_auth_proxy import config
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.errors import ConfigError, Reason
from symphony_auth_proxy.mitm.runner import check_modes
from symphony_auth_proxy.model import Bot, Component, Origin, Pod, TokenKind
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox
from symphony_auth_proxy.telemetry import Event

SESSION_INFO = "/pod/v2/sessioninfo"


@pytest.fixture
def changes() -> dict[str, Any]:
    """What the file is taken to say from the next reload on."""
    return {}


@pytest.fixture
def proxy(sandbox: Sandbox, changes: dict[str, Any]) -> Iterator[Proxy]:
    directory = sandbox.directory / "proxy-ca"
    with running_proxy(sandbox.config, directory, load=read_with(changes)) as running:
        yield running


@pytest.fixture
def bots(sandbox: Sandbox) -> tuple[Bot, ...]:
    return config.load(sandbox.config).bots


def _reload(proxy: Proxy) -> None:
    proxy.call(proxy.addon.reload)


def _whoami(sandbox: Sandbox, client: httpx.Client, bot: str = KEY_BOT) -> httpx.Response:
    return client.get(sandbox.url(Component.POD) + SESSION_INFO, headers={"Symphony-Bot": bot})


def test_a_bot_that_is_the_same_keeps_its_tokens(sandbox: Sandbox, proxy: Proxy) -> None:
    with client_of(proxy) as client:
        assert _whoami(sandbox, client).status_code == 200
        for _ in range(3):
            _reload(proxy)
            assert _whoami(sandbox, client).status_code == 200
    assert sandbox.logins(TokenKind.SESSION, KEY_BOT) == 1
    assert proxy.addon.state.telemetry.count(Event.RELOADED, result="taken") == 3


def test_a_file_that_cannot_be_used_changes_nothing(sandbox: Sandbox, proxy: Proxy) -> None:
    good = sandbox.config.read_text()
    with client_of(proxy) as client:
        assert _whoami(sandbox, client).status_code == 200
        sandbox.config.write_text(good + "nonsense: true\n")
        with pytest.raises(ConfigError, match="nonsense"):
            _reload(proxy)
        assert _whoami(sandbox, client).status_code == 200
        sandbox.config.write_text(good)
        _reload(proxy)
    counted = proxy.addon.state.telemetry
    assert counted.count(Event.RELOADED, result="refused") == 1
    assert counted.count(Event.RELOADED, result="taken") == 1


def test_bots_come_and_go(
    sandbox: Sandbox, proxy: Proxy, bots: tuple[Bot, ...], changes: dict[str, Any]
) -> None:
    with client_of(proxy) as client:
        assert _whoami(sandbox, client, CERTIFICATE_BOT).status_code == 200
        changes["bots"] = bots[:1]
        _reload(proxy)
        gone = _whoami(sandbox, client, CERTIFICATE_BOT)
        assert (gone.status_code, gone.json()["details"]["reason"]) == (403, Reason.UNKNOWN_BOT)
        changes["bots"] = bots
        _reload(proxy)
        assert _whoami(sandbox, client, CERTIFICATE_BOT).status_code == 200


def _free_place() -> Origin:
    return Origin("127.0.0.1", free_port())


def test_a_listener_that_means_a_bot_opens_and_closes_with_the_configuration(
    sandbox: Sandbox, proxy: Proxy, bots: tuple[Bot, ...], changes: dict[str, Any]
) -> None:
    place = _free_place()
    default, other = bots
    changes["bots"] = (default, replace(other, listen=place))
    _reload(proxy)
    proxy.run(proxy.listening())
    with httpx.Client(proxy=f"http://{place}", verify=trust_of(proxy), trust_env=False) as client:
        answer = client.get(sandbox.url(Component.POD) + SESSION_INFO)
    assert answer.json()["username"] == other.username

    changes["bots"] = bots
    _reload(proxy)
    proxy.run(proxy.listening())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.host, place.port))
    with client_of(proxy) as client:
        assert _whoami(sandbox, client).status_code == 200


def test_a_listener_whose_port_is_taken_changes_nothing(
    proxy: Proxy, bots: tuple[Bot, ...], changes: dict[str, Any]
) -> None:
    before = proxy.addon.state.active
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = Origin(*server.getsockname())
        changes["bots"] = (bots[0], replace(bots[1], listen=place))
        with pytest.raises(ConfigError, match=str(place.port)):
            _reload(proxy)
    assert proxy.addon.state.active is before


def test_a_listener_off_loopback_changes_nothing_without_clients(
    proxy: Proxy, bots: tuple[Bot, ...], changes: dict[str, Any]
) -> None:
    before = proxy.addon.state.active
    changes["bots"] = (bots[0], replace(bots[1], listen=Origin("0.0.0.0", _free_place().port)))
    with pytest.raises(ConfigError, match="clients"):
        _reload(proxy)
    assert proxy.addon.state.active is before


def test_without_clients_every_listener_is_on_loopback(tmp_path: Path) -> None:
    assert check_modes(["regular@0.0.0.0:0"])
    assert not check_modes(["regular@0.0.0.0:0"], clients=True)


# --- the proxy's CA ------------------------------------------------------------------


@pytest.fixture
def limited(sandbox: Sandbox, changes: dict[str, Any]) -> Iterator[Proxy]:
    """A proxy that has made its CA itself, for the hosts of its configuration."""
    changes["ca_directory"] = directory = sandbox.directory / "limited-ca"
    with running_proxy(sandbox.config, directory, load=read_with(changes)) as running:
        yield running


def test_the_ca_is_made_for_the_configured_hosts_and_clients_accept_what_it_signs(
    sandbox: Sandbox, limited: Proxy
) -> None:
    with client_of(limited) as client:
        assert _whoami(sandbox, client).status_code == 200


def test_another_ca_counts_from_the_reload_on(sandbox: Sandbox, limited: Proxy) -> None:
    with client_of(limited) as client:
        assert _whoami(sandbox, client).status_code == 200
    before = limited.ca.read_bytes()
    authority.rotate(limited.ca.parent, authority.hosts_of(config.load(sandbox.config)))
    _reload(limited)
    assert limited.ca.read_bytes() != before
    with client_of(limited) as client:  # trusts the new one alone
        assert _whoami(sandbox, client).status_code == 200


def test_hosts_that_the_ca_is_not_for_change_nothing(
    limited: Proxy, bots: tuple[Bot, ...], changes: dict[str, Any]
) -> None:
    before = limited.addon.state.active
    place = endpoint("elsewhere.example")
    changes["bots"] = (*bots, bot("another-bot", Pod(place, place, place, place)))
    with pytest.raises(ConfigError, match=r"elsewhere\.example.*ca rotate"):
        _reload(limited)
    assert limited.addon.state.active is before
