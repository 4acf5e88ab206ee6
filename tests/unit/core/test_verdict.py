"""Only a 401 speaks against a token."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.core.verdict import Verdict, judge


@pytest.mark.parametrize(
    ("status", "resendable", "verdict"),
    [
        (200, True, Verdict.ACCEPTED),
        (204, False, Verdict.ACCEPTED),
        (401, True, Verdict.RESEND),
        (401, False, Verdict.REFUSED),
        *[(status, True, Verdict.SILENT) for status in (301, 400, 403, 404, 407, 429, 500, 503)],
    ],
)
def test_verdicts(status: int, resendable: bool, verdict: Verdict) -> None:
    assert judge(status, resendable=resendable) is verdict
