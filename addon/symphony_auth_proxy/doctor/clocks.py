"""This machine's clock against those of the hosts, as their `Date` tells them.

An assertion is signed for four minutes by this machine's clock and may be five minutes ahead
of the pod's at most: a wrong clock is refused as a wrong key is, without a word about it
(symphony-bdk-java#573).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symphony_auth_proxy.core.dates import CLOCK_TOLERANCE, clock_skew
from symphony_auth_proxy.core.spans import span
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, in_words
from symphony_auth_proxy.doctor.visits import Visit

WORTH_A_WARNING = 15.0
"""Seconds. `Date` has a resolution of one, and answers take their time."""

_AREA = Area.CLOCK
_WHY = "logins by key are refused once it is more than a minute ahead, or some minutes behind"
_WHAT_TO_DO = "set the clock right, and keep it so by NTP (`timedatectl set-ntp true`)"


def compared(visits: Iterable[Visit]) -> Iterator[Finding]:
    """Compare with every host that told its time; say nothing when none did."""
    ahead = {
        str(visit.host.origin): skew
        for visit in visits
        for answer in visit.answers
        if answer.response is not None and (skew := clock_skew(answer.response)) is not None
    }
    if not ahead:
        return
    right = {host for host, skew in ahead.items() if abs(skew) <= WORTH_A_WARNING}
    wrong = {host: skew for host, skew in ahead.items() if host not in right}
    if not wrong:
        what = f"agrees with {in_words(ahead)}, to {span(max(map(abs, ahead.values())))}"
        yield Finding(_AREA, "this machine", Level.OK, what)
    elif right:
        for host, skew in wrong.items():
            what = f"its clock is {span(abs(skew))} {_side(-skew)} this machine's, and others agree"
            why = "logins by key may be refused there"
            todo = f"tell the operators of {host}: {in_words(right)} agree with this machine"
            yield Finding(_AREA, host, _level(skew), what, why, todo, Diagnosis.CLOCK_SKEW)
    else:
        host, skew = max(wrong.items(), key=lambda item: abs(item[1]))
        what = f"the clock is {span(abs(skew))} {_side(skew)} that of {host}"
        yield Finding(
            _AREA, "this machine", _level(skew), what, _WHY, _WHAT_TO_DO, Diagnosis.CLOCK_SKEW
        )


def _level(skew: float) -> Level:
    return Level.PROBLEM if abs(skew) > CLOCK_TOLERANCE else Level.WARNING


def _side(skew: float) -> str:
    return "ahead of" if skew > 0 else "behind"
