"""Which bot speaks: the order of the rules, and what contradicts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.settings import bot, client
from symphony_auth_proxy.core.decisions import Caller, Request
from symphony_auth_proxy.core.placeholder import Placeholders
from symphony_auth_proxy.core.selection import Selection
from symphony_auth_proxy.errors import ClientRefused, Reason
from symphony_auth_proxy.keys import PrivateKeyFile
from symphony_auth_proxy.model import App, Bot, Client, TokenKind

PRICING, COMPLIANCE, ARCHIVE = (bot(f"{name}-bot") for name in ("pricing", "compliance", "archive"))
BOTS = (PRICING, COMPLIANCE, ARCHIVE)
NAMES = tuple(one.username for one in BOTS)

PLACEHOLDERS = Placeholders(bytes(range(32)), lambda: 1_700_000_000.0)

ONE = client("one", "compliance-bot")
SEVERAL = client("several", "compliance-bot", "archive-bot")
NONE = client("none")


def everywhere(_bot: Bot) -> bool:
    return True


def at(*bots: Bot) -> Callable[[Bot], bool]:
    return lambda one: one in bots


def held(
    username: str, owner: Client | None = None, kind: TokenKind = TokenKind.SESSION
) -> tuple[str, str]:
    name = "sessionToken" if kind is TokenKind.SESSION else "keyManagerToken"
    issued = PLACEHOLDERS.issue(kind, username, owner.name if owner is not None else None)
    return (name, issued)


def named(username: str) -> tuple[str, str]:
    return ("Symphony-Bot", username)


def chosen(
    *headers: tuple[str, str],
    caller: Caller | None = None,
    covers: Callable[[Bot], bool] = everywhere,
    selection: Selection | None = None,
) -> str:
    selection = selection or Selection(BOTS, PLACEHOLDERS)
    request = Request("POST", "/agent/v1/util/echo", headers)
    return selection.speaker(request, caller or Caller(), covers).bot.username


def refused(reason: Reason, status: int = 403, **asked: object) -> Callable[..., ClientRefused]:
    def when(*headers: tuple[str, str], **more: object) -> ClientRefused:
        with pytest.raises(ClientRefused) as caught:
            chosen(*headers, **asked, **more)  # type: ignore[arg-type]
        assert (caught.value.reason, caught.value.status) == (reason, status)
        return caught.value

    return when


class TestTheOrder:
    """Port, single grant, header, placeholder, default."""

    def test_without_anything_the_default_bot_speaks(self) -> None:
        assert chosen() == "pricing-bot"

    def test_a_placeholder_counts_before_the_default(self) -> None:
        assert chosen(held("archive-bot")) == "archive-bot"
        assert chosen(held("archive-bot", kind=TokenKind.KEY_MANAGER)) == "archive-bot"

    def test_the_header_counts_before_the_placeholder(self) -> None:
        assert chosen(named("compliance-bot"), held("archive-bot")) == "compliance-bot"

    def test_a_single_grant_counts_before_the_default(self) -> None:
        assert chosen(caller=Caller(ONE)) == "compliance-bot"

    def test_the_port_counts_before_everything(self) -> None:
        assert chosen(caller=Caller(listener="archive-bot")) == "archive-bot"
        assert chosen(caller=Caller(SEVERAL, "archive-bot")) == "archive-bot"

    def test_a_flow_that_is_sent_again_speaks_as_before(self) -> None:
        assert chosen(caller=Caller(remembered="archive-bot")) == "archive-bot"
        assert chosen(named("compliance-bot"), caller=Caller(remembered="archive-bot")) == (
            "compliance-bot"
        )

    def test_a_flow_of_a_bot_that_is_gone_speaks_as_no_other(self) -> None:
        yesterday = Caller(remembered="a bot of yesterday")
        refused(Reason.UNKNOWN_BOT)(caller=yesterday)
        assert chosen(named("compliance-bot"), caller=yesterday) == "compliance-bot"


class TestSeveralGrants:
    """They narrow; the later rules choose."""

    def test_the_header_and_the_placeholder_choose_among_them(self) -> None:
        assert chosen(named("archive-bot"), caller=Caller(SEVERAL)) == "archive-bot"
        assert chosen(held("archive-bot", SEVERAL), caller=Caller(SEVERAL)) == "archive-bot"

    def test_the_default_bot_speaks_if_it_is_among_them(self) -> None:
        assert chosen(caller=Caller(client("all", *NAMES))) == "pricing-bot"

    def test_where_one_of_them_alone_has_business_it_speaks(self) -> None:
        assert chosen(caller=Caller(SEVERAL), covers=at(PRICING, ARCHIVE)) == "archive-bot"

    def test_when_nothing_tells_which_is_meant_the_request_is_refused(self) -> None:
        error = refused(Reason.UNKNOWN_BOT)(caller=Caller(SEVERAL))
        assert "compliance-bot, archive-bot" in error.hint()
        assert "pricing-bot" not in error.hint()


class TestRefusals:
    not_granted = staticmethod(refused(Reason.NOT_GRANTED))

    def test_a_bot_that_is_not_granted(self) -> None:
        self.not_granted(named("pricing-bot"), caller=Caller(SEVERAL))
        self.not_granted(named("pricing-bot"), caller=Caller(ONE))
        self.not_granted(held("pricing-bot", SEVERAL), caller=Caller(SEVERAL))
        self.not_granted(held("pricing-bot", ONE), caller=Caller(ONE))
        self.not_granted(caller=Caller(ONE, "pricing-bot"))
        self.not_granted(caller=Caller(SEVERAL, "pricing-bot"))
        self.not_granted(caller=Caller(NONE))

    def test_what_contradicts_the_port(self) -> None:
        self.not_granted(named("archive-bot"), caller=Caller(listener="pricing-bot"))
        self.not_granted(held("archive-bot"), caller=Caller(listener="pricing-bot"))
        self.not_granted(
            held("archive-bot", SEVERAL), caller=Caller(SEVERAL, listener="compliance-bot")
        )

    def test_a_placeholder_beside_the_header_of_a_bot_that_is_not_granted(self) -> None:
        self.not_granted(named("pricing-bot"), held("archive-bot", SEVERAL), caller=Caller(SEVERAL))

    def test_a_placeholder_of_another_client(self) -> None:
        other = client("other", *NAMES)
        self.not_granted(held("archive-bot", SEVERAL), caller=Caller(other))
        self.not_granted(held("archive-bot", SEVERAL), named("archive-bot"), caller=Caller(other))

    def test_a_name_that_is_no_bot(self) -> None:
        error = refused(Reason.UNKNOWN_BOT)(named("nobody"), caller=Caller(ONE))
        assert error.hint() == "known bots: compliance-bot"
        refused(Reason.UNKNOWN_BOT)(named(""))

    @pytest.mark.parametrize("header", ["Symphony-Bot", "Symphony-On-Behalf-Of"])
    def test_a_header_that_is_there_twice(self, header: str) -> None:
        refused(Reason.MALFORMED_REQUEST, 400)((header, "pricing-bot"), (header, "pricing-bot"))


class TestPlaceholdersThatMakeAnSdkLogInAgain:
    expired = staticmethod(refused(Reason.PLACEHOLDER_EXPIRED, 401))

    def test_two_that_name_different_bots(self) -> None:
        self.expired(held("archive-bot"), held("pricing-bot", kind=TokenKind.KEY_MANAGER))

    def test_one_good_and_one_broken(self) -> None:
        name, value = held("archive-bot", kind=TokenKind.KEY_MANAGER)
        self.expired(held("archive-bot"), (name, value[:-1] + "1"))

    def test_one_of_a_bot_that_is_gone(self) -> None:
        self.expired(held("a bot of yesterday"))

    def test_one_from_before_clients_were_configured(self) -> None:
        self.expired(held("compliance-bot"), caller=Caller(ONE))

    def test_one_from_before_clients_were_removed(self) -> None:
        self.expired(held("compliance-bot", ONE))

    def test_one_of_another_installation(self) -> None:
        stranger = Placeholders(bytes(32), lambda: 1_700_000_000.0)
        value = stranger.issue(TokenKind.SESSION, "pricing-bot", None)
        self.expired(("sessionToken", value))

    def test_any_when_logins_are_not_answered_any_more(self) -> None:
        self.expired(held("archive-bot"), selection=Selection(BOTS, None))

    @pytest.mark.parametrize("name", ["session_token", "SESSIONTOKEN", "Key-Manager-Token"])
    def test_any_broken_one_under_whatever_spelling(self, name: str) -> None:
        self.expired((name, held("archive-bot")[1][:-2]))


class TestLogins:
    """Whom a login call is for."""

    def who(
        self,
        presented: str | None,
        *headers: tuple[str, str],
        caller: Caller | None = None,
        covers: Callable[[Bot], bool] = everywhere,
    ) -> str | None:
        request = Request("POST", "/sessionauth/v1/authenticate", headers)
        selection = Selection(BOTS, PLACEHOLDERS)
        found = selection.who_logs_in(presented, request, caller or Caller(), covers)
        return None if found is None else found.username

    def refused(self, *asked: str | tuple[str, str] | None, **more: object) -> ClientRefused:
        with pytest.raises(ClientRefused) as caught:
            self.who(*asked, **more)  # type: ignore[arg-type]
        assert caught.value.status == 403
        return caught.value

    def test_it_is_for_the_user_who_is_presented(self) -> None:
        for name in NAMES:
            assert self.who(name) == name

    @pytest.mark.parametrize("user", ["jane", "", "Pricing-Bot", "pricing-bot "])
    def test_other_users_are_none_of_ours(self, user: str) -> None:
        assert self.who(user) is None
        assert self.who(user, caller=Caller(ONE, "compliance-bot")) is None

    def test_a_bot_that_has_no_business_there_is_none_of_ours(self) -> None:
        assert self.who("pricing-bot", covers=at(ARCHIVE)) is None
        assert self.who(None, caller=Caller(ONE), covers=at(ARCHIVE)) is None

    def test_a_bot_that_is_not_granted_is_refused(self) -> None:
        assert self.refused("pricing-bot", caller=Caller(ONE)).reason is Reason.NOT_GRANTED
        assert self.refused("pricing-bot", caller=Caller(SEVERAL)).reason is Reason.NOT_GRANTED

    def test_a_bot_that_contradicts_the_port_is_refused(self) -> None:
        error = self.refused("pricing-bot", caller=Caller(listener="archive-bot"))
        assert error.reason is Reason.NOT_GRANTED

    def test_without_a_certificate_port_grant_and_header_tell(self) -> None:
        assert self.who(None, caller=Caller(listener="archive-bot")) == "archive-bot"
        assert self.who(None, caller=Caller(ONE)) == "compliance-bot"
        assert self.who(None, named("archive-bot")) == "archive-bot"
        assert self.who(None, named("archive-bot"), caller=Caller(SEVERAL)) == "archive-bot"

    def test_without_a_certificate_the_only_bot_is_meant(self) -> None:
        assert self.who(None, covers=at(ARCHIVE)) == "archive-bot"
        assert self.who(None, caller=Caller(SEVERAL), covers=at(PRICING, ARCHIVE)) == "archive-bot"

    def test_without_anything_to_tell_several_bots_apart_it_is_refused(self) -> None:
        """The default bot is no answer here: a bot would read another one's messages."""
        assert "certificate" in self.refused(None).hint()
        assert self.refused(None, caller=Caller(SEVERAL)).reason is Reason.UNKNOWN_BOT

    def test_a_header_of_a_bot_that_is_not_granted_is_refused(self) -> None:
        error = self.refused(None, named("pricing-bot"), caller=Caller(SEVERAL))
        assert error.reason is Reason.NOT_GRANTED


