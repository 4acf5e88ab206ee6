"""What goes wrong on request: bad answers, broken answers, slowness.

A table that is asked once per request and that counts down the faults it hands out.
Outages are no faults: the listener itself goes away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from symphony_auth_proxy.model import Component


class FaultKind(StrEnum):
    ERROR = "error"
    """Symphony's JSON error with the wanted status."""
    HTML = "html"
    """A page with the wanted status, as gateways send."""
    CUT = "cut"
    """The real answer, announced whole, but the connection ends in its middle."""
    HANG = "hang"
    """No answer, until the client gives up."""


@dataclass(slots=True)
class Fault:
    """One thing that shall go wrong. None of it reaches the operation, but for CUT."""

    component: Component
    kind: FaultKind
    status: int
    path: str
    """Requests whose path starts so; empty means all."""
    times: int | None
    """How many requests; None means all from now on."""
    retry_after: int | None
    message: str | None

    def concerns(self, component: Component, path: str) -> bool:
        return component is self.component and path.startswith(self.path)


@dataclass(frozen=True, slots=True)
class Delay:
    component: Component
    path: str
    seconds: float


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._delays: list[Delay] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault; those for the same requests happen one after the other."""
        self._faults.append(fault)

    def take(self, component: Component, path: str) -> Fault | None:
        """Return what goes wrong with this request, and count it."""
        fault = next((one for one in self._faults if one.concerns(component, path)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
        return fault

    def slow_down(self, delay: Delay) -> None:
        self._delays.append(delay)

    def delay(self, component: Component, path: str) -> float:
        """Return how many seconds this request waits for its answer."""
        return max(
            (
                one.seconds
                for one in self._delays
                if one.component is component and path.startswith(one.path)
            ),
            default=0.0,
        )

    def clear(self, component: Component | None = None) -> None:
        """Forget the faults and delays of a component, or all."""
        self._faults = [one for one in self._faults if component not in (None, one.component)]
        self._delays = [one for one in self._delays if component not in (None, one.component)]
