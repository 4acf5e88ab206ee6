"""The addon: its option, its configuration, its life.

    mitmweb -s addon/symphony_auth.py --set symphony_config=config.yaml

The work is done by two sub-addons: `Connections` (which connections are read, and where
they may go) and `Requests` (which requests get which tokens). This class loads the
configuration they share, and says no to everything while there is none that can be used.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import addonmanager, ctx, exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.net import tls as net_tls

from symphony_auth_proxy import config, placeholder_key
from symphony_auth_proxy.ca import authority
from symphony_auth_proxy.ca.authority import Authority
from symphony_auth_proxy.core.placeholder import Placeholders
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import ConfigError, Problem, SymphonyAuthProxyError
from symphony_auth_proxy.mitm import seam, views
from symphony_auth_proxy.mitm.bodies import HELD_BYTES
from symphony_auth_proxy.mitm.clients import Clients
from symphony_auth_proxy.mitm.connections import Connections
from symphony_auth_proxy.mitm.drain import drain
from symphony_auth_proxy.mitm.errors import ErrorPages
from symphony_auth_proxy.mitm.journal import Journal
from symphony_auth_proxy.mitm.requests import Requests
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import Settings
from symphony_auth_proxy.telemetry import Event
from symphony_auth_proxy.tokens.provider import TokenProvider
from symphony_auth_proxy.transport import Transport

logger = logging.getLogger(__name__)

# Options of mitmproxy that would put secrets into sinks or on unverified connections.
_UNSAFE_OPTIONS: dict[str, tuple[set[object], str]] = {
    "ssl_insecure": ({True}, "upstream certificates would not be verified"),
    "proxy_debug": ({True}, "the log would hold every byte that is sent, tokens included"),
    "validate_inbound_headers": ({False}, "messages that are smuggled in would not be noticed"),
    "tls_version_server_min": (
        {"UNBOUNDED", "SSL3", "TLS1", "TLS1_1"},
        "tokens would travel over TLS that is broken",
    ),
}
_NEEDED_OPTIONS: dict[str, object] = {
    # With `eager`, a dead upstream fails the CONNECT, which ends BDK bots.
    "connection_strategy": "lazy",
    # Bodies are decided one by one, see `bodies`; this is for answers that grow too long.
    "stream_large_bodies": str(HELD_BYTES),
    "store_streamed_bodies": False,
    # What is intercepted is HTTP or nothing: raw bytes would pass without our hooks.
    "rawtcp": False,
    # The CA is for the configured hosts, and not for what else an upstream's certificate names.
    "upstream_cert": False,
    # What a client of a reverse proxy calls it is looked at, see `requests`.
    "keep_host_header": True,
}

_KEY_LOG_VARIABLES = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A configuration that can be used, not yet in force."""

    settings: Settings
    modes: Sequence[str] | None
    """None: the tool's own."""
    authority: Authority | None
    """None: the tool's own, which mitmproxy sees to."""
    placeholders: Placeholders | None