@given(
    granted=st.lists(st.sampled_from(NAMES), unique=True),
    listener=st.none() | st.sampled_from(NAMES),
    header=st.none() | st.sampled_from(NAMES),
    carried=st.none() | st.sampled_from(NAMES),
    remembered=st.none() | st.sampled_from(NAMES),
    covered=st.lists(st.sampled_from(BOTS), unique_by=lambda one: one.username),
)
def test_nobody_ever_speaks_as_a_bot_that_they_were_not_granted(
    *,
    granted: list[str],
    listener: str | None,
    header: str | None,
    carried: str | None,
    remembered: str | None,
    covered: list[Bot],
) -> None:
    owner = client("somebody", *granted)
    headers = [named(header)] if header else []
    headers += [held(carried, owner)] if carried else []
    caller = Caller(owner, listener, remembered)
    try:
        speaker = chosen(*headers, caller=caller, covers=at(*covered))
    except ClientRefused:
        return
    assert speaker in granted
    assert listener in {None, speaker}
    assert header in {None, speaker}
    assert carried in {None, speaker} or header is not None


def test_calls_on_behalf_of_a_user_need_a_grant_of_their_own() -> None:
    app = App("app", PrivateKeyFile())
    bots = tuple(replace(one, app=app) for one in BOTS)
    selection = Selection(bots, PLACEHOLDERS)
    header = ("Symphony-On-Behalf-Of", "jane")
    request = Request("GET", "/pod/v2/sessioninfo", [header])
    granted = client("portal", "pricing-bot", on_behalf_of=frozenset({"jane"}))
    assert selection.speaker(request, Caller(granted), everywhere).user == "jane"
    for other in (None, ONE, client("x", "pricing-bot", on_behalf_of=frozenset({"joe"}))):
        with pytest.raises(ClientRefused) as caught:
            selection.speaker(request, Caller(other), everywhere)
        assert caught.value.reason is Reason.NOT_GRANTED


