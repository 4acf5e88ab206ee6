"""Which request gets which tokens: the whole table, and every way to cheat it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.settings import bot, cloud_pod, endpoint, pod, settings
from symphony_auth_proxy.core.decisions import (
    Decision,
    Destination,
    Inject,
    KeyManagerToken,
    LoginCall,
    PassThrough,
    Refuse,
    Request,
    Untouched,
)
from symphony_auth_proxy.core.placeholder import Placeholders
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.model import (
    ClientTokens,
    Component,
    Endpoint,
    Origin,
    Pod,
    Settings,
    TokenKind,
    UpstreamProxy,
)

POD, AGENT = "acme.symphony.com", "agent.acme.example"
KEY_MANAGER, SESSION_AUTH = "km.acme.example", "acme-api.symphony.com"
ECHO, SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"


def decide(
    host: str,
    target: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    given: Settings | None = None,
    port: int = 443,
    scheme: str = "https",
    sni: str | None = None,
    authorities: tuple[str, ...] | None = None,
    method: str = "GET",
) -> Decision:
    if authorities is None:
        authorities = (f"{host}:{port}",)
    destination = Destination(host, port, scheme, sni, authorities)
    return Routes(given or settings()).decide(destination, Request(method, target, headers))


def refusal(decision: Decision) -> tuple[int, Reason]:
    assert isinstance(decision, Refuse), decision
    return decision.error.status, decision.error.reason


# --- who gets what -------------------------------------------------------------------


def test_an_agent_call_gets_both_tokens() -> None:
    assert decide(AGENT, ECHO) == Inject(
        "pricing-bot", Component.AGENT, Origin(AGENT, 443), KeyManagerToken.REQUIRED
    )


def test_a_pod_call_gets_the_session_token_only_when_the_key_manager_is_elsewhere() -> None:
    assert decide(POD, SESSION_INFO) == Inject(
        "pricing-bot", Component.POD, Origin(POD, 443), KeyManagerToken.NEVER
    )


def test_a_pod_call_gets_the_key_manager_token_if_at_hand_on_the_host_that_issued_it() -> None:
    cloud = settings(bot(pod_=cloud_pod()))
    decision = decide(POD, SESSION_INFO, given=cloud)
    assert isinstance(decision, Inject)
    assert decision.key_manager is KeyManagerToken.IF_AT_HAND


def test_a_pod_call_through_the_agent_gets_the_session_token() -> None:
    decision = decide(AGENT, SESSION_INFO)
    assert isinstance(decision, Inject)
    assert (decision.component, decision.key_manager) == (Component.POD, KeyManagerToken.NEVER)


@pytest.mark.parametrize(
    ("host", "target", "why"),
    [
        (POD, ECHO, Untouched.OTHER_COMPONENT),
        (KEY_MANAGER, ECHO, Untouched.OTHER_COMPONENT),
        (SESSION_AUTH, SESSION_INFO, Untouched.OTHER_COMPONENT),
        (KEY_MANAGER, "/relay/pubkey/authenticate", Untouched.LOGIN),
        (POD, "/login/pubkey/authenticate", Untouched.LOGIN),
        (POD, "/login/pubkey/app/username/x/authenticate", Untouched.LOGIN),
        (SESSION_AUTH, "/sessionauth/v1/authenticate", Untouched.LOGIN),
        (SESSION_AUTH, "/sessionauth/v1/logout", Untouched.LOGOUT),
        (POD, "/pod/v1/users/7/sessions/logout", Untouched.LOGOUT),
        (POD, "/login/idm/tokens", Untouched.IDM),
        (POD, "/v5/users/apps/1", Untouched.APP),
        (POD, "/at2/v1/audit", Untouched.BEARER),
        (POD, "/client/index.html", Untouched.OTHER_PATH),
        (AGENT, "/agent/v3/health", Untouched.OPEN),
        (AGENT, "/agent/v1/info", Untouched.OPEN),
    ],
)
def test_what_needs_no_token_of_ours_stays_untouched(
    host: str, target: str, why: Untouched
) -> None:
    decision = decide(host, target)
    assert isinstance(decision, PassThrough)
    assert (decision.why, decision.origin) == (why, Origin(host, 443))


def test_other_hosts_and_other_ports_are_left_alone() -> None:
    assert decide("example.com", ECHO) == PassThrough(Untouched.OTHER_HOST)
    assert decide(AGENT, ECHO, port=9999) == PassThrough(Untouched.OTHER_HOST)


def test_a_context_belongs_to_the_component() -> None:
    gateway = settings(bot(pod_=pod(agent=endpoint(AGENT, 443, "/gateway/prod"))))
    assert isinstance(decide(AGENT, "/gateway/prod" + ECHO, given=gateway), Inject)
    assert isinstance(decide(AGENT, ECHO, given=gateway), PassThrough)
    assert isinstance(decide(AGENT, "/gateway/production" + ECHO, given=gateway), PassThrough)


def test_nodes_behind_a_load_balancer_are_agents_too() -> None:
    place = cloud_pod()
    nodes = (endpoint("a1.acme.example", 8443),)
    balanced = settings(
        bot(pod_=type(place)(place.pod, place.agent, place.key_manager, place.session_auth, nodes))
    )
    assert isinstance(decide("a1.acme.example", ECHO, port=8443, given=balanced), Inject)


# --- several pods --------------------------------------------------------------------


def _two_pods() -> Settings:
    corporate = UpstreamProxy("corp.example", 3128)
    there = Endpoint(Origin("two.symphony.com", 443), proxy=corporate)
    two = Pod(there, there, there, there)
    return settings(bot("one", cloud_pod("one.symphony.com")), bot("two", two))


def test_where_one_bot_alone_has_business_it_speaks() -> None:
    decision = decide("two.symphony.com", ECHO, given=_two_pods())
    assert isinstance(decision, Inject)
    assert (decision.bot, decision.proxy) == ("two", UpstreamProxy("corp.example", 3128))


def test_a_bot_that_is_chosen_gets_nothing_at_a_pod_that_is_not_its_own() -> None:
    decision = decide(
        "two.symphony.com", ECHO, given=_two_pods(), headers=[("Symphony-Bot", "one")]
    )
    assert isinstance(decision, PassThrough)
    assert decision.why is Untouched.OTHER_COMPONENT


def test_bots_behind_one_gateway_are_told_apart_by_their_contexts() -> None:
    one, two = (cloud_pod("gateway.example", context=context) for context in ("/one", "/two"))
    both = settings(bot("one", one), bot("two", two))
    for name in ("one", "two"):
        decision = decide("gateway.example", f"/{name}{ECHO}", given=both)
        assert isinstance(decision, Inject)
        assert decision.bot == name
        chosen = [("Symphony-Bot", name)]
        other = {"one": "two", "two": "one"}[name]
        assert isinstance(
            decide("gateway.example", f"/{other}{ECHO}", given=both, headers=chosen), PassThrough
        )


# --- logins that are answered here ---------------------------------------------------


@pytest.mark.parametrize(
    ("host", "path", "kind", "by_certificate"),
    [
        (POD, "/login/pubkey/authenticate", TokenKind.SESSION, False),
        (KEY_MANAGER, "/relay/pubkey/authenticate", TokenKind.KEY_MANAGER, False),
        (SESSION_AUTH, "/sessionauth/v1/authenticate", TokenKind.SESSION, True),
        (KEY_MANAGER, "/keyauth/v1/authenticate", TokenKind.KEY_MANAGER, True),
    ],
)
def test_the_four_logins_of_bots_may_be_answered_here(
    host: str, path: str, kind: TokenKind, by_certificate: bool
) -> None:
    routes = Routes(settings(), Placeholders(bytes(32), lambda: 0.0))
    destination = Destination(host, 443, "https", authorities=(host,))
    decision = routes.decide(destination, Request("POST", path))
    assert isinstance(decision, LoginCall)
    assert (decision.kind, decision.by_certificate) == (kind, by_certificate)
    assert decision.passing == decide(host, path, method="POST")
    assert isinstance(routes.decide(destination, Request("GET", path)), PassThrough)
    page = Request("POST", path, [("Origin", "https://evil.example")])
    assert refusal(routes.decide(destination, page)) == (403, Reason.CROSS_SITE)


@pytest.mark.parametrize(
    "path",
    [
        "/login/pubkey/app/authenticate",
        "/login/pubkey/app/user/7/authenticate",
        "/login/v1/pubkey/app/authenticate/extensionApp",
        "/login/x/../pubkey/authenticate",
    ],
)
def test_no_other_login_is_answered(path: str) -> None:
    routes = Routes(settings(), Placeholders(bytes(32), lambda: 0.0))
    destination = Destination(POD, 443, "https", authorities=(POD,))
    decision = routes.decide(destination, Request("POST", path))
    assert isinstance(decision, PassThrough)


# --- which bot -----------------------------------------------------------------------


def test_the_header_symphony_bot_chooses_and_the_first_bot_is_the_default() -> None:
    two = settings(bot("pricing-bot"), bot("compliance-bot"))
    first, second = (
        decide(AGENT, ECHO, given=two),
        decide(AGENT, ECHO, given=two, headers=[("Symphony-Bot", "compliance-bot")]),
    )
    assert isinstance(first, Inject)
    assert isinstance(second, Inject)
    assert (first.bot, second.bot) == ("pricing-bot", "compliance-bot")


def test_an_unknown_bot_is_refused() -> None:
    decision = decide(AGENT, ECHO, headers=[("symphony-bot", "nobody")])
    assert refusal(decision) == (403, Reason.UNKNOWN_BOT)


def test_on_behalf_of_is_refused_because_nobody_is_granted_it() -> None:
    decision = decide(AGENT, ECHO, headers=[("Symphony-On-Behalf-Of", "jane")])
    assert refusal(decision) == (403, Reason.NOT_GRANTED)


def test_a_bot_gets_no_token_on_another_bots_agent() -> None:
    one = bot("one", cloud_pod("one.symphony.com"))
    two = bot("two", cloud_pod("two.symphony.com"))
    decision = decide(
        "two.symphony.com", ECHO, given=settings(one, two), headers=[("symphony-bot", "one")]
    )
    assert isinstance(decision, PassThrough)
    assert decision.why is Untouched.OTHER_COMPONENT


# --- what clients bring --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sessionToken", "SESSIONTOKEN", "session_token", "Session-Token", "keyManagerToken"]
)
def test_a_real_token_of_the_clients_own_is_kept_replaced_or_refused(name: str) -> None:
    headers = [(name, "eyJhbGciOi")]
    kept = decide(AGENT, ECHO, headers=headers)
    assert isinstance(kept, PassThrough)
    assert kept.why is Untouched.CLIENT_TOKEN
    replaced = settings(client_tokens=ClientTokens.REPLACE)
    assert isinstance(decide(AGENT, ECHO, headers=headers, given=replaced), Inject)
    refused = decide(
        AGENT, ECHO, headers=headers, given=settings(client_tokens=ClientTokens.REFUSE)
    )
    assert refusal(refused) == (403, Reason.CLIENT_TOKEN_REFUSED)


@pytest.mark.parametrize("value", ["", "  ", "[sealed pricing-bot #7f3a gen 3]"])
def test_empty_and_sealed_values_are_no_tokens(value: str) -> None:
    assert isinstance(decide(AGENT, ECHO, headers=[("keyManagerToken", value)]), Inject)


def test_bearer_requests_and_browser_sessions_stay_untouched() -> None:
    for header in [("Authorization", "bearer abc"), ("Cookie", "a=b; skey=xyz")]:
        assert isinstance(decide(AGENT, ECHO, headers=[header]), PassThrough)
    assert isinstance(decide(AGENT, ECHO, headers=[("Cookie", "lb=1; skey=")]), Inject)


@pytest.mark.parametrize(
    "header",
    [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", f"https://{AGENT}:8443"),
        ("Origin", "http://["),
    ],
)
def test_a_page_of_another_site_must_not_speak_as_the_bot(header: tuple[str, str]) -> None:
    assert refusal(decide(AGENT, ECHO, headers=[header])) == (403, Reason.CROSS_SITE)


def test_a_page_of_the_same_site_may() -> None:
    own = [("Origin", f"https://{AGENT}"), ("Sec-Fetch-Site", "same-origin")]
    assert isinstance(decide(AGENT, ECHO, headers=own), Inject)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("TRACE", []),
        ("CONNECT", []),
        ("G(T", []),
        ("", []),
        ("GET", [("Upgrade", "h2c")]),
        ("GET", [("X-Nul", "a\x00b")]),
        ("GET", [("X-Folded", "a\r\n b")]),
        ("GET", [("X Space", "a")]),
    ],
)
def test_what_parsers_read_differently_upgrades_and_trace_are_refused(
    method: str, headers: list[tuple[str, str]]
) -> None:
    decision = decide(AGENT, ECHO, method=method, headers=headers)
    assert refusal(decision) == (400, Reason.MALFORMED_REQUEST)


# --- destinations --------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["AGENT.acme.example", "agent.acme.example."])
def test_canonically_equal_spellings_of_a_host_are_that_host(spelling: str) -> None:
    decision = decide(spelling, ECHO, sni=spelling, authorities=(spelling,))
    assert isinstance(decision, Inject)
    assert decision.origin == Origin(AGENT, 443)


@pytest.mark.parametrize(
    ("sni", "authorities"),
    [
        ("evil.example", (AGENT,)),
        (POD, (AGENT,)),
        (None, ("evil.example",)),
        (None, (POD,)),
        (None, (f"{AGENT}:8443",)),
        (None, (f"user@{AGENT}",)),
        (None, (f"{AGENT}\x00",)),
        (None, (f"{AGENT} ",)),
        (None, ("agent．acme．example",)),
        (None, ("agent%2eacme.example",)),
        ("agent.acme.example.evil.example", (AGENT,)),
    ],
)
def test_connect_sni_and_host_must_name_one_place(
    sni: str | None, authorities: tuple[str, ...]
) -> None:
    status, reason = refusal(decide(AGENT, ECHO, sni=sni, authorities=authorities))
    assert (status, reason) == (421, Reason.AMBIGUOUS_DESTINATION)


@pytest.mark.parametrize("authorities", [(), (AGENT, AGENT)])
def test_a_request_has_exactly_one_host(authorities: tuple[str, ...]) -> None:
    decision = decide(AGENT, ECHO, authorities=authorities)
    assert refusal(decision) == (400, Reason.MALFORMED_REQUEST)


@pytest.mark.parametrize("target", ["*", "", "agent/v1/util/echo"])
def test_a_target_is_a_path(target: str) -> None:
    assert refusal(decide(AGENT, target)) == (400, Reason.MALFORMED_REQUEST)


@pytest.mark.parametrize(
    ("host", "sni", "authority"),
    [
        ("evil.example", None, AGENT),
        ("evil.example", AGENT, "evil.example"),
        ("127.0.0.1", AGENT, AGENT),
        ("0x7f.1", AGENT, AGENT),
    ],
)
def test_another_place_that_calls_itself_ours_is_refused(
    host: str, sni: str | None, authority: str
) -> None:
    decision = decide(host, ECHO, sni=sni, authorities=(authority,))
    assert refusal(decision) == (421, Reason.AMBIGUOUS_DESTINATION)


@pytest.mark.parametrize(
    "lookalike",
    [
        "xagent.acme.example",
        "agent.acme.example.evil.example",
        "a.agent.acme.example",
        "acme.example",
        "agent-acme.example",
        "agent.acme.exampl",
    ],
)
def test_lookalikes_of_a_host_get_nothing(lookalike: str) -> None:
    assert decide(lookalike, ECHO) == PassThrough(Untouched.OTHER_HOST)


def test_plain_http_is_upgraded_to_the_components_port() -> None:
    ports = settings(bot(pod_=pod(pod=endpoint(POD, 8443), agent=endpoint(POD, 9443))))

    def upgraded(target: str, port: int = 80) -> Decision:
        return decide(POD, target, given=ports, port=port, scheme="http", authorities=(POD,))

    agent, session_info = upgraded(ECHO), upgraded("/login/pubkey/authenticate")
    assert isinstance(agent, Inject)
    assert agent.origin == Origin(POD, 9443)
    assert isinstance(session_info, PassThrough)
    assert session_info.origin == Origin(POD, 8443)


def test_plain_http_that_does_not_tell_the_port_is_refused() -> None:
    ports = settings(bot(pod_=pod(pod=endpoint(POD, 8443), agent=endpoint(POD, 9443))))
    decision = decide(POD, "/", given=ports, port=80, scheme="http", authorities=(POD,))
    assert refusal(decision) == (421, Reason.AMBIGUOUS_DESTINATION)


def test_a_path_that_can_be_read_in_two_ways_is_refused() -> None:
    for target in ("/client/..%2fagent/v1/util/echo", "/agent/v1/..;/x"):
        assert refusal(decide(AGENT, target)) == (400, Reason.AMBIGUOUS_PATH)


# --- in general ----------------------------------------------------------------------

_words = st.sampled_from(
    [POD, AGENT, POD.upper(), AGENT + ".", "evil.example", "127.0.0.1", "", "[::1", "a b", "\x00"]
)


@given(
    host=_words,
    sni=st.none() | _words,
    authority=_words | st.text(max_size=20),
    port=st.sampled_from([80, 443, 8443]),
    target=st.sampled_from([ECHO, SESSION_INFO, "/", "/agent/../pod/x"]) | st.text(max_size=20),
    headers=st.lists(
        st.tuples(st.sampled_from(["Origin", "Cookie", "sessionToken", "Upgrade"]), st.text())
    ),
)
def test_tokens_go_only_where_every_witness_agrees(
    *,
    host: str,
    sni: str | None,
    authority: str,
    port: int,
    target: str,
    headers: list[tuple[str, str]],
) -> None:
    decision = decide(host, target, headers=headers, port=port, sni=sni, authorities=(authority,))
    if isinstance(decision, Inject):
        assert decision.origin in {Origin(POD, 443), Origin(AGENT, 443)}
        for witness in (host, sni, authority.removesuffix(":443")):
            if witness is not None:
                assert witness.lower().rstrip(".") == decision.origin.host
