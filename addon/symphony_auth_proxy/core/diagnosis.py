"""Why is this no success? Judged from what was decided, and from what came back.

An answer's status alone does not tell: a 401 may be about the bot's tokens, about the client's
own, or about none at all, and a page of a gateway is no word of Symphony's. Nothing here
changes what is done; it names it, out of the closed list of `diagnoses`.
"""

from __future__ import annotations

from dataclasses import dataclass

from symphony_auth_proxy.core.backoff import Failure, told_again
from symphony_auth_proxy.core.decisions import Inject, PassThrough, Untouched
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.model import TokenKind


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer, and what its request was given."""

    decision: Inject | PassThrough
    status: int
    content_type: str = ""
    own_token: bool = False
    """Whether the client brought a token of its own."""
    repeatable: bool = True
    """Whether a second attempt with new tokens was made, or could have been."""

    @property
    def is_json(self) -> bool:
        """Whether it may be Symphony's own word: all its errors are JSON objects with `code`
        and `message` (finos/symphony-api-spec)."""
        return "json" in self.content_type.lower()

    @property
    def is_page(self) -> bool:
        """Whether it is a text for people, as gateways and web servers send."""
        return self.content_type.lower().lstrip().startswith("text/")


def untouched(why: Untouched) -> Diagnosis:
    """Name why a request got no token."""
    return Diagnosis(why.name.lower())


def of_answer(answer: Answer) -> Diagnosis | None:
    """Name what is the matter with an answer; None: nothing that is about this proxy."""
    match answer.status:
        case 401 | 403:
            return Diagnosis.GATEWAY_REFUSED if answer.is_page else _refusal(answer)
        case 404 if answer.is_page and _has_home(answer.decision):
            return Diagnosis.WRONG_COMPONENT
        case 407:  # between a tunnel's ends there is no proxy that could say so
            return Diagnosis.GATEWAY_REFUSED
        case 502 | 504:
            return Diagnosis.GATEWAY_UNAVAILABLE
        case 503:
            return (
                Diagnosis.SYMPHONY_UNAVAILABLE if answer.is_json else Diagnosis.GATEWAY_UNAVAILABLE
            )
    return None


def _refusal(answer: Answer) -> Diagnosis:
    """Name a 401 or 403 of Symphony itself."""
    match answer.decision:
        case Inject() if answer.status == 403:
            return Diagnosis.NOT_ENTITLED
        case Inject():
            if answer.repeatable:
                return Diagnosis.TOKEN_REFUSED
            return Diagnosis.TOKEN_REFUSED_NOT_RESENT
        case PassThrough(why=Untouched.LOGIN):
            return Diagnosis.LOGIN_OF_CLIENT_REFUSED
    if not answer.own_token:
        return Diagnosis.TOKEN_MISSING
    return Diagnosis.CLIENT_TOKEN_DEAD if answer.status == 401 else Diagnosis.NOT_ENTITLED


def _has_home(decision: Inject | PassThrough) -> bool:
    """Whether some component of Symphony serves the path, if it is the right one."""
    return isinstance(decision, Inject) or decision.why is not Untouched.OTHER_PATH


_SILENCE = {
    Diagnosis.REFUSED,
    Diagnosis.NO_ROUTE,
    Diagnosis.CONNECT_TIMEOUT,
    Diagnosis.CONNECT_FAILED,
    Diagnosis.READ_TIMEOUT,
    Diagnosis.CLOSED,
    Diagnosis.LOGIN_UNAVAILABLE,
}
"""What a service that is down looks like. Names, certificates and corporate proxies are
troubles of their own."""


_ABOUT_CREDENTIALS = {
    Diagnosis.LOGIN_REJECTED,
    Diagnosis.KEY_NOT_ACCEPTED,
    Diagnosis.CERTIFICATE_NOT_ACCEPTED,
    Diagnosis.ACCOUNT_NOT_ALLOWED,
    Diagnosis.APP_NOT_ACCEPTED,
    Diagnosis.CLIENT_CERTIFICATE,
}


def of_login(
    error: Failure,
    kind: TokenKind,
    *,
    simplified: bool | None = None,
    key_trouble: KeyMaterialError | None = None,
) -> Failure:
    """Say more about a login that failed than its error alone can.

    `simplified`: what the bot's session token says about Simplified Key Delivery.
    `key_trouble`: why the key or certificate in use can no longer be read from its file.
    """
    diagnosis = error.diagnosis
    if key_trouble is not None and diagnosis in _ABOUT_CREDENTIALS:
        return told_again(
            error,
            error.retry_after,
            message=f"{error}; {key_trouble}",
            hint=key_trouble.hint(),
            diagnosis=key_trouble.diagnosis,
        )
    if kind is TokenKind.SESSION or isinstance(error, KeyMaterialError):
        return error
    if simplified and diagnosis is not Diagnosis.CLOCK_SKEW:
        # symphony-bdk-java#811: the pod delivers keys, if only the agent could take them.
        found = Diagnosis.KEY_DELIVERY_INCOMPLETE
        return told_again(error, error.retry_after, hint=MEANINGS[found].way_out, diagnosis=found)
    if diagnosis in _SILENCE:
        return told_again(error, error.retry_after, diagnosis=Diagnosis.KEY_MANAGER_UNAVAILABLE)
    return error
