"""Running the proxy: its modes, its options, its signals, and how it stops.

What runs is one of the masters of `screens`, with our addon in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, master, options
from mitmproxy.addons import proxyserver
from mitmproxy.proxy import mode_specs
from mitmproxy.utils import asyncio_utils

from symphony_auth_proxy.config import load
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import ConfigError, Problem, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.mitm.screens import Screen, master_of
from symphony_auth_proxy.mitm.surfaces import Surfaces
from symphony_auth_proxy.mitm.upstream_login import UpstreamLogin
from symphony_auth_proxy.mitm.web import COLUMNS, Inspector
from symphony_auth_proxy.model import Origin, Settings, UpstreamProxy, Web
from symphony_auth_proxy.secret import Secret

_SUPPORTED_MODES = (mode_specs.RegularMode, mode_specs.ReverseMode, mode_specs.UpstreamMode)


@dataclass(frozen=True, slots=True)
class Run:
    """How to run."""

    config: str
    listen: Origin
    confdir: str
    modes: Sequence[str] = ("regular",)
    screen: Screen = Screen.NONE
    web: Web = field(default_factory=Web)
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of mitmproxy, as `--set name=value` takes them. `upstream_auth`, as
    NAME:PASSWORD, is for the proxy of `upstream:` and never becomes an option."""
    load: Callable[[Path | None], Settings] = load
    control: bool = False
    """Whether `status`, `flush`, `reload` and `admin.listen` are of this proxy."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a person needs to know about a proxy that listens now."""

    listeners: tuple[Origin, ...]
    """But for those of bots. The first is the one that was asked for first."""
    hosts: tuple[str, ...]
    bots: tuple[str, ...]
    listeners_of_bots: tuple[tuple[str, Origin], ...]
    clients: tuple[str, ...]
    ca_certificate: Path
    web_url: str | None = None
    """With the UI's own token."""

    @classmethod
    def of(cls, proxy: master.Master, addon: SymphonyAuth) -> Started:
        active, server = addon.state.active, proxy.addons.get("proxyserver")
        assert active is not None
        bots = active.settings.bots
        assert isinstance(server, proxyserver.Proxyserver)
        places = [Origin(*place[:2]) for place in server.listen_addrs()]
        own = {bot.listen for bot in bots}
        return cls(
            listeners=tuple(place for place in places if place not in own),
            hosts=tuple(sorted(active.routes.hosts)),
            bots=tuple(bot.username for bot in bots),
            listeners_of_bots=tuple((bot.username, bot.listen) for bot in bots if bot.listen),
            clients=tuple(client.name for client in active.settings.clients),
            ca_certificate=Path(proxy.options.confdir) / "mitmproxy-ca-cert.pem",
            web_url=proxy.web_url if isinstance(proxy, Inspector) else None,
        )


def check_modes(modes: Sequence[str], *, clients: bool = False) -> list[Problem]:
    """Say which modes cannot be used, and why. `clients`: whether clients are configured,
    without whom all listeners must be on loopback."""
    problems = []
    for text in modes:
        try:
            mode = mode_specs.ProxyMode.parse(text)
        except ValueError as error:
            problems.append(Problem("--mode", f"{text}: {error}"))
            continue
        if not isinstance(mode, _SUPPORTED_MODES):
            problems.append(
                Problem("--mode", f"{text}: only regular, reverse:… and upstream:… are guarded")
            )
        elif isinstance(mode, mode_specs.ReverseMode) and mode.scheme not in {"http", "https"}:
            problems.append(Problem("--mode", f"{text}: a reverse proxy speaks http or https"))
        elif mode.custom_listen_host and not (clients or is_loopback(mode.custom_listen_host)):
            problems.append(
                Problem("--mode", f"{text}: listens off loopback; that needs authProxy.clients")
            )
    return problems


def upstream_proxy(modes: Sequence[str], credentials: str | None) -> UpstreamProxy | None:
    """The proxy that `upstream:` names, for the proxy's own logins. `credentials`: what
    mitmproxy's option `upstream_auth` holds, NAME:PASSWORD."""
    for text in modes:
        with contextlib.suppress(ValueError):
            mode = mode_specs.ProxyMode.parse(text)
            if isinstance(mode, mode_specs.UpstreamMode) and mode.scheme == "http":
                name, _, password = (credentials or "").partition(":")
                return UpstreamProxy(
                    *mode.address, name or None, Secret(password) if name else None
                )
    return None


