"""MessageML as plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.inspection.markup import plain_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<messageML>Hello <b>you</b></messageML>", "Hello you"),
        ("a &amp; b &lt;c&gt; &#8364; &euro;", "a & b <c> € €"),
        ("<p>one</p><p>two<br/>three</p>", "one\ntwo\nthree"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<tr><td>a</td><td>b</td></tr>", "| a | b"),
        ('<mention email="alice@acme.example"/>', "@alice@acme.example"),
        ('<mention uid="718"/> <hash tag="fx"/> <cash tag="ibm"/>', "@718 #fx $ibm"),
        ('<emoji shortcode="smile"/>', ":smile:"),
        ("<button name='send' type='action'>Send</button>", "[button send] Send"),
        ('<img src="x" alt="a &quot;chart&quot;"/>', '[image a "chart"]'),
        ("<mention/>", "@?"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("  much \n\n space ", "much space"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_it_reads_as_it_was_meant(markup: str, text: str) -> None:
    assert plain_text(markup) == text


@given(st.text(alphabet="<>/&;\"'= \nabp#x0") | st.text())
def test_it_never_fails(markup: str) -> None:
    plain_text(markup)
