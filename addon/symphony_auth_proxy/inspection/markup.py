"""MessageML and PresentationML as plain text.

Enough to read what somebody was told: blocks become lines, mentions and tags are written as
people type them, entities are decoded. It is not a parser, and never fails: what is no markup
stands as it is. (https://docs.developers.symphony.com/bots/messages/overview-of-messageml)
"""

from __future__ import annotations

import html
import re

_PIECE = re.compile(r"<(/?)([A-Za-z][\w:-]*+)([^<>]*+)>")
_ATTRIBUTE = re.compile(r"""(?<![\w:-])([\w:-]++)\s*=\s*(?:"([^"]*+)"|'([^']*+)')""")
_SPACES = re.compile(r"[ \t\r\n\xa0]+")
_BREAK = "\n"

_BLOCKS = frozenset(
    {"messageml", "div", "p", "br", "hr", "pre", "title", "option"}
    | {"ul", "ol", "li", "table", "thead", "tbody", "tfoot", "tr"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
    | {"card", "header", "body", "footer", "form", "dialog", "chime", "code"}
    | {"expandable-card", "expandable-section"}
)

_WRITTEN = {"li": "- ", "td": " | ", "th": " | ", "hr": "----", "chime": "[chime]"}
_NAMED = {
    "mention": ("@{}", ("email", "uid", "strict")),
    "hash": ("#{}", ("tag",)),
    "cash": ("${}", ("tag",)),
    "emoji": (":{}:", ("shortcode",)),
    "img": ("[image {}]", ("alt", "src")),
} | {
    element: (f"[{element} {{}}] ", ("name",))
    for element in (
        *("text-field", "textarea", "button", "select", "checkbox", "radio"),
        *("person-selector", "room-selector", "date-picker", "time-picker"),
    )
}
"""Elements without a text of their own: how they are written, and by which attribute."""


def plain_text(markup: str) -> str:
    """Return the text of a message, one line a block."""
    pieces: list[str] = []
    end = 0
    for found in _PIECE.finditer(markup):
        pieces.append(_text(markup[end : found.start()]))
        end = found.end()
        closing, name, rest = found[1] == "/", found[2].lower(), found[3]
        if name in _BLOCKS:
            pieces.append(_BREAK)
        if closing:
            continue
        pieces.append(_written(name, rest))
    pieces.append(_text(markup[end:]))
    lines = (_SPACES.sub(" ", line).strip() for line in "".join(pieces).split(_BREAK))
    return _BREAK.join(line for line in lines if line)


def _text(raw: str) -> str:
    return _SPACES.sub(" ", html.unescape(raw)) if raw else ""


def _written(name: str, rest: str) -> str:
    """What stands for an opening tag."""
    if name not in _NAMED:
        return _WRITTEN.get(name, "")
    form, names = _NAMED[name]
    given = {found[1].lower(): found[2] or found[3] or "" for found in _ATTRIBUTE.finditer(rest)}
    return form.format(html.unescape(next(filter(None, map(given.get, names)), "?")))
