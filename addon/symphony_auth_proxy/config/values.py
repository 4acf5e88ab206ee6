"""The kinds of values that a configuration holds, each read and checked in one place.

A checker takes what the parser found and returns what the program works with, or raises
`Wrong` as in "must be a port from 1 to 65535". Numbers may be written as texts, because
`${NAME}` always yields a text and the BDK tolerates it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from pydantic import ValidationInfo

from symphony_auth_proxy import passwords
from symphony_auth_proxy.config.document import Wrong
from symphony_auth_proxy.core.hosts import canonical_host
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.model import Origin
from symphony_auth_proxy.secret import Secret

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")  # RFC 3986, without escapes
_OUR_HEADERS = frozenset({"sessiontoken", "keymanagertoken"})
_HOST_AND_PORT = re.compile(r"(\[.*\]|[^:]*):([^:\]]*)")
DURATION = re.compile(r"([0-9]+)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_PASSWORD_FILE = 64 * 1024
_MAX_PATH = 1024
MOST = 1_000_000
_LONGEST = 1e10  # seconds: three centuries, and far from where floats overflow


@dataclass(frozen=True, slots=True)
class Reading:
    """What the checkers need to know, and where they leave what is worth a warning."""

    directory: Path
    """The configuration file's own: relative paths start here."""
    home: Path
    on_behalf_of: bool = False
    """Whether a client is granted calls on behalf of users, which need an app."""
    open_keys: bool = True
    """Whether keys and certificates of bots and apps are opened, to find what is wrong."""
    warnings: list[str] = field(default_factory=list)
    unusable_keys: list[Diagnosis] = field(default_factory=list)
    """What is the matter with each key or certificate that cannot be used."""

    @staticmethod
    def of(info: ValidationInfo) -> Reading:
        return cast("Reading", info.context)


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """A password that stands in a file of its own, and that file's path."""

    path: Path
    secret: Secret

    def __str__(self) -> str:
        return str(self.path)


def text(value: object) -> str:
    if isinstance(value, int | float):
        raise Wrong("must be a text; put it in quotes")
    if not isinstance(value, str):
        raise Wrong("must be a text")
    if not value:
        raise Wrong("is empty")
    if not value.isprintable():
        raise Wrong("has a line break or another character that cannot be printed")
    return value


def host(value: object) -> str:
    try:
        return canonical_host(text(value))
    except ValueError as error:
        raise Wrong(f"is not usable as a host: {error}") from None


def port(value: object, *, lowest: int = 1) -> int:
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,5}", value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not lowest <= number <= 65535:
        raise Wrong(f"must be a port from {lowest} to 65535")
    return number


def count(value: object) -> int:
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,7}", value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        raise Wrong(f"must be a number from 1 to {MOST}")
    return number


def scheme(value: object) -> str:
    if not isinstance(value, str) or value.lower() != "https":
        raise Wrong("must be https: keys and tokens never go over plain http")
    return "https"


def context(value: object) -> str:
    """Return a path prefix with a slash in front and none behind, or an empty text.

    The BDK adds the first slash too; it keeps the last one in `app/`, which no gateway means.
    """
    if value == "":
        return ""
    segments = text(value).strip("/").split("/")
    if segments == [""]:
        return ""
    if not all(_PATH_SEGMENT.fullmatch(one) and one not in {".", ".."} for one in segments):
        raise Wrong("must be a plain path as in /gateway/prod, without escapes and dots")
    return "/" + "/".join(segments)


def headers(value: object) -> dict[str, Secret]:
    if not isinstance(value, Mapping):
        raise Wrong("must be a mapping of header names to texts")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Wrong("has a name that is not one of an HTTP header")
        if name.lower() in _OUR_HEADERS:
            raise Wrong("must leave sessionToken and keyManagerToken to the proxy")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise Wrong("has a value that is not a text of plain ASCII on one line")
    if len({name.lower() for name in value}) < len(value):
        raise Wrong("has one header twice; letter case makes no difference")
    return {name: Secret(content.strip()) for name, content in value.items()}


def password(value: object) -> Secret:
    if not isinstance(value, str):
        raise Wrong("must be a text; put it in quotes")
    if re.search(r"[\r\n\0]", value):
        raise Wrong("holds a line break or a NUL, which no password does")
    return Secret(value)