def raise_file_limit() -> None:
    """Allow as many open files as the system grants: each client connection needs two, and
    many systems start with 1,024."""
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS names a limit (unlimited) that it then does not accept; its own is 10,240.
    for wanted in (most, 65_536, 10_240):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            return


async def serve(run: Run, *, ready: Callable[[Started], None]) -> None:
    """Run until SIGTERM or SIGINT, then drain. A second signal ends it at once.

    `ready` is called once the listeners are open. Raises ConfigError, and
    SymphonyAuthProxyError when a port is taken.
    """
    raise_file_limit()
    if any(_uses_listen(mode) for mode in run.modes):
        _require_free("--listen", run.listen)
    if run.screen is Screen.WEB:
        _require_free("--web-port", run.web.listen)
    proxy, addon = build(run)
    if run.control:
        _control(run, proxy, addon)
    proxy.addons.add(_Ready(lambda: ready(Started.of(proxy, addon))))
    _handle_signals(proxy)
    await proxy.run()


async def alongside[T](run: Run, work: Callable[[Started], Coroutine[Any, Any, T]]) -> T:
    """Run for as long as `work` takes, and until the requests in flight then are finished.
    Leaves signals alone.

    Raises what `work` raises, and ConfigError.
    """
    raise_file_limit()
    proxy, addon = build(run)
    tasks: list[asyncio.Task[T]] = []

    async def until_done(started: Started) -> T:
        try:
            return await work(started)
        finally:
            proxy.shutdown()

    def ready() -> None:
        started = Started.of(proxy, addon)
        tasks.append(asyncio_utils.create_task(until_done(started), name="work", keep_ref=True))

    proxy.addons.add(_Ready(ready))
    await proxy.run()
    return await tasks[0]


def _control(run: Run, proxy: master.Master, addon: SymphonyAuth) -> None:
    active = addon.state.active
    if active is not None and active.settings.admin_listen is not None:
        _require_free("authProxy.admin.listen", active.settings.admin_listen)
    surfaces = Surfaces(addon, Path(run.config))
    proxy.addons.add(surfaces)
    if run.screen is not Screen.CONSOLE:  # there the signal says that the terminal is gone
        surfaces.heed_hangup()


def _uses_listen(mode: str) -> bool:
    """Whether a mode has no port of its own, as in `regular@8081`."""
    with contextlib.suppress(ValueError):
        return mode_specs.ProxyMode.parse(mode).custom_listen_port is None
    return False


def _require_free(option: str, place: Origin) -> None:
    """Find out before mitmproxy does: its advice names options that are not ours."""
    trouble = _taken(place)
    if trouble is not None:
        raise SymphonyAuthProxyError(
            f"cannot listen on {place}: {trouble}",
            hint=f"stop what listens there, or choose another port with {option}",
        )


def _taken(place: Origin) -> str | None:
    """Why nothing can listen there, in the system's words; None: it can."""
    try:
        with socket.create_server((place.host, place.port), family=_family(place)):
            return None
    except OSError as error:
        return os.strerror(error.errno or 0)


def _family(place: Origin) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in place.host else socket.AF_INET


def build(run: Run) -> tuple[master.Master, SymphonyAuth]:
    """Make a master with our addon in its place, configured but not yet running."""
    given = dict(run.options)
    login = _upstream_login(run.modes, given.pop("upstream_auth", None))
    _refuse_secrets(given)
    opts = options.Options()
    addon = SymphonyAuth(run.load, Path(run.confdir))
    proxy = master_of(run.screen, opts, [addon, *login], run.web)
    try:
        # The values that the addon needs to find in place when it is configured.
        opts.update(
            listen_host=run.listen.host,
            listen_port=run.listen.port,
            mode=list(run.modes),
        )
        if run.screen is Screen.WEB:
            opts.update(
                web_host=run.web.listen.host,
                web_port=run.web.listen.port,
                web_open_browser=sys.stdout.isatty(),
                web_columns=list(COLUMNS),
            )
        opts.set(*(f"{name}={value}" for name, value in given.items()))
    except exceptions.OptionsError as error:
        raise ConfigError([Problem("--mode or --set", str(error))]) from error
    reserved = {run.web.listen.port: "--web-port"} if run.screen is Screen.WEB else {}
    addon.modes = partial(_modes, opts, tuple(opts.mode), reserved)
    opts.update(symphony_config=run.config)
    if addon.state.trouble is not None:
        raise addon.state.trouble
    return proxy, addon


