"""A Symphony that says what a test tells it to: the transport of engine tests.

It issues tokens, counts logins and remembers how many were under way at once. Trouble is
switched on by `answers`, standstill by `holding`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import formatdate

import jwt

from pki import rsa_key
from support.clock import TurnedClock
from symphony_auth_proxy.auth import RsaLogin
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import (
    App,
    Bot,
    Endpoint,
    LoginRequest,
    LoginResponse,
    Origin,
    Pod,
    TokenKind,
    TokenPair,
)

PATHS = {
    "/login/pubkey/authenticate": TokenKind.SESSION,
    "/relay/pubkey/authenticate": TokenKind.KEY_MANAGER,
    "/sessionauth/v1/authenticate": TokenKind.SESSION,
    "/keyauth/v1/authenticate": TokenKind.KEY_MANAGER,
}
APP_PATH = "/login/pubkey/app/authenticate"

APP, USER = "app", "user"
"""The two steps of a login on behalf of a user, beside the kinds of bots' logins."""

type Step = str | None
"""A kind, a step; None: the question for the agent's version."""
type Answer = Callable[[LoginRequest], tuple[int, dict[str, str], bytes]]


def json_answer(status: int, **document: object) -> Answer:
    return lambda _request: (status, {}, json.dumps(document).encode())


