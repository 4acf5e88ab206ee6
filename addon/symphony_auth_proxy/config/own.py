"""The proxy's own part of the file: what stands below `authProxy`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from symphony_auth_proxy import passwords
from symphony_auth_proxy.config.document import Wrong
from symphony_auth_proxy.config.fields import (
    ClientName,
    ClientPassword,
    ClientPasswordPath,
    Count,
    Flag,
    Lifetime,
    Listen,
    ListenAt,
    LocalPath,
    PasswordHash,
    Seconds,
    Store,
    Text,
    Users,
)
from symphony_auth_proxy.config.places import Place
from symphony_auth_proxy.config.sections import Bot, Section
from symphony_auth_proxy.config.values import Reading
from symphony_auth_proxy.model import ClientTokens, Origin, OtherHosts
from symphony_auth_proxy.secret import Secret


class FurtherBot(Place, Bot):
    """A bot beside the default one, in a place of its own if it names hosts."""

    listen: ListenAt | None = None
    """HOST:PORT that always means this bot."""


class Client(Section):
    """A program that may use the proxy. It has a password in one of three forms."""

    name: ClientName
    """Its user name for the proxy."""
    password_file: ClientPasswordPath | None = None
    """A file that holds the password and nothing else."""
    password_hash: PasswordHash | None = None
    """The password's Argon2 hash, as `symphony-auth-proxy config hash` prints it."""
    password: ClientPassword | None = None
    """The password itself, best as `${NAME}`."""
    bots: list[Text] = Field(default_factory=list)
    """Usernames of the bots that it may speak as."""
    on_behalf_of: Users = ()
    """Usernames or ids of the users on whose behalf it may call, or `any`."""

    @model_validator(mode="after")
    def _one_password(self, info: ValidationInfo) -> Self:
        forms = {
            "passwordFile": self.password_file,
            "passwordHash": self.password_hash,
            "password": self.password,
        }
        given = [key for key, value in forms.items() if value is not None]
        if not given:
            raise Wrong("needs `passwordFile`, `passwordHash` or `password`")
        if len(given) > 1:
            raise Wrong(f"has {' and '.join(f'`{key}`' for key in given)}; keep one")
        plain = self.password_file.secret if self.password_file else self.password
        if plain is not None and len(plain.reveal()) < passwords.LONG_ENOUGH:
            Reading.of(info).warnings.append(
                f"the client {self.name}: its password has fewer than "
                f"{passwords.LONG_ENOUGH} characters"
            )
        return self

    @model_validator(mode="after")
    def _may_something(self) -> Self:
        if not self.bots and not self.on_behalf_of:
            raise Wrong("may do nothing; list its `bots`, or grant it `onBehalfOf`")
        return self


class Tokens(Section):
    lifetime: Lifetime = None
    """How long a session lives, as the pod's administrator set it; `auto` asks the token."""
    store: Store = "memory"


class CertificateAuthority(Section):
    directory: LocalPath | None = None
    """Where the proxy's own CA is kept: `certs/ca` beside this file unless set."""


class Admin(Section):
    listen: Listen
    """HOST:PORT where health, readiness and metrics are served; no secret is."""


class InspectionUi(Section):
    """mitmproxy's UI in the browser, which `serve --web` opens."""

    listen: ListenAt = Origin("127.0.0.1", 8081)
    """HOST:PORT of the UI; off loopback it needs a password."""
    password_file: ClientPasswordPath | None = None
    """A file that holds the UI's password and nothing else."""
    password: ClientPassword | None = None
    """The password itself, best as `${NAME}`. Unless set, the URL that is printed lets in."""
    flows: Count = 5_000
    """How many flows are kept, here and in the terminal's UI; then the oldest go."""

    @model_validator(mode="after")
    def _one_password(self, info: ValidationInfo) -> Self:
        if self.password_file is not None and self.password is not None:
            raise Wrong("has `passwordFile` and `password`; keep one")
        if (plain := self.secret()) is not None and len(plain.reveal()) < passwords.LONG_ENOUGH:
            Reading.of(info).warnings.append(
                f"the inspection UI: its password has fewer than {passwords.LONG_ENOUGH} characters"
            )
        return self

    def secret(self) -> Secret | None:
        return self.password_file.secret if self.password_file else self.password


class AuthProxy(Section):
    listen: Listen = Origin("127.0.0.1", 8080)
    """HOST:PORT of the proxy; off loopback it needs `clients`."""
    bots: list[FurtherBot] = Field(default_factory=list)
    """Further bots; the file's `bot` is the default one."""
    clients: Annotated[list[Client], Field(min_length=1)] | None = None
    """Who may use the proxy. Unless set, whoever reaches it."""
    answer_logins: Flag = False
    """Answer the bots' own login calls, so that their programs need no real key."""
    client_tokens: ClientTokens = ClientTokens.KEEP
    """For requests that bring a real token of their own."""
    other_hosts: OtherHosts = OtherHosts.PASSTHROUGH
    """For hosts that are not Symphony's."""
    tokens: Tokens = Field(default_factory=Tokens)
    ca: CertificateAuthority = Field(default_factory=CertificateAuthority)
    admin: Admin | None = None
    web: InspectionUi = Field(default_factory=InspectionUi)
    drain_seconds: Seconds = 25.0
    """How long a stopping proxy waits for the requests in flight."""
