"""A real proxy in this process, on a real port, in a thread of its own.

One at a time: mitmproxy keeps its master in a global.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitmproxy import master
from mitmproxy.addons.errorcheck import ErrorCheck
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_specs import ProxyMode

from symphony_auth_proxy.config import load as load_file
from symphony_auth_proxy.mitm import runner
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.model import Origin, Settings

_STARTUP_SECONDS = 20.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy, as a test sees it."""

    master: master.Master
    addon: SymphonyAuth
    _loop: asyncio.AbstractEventLoop

    @property
    def ca(self) -> Path:
        return Path(self.master.options.confdir) / "mitmproxy-ca-cert.pem"

    @property
    def port(self) -> int:
        proxyserver = self.master.addons.get("proxyserver")
        assert isinstance(proxyserver, Proxyserver)
        return int(proxyserver.listen_addrs()[0][1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the proxy's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_STARTUP_SECONDS)

    def call[T](self, function: Callable[[], T]) -> T:
        async def inside() -> T:
            return function()

        return self.run(inside())

    async def listening(self) -> None:
        """Wait until listeners that a reload opens and closes are open and closed."""
        proxyserver = self.master.addons.get("proxyserver")
        assert isinstance(proxyserver, Proxyserver)
        await proxyserver.servers.update(
            [ProxyMode.parse(mode) for mode in self.master.options.mode]
        )

    def stop(self) -> None:
        """Begin to stop, as SIGTERM does; returns at once."""
        with suppress(RuntimeError):  # it has stopped already, and its loop is closed
            self.master.shutdown()


@contextmanager
def running_proxy(
    config: Path,
    confdir: Path,
    *,
    modes: Sequence[str] = ("regular",),
    options: Mapping[str, str] | None = None,
    listen_host: str = "127.0.0.1",
    prepare: Callable[[master.Master, SymphonyAuth], None] | None = None,
    load: Callable[[Path | None], Settings] = load_file,
) -> Iterator[Proxy]:
    """Start our own lean proxy. `prepare` may add addons before it runs. `load`: how the
    configuration is read."""
    run = runner.Run(
        config=str(config),
        listen=Origin("127.0.0.1", 0),
        confdir=str(confdir),
        modes=modes,
        options=options or {},
        load=load,
    )
    started: Future[Proxy] = Future()

    async def main() -> None:
        proxy, addon = runner.build(run)
        # Our own runner refuses other addresses; stock tools do not.
        proxy.options.update(listen_host=listen_host)
        if prepare is not None:
            prepare(proxy, addon)
        loop = asyncio.get_running_loop()
        _heed_own_errors(proxy)

        class Ready:
            def running(self) -> None:
                started.set_result(Proxy(proxy, addon, loop))

        proxy.addons.add(Ready())
        await proxy.run()

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as problem:
            if started.done():
                raise
            started.set_exception(problem)

    thread = threading.Thread(target=work, name="proxy", daemon=True)
    thread.start()
    proxy = started.result(_STARTUP_SECONDS)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(60)
        assert not thread.is_alive(), "the proxy did not stop"


def _heed_own_errors(proxy: master.Master) -> None:
    """mitmproxy ends itself over an error that is logged while it starts: by anybody in this
    process, such as a sandbox that lost the connections of the proxy before."""
    thread = threading.get_ident()
    check = proxy.addons.get("errorcheck")
    assert isinstance(check, ErrorCheck)
    check.logger.addFilter(lambda record: record.thread == thread)
    check.logger.has_errored = list(filter(check.logger.filter, check.logger.has_errored))
