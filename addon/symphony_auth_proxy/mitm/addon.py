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
from pathlib import Path

from mitmproxy import addonmanager, ctx, exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.utils import asyncio_utils

from symphony_auth_proxy import config
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import ConfigError, Problem, SymphonyAuthProxyError
from symphony_auth_proxy.mitm import seam
from symphony_auth_proxy.mitm.bodies import HELD_BYTES
from symphony_auth_proxy.mitm.connections import Connections
from symphony_auth_proxy.mitm.drain import drain
from symphony_auth_proxy.mitm.errors import ErrorPages
from symphony_auth_proxy.mitm.requests import Requests
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import Settings
from symphony_auth_proxy.provider import TokenProvider
from symphony_auth_proxy.telemetry import Event
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
    # What a client of a reverse proxy calls it is looked at, see `requests`.
    "keep_host_header": True,
}

_KEY_LOG_VARIABLES = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


class SymphonyAuth:
    """Gets, caches and adds Symphony's tokens."""

    def __init__(self) -> None:
        self.state = State()
        self.requests = Requests(self.state)
        self.addons = [Connections(self.state), self.requests]
        self._needed: dict[str, object] = {}
        self._bundles = Path(tempfile.mkdtemp(prefix="symphony-auth-proxy-"))

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
            shutil.rmtree(self._bundles, ignore_errors=True)

    # --- configuration ---------------------------------------------------------------

    def _reconfigure(self) -> None:
        """Load the file whole, then swap. A bad one keeps the last good one."""
        chosen = ctx.options.symphony_config
        try:
            settings = config.load(Path(chosen) if chosen else None)
        except ConfigError as error:
            if self.state.active is not None:
                raise exceptions.OptionsError(f"{error}\nThe old configuration stays.") from error
            self.state.trouble = error
            # Not an error: mitmproxy would end itself over one that is logged while it starts.
            logger.warning("%s\nEvery request is refused until it is corrected.", error)
            return
        for warning in settings.warnings:
            logger.warning("%s", warning)
        self._apply_options(settings)
        provider = TokenProvider(
            settings.bots,
            Transport(settings.trust_bundle),
            clock=self.state.clock,
            telemetry=self.state.telemetry,
            lifetime=settings.token_lifetime,
        )
        previous = self.state.active
        self.state.active = Active(settings, Routes(settings), provider)
        if previous is not None:
            asyncio_utils.create_task(
                previous.provider.aclose(), name="end replaced logins", keep_ref=True
            )

    def _apply_options(self, settings: Settings) -> None:
        """Set mitmproxy's options to what this addon needs, in every tool."""
        bundle = self._bundles / f"trust-{_fingerprint(settings.trust_bundle)}.pem"
        bundle.write_text(settings.trust_bundle)
        self._needed = _NEEDED_OPTIONS | {"ssl_verify_upstream_trusted_ca": str(bundle)}
        if settings.ca_directory_configured:
            self._needed["confdir"] = str(settings.ca_directory)
        self._insist()

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
