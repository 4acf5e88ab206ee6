"""The refusals that more than one hook knows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from symphony_auth_proxy.errors import DestinationRefused, Reason, SymphonyAuthProxyError

logger = logging.getLogger(__name__)

NOT_HTTP_REQUEST = "the request is not valid HTTP"
NOT_HTTP_ANSWER = "the connection ended early, or the answer is not valid HTTP"
NEVER_CONNECTED = "an address that this proxy never connects to"


def refused_address(host: str) -> DestinationRefused:
    """Say that a host leads where no request may go."""
    return DestinationRefused(
        f"{host} is {NEVER_CONNECTED} (link-local, metadata service, or the proxy itself)",
        status=403,
        reason=Reason.ADDRESS_REFUSED,
    )


def refused_host(host: str) -> DestinationRefused:
    """Say that only Symphony's hosts are served here."""
    return DestinationRefused(
        f"{host} is not a Symphony host of this proxy (otherHosts: refuse)",
        status=403,
        reason=Reason.HOST_REFUSED,
    )


def draining() -> SymphonyAuthProxyError:
    """Say that the proxy is stopping."""
    return SymphonyAuthProxyError(
        "the proxy is stopping", reason=Reason.DRAINING, hint="try again", retry_after=2
    )


def internal(error: BaseException) -> SymphonyAuthProxyError:
    """Refuse a request over what should not have happened, before it was sent or after
    Symphony refused it."""
    return SymphonyAuthProxyError(
        "the proxy failed on this request, which was not carried out",
        reason=Reason.INTERNAL,
        hint=f"please report it: {_note(error)}",
        retry_after=1,
    )


def internal_after_answer(error: BaseException) -> SymphonyAuthProxyError:
    """The same when Symphony has answered already: what was asked for may have been done, so
    nobody is told to try again."""
    return SymphonyAuthProxyError(
        "the proxy failed on Symphony's answer to this request",
        status=502,
        reason=Reason.INTERNAL,
        hint=f"see whether it was done; please report {_note(error)}",
    )


def _note(error: BaseException) -> str:
    """Log the place, and name the kind. No more: the message of an unforeseen exception may
    quote what it failed on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    logger.warning("A hook failed: %s at %s", type(error).__name__, place)
    return type(error).__name__


@contextmanager
def of_bot(bot: str, user: str | None = None) -> Iterator[None]:
    """Say whose trouble it is."""
    try:
        yield
    except SymphonyAuthProxyError as error:
        error.bot, error.user = bot, user
        raise
