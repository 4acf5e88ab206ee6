"""What all sections of the file have in common, and the sections that hold credentials."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from symphony_auth_proxy.auth.certificate import CertificateLogin
from symphony_auth_proxy.auth.rsa import RsaLogin
from symphony_auth_proxy.config.document import SAYS_BY_NULL, Wrong, is_blank
from symphony_auth_proxy.config.fields import Content, LocalPath, Password, PasswordPath, Text
from symphony_auth_proxy.config.values import Reading
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import CertificateFile, KeySource, PrivateKeyFile
from symphony_auth_proxy.model import LoginMethod
from symphony_auth_proxy.secret import Secret


class Section(BaseModel):
    """A mapping of the file with known keys. What says nothing counts as not given."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
    empty_is_absent: ClassVar[frozenset[str]] = frozenset()
    """Keys that the BDK takes as not given when they hold an empty text."""

    @classmethod
    def fields_by_key(cls) -> dict[str, str]:
        """Return the section's keys as they stand in the file, with their field names."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @classmethod
    def elsewhere(cls) -> frozenset[str]:
        """Return the keys whose values are not looked at."""
        return frozenset(
            key
            for key, name in cls.fields_by_key().items()
            if cls.model_fields[name].annotation is Any
        )

    @model_validator(mode="before")
    @classmethod
    def _without_absent(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        absent = {key for key in cls.fields_by_key() if cls._is_absent(key, data.get(key))}
        return {key: item for key, item in data.items() if key not in absent}

    @classmethod
    def _is_absent(cls, key: str, value: object) -> bool:
        if value is None:
            return key not in SAYS_BY_NULL
        return is_blank(value) or (value == "" and key in cls.empty_is_absent)


class WithPassword(Section):
    """Something that a password may protect."""

    empty_is_absent: ClassVar[frozenset[str]] = frozenset({"password", "passwordFile"})

    password: Password | None = None
    """The password itself, best as `${NAME}`."""
    password_file: PasswordPath | None = None
    """A file that holds the password and nothing else."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise Wrong("has `password` and `passwordFile`; keep one")
        return self

    def secret(self) -> Secret | None:
        return self.password_file.secret if self.password_file else self.password


class Stored(WithPassword):
    """Something that stands in a file or, inline, in the configuration."""

    empty_is_absent: ClassVar[frozenset[str]] = WithPassword.empty_is_absent | {"path", "content"}

    path: LocalPath | None = None
    """Where the file is; relative to the configuration file."""
    content: Content | None = None
    """What such a file holds, inline."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.content is not None:
            raise Wrong("has `path` and `content`; keep one")
        if self.path is None and self.content is None:
            raise Wrong("needs `path` or `content`")
        return self


class PrivateKey(Stored):
    """An RSA private key in PEM (PKCS#1 or PKCS#8), encrypted or not."""

    def source(self) -> PrivateKeyFile:
        return PrivateKeyFile(self.path, _pem(self.content), self.secret())


class Certificate(Stored):
    """A client certificate with its key: PKCS#12, one PEM with both, or a pair of PEMs."""

    key_path: LocalPath | None = None
    """The private key's file, when `path` names a PEM that holds the certificate alone."""

    def source(self, username: str) -> CertificateFile:
        return CertificateFile(username, self.path, self.content, self.key_path, self.secret())


class Bot(Section):
    """A service account and what it logs in with: a private key or a certificate."""

    username: Text
    """The service account's username, neither its e-mail address nor its number."""
    private_key: PrivateKey | None = None
    certificate: Certificate | None = None

    @field_validator("private_key", "certificate")
    @classmethod
    def _is_usable(
        cls, value: PrivateKey | Certificate | None, info: ValidationInfo
    ) -> PrivateKey | Certificate | None:
        username = info.data.get("username")
        match value:
            case PrivateKey():
                _check(value.source(), username or "a bot", info)
            case Certificate() if username:
                _check(value.source(username), username, info)
        return value

    def method(self) -> LoginMethod:
        if self.private_key:
            return RsaLogin(self.username, self.private_key.source())
        assert self.certificate is not None  # `consistency` sees to it that one is given
        return CertificateLogin(self.username, self.certificate.source(self.username))


class App(Section):
    """An extension app, through which users let a bot call on their behalf."""

    app_id: Text
    private_key: PrivateKey | None = None
    certificate: Certificate | None = None
    """Accepted, but of no use: Symphony does not log apps in by certificate any more."""

    @field_validator("private_key")
    @classmethod
    def _is_usable(cls, value: PrivateKey | None, info: ValidationInfo) -> PrivateKey | None:
        if value is not None:
            _check(value.source(), f"the app {info.data.get('app_id', '')}".rstrip(), info)
        return value

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if self.private_key and self.certificate:
            raise Wrong("has `privateKey` and `certificate`; keep the first")
        if not (self.private_key or self.certificate):
            raise Wrong("needs `privateKey`")
        return self


def _check(source: KeySource, owner: str, info: ValidationInfo) -> None:
    """Open what somebody logs in with: a wrong path or password shows before the first login."""
    if not Reading.of(info).open_keys:
        return
    try:
        material = source.load()
    except KeyMaterialError as error:
        Reading.of(info).unusable_keys.append(error.diagnosis)
        hint = error.hint()
        raise Wrong(f"is not usable: {error}{hint and f' ({hint})'}") from None
    Reading.of(info).warnings.extend(f"{owner}: {warning}" for warning in material.warnings)


def _pem(content: Secret | None) -> Secret | None:
    """Return PEM text. BDK Java wants the same text in base64, as its type is `byte[]`."""
    if content is None or "-----BEGIN" in content.reveal():
        return content
    try:
        return Secret(base64.b64decode("".join(content.reveal().split()), validate=True).decode())
    except ValueError:
        return content
