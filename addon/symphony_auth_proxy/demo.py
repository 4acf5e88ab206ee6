"""The story of `symphony-auth-proxy demo`: five claims about the proxy, each one checked.

A step makes real calls, with and without the proxy, and holds what it claims against the
sandbox's journal: what the pod, the key manager and the agent received and granted. It
never takes the proxy's word for anything, and it never shows a token: tokens appear as
the fingerprints that are also in the proxy's log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Received, Sandbox
from symphony_auth_proxy.secret import Secret

TOKEN_HEADERS = ("sessionToken", "keyManagerToken")

_CALLS = 10


class DoesNotHold(Exception):
    """A claim of the story that turned out to be wrong. Its text says what was seen."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A line that claims something, after it was checked. Plain lines are just text."""

    text: str


type Line = str | Checked


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    why: str
    """What a newcomer should know of it."""
    play: Callable[[Stage], Iterator[Line]]
    """Yields lines as things happen. Raises DoesNotHold, httpx.HTTPError for a call without an
    answer, TimeoutError when the sandbox does not get done with a call."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call, as seen from both ends."""

    answer: httpx.Response
    received: tuple[Received, ...]
    """What the sandbox received for it, oldest first: none, one, or one more for a resend."""

    def __str__(self) -> str:
        request, answer = self.answer.request, self.answer
        return f"{request.method} {request.url} → {answer.status_code} {answer.reason_phrase}"

    def require(self, status: int) -> None:
        answer = self.answer
        _require(
            answer.status_code == status, f"{self}, expected {status}: {answer.text[:400].strip()}"
        )

    def only(self) -> Received:
        """Return what the sandbox received, which must be one request."""
        _require(len(self.received) == 1, f"{self}: {len(self.received)} arrived, expected 1")
        return self.received[0]


@dataclass(frozen=True, slots=True)
class Logins:
    """How often a bot has logged in, counted by the sandbox."""

    session: int
    key_manager: int

    def __sub__(self, earlier: Logins) -> Logins:
        return Logins(self.session - earlier.session, self.key_manager - earlier.key_manager)

    def __str__(self) -> str:
        return f"{self.session} session login, {self.key_manager} key manager login"


