"""What an upstream's answer says about the tokens that were sent.

Only a 401 speaks against a token and only a success speaks for it. Everything else (403,
404, 429, 5xx) is about the request or about the server, and passes unchanged.
"""

from __future__ import annotations

from enum import Enum, auto


class Verdict(Enum):
    ACCEPTED = auto()
    """The tokens are good."""
    RESEND = auto()
    """Refused; a refresh and one resend can heal it."""
    REFUSED = auto()
    """Refused, and the client gets to see it: a resend was tried or is impossible."""
    SILENT = auto()
    """Says nothing about the tokens."""


def judge(status: int, *, resendable: bool) -> Verdict:
    """Judge one answer. `resendable`: first attempt, with the request's body whole in hand.

    Any method may be resent: Symphony's contract is that with a 40x nothing was done.
    """
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    if status == 401:
        return Verdict.RESEND if resendable else Verdict.REFUSED
    return Verdict.SILENT
