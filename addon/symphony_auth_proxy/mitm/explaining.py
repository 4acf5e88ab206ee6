"""Says, of one flow, why there was no token or why its answer is no success.

In the flow's comment for whoever looks at it, and in the answer's `Proxy-Status` for whoever
gets it. What is the matter is judged in `core.diagnosis` and `errors`; nothing is decided here.
"""

from __future__ import annotations

from mitmproxy import http

from symphony_auth_proxy.core.decisions import Inject, PassThrough
from symphony_auth_proxy.core.diagnosis import Answer, of_answer, untouched
from symphony_auth_proxy.mitm import masking
from symphony_auth_proxy.mitm.answers import note
from symphony_auth_proxy.mitm.errors import failure
from symphony_auth_proxy.mitm.seal import seal_of
from symphony_auth_proxy.mitm.state import State


def explain_answer(
    state: State,
    flow: http.HTTPFlow,
    decision: Inject | PassThrough | None,
    *,
    noted: bool = False,
    repeatable: bool = True,
) -> None:
    """Explain what Symphony answered. `decision`: None when it was not asked. `noted`: the
    answer's head says so already, or is on its way. `repeatable`: see `core.diagnosis.Answer`."""
    response = flow.response
    if decision is None or response is None or flow in state.refused:
        return
    if response.status_code < 400 and isinstance(decision, Inject):
        return  # as nearly always
    asked = Answer(
        decision,
        response.status_code,
        response.headers.get("content-type", ""),
        own_token=masking.brings_token(flow),
        repeatable=repeatable,
    )
    diagnosis = of_answer(asked)
    if diagnosis is not None:
        state.story.diagnosed(flow, diagnosis)
    elif isinstance(decision, PassThrough):
        diagnosis = untouched(decision.why)
    if diagnosis is not None and not noted:
        note(response, diagnosis)


def explain_failure(state: State, flow: http.HTTPFlow) -> None:
    """Explain why there is no answer, unless that was told already."""
    if flow.error is None or flow in state.refused:
        return
    seal = seal_of(flow)
    refusal = seal.refusal if seal is not None else None
    error = refusal or failure(flow.error.msg, flow, stopping=state.draining)
    if error is not None:
        state.story.failed(flow, error)
