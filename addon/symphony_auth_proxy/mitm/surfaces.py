"""How a running proxy is reached beside its traffic: the control socket and `admin.listen`.

For the one proxy that `serve` runs. It is an addon, for the life that comes with it: what
it opens is opened once the listeners are, and closed when the last request has been
answered, so that a proxy which is stopping still tells so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitmproxy.utils import asyncio_utils

from symphony_auth_proxy.errors import ConfigError, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.addon import SymphonyAuth
from symphony_auth_proxy.mitm.state import Active
from symphony_auth_proxy.operations.admin import Admin
from symphony_auth_proxy.operations.changes import changes
from symphony_auth_proxy.operations.control import ControlSocket, socket_path

logger = logging.getLogger(__name__)


class Surfaces:
    """Answers `status`, `flush` and `reload`, and serves the admin port."""

    def __init__(self, addon: SymphonyAuth, config: Path) -> None:
        """`config`: the file as it was found, by which the proxy is asked for."""
        self._addon = addon
        self._control = ControlSocket(
            socket_path(config),
            {"status": self.status, "flush": self.flush, "reload": self.reload},
        )
        self._admin: Admin | None = None

    # --- life ------------------------------------------------------------------------

    async def running(self) -> None:
        try:
            await self._control.open()
        except SymphonyAuthProxyError as error:
            logger.warning(
                "No `status`, `flush` and `reload` for this proxy: %s. %s", error, error.hint()
            )
        try:
            await self._move_admin()
        except OSError as error:
            # While mitmproxy starts, this ends it.
            logger.error("Cannot listen on admin.listen: %s.", os.strerror(error.errno or 0))  # noqa: TRY400 (no traceback: it is about the configuration)

    async def done(self) -> None:
        await self._control.close()
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    def heed_hangup(self) -> None:
        """Reload on SIGHUP, as daemons do."""
        loop = asyncio.get_running_loop()
        with suppress(AttributeError, NotImplementedError):  # Windows has no such signal
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        asyncio_utils.create_task(self._reload_aloud(), name="reload on SIGHUP", keep_ref=True)

    async def _reload_aloud(self) -> None:
        try:
            told = await self.reload({})
        except SymphonyAuthProxyError as error:
            logger.warning("%s\nThe old configuration stays.", error)
        else:
            logger.info("Reloaded: %s.", "; ".join(told["changes"]) or "nothing has changed")

    # --- commands --------------------------------------------------------------------

    async def status(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._addon.requests.portal.status().as_json()

    async def flush(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        active, bot = self._active(), arguments.get("bot")
        known = [one.username for one in active.settings.bots]
        if bot is not None and bot not in known:
            raise SymphonyAuthProxyError(
                "there is no bot of that name", hint=f"known bots: {', '.join(known)}"
            )
        active.provider.flush(bot)
        return {"flushed": known if bot is None else [bot]}

    async def reload(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        before, ca_before = self._active().settings, self._addon.authority
        try:
            self._addon.reload()
        except ConfigError as error:
            raise SymphonyAuthProxyError(
                str(error), hint="correct this; until then the old configuration stays"
            ) from error
        told = changes(before, self._active().settings)
        ca = self._addon.authority
        if ca is not None and ca != ca_before:
            told.append(f"the CA is another one: clients must trust {ca.certificate}")
        try:
            await self._move_admin()
        except OSError as error:
            told.append(f"admin.listen is not available: {os.strerror(error.errno or 0)}")
        return {"changes": told}

    def _active(self) -> Active:
        active = self._addon.state.active
        assert active is not None, "a proxy without configuration does not start"
        return active

    async def _move_admin(self) -> None:
        """Serve the admin port where the configuration says. Raises OSError, with the old
        one still open."""
        old, place = self._admin, self._active().settings.admin_listen
        if (old and old.place) == place:
            return
        self._admin = Admin(self._addon.requests.portal.pages, place) if place else None
        if old is not None:
            await old.close()