def _upstream_login(modes: Sequence[str], credentials: str | None) -> list[UpstreamLogin]:
    """Raises ConfigError."""
    if credentials is None:
        return []
    parsed = [] if check_modes(modes, clients=True) else map(mode_specs.ProxyMode.parse, modes)
    places = [mode.address for mode in parsed if isinstance(mode, mode_specs.UpstreamMode)]
    if not places:
        trouble = "is for --mode upstream:…; the file's `proxy` has `username` and `password`"
    elif not credentials.partition(":")[0] or ":" not in credentials:
        trouble = "must be NAME:PASSWORD"
    else:
        return [UpstreamLogin(places, Secret(credentials))]
    raise ConfigError([Problem("--set upstream_auth", trouble)], source="the command line")


_SECRET_OPTIONS = {
    "proxyauth": "name clients and their passwords under `authProxy.clients`",
    "web_password": "set `authProxy.web.passwordFile`",
    "cert_passphrase": "keep the key of a certificate without one, readable by you alone",
}
"""Options of mitmproxy that hold secrets. Its UI shows every option."""


def _refuse_secrets(given: Mapping[str, str]) -> None:
    problems = [
        Problem(f"--set {name}", f"would be shown in the inspection UI; {way_out}")
        for name, way_out in _SECRET_OPTIONS.items()
        if name in given
    ]
    if problems:
        raise ConfigError(problems, source="the command line")


def _modes(
    opts: options.Options, base: Sequence[str], reserved: Mapping[int, str], settings: Settings
) -> list[str]:
    """The modes to run in: those that were asked for, and the listeners that mean a bot.
    `reserved`: ports that are taken once this runs, with the option that they are of.

    Raises ConfigError, also for a reverse proxy of what is not Symphony's: nothing would ever
    get a token there.
    """
    places = [bot.listen for bot in settings.bots if bot.listen is not None]
    listeners = {f"regular@{place.host}:{place.port}": place for place in places}
    problems = check_modes([*base, *listeners], clients=bool(settings.clients))
    if not settings.clients and not is_loopback(opts.listen_host):
        problems.append(
            Problem(
                "listen_host", f"{opts.listen_host} is not loopback; that needs authProxy.clients"
            )
        )
    parsed = [] if problems else [mode_specs.ProxyMode.parse(mode) for mode in base]
    routes = Routes(settings)
    problems += [
        Problem("--mode", f"{mode.full_spec}: no component is configured at that host and port")
        for mode in parsed
        if isinstance(mode, mode_specs.ReverseMode) and not routes.serves(*mode.address)
    ]
    if problems:
        raise ConfigError(problems, source="the set of listeners")
    ports = {mode.listen_port(opts.listen_port) for mode in parsed}
    for mode, place in listeners.items():
        trouble = None if mode in opts.mode else _taken(place)
        if place.port in ports:
            trouble = "that is a port of --listen or --mode"
        elif place.port in reserved:
            trouble = f"that is the port of {reserved[place.port]}"
        if trouble is not None:
            problems.append(Problem("authProxy.bots[].listen", f"cannot be {place}: {trouble}"))
    if problems:
        raise ConfigError(problems, source="the set of listeners")
    return [*base, *listeners]


def _handle_signals(proxy: master.Master) -> None:
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            logging.getLogger(__name__).warning("Stopped at once; requests in flight are lost.")
            sys.exit(1)
        stopping = True
        proxy.shutdown()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows keeps Python's own handlers
            loop.add_signal_handler(number, stop)


class _Ready:
    """Tells when the listeners are open."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def running(self) -> None:
        self._tell()
