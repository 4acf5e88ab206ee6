"""The closed list of what can be the matter: complete, in use, explained, and in the README.

The README's table is made by `table()`:

    PYTHONPATH=tests python -c "from unit.test_diagnoses import table; print(table())"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

import symphony_auth_proxy
from symphony_auth_proxy.core.decisions import Untouched
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.transport.unreachable import Trouble

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BEGIN, END = "<!-- diagnoses -->\n", "<!-- /diagnoses -->"
PACKAGE = Path(symphony_auth_proxy.__file__).parent


def table() -> str:
    """The list as the README has it."""
    rows = "".join(
        f"| `{diagnosis}` | {meaning.sentence} | {meaning.way_out or '–'} |\n"
        for diagnosis, meaning in MEANINGS.items()
    )
    return f"| diagnosis | meaning | way out |\n|---|---|---|\n{rows}"


def names(*lists: type[StrEnum]) -> set[str]:
    return {one.value for members in lists for one in members}


def written() -> Iterator[str]:
    """The members that product code names."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "diagnoses":
            for name in re.findall(r"\bDiagnosis\.([A-Z_]+)\b", path.read_text(encoding="utf-8")):
                yield Diagnosis[name].value


def test_every_reason_trouble_and_kind_of_untouched_request_is_a_diagnosis() -> None:
    untouched = {why.name.lower() for why in Untouched}
    assert names(Reason, Trouble) | untouched <= names(Diagnosis)


def test_every_diagnosis_is_made_by_something() -> None:
    untouched = {why.name.lower() for why in Untouched}
    assert names(Reason, Trouble) | untouched | set(written()) == names(Diagnosis)


def test_every_diagnosis_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Diagnosis)


@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_a_meaning_fits_into_a_header_a_column_and_a_table(diagnosis: Diagnosis) -> None:
    meaning = MEANINGS[diagnosis]
    for text in (meaning.sentence, meaning.way_out):
        assert text.isascii()
        assert text.isprintable() or not text
        assert "|" not in text
        assert not text.endswith(".")
        assert len(text) <= 150  # two lines of a terminal
    assert meaning.sentence
    assert meaning.sentence != meaning.way_out


def test_only_what_is_right_as_it_is_needs_no_way_out() -> None:
    calm = {one for one, meaning in MEANINGS.items() if not meaning.way_out}
    assert calm == {
        Diagnosis.LOGIN_ANSWERED,
        Diagnosis.LOGOUT_ANSWERED,
        Diagnosis.LOGOUT,
        Diagnosis.OPEN,
    }


def test_the_readme_has_the_whole_list() -> None:
    assert README.count(BEGIN) == README.count(END) == 1
    assert README.partition(BEGIN)[2].partition(END)[0].strip() == table().strip()
