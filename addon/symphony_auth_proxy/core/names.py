"""What accounts are called: a bot, or a user on whose behalf its extension app calls.

A bot's name stands in the configuration. A user's is whatever a client writes into a header,
so it is looked at before it becomes part of a login's path, and made harmless before people
see it.
"""

from __future__ import annotations

LONGEST_USER = 255
"""Characters: beyond every username and every number that a pod gives."""
_LONGEST_SHOWN = 64
_SEPARATOR = "\0"
"""No name holds it: configured ones are printable, and so are users that pass `is_user`."""


def is_user(name: str) -> bool:
    """Whether a text can be a user's name or number.

    Names that a server might take for more than one path segment, or for none, are no names,
    however they are escaped (CVE-2019-9901).
    """
    return (
        0 < len(name) <= LONGEST_USER
        and name.isprintable()
        and name not in {".", ".."}
        and not {"/", "\\", "%"} & set(name)
    )


def key_of(bot: str, user: str | None) -> str:
    """The name of an account in token stores: another one for each account."""
    return bot if user is None else f"{bot}{_SEPARATOR}{user}"


def shown(bot: str, user: str | None) -> str:
    """An account as people may see it, as in `pricing-bot for alice`: short, on one line, and
    without the brackets that enclose it in a flow and the dots that end it in a comment."""
    return _harmless(bot) if user is None else f"{_harmless(bot)} for {_harmless(user)}"


def _harmless(name: str) -> str:
    text = "".join(c if c.isprintable() and c not in "[]·" else "?" for c in name)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
