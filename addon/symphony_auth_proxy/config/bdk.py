"""The part of the file that Symphony's BDK defines, Python's and Java's flavours as one.

The keys are those of symphony-bdk-python (`BdkConfig`) and symphony-bdk-java (`BdkConfig`
and the classes that it is made of).
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, PrivateAttr, model_validator

from symphony_auth_proxy.config import trust
from symphony_auth_proxy.config.fields import Elsewhere
from symphony_auth_proxy.config.own import AuthProxy
from symphony_auth_proxy.config.places import Place, effective
from symphony_auth_proxy.config.sections import Bot, Section, Stored


class TrustStore(Stored):
    """CAs to trust beside the system's: PEM, or PKCS#12 with its password."""

    _certificates: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _read(self) -> Self:
        self._certificates = trust.read(self.path, self.content, self.secret())
        return self

    @property
    def certificates(self) -> tuple[str, ...]:
        """Each in PEM."""
        return self._certificates


class Ssl(Section):
    trust_store: TrustStore | None = None


class File(Place):
    """The configuration of symphony-auth-proxy: the bot's BDK file, extended by `authProxy`."""

    bot: Bot
    """The default bot."""
    ssl: Ssl = Field(default_factory=Ssl)
    auth_proxy: AuthProxy = Field(default_factory=AuthProxy)
    """The proxy's own settings."""
    retry: Elsewhere = None
    datafeed: Elsewhere = None
    datahose: Elsewhere = None
    manifest: Elsewhere = None
    common_jwt: Elsewhere = None
    extensions: Elsewhere = None

    @property
    def certificates(self) -> tuple[str, ...]:
        """What `ssl.trustStore` adds, each in PEM."""
        return self.ssl.trust_store.certificates if self.ssl.trust_store else ()

    @property
    def bots(self) -> tuple[Bot, ...]:
        """The default bot first."""
        return (self.bot, *self.auth_proxy.bots)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where each bot is."""
        return (self, *(effective(bot, self) for bot in self.auth_proxy.bots))
