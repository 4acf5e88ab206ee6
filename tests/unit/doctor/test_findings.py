"""What was found, and which of it is the cause."""

from __future__ import annotations

import json
from itertools import permutations

from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.doctor import Area, Finding, Level, Report
from symphony_auth_proxy.doctor.findings import in_words


def problem(area: Area, diagnosis: Diagnosis | None = None) -> Finding:
    return Finding(area, "a subject", Level.PROBLEM, f"is wrong with {area}", diagnosis=diagnosis)


def test_the_cause_is_the_problem_of_the_earliest_area_in_whatever_order_they_came() -> None:
    found = (
        problem(Area.LOGINS, Diagnosis.CLOCK_SKEW),
        problem(Area.HOSTS, Diagnosis.DNS),
        problem(Area.SERVICES, Diagnosis.WRONG_COMPONENT),
    )
    for order in permutations(found):
        report = Report(order)
        assert report.cause is Diagnosis.DNS
        assert report.summary == "a subject: is wrong with hosts (the first of 3 causes)"


def test_warnings_notes_and_what_was_skipped_leave_it_healthy() -> None:
    levels = (Level.OK, Level.NOTE, Level.WARNING, Level.SKIPPED)
    report = Report(tuple(Finding(Area.CA, "a subject", level, "is so") for level in levels))
    assert report.healthy
    assert report.cause is None
    assert report.summary == "all well, with 1 warning"


def test_one_trouble_in_several_places_is_one_problem() -> None:
    found = (problem(Area.CLOCK, Diagnosis.CLOCK_SKEW), problem(Area.LOGINS, Diagnosis.CLOCK_SKEW))
    assert Report(found).summary == "a subject: is wrong with clock"


def test_a_configuration_that_cannot_be_used_is_never_well() -> None:
    report = Report((), usable=False)
    assert not report.healthy
    assert report.summary == "the configuration cannot be used"


def test_an_examination_of_files_alone_does_not_say_that_all_is_well() -> None:
    assert Report((), offline=True).summary == "the files are all well"


def test_the_shape_for_programs_is_this() -> None:
    finding = Finding(
        Area.CLOCK, "here", Level.PROBLEM, "is late", "it matters", "do it", Diagnosis.CLOCK_SKEW
    )
    assert json.loads(json.dumps(Report((finding,)).as_json())) == {
        "healthy": False,
        "cause": "clock_skew",
        "summary": "here: is late",
        "findings": [
            {
                "area": "clock",
                "subject": "here",
                "level": "problem",
                "diagnosis": "clock_skew",
                "what": "is late",
                "why": "it matters",
                "what_to_do": "do it",
            }
        ],
    }


def test_names_are_told_as_people_tell_them() -> None:
    assert in_words([]) == ""
    assert in_words(["a", "a"]) == "a"
    assert in_words("ab") == "a and b"
    assert in_words("abcd") == "a, b, c and d"
    assert in_words("abcdef") == "a, b, c and 3 more"
