"""Paths are read by whole segments, and in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony_auth_proxy.core.paths import INJECTED, Family, may_be_injected, read_path


@pytest.mark.parametrize(
    ("target", "family"),
    [
        ("/agent/v5/datafeeds", Family.AGENT),
        ("/agent/v4/stream/abc/message/create?x=/login/", Family.AGENT),
        ("//agent//v1/util/echo", Family.AGENT),
        ("/%61gent/v1/util/echo", Family.AGENT),
        ("/agent/v1/Ren%C3%A9", Family.AGENT),
        ("/agent/v1/info", Family.AGENT_OPEN),
        ("/agent/v3/health", Family.AGENT_OPEN),
        ("/agent/v3/health/extended", Family.AGENT_OPEN),
        ("/agent/v1/information", Family.AGENT),
        ("/pod/v2/sessioninfo", Family.POD),
        ("/v1/groups/sdl/list", Family.POD),
        ("/maestro/api/v1/attachments/malware-scan/state", Family.POD),
        ("/login/pubkey/authenticate", Family.LOGIN),
        ("/login/pubkey/app/user/7/authenticate", Family.LOGIN),
        ("/relay/pubkey/authenticate", Family.LOGIN),
        ("/sessionauth/v1/authenticate", Family.LOGIN),
        ("/keyauth/v1/authenticate", Family.LOGIN),
        ("/pod/v9/authenticate", Family.LOGIN),
        ("/sessionauth/v1/logout", Family.LOGOUT),
        ("/pod/v1/users/7/sessions/logout", Family.LOGOUT),
        ("/pod/v1/users/7/sessions/9/%6cogout", Family.LOGOUT),
        ("/login/idm/tokens?scope=at2", Family.IDM),
        ("/v5/users/apps/12", Family.APP),
        ("/profile-manager/v1/profiles", Family.BEARER),
        ("/at2/v1/x", Family.BEARER),
        ("/files/v1/x", Family.BEARER),
        ("/", Family.OTHER),
        ("/client-bff/index.html", Family.OTHER),
        ("/agents/v1/x", Family.OTHER),
        ("/Agent/v1/x", Family.OTHER),
        ("/v1/groups", Family.OTHER),
    ],
)
def test_a_path_belongs_to_one_family(target: str, family: Family) -> None:
    assert read_path(target).family() is family


def test_a_context_is_stripped_by_whole_segments() -> None:
    path = read_path("/gateway/prod/agent/v1/util/echo")
    below = path.below("/gateway/prod")
    assert below is not None
    assert below.family() is Family.AGENT
    assert path.below("/gateway/pro") is None
    assert path.below("/gateway/prod/agent/v1/util/echo/more") is None


@pytest.mark.parametrize(
    "target",
    [
        "/client/../agent/v1/util/echo",
        "/client/%2e%2e/agent/v1/util/echo",
        "/client/%252e%252e/agent/v1/util/echo",
        "/client/..%2fagent/v1/util/echo",
        "/client\\..\\agent\\v1",
        "/client/..%5cagent/v1",
        "/agent;a=b/v1/util/echo",
        "/agent%3ba=b/v1/util/echo",
        "/agent/./v1/util/echo",
        "/agent/v1/%00/echo",
        "/agent/v1/\x7f",
        "/agent/v1/é",
        "/pod/v1/../../login/idm/tokens",
        "/agent/%c0%ae%c0%ae/login/idm/tokens",
        "/agent/%u002e%u002e/login/idm/tokens",
        "/agent/%ef%bc%8e%ef%bc%8e/login",
        "/agent/v1/util/echo#/../../login",
    ],
)
def test_what_servers_may_read_in_two_ways_is_ambiguous_and_may_reach_tokens(target: str) -> None:
    assert read_path(target).ambiguous
    assert may_be_injected(target, "")


def test_an_ambiguous_path_of_the_web_client_reaches_no_tokens_in_any_reading() -> None:
    assert not may_be_injected("/client/a;v=1/b%2fc", "")


@given(st.text(alphabet="/agentpodv14.%2eEfF5cC;\\lo", max_size=30))
def test_an_unambiguous_path_has_the_same_family_in_every_reading(text: str) -> None:
    path = read_path("/" + text)
    if not path.ambiguous and path.family() in INJECTED:
        assert may_be_injected("/" + text, "")
        assert ".." not in path.segments
