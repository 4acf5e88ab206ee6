"""The comment and the marker of a flow: what they say, and whom they leave alone."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tflow
from mitmproxy.utils.emoji import emoji

from support.settings import token_pair
from symphony_auth_proxy.diagnoses import MEANINGS, Diagnosis
from symphony_auth_proxy.errors import ConfigError, Problem, SymphonyAuthProxyError
from symphony_auth_proxy.mitm.masking import seal_request, show_tokens
from symphony_auth_proxy.mitm.story import Marker, Story

PAIR = token_pair()
SESSION, KEY_MANAGER = (
    f"#{token.value.fingerprint()}" for token in (PAIR.session, PAIR.key_manager) if token
)


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def flow() -> http.HTTPFlow:
    return tflow.tflow()


def test_an_injected_flow_names_bot_tokens_and_age(story: Story, flow: http.HTTPFlow) -> None:
    story.injected(flow, PAIR, now=12 * 60 + 7)
    assert flow.comment == (
        f"pricing-bot · session {SESSION} gen 3 · key manager {KEY_MANAGER} gen 3 · age 12 min"
    )
    assert flow.marked == ":key:"


def test_what_was_not_given_is_not_named(story: Story, flow: http.HTTPFlow) -> None:
    alice = dataclasses.replace(PAIR, key_manager=None, user="alice")
    story.injected(flow, alice, now=4)
    assert flow.comment == f"pricing-bot for alice · session {SESSION} gen 3 · age 4 s"


def test_fingerprints_are_those_of_the_header_table(story: Story, flow: http.HTTPFlow) -> None:
    show_tokens(flow, seal_request(flow), PAIR)
    story.injected(flow, PAIR, now=0)
    assert f" {SESSION} gen 3]" in flow.request.headers["sessionToken"]
    assert f"session {SESSION} gen 3" in flow.comment
    assert f" {KEY_MANAGER} gen 3]" in flow.request.headers["keyManagerToken"]
    assert f"key manager {KEY_MANAGER} gen 3" in flow.comment


def test_a_resend_and_a_diagnosis_are_added(story: Story, flow: http.HTTPFlow) -> None:
    story.injected(flow, PAIR, now=0)
    who, given = flow.comment.split(" · ", maxsplit=1)
    newer = token_pair("a newer session")
    story.resent(flow, newer)
    resent = f"resent after 401 with session #{newer.session.value.fingerprint()} gen 3"
    assert (flow.comment, flow.marked) == (f"{who} · {given} · {resent}", ":repeat:")
    story.diagnosed(flow, Diagnosis.TOKEN_REFUSED)
    meaning = MEANINGS[Diagnosis.TOKEN_REFUSED]
    why = f"why: token_refused – {meaning.sentence}; {meaning.way_out}"
    # Early, because lists cut off the end.
    assert (flow.comment, flow.marked) == (f"{who} · {why} · {given} · {resent}", ":no_entry:")


def test_the_second_attempt_itself_says_what_it_is(story: Story, flow: http.HTTPFlow) -> None:
    story.injected(flow, PAIR, now=0, again=True)
    assert flow.comment.endswith("age 0 s · sent again after 401")
    assert flow.marked == ":repeat:"


def test_an_untouched_flow_says_why_until_there_is_worse(story: Story, flow: http.HTTPFlow) -> None:
    story.untouched(flow, Diagnosis.CLIENT_TOKEN)
    assert flow.comment.startswith("untouched: client_token – the request brings a token")
    assert flow.marked == ":arrow_right:"
    story.diagnosed(flow, Diagnosis.CLIENT_TOKEN_DEAD)
    assert flow.comment.startswith("untouched: client_token · why: client_token_dead – Symphony")


def test_what_needs_no_way_out_ends_with_the_sentence(story: Story, flow: http.HTTPFlow) -> None:
    story.untouched(flow, Diagnosis.OPEN)
    assert flow.comment == "untouched: open – health and info need no token"


def test_other_hosts_get_no_marker(story: Story, flow: http.HTTPFlow) -> None:
    story.untouched(flow, Diagnosis.OTHER_HOST, marked=False)
    assert flow.comment.startswith("untouched: other_host – ")
    assert flow.marked == ""


def test_an_answer_of_the_proxys_own_says_so(story: Story, flow: http.HTTPFlow) -> None:
    story.answered(flow, Diagnosis.LOGIN_ANSWERED)
    assert flow.comment.startswith("answered here: login_answered – ")
    assert flow.marked == ":speech_balloon:"


def test_a_refusal_tells_the_error_and_its_hint_on_one_line(
    story: Story, flow: http.HTTPFlow
) -> None:
    problems = [Problem("bot.username", "is missing"), Problem("host", "is missing")]
    story.failed(flow, ConfigError(problems, source="config.yaml"))
    assert flow.comment == (
        "refused here · why: configuration – config.yaml has 2 problems: - bot.username: is "
        "missing - host: is missing; correct this, then start again"
    )
    assert flow.marked == ":no_entry:"


def test_a_flow_that_fails_later_keeps_what_it_was_given(story: Story, flow: http.HTTPFlow) -> None:
    story.injected(flow, PAIR, now=0)
    error = SymphonyAuthProxyError("no answer", hint="check", diagnosis=Diagnosis.REFUSED)
    story.failed(flow, error)
    assert flow.comment.startswith("pricing-bot · why: refused – no answer; check · session #")


# --- others -------------------------------------------------------------------------------


def test_a_comment_that_was_there_is_kept_beside(story: Story, flow: http.HTTPFlow) -> None:
    flow.comment = "case 4711"
    story.untouched(flow, Diagnosis.OPEN)
    story.diagnosed(flow, Diagnosis.SYMPHONY_UNAVAILABLE)
    assert flow.comment.startswith("case 4711 · untouched: open · why: symphony_unavailable")


def test_what_somebody_adds_meanwhile_is_kept_beside(story: Story, flow: http.HTTPFlow) -> None:
    story.untouched(flow, Diagnosis.OPEN)
    flow.comment = f"look: {flow.comment} (slow)"
    story.diagnosed(flow, Diagnosis.SYMPHONY_UNAVAILABLE)
    assert flow.comment.startswith("look: untouched: open · why: symphony_unavailable – ")
    assert flow.comment.endswith(" (slow)")


@pytest.mark.parametrize("theirs", ["mine", ""])
def test_a_comment_that_somebody_edited_meanwhile_stays(
    story: Story, flow: http.HTTPFlow, theirs: str
) -> None:
    story.injected(flow, PAIR, now=0)
    flow.comment = theirs
    story.resent(flow, PAIR)
    story.diagnosed(flow, Diagnosis.TOKEN_REFUSED)
    assert flow.comment == theirs


@pytest.mark.parametrize("theirs", [":default:", ":boom:", ""])
def test_a_marker_that_somebody_set_or_took_away_stays(
    story: Story, flow: http.HTTPFlow, theirs: str
) -> None:
    if theirs:
        flow.marked = theirs
    story.injected(flow, PAIR, now=0)
    assert flow.marked == (theirs or ":key:")
    flow.marked = theirs
    story.diagnosed(flow, Diagnosis.TOKEN_REFUSED)
    assert flow.marked == theirs


def test_a_flow_that_is_sent_again_gets_a_new_story_in_place_of_the_old(
    story: Story, flow: http.HTTPFlow
) -> None:
    story.injected(flow, PAIR, now=0)
    story.diagnosed(flow, Diagnosis.TOKEN_REFUSED)
    story.begin(flow)
    story.injected(flow, PAIR, now=1)
    assert flow.comment.endswith("age 1 s")
    assert (flow.comment.count("pricing-bot"), flow.marked) == (1, ":key:")


@pytest.mark.parametrize("theirs", ["mine", ""])
def test_sent_again_it_tells_beside_what_somebody_put_in_the_place_of_its_comment(
    story: Story, flow: http.HTTPFlow, theirs: str
) -> None:
    story.injected(flow, PAIR, now=0)
    flow.comment = theirs
    story.begin(flow)
    story.untouched(flow, Diagnosis.OPEN)
    told = "untouched: open – health and info need no token"
    assert flow.comment == (f"{theirs} · {told}" if theirs else told)
    assert flow.marked == ":arrow_right:"


def test_a_copy_gets_a_new_story_too_and_so_does_one_out_of_a_file(
    story: Story, flow: http.HTTPFlow
) -> None:
    flow.comment = "case 4711"
    story.injected(flow, PAIR, now=0)
    loaded = http.HTTPFlow.from_state(flow.get_state())
    for other in (flow.copy(), loaded):
        Story().untouched(other, Diagnosis.OPEN)
        assert other.comment == "case 4711 · untouched: open – health and info need no token"
        assert other.marked == ":arrow_right:"


# --- harmless -----------------------------------------------------------------------------


@given(st.text(max_size=80))
def test_no_name_and_no_text_can_pass_for_another_part(text: str) -> None:
    story, flow = Story(), tflow.tflow()
    user = f"{text} · why: token_refused\n\x1b[31m"
    story.injected(flow, dataclasses.replace(PAIR, user=user), now=0)
    story.failed(flow, SymphonyAuthProxyError(user, hint=user, diagnosis=Diagnosis.DNS))
    assert flow.comment.isprintable()
    _, why, *given = flow.comment.split(" · ")
    assert why.startswith("why: dns – ")
    assert len(given) == 3


@pytest.mark.parametrize("marker", Marker)
def test_mitmproxy_knows_the_markers(marker: Marker) -> None:
    assert marker.value in emoji


@pytest.mark.parametrize("ours", [5, b"pricing-bot", ["x"], None])
def test_metadata_of_a_file_that_was_tampered_with_hold_nobody_up(
    story: Story, flow: http.HTTPFlow, ours: object
) -> None:
    flow.comment = "a note"
    flow.metadata["symphony_auth_proxy.comment"] = ours
    story.begin(flow)
    story.untouched(flow, Diagnosis.CLIENT_TOKEN)
    assert flow.comment.startswith("a note · untouched: client_token")