_ONE_OF_EACH = Logins(1, 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays: a sandbox, and two clients that know nothing of logins."""

    sandbox: Sandbox
    direct: httpx.Client = field(repr=False)
    proxied: httpx.Client = field(repr=False)

    def echo(self, client: httpx.Client) -> Exchange:
        """Call the agent, which wants both tokens."""
        return self._call(
            client, "POST", Component.AGENT, "/agent/v1/util/echo", json={"message": "hello"}
        )

    def session_info(self, headers: dict[str, str]) -> Exchange:
        """Ask the pod through the proxy who one is."""
        return self._call(
            self.proxied, "GET", Component.POD, "/pod/v2/sessioninfo", headers=headers
        )

    def logins(self) -> Logins:
        """Count the RSA bot's logins since the sandbox was started."""
        count = self.sandbox.logins
        return Logins(count(TokenKind.SESSION, KEY_BOT), count(TokenKind.KEY_MANAGER, KEY_BOT))

    def _call(
        self,
        client: httpx.Client,
        method: str,
        component: Component,
        path: str,
        *,
        json: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Exchange:
        before = len(self.sandbox.requests)

        def of_this_call(requests: tuple[Received, ...]) -> tuple[Received, ...]:
            return tuple(
                one for one in requests[before:] if (one.component, one.path) == (component, path)
            )

        url = self.sandbox.url(component) + path
        answer = client.request(method, url, json=json, headers=headers)
        # The client may have its answer before the sandbox has noted that it gave one.
        self.sandbox.wait_for(
            lambda requests: all(one.status for one in of_this_call(tuple(requests)))
        )
        return Exchange(answer, of_this_call(self.sandbox.requests))


def without_proxy(stage: Stage) -> Iterator[Line]:
    call = stage.echo(stage.direct)
    yield str(call)
    call.require(401)
    _require(not any(map(call.only().values, TOKEN_HEADERS)), "the agent received a token")
    yield Checked("the agent received no token, and refused")


def through_proxy(stage: Stage) -> Iterator[Line]:
    call = stage.echo(stage.proxied)
    yield str(call)
    call.require(200)
    for name, token in zip(TOKEN_HEADERS, _tokens(call.only()), strict=True):
        yield f"  + {name}: [sealed {KEY_BOT} #{token.fingerprint()}]"
    sent = call.answer.request.headers
    _require(not any(name in sent for name in TOKEN_HEADERS), "the client sent a token itself")
    yield Checked("the client sent neither header; the agent received each exactly once")


def two_bots(stage: Stage) -> Iterator[Line]:
    by_key = stage.session_info({})
    by_certificate = stage.session_info({"Symphony-Bot": CERTIFICATE_BOT})
    for call, bot in ((by_key, KEY_BOT), (by_certificate, CERTIFICATE_BOT)):
        chosen = f"  (Symphony-Bot: {bot})" if call is by_certificate else ""
        yield f"{call}{chosen}"
        call.require(200)
        who = call.answer.json().get("username")
        _require(who == bot, f"the pod takes the caller for {who}, not for {bot}")
    _require(
        not by_certificate.only().values("Symphony-Bot"),
        "the header Symphony-Bot, which is for the proxy, reached the pod",
    )
    requests = stage.sandbox.requests
    _require(
        any(one.path == "/login/pubkey/authenticate" and one.status == 200 for one in requests),
        f"{KEY_BOT} did not log in by a signed assertion",
    )
    yield Checked(f"the pod says {KEY_BOT}: logged in by an RSA signature")
    _require(
        any(
            one.path == "/sessionauth/v1/authenticate"
            and one.client_name == CERTIFICATE_BOT
            and one.status == 200
            for one in requests
        ),
        f"{CERTIFICATE_BOT} did not log in by its certificate",
    )
    yield Checked(f"the pod says {CERTIFICATE_BOT}: logged in by its client certificate")


def ten_calls(stage: Stage) -> Iterator[Line]:
    calls = [stage.echo(stage.proxied) for _ in range(_CALLS)]
    for call in calls:
        call.require(200)
    yield f"{_CALLS} × {calls[-1]}"
    pairs = {_tokens(one) for call in calls for one in call.received}
    _require(len(pairs) == 1, f"{len(pairs)} different pairs of tokens were used, not 1")
    logins = stage.logins()
    _require(logins == _ONE_OF_EACH, f"{KEY_BOT} needed {logins}, not one of each")
    yield Checked(f"all with the same tokens; {KEY_BOT}, since the start: {logins}")


def revoked_session(stage: Stage) -> Iterator[Line]:
    before = stage.logins()
    ended = stage.sandbox.revoke(KEY_BOT)
    yield f"the pod ends the {ended} sessions of {KEY_BOT}"
    call = stage.echo(stage.proxied)
    took = call.answer.elapsed.total_seconds() * 1000
    yield f"{call}  ({took:.0f} ms)"
    call.require(200)
    statuses = [one.status for one in call.received]
    _require(
        statuses == [401, 200],
        f"the agent answered {', '.join(map(str, statuses))}, not 401 and then 200",
    )
    logins = stage.logins() - before
    _require(logins == _ONE_OF_EACH, f"that cost {logins}, not one of each")
    refused, healed = map(_tokens, call.received)
    _require(refused != healed, "the same tokens were sent again")
    yield Checked("the agent answered 401, then 200: the client saw the second answer only")
    yield Checked(f"that cost {logins}")


STEPS = (
    Step(
        "A call without the proxy",
        "Symphony wants two tokens on such a call, and each is got by a login with the bot's key.",
        without_proxy,
    ),
    Step(
        "The same call through the proxy",
        "The client changes its proxy setting and nothing else; logging in is the proxy's work.",
        through_proxy,
    ),
    Step(
        "Two bots, two ways to log in",
        "A header chooses among the bots of the configuration; without it the default one speaks.",
        two_bots,
    ),
    Step(
        "Ten calls, two logins",
        "Tokens are kept and shared until shortly before they end.",
        ten_calls,
    ),
    Step(
        "A revoked session, healed by one resend",
        "Sessions may end at any time. The proxy logs in again and repeats the refused call once.",
        revoked_session,
    ),
)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DoesNotHold(otherwise)


def _tokens(received: Received) -> tuple[Secret, ...]:
    """Return the tokens of a request, which must have each exactly once."""
    tokens = []
    for name in TOKEN_HEADERS:
        values = received.values(name)
        _require(len(values) == 1, f"the agent received {len(values)} headers {name}, not 1")
        tokens.append(Secret(values[0]))
    return tuple(tokens)
