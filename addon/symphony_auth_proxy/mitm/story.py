"""What a flow says of itself where people look: its comment and its marker.

    pricing-bot · session #7f3a gen 3 · key manager #9ab1 gen 3 · age 12 min
    pricing-bot for alice · session #51c0 gen 1 · age 4 s
    pricing-bot · … · age 12 min · resent after 401 with session #0d2e gen 4
    pricing-bot · why: token_refused – Symphony refuses the bot's tokens, …; … · session #7f3a …
    untouched: client_token – the request brings a token of its own, which stays; leave …
    answered here: login_answered – the proxy answered this login itself, with a placeholder
    refused here · why: unknown_bot – the header Symphony-Bot names no bot of this proxy; …

A token has the same fingerprint here as in the header table, in the log and in the status.
What a person or another addon wrote is never overwritten: a comment stands beside it, and one
that was edited in the meantime stays as it is. Nothing here is secret, and no name that a client
or a server chose can pass for more than a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

from mitmproxy import flow as mitmflow

from symphony_auth_proxy.core import names
from symphony_auth_proxy.core.spans import harmless, span
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import SymphonyAuthProxyError
from symphony_auth_proxy.model import Token, TokenPair

_OURS = "symphony_auth_proxy.comment"
"""Where a flow's metadata keep which part of its comment is ours, also in its copies and in
files: sent again, it gets a new story, not a second one."""


class Marker(StrEnum):
    """The emoji that say at a glance what became of a flow, by mitmproxy's names for them."""

    INJECTED = ":key:"
    RESENT = ":repeat:"
    ANSWERED = ":speech_balloon:"
    UNTOUCHED = ":arrow_right:"
    FAILED = ":no_entry:"
    """Refused here, not reached, or answered with what has a diagnosis."""


@dataclass(slots=True)
class _Page:
    """The parts of one flow's comment. Columns cut off its end, so what is wrong stands early."""

    head: str = ""
    gloss: str = ""
    """Explains the head, as long as there is nothing worse to explain."""
    given: str = ""
    """The tokens."""
    resent: str = ""
    why: str = ""

    def __str__(self) -> str:
        head = self.head if self.why else self.head + self.gloss
        return " · ".join(part for part in (head, self.why, self.given, self.resent) if part)


class Story:
    """Writes comments and markers."""

    def __init__(self) -> None:
        self._pages: WeakKeyDictionary[mitmflow.Flow, _Page] = WeakKeyDictionary()

    def begin(self, flow: mitmflow.Flow) -> None:
        """Begin anew with a flow that is sent again."""
        self._pages.pop(flow, None)
        ours = flow.metadata.get(_OURS, "")
        # What stands there is another's, and so are the metadata of a file that was tampered with.
        if not isinstance(ours, str) or ours not in flow.comment:
            del flow.metadata[_OURS]

    def injected(
        self, flow: mitmflow.Flow, pair: TokenPair, now: float, *, again: bool = False
    ) -> None:
        """It gets these tokens. `now`: monotonic seconds. `again`: it is itself the second
        attempt of another flow."""
        given = _named("session", pair.session)
        if pair.key_manager is not None:
            given += f" · {_named('key manager', pair.key_manager)}"
        given += f" · age {span(now - pair.session.obtained)}"
        resent = "sent again after 401" if again else ""
        page = _Page(names.shown(pair.bot, pair.user), given=given, resent=resent)
        self._show(flow, page, Marker.RESENT if again else Marker.INJECTED)

    def untouched(self, flow: mitmflow.Flow, diagnosis: Diagnosis, *, marked: bool = True) -> None:
        """It passes as it is. `marked`: it is for a host of Symphony's."""
        page = _Page(f"untouched: {diagnosis}", _gloss(diagnosis))
        self._show(flow, page, Marker.UNTOUCHED if marked else None)

    def answered(self, flow: mitmflow.Flow, diagnosis: Diagnosis) -> None:
        """The proxy answers it itself, and all is well."""
        page = _Page(f"answered here: {diagnosis}", _gloss(diagnosis))
        self._show(flow, page, Marker.ANSWERED)

    def resent(self, flow: mitmflow.Flow, pair: TokenPair) -> None:
        """Its tokens were refused; the answer that it has now is to these."""
        page = self._pages.get(flow) or _Page()
        page.resent = f"resent after 401 with {_named('session', pair.session)}"
        self._show(flow, page, Marker.RESENT)

    def diagnosed(self, flow: mitmflow.Flow, diagnosis: Diagnosis) -> None:
        """Its answer is no success, and this is why."""
        page = self._pages.get(flow) or _Page()
        page.why = f"why: {diagnosis}{_gloss(diagnosis)}"
        self._show(flow, page, Marker.FAILED)

    def failed(self, flow: mitmflow.Flow, error: SymphonyAuthProxyError) -> None:
        """It gets an error of the proxy's own for an answer."""
        page = self._pages.get(flow) or _Page("refused here")
        said = "; ".join(map(_part, filter(None, (str(error), error.hint()))))
        page.why = f"why: {error.diagnosis} – {said}"
        self._show(flow, page, Marker.FAILED)

    def _show(self, flow: mitmflow.Flow, page: _Page, marker: Marker | None) -> None:
        self._pages[flow] = page
        text, before = str(page), flow.metadata.get(_OURS)
        if before is None:
            flow.comment = f"{flow.comment} · {text}" if flow.comment else text
        else:  # nothing of ours may be there any more: then it stays as it is
            flow.comment = flow.comment.replace(before, text, 1)
        ours_to_set = flow.marked in _MARKERS or (before is None and not flow.marked)
        if marker is not None and ours_to_set:
            flow.marked = marker.value
        flow.metadata[_OURS] = text


_MARKERS = frozenset(Marker)


def _named(what: str, token: Token) -> str:
    return f"{what} #{token.value.fingerprint()} gen {token.generation}"


def _gloss(diagnosis: Diagnosis) -> str:
    meaning = MEANINGS[diagnosis]
    return f" – {meaning.sentence}; {meaning.way_out}".removesuffix("; ")


def _part(text: str) -> str:
    """An error's text on one line, short, and without the dots that end a part."""
    return harmless(" ".join(text.split())).replace("·", "?")
