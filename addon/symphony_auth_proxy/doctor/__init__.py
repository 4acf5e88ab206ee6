"""Looks into everything that goes wrong in practice, and says what, why and what to do.

Files first, then the hosts, the clock, what answers behind each port, and one real login of
each bot: in the order in which one leads to the other, so that the first problem found is the
cause and not its consequence. It changes nothing, and no request but a login carries a secret.

    examine    does all of it; `Report` is what it found, `Finding` one piece of that
"""

from symphony_auth_proxy.doctor.examination import examine
from symphony_auth_proxy.doctor.findings import Area, Finding, Level, Report

__all__ = ["Area", "Finding", "Level", "Report", "examine"]