class SymphonyAuth:
    """Gets, caches and adds Symphony's tokens."""

    def __init__(
        self,
        load: Callable[[Path | None], Settings] = config.load,
        ca_directory: Path | None = None,
    ) -> None:
        """`load`: how the configuration is read. `ca_directory`: where the CA is unless the
        configuration says; None: where the tool has its own (a stock tool)."""
        self.state = State()
        self.modes: Callable[[Settings], Sequence[str]] | None = None
        """The modes to run in with a configuration; raises ConfigError. None: those that the
        tool was started with (a stock tool)."""
        self._load = load
        self._ca_directory = ca_directory
        self.authority: Authority | None = None
        """Ours; None: the tool's own."""
        clients = Clients(self.state)
        self.requests = Requests(self.state, clients)
        self._journal = Journal(self.state)
        self.addons = [Connections(self.state, clients), self._journal, self.requests]
        self._needed: dict[str, object] = {}
        self._bundles = Path(tempfile.mkdtemp(prefix="symphony-auth-proxy-"))
        self._clean_up = weakref.finalize(self, shutil.rmtree, self._bundles, ignore_errors=True)

    # --- life ------------------------------------------------------------------------

    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option(
            name="symphony_config",
            typespec=str,
            default="",
            help="Path of the BDK configuration file. Default: $SYMPHONY_AUTH_PROXY_CONFIG, "
            "./config.yaml, ~/.symphony/config.yaml.",
        )
        seam.install(ErrorPages(self.state))
        views.install(self.state)
        package = logging.getLogger("symphony_auth_proxy")
        if package.level == logging.NOTSET:
            # Stock tools let every debug record through, and one a request costs CPU time.
            package.setLevel(logging.INFO)

    def configure(self, updated: set[str]) -> None:
        if "symphony_config" in updated:
            self._reconfigure()
        elif self._needed.keys() & updated:
            self._insist()
        self.state.trouble = self._unsafe_option() if self.state.active else self.state.trouble

    def running(self) -> None:
        if self.state.active is not None:
            self.state.telemetry.record(Event.STARTED)
            self.state.active.provider.start()

    async def done(self) -> None:
        self.state.draining = True
        proxyserver = ctx.master.addons.get("proxyserver")
        active = self.state.active
        try:
            if isinstance(proxyserver, Proxyserver) and active is not None:
                await drain(proxyserver, self.requests, active.settings.drain_seconds)
            if active is not None:
                await active.provider.aclose()
                self.state.telemetry.record(Event.STOPPED)
        finally:
            self._clean_up()

    # --- configuration ---------------------------------------------------------------

    def reload(self) -> None:
        """Read the configuration again, whole, then swap; tokens of bots that are the same
        stay. Raises ConfigError; then everything stays as it is."""
        telemetry = self.state.telemetry
        try:
            prepared = self._prepare()
        except ConfigError:
            telemetry.record(Event.RELOADED, result="refused")
            raise
        self._take(prepared)
        telemetry.record(Event.RELOADED, result="taken")

    def _reconfigure(self) -> None:
        """Follow the option. A file that cannot be used keeps the last good one in force."""
        try:
            prepared = self._prepare()
        except ConfigError as error:
            if self.state.active is not None:
                raise exceptions.OptionsError(f"{error}\nThe old configuration stays.") from error
            self.state.trouble = error
            if self.modes is None:
                # Not an error: mitmproxy would end itself over one that is logged while it starts.
                logger.warning("%s\nEvery request is refused until it is corrected.", error)
            return
        self._take(prepared)

    def _prepare(self) -> _Prepared:
        """Do everything that can fail, before anything is changed."""
        chosen = ctx.options.symphony_config
        settings = self._load(Path(chosen) if chosen else None)
        modes = self.modes(settings) if self.modes is not None else None
        ours = settings.ca_directory if settings.ca_directory_configured else self._ca_directory
        ca = authority.ensure(ours, authority.hosts_of(settings)) if ours is not None else None
        placeholders = None
        if settings.answer_logins:
            key = placeholder_key.load_or_create(ours or Path(ctx.options.confdir).expanduser())
            placeholders = Placeholders(key, self.state.clock.wall)
        return _Prepared(settings, modes, ca, placeholders)

    def _take(self, prepared: _Prepared) -> None:
        settings, active = prepared.settings, self.state.active
        ca = prepared.authority
        for warning in (*settings.warnings, *(ca.warnings if ca is not None else ())):
            logger.warning("%s", warning)
        if active is not None and settings.listen != active.settings.listen:
            logger.warning("authProxy.listen counts from the next start on.")
        self._apply_options(prepared)
        transport = Transport(settings.trust_bundle, watch=self._journal.show)
        if active is not None:
            provider = active.provider
            provider.reconfigure(settings.bots, transport, settings.token_lifetime)
        else:
            provider = TokenProvider(
                settings.bots,
                transport,
                clock=self.state.clock,
                telemetry=self.state.telemetry,
                lifetime=settings.token_lifetime,
            )
        routes = Routes(settings, prepared.placeholders)
        self.state.active = Active(settings, routes, provider, prepared.placeholders)
        self.state.trouble = self._unsafe_option()
        self.state.telemetry.request_level = logging.INFO if settings.clients else logging.DEBUG

    def _apply_options(self, prepared: _Prepared) -> None:
        """Set mitmproxy's options to what this addon needs, in every tool."""
        settings = prepared.settings
        bundle = self._bundles / f"trust-{_fingerprint(settings.trust_bundle)}.pem"
        bundle.write_text(settings.trust_bundle)
        self._needed = _NEEDED_OPTIONS | {"ssl_verify_upstream_trusted_ca": str(bundle)}
        if prepared.authority is not None:
            self._use(prepared.authority)
        if prepared.modes is not None:
            ctx.options.update(mode=list(prepared.modes))
        self._insist()

    def _use(self, ca: Authority) -> None:
        self._needed["confdir"] = str(ca.directory)
        if self.authority is not None and self.authority != ca:
            # The same file holds another CA now, and mitmproxy remembers files by their names.
            net_tls.create_client_proxy_context.cache_clear()
            ctx.options.update(confdir=str(ca.directory))
        self.authority = ca

    def _insist(self) -> None:
        """Keep those options, also against changes while it runs."""
        changed = {
            name: value
            for name, value in self._needed.items()
            if getattr(ctx.options, name) != value
        }
        overruled = [name for name in changed if not _is_default(name)]
        if overruled:
            logger.warning("Set aside while Symphony is served: %s.", ", ".join(overruled))
        if changed:
            ctx.options.update(**changed)

    def _unsafe_option(self) -> SymphonyAuthProxyError | None:
        problems = [
            Problem(name, why)
            for name, (values, why) in _UNSAFE_OPTIONS.items()
            if getattr(ctx.options, name) in values
        ]
        problems += [
            Problem(name, "a file would get the keys of every TLS session")
            for name in _KEY_LOG_VARIABLES
            if os.environ.get(name)
        ]
        return ConfigError(problems, source="the environment of this proxy") if problems else None


def _is_default(name: str) -> bool:
    return bool(getattr(ctx.options, name) == ctx.options.default(name))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