def test_calls_on_behalf_of_a_user_go_through_the_bots_that_the_client_is_granted() -> None:
    app = App("app", PrivateKeyFile())
    selection = Selection([replace(one, app=app) for one in BOTS], PLACEHOLDERS)
    header = ("Symphony-On-Behalf-Of", "jane")
    anybody = {"on_behalf_of": frozenset({"jane"})}
    several = client("several", "compliance-bot", "archive-bot", **anybody)
    no_bots = client("users", **anybody)
    request = Request("GET", "/pod/v2/sessioninfo", [header, named("pricing-bot")])
    assert selection.speaker(request, Caller(no_bots), everywhere).bot.username == "pricing-bot"
    with pytest.raises(ClientRefused) as caught:
        selection.speaker(request, Caller(several), everywhere)
    assert caught.value.reason is Reason.NOT_GRANTED


@pytest.mark.parametrize("user", ["", "..", ".", "a/b", "a\\b", "a\nb", "x" * 256])
def test_a_user_that_cannot_be_one_is_refused(user: str) -> None:
    """The name becomes part of a path."""
    everybody = client("portal", *NAMES, on_behalf_of=None)
    header = ("Symphony-On-Behalf-Of", user)
    refused(Reason.MALFORMED_REQUEST, 400)(header, caller=Caller(everybody))
