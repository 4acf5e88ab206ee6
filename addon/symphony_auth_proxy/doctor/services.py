"""Is the right service behind the right port? Read off the answers to public questions.

A login service is not judged here: what it answers to a request without credentials is no
two gateways' same. The real login tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from symphony_auth_proxy.core.spans import harmless
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, of_error, way_out
from symphony_auth_proxy.doctor.visits import Answer
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.transport.unreachable import Unreachable

_AREA = Area.SERVICES

_CALLS = {
    Component.POD: "all calls to /pod and the logins by key go there",
    Component.AGENT: "messages and datafeeds go there",
    Component.KEY_MANAGER: "without its token the agent refuses every call",
    Component.SESSION_AUTH: "logins by certificate go there",
}
_VERSION = re.compile(r"(?:Agent-)?\d[0-9A-Za-z.-]{0,40}")


def why(components: Iterable[Component]) -> str:
    """Say what needs a host."""
    needed = set(components)
    return "; ".join(text for component, text in _CALLS.items() if component in needed)


def judged(answers: Iterable[Answer]) -> Iterator[Finding]:
    """Say of each component of one host whether it is what it should be."""
    # The last question to a component is the one that was answered best, if any was.
    last = {(one.use.component, one.use.endpoint.context): one for one in answers}
    for (component, _), answer in last.items():
        finding = _trouble(answer)
        match component:
            case Component.POD:
                yield finding or _pod(answer)
            case Component.AGENT:
                yield finding or _agent(answer)
            case _ if finding is not None and finding.diagnosis in _ABSENCE:
                yield finding


_ABSENCE = {
    Diagnosis.KEY_MANAGER_UNAVAILABLE,
    Diagnosis.GATEWAY_UNAVAILABLE,
    Diagnosis.SYMPHONY_UNAVAILABLE,
}
"""What can be said of a login service that was asked without credentials."""


def _trouble(answer: Answer) -> Finding | None:
    """Say why there is no answer that tells anything; None: there is one."""
    error, response, component = answer.error, answer.response, answer.use.component
    if isinstance(error, Unreachable):
        return of_error(_AREA, _subject(answer), error, _CALLS[component])
    if error is not None or response is None:
        return _wrong(answer, "with a large page")
    if response.status >= 500 or response.status == 429:
        return _unavailable(answer, response.status)
    if response.status in {401, 403} and answer.document is None:
        return _gateway(answer, response.status)
    return None


def _pod(answer: Answer) -> Finding:
    if answer.document is None:
        return _wrong(answer, _form(answer))
    return Finding(_AREA, _subject(answer), Level.OK, "answers as a pod does")


def _agent(answer: Answer) -> Finding:
    said = answer.document
    if said is None:
        return _wrong(answer, _form(answer))
    version = said.get("version")
    if isinstance(version, str) and _VERSION.fullmatch(version):
        return Finding(_AREA, _subject(answer), Level.OK, f"is an agent, version {version}")
    return Finding(
        _AREA,
        _subject(answer),
        Level.WARNING,
        "does not tell an agent's version",
        f"{_CALLS[Component.AGENT]}, and Simplified Key Delivery needs the version",
        way_out(Diagnosis.WRONG_COMPONENT),
        Diagnosis.WRONG_COMPONENT,
    )


def _unavailable(answer: Answer, status: int) -> Finding:
    if answer.use.component is Component.KEY_MANAGER:
        diagnosis = Diagnosis.KEY_MANAGER_UNAVAILABLE
    elif answer.document is None:
        diagnosis = Diagnosis.GATEWAY_UNAVAILABLE
    else:
        diagnosis = Diagnosis.SYMPHONY_UNAVAILABLE
    return _problem(answer, f"is unavailable (status {status} for GET {answer.path})", diagnosis)


def _gateway(answer: Answer, status: int) -> Finding:
    what = f"a gateway refuses GET {answer.path} (status {status}, a page)"
    if not answer.use.endpoint.headers:
        return _problem(answer, what, Diagnosis.GATEWAY_REFUSED)
    what += "; it may want the configured headers, which logins alone bring"
    return Finding(_AREA, _subject(answer), Level.NOTE, what)


def _wrong(answer: Answer, how: str) -> Finding:
    component = answer.use.component
    is_agent = component is Component.AGENT
    diagnosis = Diagnosis.WRONG_COMPONENT if is_agent else Diagnosis.NOT_SYMPHONY
    return _problem(answer, f"answers GET {answer.path} {how}, as no {component} does", diagnosis)


def _problem(answer: Answer, what: str, diagnosis: Diagnosis) -> Finding:
    why = _CALLS[answer.use.component]
    return Finding(_AREA, _subject(answer), Level.PROBLEM, what, why, way_out(diagnosis), diagnosis)


def _form(answer: Answer) -> str:
    assert answer.response is not None
    kind = answer.response.headers.get("content-type", "").partition(";")[0].strip()
    return f"with {harmless(kind) or 'something'} (status {answer.response.status})"


def _subject(answer: Answer) -> str:
    endpoint = answer.use.endpoint
    return f"{answer.use.component} at {endpoint.origin}{endpoint.context}"