def answer(status: int, body: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: (status, named, body.encode())


def raising(error: Callable[[], BaseException]) -> Answer:
    def raise_it(_request: LoginRequest) -> tuple[int, dict[str, str], bytes]:
        raise error()

    return raise_it


def in_turn(*answers: Answer) -> Answer:
    """The first, then the second, …"""
    following = iter(answers)
    return lambda request: next(following)(request)  # noqa: PLW0108 (another one each time)


class ScriptedPod:
    """Pod, key manager and agent, as a `provider.Transport`."""

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.logins: Counter[TokenKind] = Counter()
        """Login requests that have arrived."""
        self.infos = 0
        """Requests for the agent's version."""
        self.app_logins = 0
        self.user_logins: Counter[str] = Counter()
        """By user."""
        self.requests: list[LoginRequest] = []
        self.answers: dict[Step, Answer] = {}
        """What to answer instead of a token."""
        self.delay = 0.0
        """Seconds that each answer takes."""
        self.session_life: float | None = None
        """Seconds; set: session tokens are JWTs with an `exp`."""
        self.simplified: bool | None = None
        """Set: session tokens are JWTs with the claim `canUseSimplifiedKeyDelivery`."""
        self.stubborn = False
        """Whether a request goes on although it was cancelled, as an HTTP client's may."""
        self.most_at_once: Counter[tuple[str, str]] = Counter()
        self.most_in_all = 0
        self.issued: dict[str, str] = {}
        """Tokens, and at which host each was asked for."""
        self._at_once: Counter[tuple[str, str]] = Counter()
        self._held: dict[Step, asyncio.Event] = {}

    @asynccontextmanager
    async def exchange(
        self, request: LoginRequest, account: str = ""
    ) -> AsyncIterator[LoginResponse]:
        del account
        yield await self.send(request)

    async def send(self, request: LoginRequest) -> LoginResponse:
        self.requests.append(request)
        step = self._counted(request)
        # Any number of users may ask for the app's own session at a time.
        if step in {None, APP}:
            return await self._answered(request, step)
        who = (user_of(request) or _username(request), str(step))
        self._at_once[who] += 1
        self.most_at_once[who] = max(self.most_at_once[who], self._at_once[who])
        self.most_in_all = max(self.most_in_all, self._at_once.total())
        try:
            return await self._answered(request, step)
        finally:
            self._at_once[who] -= 1

    def _counted(self, request: LoginRequest) -> Step:
        if request.path == APP_PATH:
            self.app_logins += 1
            return APP
        if user := user_of(request):
            self.user_logins[user] += 1
            return USER
        kind = PATHS.get(request.path)
        if kind is None:
            self.infos += 1
        else:
            self.logins[kind] += 1
        return kind

    async def _answered(self, request: LoginRequest, step: Step) -> LoginResponse:
        try:
            await self._delayed(step)
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
            await self._delayed(step)
        say = self.answers.get(step) or self.token
        status, headers, body = say(request)
        date = {"date": formatdate(self.clock.wall(), usegmt=True)}
        return LoginResponse(status, date | headers, body, self.clock.wall())

    async def _delayed(self, step: Step) -> None:
        await self.clock.sleep(self.delay)
        if step in self._held:
            await self._held[step].wait()

    @contextmanager
    def holding(self, *steps: Step) -> Iterator[None]:
        """Requests of these kinds (or all) that arrive inside are not answered before its end."""
        held = asyncio.Event()
        steps = steps or (*TokenKind, APP, USER, None)
        self._held |= dict.fromkeys(steps, held)
        try:
            yield
        finally:
            held.set()
            for step in steps:
                del self._held[step]

    def down(self, status: int = 503) -> None:
        self.answers |= {step: answer(status) for step in (*TokenKind, APP, USER)}

    def up(self) -> None:
        self.answers.clear()

    def token(self, request: LoginRequest) -> tuple[int, dict[str, str], bytes]:
        """The answer to a login that succeeds."""
        if request.path == APP_PATH:
            return self._granting(
                request, f"app-session-{self.app_logins}-xxxxxxxxxxxxxxxxxxxxxxxx"
            )
        if user := user_of(request):
            number = self.user_logins[user]
            return self._granting(
                request, f"user-session-{number}-of-{user}-xxxxxxxxxxxxxxxxxxxxxxxx"
            )
        kind = PATHS[request.path]
        token = f"{kind}-{self.logins[kind]}-of-{_username(request)}-xxxxxxxxxxxxxxxxxxxxxxxx"
        if kind is TokenKind.SESSION and not (self.session_life is self.simplified is None):
            claims: dict[str, object] = {"sub": token}
            if self.session_life is not None:
                claims["exp"] = int(self.clock.wall() + self.session_life)
            if self.simplified is not None:
                claims["canUseSimplifiedKeyDelivery"] = self.simplified
            token = jwt.encode(claims, "k" * 64, algorithm="HS512")
        return self._granting(request, token)

    def _granting(self, request: LoginRequest, token: str) -> tuple[int, dict[str, str], bytes]:
        self.issued[token] = request.endpoint.origin.host
        return 200, {}, json.dumps({"token": token}).encode()


def user_of(request: LoginRequest) -> str | None:
    """On whose behalf a login is, as it stands in its path; None: it is another request."""
    found = re.fullmatch("/login/pubkey/app/user(?:name)?/([^/]+)/authenticate", request.path)
    return found[1] if found else None


def _username(request: LoginRequest) -> str:
    if request.json is None:
        return ""
    assertion = request.json["token"]
    text = assertion if isinstance(assertion, str) else assertion.reveal()
    return str(jwt.decode(text, options={"verify_signature": False})["sub"])


@dataclass
class KeyInHand:
    """A `keys.KeySource` whose file a test may replace or break."""

    material: KeyMaterial | None
    loads: int = 0

    def load(self) -> KeyMaterial:
        self.loads += 1
        if self.material is None:
            raise KeyMaterialError("the key file cannot be read")
        return self.material


def key(fingerprint: str = "first") -> KeyMaterial:
    return KeyMaterial(rsa_key(), fingerprint)


def endpoint(host: str, port: int = 443, context: str = "") -> Endpoint:
    return Endpoint(Origin(host, port), context)


ONE_HOST = Pod(*(endpoint("acme.example") for _ in range(3)), endpoint("acme-api.example"))
"""Everything in the cloud."""

ON_PREMISES = Pod(
    pod=endpoint("acme.example"),
    agent=endpoint("agent.acme.example", 8443, "/gateway"),
    key_manager=endpoint("km.acme.example"),
    session_auth=endpoint("acme.example", 8444),
)


def bot(
    username: str = "pricing-bot",
    *,
    pod: Pod = ONE_HOST,
    credentials: KeySource | None = None,
    app: App | None = None,
) -> Bot:
    return Bot(username, pod, RsaLogin(username, credentials or KeyInHand(key())), app=app)


def app(app_id: str = "trading-app", *, credentials: KeySource | None = None) -> App:
    return App(app_id, credentials or KeyInHand(key()))


def generations(pair: TokenPair | None) -> tuple[int, int] | None:
    """(session, key manager); 0 stands for none."""
    if pair is None:
        return None
    return pair.session.generation, pair.key_manager.generation if pair.key_manager else 0
