"""What a person may look at while the proxy runs: nothing, a browser, or this terminal.

Headless, it needs a handful of addons where `mitmdump` has forty, and each of them is asked
at every step of every request (tests/perf/overhead.py measures what that costs). The screens
get all of mitmproxy's, with ours placed before whatever rewrites, shows or saves flows, and
with `trimming` behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from mitmproxy import master, options
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver, tlsconfig
from mitmproxy.addons.script import ScriptLoader

from symphony_auth_proxy.mitm.trimming import Trimming
from symphony_auth_proxy.mitm.web import Inspector
from symphony_auth_proxy.model import Web


class Screen(Enum):
    """What a person looks at while the proxy runs."""

    NONE = "none"
    WEB = "web"
    CONSOLE = "console"


class Gateway(master.Master):
    """mitmproxy with only what a gateway needs."""

    def __init__(self, opts: options.Options, ours: Sequence[object]) -> None:
        super().__init__(opts)
        self.addons.add(
            core.Core(),
            proxyserver.Proxyserver(),
            *ours,
            next_layer.NextLayer(),
            tlsconfig.TlsConfig(),
            errorcheck.ErrorCheck(),
        )


def master_of(
    screen: Screen, opts: options.Options, ours: Sequence[object], web: Web
) -> master.Master:
    """Make a master with our addons in their place."""
    match screen:
        case Screen.NONE:
            return Gateway(opts, ours)
        case Screen.WEB:
            inspector = Inspector(opts, web)
            trimming = Trimming(inspector.view, web.flows)
            inspector.look_at = trimming.look_at
            return _with(inspector, ours, trimming)
        case Screen.CONSOLE:
            from mitmproxy.tools.console.master import ConsoleMaster  # noqa: PLC0415 (needs a terminal library)

            console = ConsoleMaster(opts)
            focus = console.view.focus
            return _with(
                console, ours, Trimming(console.view, web.flows, focused=lambda: focus.flow)
            )


def _with[M: master.Master](proxy: M, ours: Sequence[object], trimming: Trimming) -> M:
    """Put ours where scripts stand: before rewriters and before every sink."""
    chain = proxy.addons.chain
    index = next(i for i, other in enumerate(chain) if isinstance(other, ScriptLoader))
    chain[index:index] = [proxy.addons.register(one) for one in ours]
    proxy.addons.add(trimming)
    return proxy
