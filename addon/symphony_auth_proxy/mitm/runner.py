"""Running the proxy: a lean master of our own, or mitmproxy's with a screen.

A headless gateway needs a handful of addons where `mitmdump` has forty, and each of them is
asked at every step of every request (tests/perf/overhead.py measures what that costs).
`--web` and `--console` get all of mitmproxy's, with ours placed before whatever rewrites,
shows or saves flows.
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
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, master, options
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver, tlsconfig, upstream_auth
from mitmproxy.addons.script import ScriptLoader
from mitmproxy.proxy import mode_specs
from mitmproxy.tools.web.master import WebMaster
from mitmproxy.utils import asyncio_utils

from symphony_auth_proxy.config import load
from symphony_auth_proxy.core.addresses import is_loopback
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import ConfigError, Problem, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.mitm.surfaces import Surfaces
from symphony_auth_proxy.model import Origin, Settings, UpstreamProxy
from symphony_auth_proxy.secret import Secret

_SUPPORTED_MODES = (mode_specs.RegularMode, mode_specs.ReverseMode, mode_specs.UpstreamMode)


class Screen(Enum):
    """What a person looks at while the proxy runs."""

    NONE = "none"
    WEB = "web"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Run:
    """How to run."""

    config: str
    listen: Origin
    confdir: str
    modes: Sequence[str] = ("regular",)
    screen: Screen = Screen.NONE
    web_port: int = 8081
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of mitmproxy, as `--set name=value` takes them."""
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
            web_url=proxy.web_url if isinstance(proxy, WebMaster) else None,
        )


class Gateway(master.Master):
    """mitmproxy with only what a gateway needs."""

    def __init__(self, opts: options.Options, addon: SymphonyAuth) -> None:
        super().__init__(opts)
        self.addons.add(
            core.Core(),
            proxyserver.Proxyserver(),
            addon,
            next_layer.NextLayer(),
            upstream_auth.UpstreamAuth(),
            tlsconfig.TlsConfig(),
            errorcheck.ErrorCheck(),
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
        _require_free("--web-port", Origin("127.0.0.1", run.web_port))
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
    opts = options.Options()
    addon = SymphonyAuth(run.load, Path(run.confdir))
    proxy = _master(run.screen, opts, addon)
    try:
        # The values that the addon needs to find in place when it is configured.
        opts.update(
            listen_host=run.listen.host,
            listen_port=run.listen.port,
            mode=list(run.modes),
        )
        if run.screen is Screen.WEB:
            opts.update(web_port=run.web_port, web_open_browser=sys.stdout.isatty())
        opts.set(*(f"{name}={value}" for name, value in run.options.items()))
    except exceptions.OptionsError as error:
        raise ConfigError([Problem("--mode or --set", str(error))]) from error
    addon.modes = partial(_modes, opts, tuple(opts.mode))
    opts.update(symphony_config=run.config)
    if addon.state.trouble is not None:
        raise addon.state.trouble
    return proxy, addon


def _modes(opts: options.Options, base: Sequence[str], settings: Settings) -> list[str]:
    """The modes to run in: those that were asked for, and the listeners that mean a bot.

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
        if trouble is not None:
            problems.append(Problem("authProxy.bots[].listen", f"cannot be {place}: {trouble}"))
    if problems:
        raise ConfigError(problems, source="the set of listeners")
    return [*base, *listeners]


def _master(screen: Screen, opts: options.Options, addon: SymphonyAuth) -> master.Master:
    if screen is Screen.WEB:
        return _with_addon(WebMaster(opts), addon)
    if screen is Screen.CONSOLE:
        from mitmproxy.tools.console.master import ConsoleMaster  # noqa: PLC0415 (needs a terminal library)

        return _with_addon(ConsoleMaster(opts), addon)
    return Gateway(opts, addon)


def _with_addon[M: master.Master](proxy: M, addon: SymphonyAuth) -> M:
    """Put our addon where scripts stand: before rewriters and before every sink."""
    chain = proxy.addons.chain
    index = next(i for i, other in enumerate(chain) if isinstance(other, ScriptLoader))
    chain.insert(index, proxy.addons.register(addon))
    return proxy


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