def content(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip():
        raise Wrong("must be a text: the whole file's content (YAML: `content: |`)")
    return Secret(value)


def local_path(value: object, info: ValidationInfo) -> Path:
    """Return an absolute path: `~` is the home directory, relative ones start at the file."""
    reading = Reading.of(info)
    if isinstance(value, str) and ("-----BEGIN" in value or len(value) > _MAX_PATH):
        raise Wrong("is not a path; what a file holds is written under `content`")
    name = text(value)
    if name.startswith("classpath:"):
        raise Wrong("is on Java's class path, which only Java can read; copy the file out")
    if name == "~" or name.startswith("~/"):
        return reading.home / name[2:]
    return reading.directory / name


def password_file(value: object, info: ValidationInfo) -> PasswordFile:
    """Read a password. One line break at the end belongs to the file, not to the password."""
    path = local_path(value, info)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_PASSWORD_FILE + 1)
    except OSError as error:  # the name is not repeated: some write the password itself here
        raise Wrong(
            f"names a file that cannot be read ({error.strerror}); a relative path starts at "
            f"{Reading.of(info).directory}"
        ) from None
    if len(raw) > _MAX_PASSWORD_FILE:
        raise Wrong("names a file that is too large for a password")
    try:
        found = raw.decode()
    except UnicodeDecodeError:
        raise Wrong("names a file that is not text in UTF-8") from None
    if found.endswith("\n"):
        found = found[:-1].removesuffix("\r")
    if not found:
        raise Wrong("names an empty file")
    return PasswordFile(path, password(found))


def listen(value: object) -> Origin:
    """Read `HOST:PORT`. Port 0 takes a free one. Raises ValueError."""
    return _place(value, lowest_port=0)


def listen_at(value: object) -> Origin:
    """Read `HOST:PORT` where a free port would say nothing. Raises ValueError."""
    return _place(value, lowest_port=1)


def _place(value: object, *, lowest_port: int) -> Origin:
    parts = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise Wrong("must be HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080")
    name, number = parts.groups()
    return Origin(host(name), port(number, lowest=lowest_port))


def client_name(value: object) -> str:
    name = text(value)
    if ":" in name:
        raise Wrong("has a colon, which ends the name in Basic authentication (RFC 7617)")
    return name


def client_password(value: object) -> Secret:
    return _acceptable(password(value))


def client_password_file(value: object, info: ValidationInfo) -> PasswordFile:
    found = password_file(value, info)
    _acceptable(found.secret)
    return found


def _acceptable(secret: Secret) -> Secret:
    try:
        passwords.check(secret)
    except ValueError as error:
        raise Wrong(f"is not usable: {error}") from None
    return secret


def password_hash(value: object) -> Secret:
    if not isinstance(value, str):
        raise Wrong("must be a text; put it in quotes")
    secret = Secret(value.strip())
    try:
        passwords.check_hash(secret)
    except ValueError as error:
        raise Wrong(
            f"is not usable: {error}; `symphony-auth-proxy config hash` makes one"
        ) from None
    return secret


def users(value: object) -> tuple[str, ...] | Literal["any"]:
    """Read whom a client may call for: usernames, numbers of users, or the word `any`."""
    if value == "any":
        return "any"
    if not isinstance(value, list):
        raise Wrong("must be `any` or a list of usernames and user ids")
    found = tuple(dict.fromkeys(_user(one) for one in value))
    if "any" in found:
        raise Wrong("has `any` in a list; write the word alone")
    return found


def _user(value: object) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    try:
        return text(str(value) if is_number else value)
    except Wrong as error:
        raise Wrong(f"has an entry that {error}") from None


def lifetime(value: object) -> float | None:
    """Read `auto` (None) or a duration: seconds, or as in 90s, 30m, 2h, 14d."""
    if value == "auto":
        return None
    duration = _duration(value)
    if not duration:
        raise Wrong("must be `auto` or a duration: seconds, or as in 30m, 2h, 14d")
    return duration


def seconds(value: object) -> float:
    duration = _duration(value)
    if duration is None:
        raise Wrong("must be a duration: seconds, or as in 30s, 2m")
    return duration


def _duration(value: object) -> float | None:
    if isinstance(value, str) and (found := DURATION.fullmatch(value)):
        value = float(found[1]) * _SECONDS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST else None


def flag(value: object) -> bool:
    match value:
        case bool():
            return value
        case "true" | "false":
            return value == "true"
        case _:
            raise Wrong("must be true or false")


def memory_store(value: object) -> str:
    if value != "memory":
        raise Wrong("must be `memory`; a store that replicas share is not built yet")
    return "memory"
