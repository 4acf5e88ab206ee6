"""The headers that choose, carry or stand for identities."""

from __future__ import annotations

import re
from functools import lru_cache

BOT_HEADER = "symphony-bot"
ON_BEHALF_OF_HEADER = "symphony-on-behalf-of"
SELECTING_HEADERS = frozenset({BOT_HEADER, ON_BEHALF_OF_HEADER})

# What the flow list shows instead of a token of ours. A copied curl command carries it back.
# What it shows instead of a client's own secret has no generation.
_SEALED = re.compile(r"\[sealed [^\]]* gen [0-9]+\]")


def is_void(value: str) -> bool:
    """Whether a token header's value says nothing: empty, or what a flow shows for ours."""
    return not value.strip() or _SEALED.fullmatch(value.strip()) is not None


@lru_cache(1024)  # asked for every header of every request, in few spellings
def is_token_header(name: str) -> bool:
    """Whether some server might read this header as one of ours (`session_token`,
    `Session-Token`: CVE-2025-64484 is about such spellings)."""
    return re.sub(r"[-_]", "", name).lower() in {"sessiontoken", "keymanagertoken"}
