"""A bot's or an app's key or certificate as it is now: read anew before each login.

So a file that was replaced counts at once, without a restart, and one that was replaced by
something unusable does not: the key that is still in memory goes on, and the audit says so.
"""

from __future__ import annotations

import asyncio

from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.telemetry import Event, Telemetry


class Keyring:
    """Holds the last usable key out of one source."""

    def __init__(self, bot: str, source: KeySource, telemetry: Telemetry) -> None:
        """`bot`: whose it is, for the audit."""
        self.source = source
        self._bot = bot
        self._telemetry = telemetry
        self._held: KeyMaterial | None = None
        self.trouble: KeyMaterialError | None = None
        """Why the key that is held can no longer be read from its source: told when a login
        with it is refused."""

    async def read(self) -> KeyMaterial:
        """Return the key in the file, or the last one that could be read.

        Raises KeyMaterialError when there has never been a usable one.
        """
        try:
            # In a thread: reading may hang on a network disk, decrypting takes its time.
            keys = await asyncio.to_thread(self.source.load)
        except KeyMaterialError as error:
            if self._held is None:
                raise
            self.trouble = error.with_traceback(None)
            self._telemetry.record(
                Event.KEY_RELOAD_FAILED,
                bot=self._bot,
                fingerprint=self._held.fingerprint,
                error=str(error),
            )
            return self._held
        if self._held is not None and self._held.fingerprint != keys.fingerprint:
            self._telemetry.record(Event.KEY_RELOADED, bot=self._bot, fingerprint=keys.fingerprint)
        self._held, self.trouble = keys, None
        return keys
