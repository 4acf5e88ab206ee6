"""A Symphony that says what a test tells it to: the transport of engine tests.

It issues tokens, counts logins and remembers how many were under way at once. Trouble is
switched on by `answers`, standstill by `holding`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate

import jwt

from pki import rsa_key
from support.clock import TurnedClock
from symphony_auth_proxy.auth import RsaLogin
from symphony_auth_proxy.errors import KeyMaterialError
from symphony_auth_proxy.keys import KeyMaterial, KeySource
from symphony_auth_proxy.model import (
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
        self.requests: list[LoginRequest] = []
        self.answers: dict[TokenKind | None, Answer] = {}
        """What to answer instead of a token, by kind; None: to the question for the version."""
        self.delay = 0.0
        """Seconds that each answer takes."""
        self.session_life: float | None = None
        """Seconds; set: session tokens are JWTs with an `exp`."""
        self.simplified: bool | None = None
        """Set: session tokens are JWTs with the claim `canUseSimplifiedKeyDelivery`."""
        self.stubborn = False
        """Whether a request goes on although it was cancelled, as an HTTP client's may."""
        self.most_at_once: Counter[tuple[str, TokenKind]] = Counter()
        self.most_in_all = 0
        self.issued: list[str] = []
        self._at_once: Counter[tuple[str, TokenKind]] = Counter()
        self._held: dict[TokenKind | None, asyncio.Event] = {}

    async def send(self, request: LoginRequest) -> LoginResponse:
        self.requests.append(request)
        kind = PATHS.get(request.path)
        if kind is None:
            self.infos += 1
            return await self._answered(request, kind)
        who = (_username(request), kind)
        self.logins[kind] += 1
        self._at_once[who] += 1
        self.most_at_once[who] = max(self.most_at_once[who], self._at_once[who])
        self.most_in_all = max(self.most_in_all, self._at_once.total())
        try:
            return await self._answered(request, kind)
        finally:
            self._at_once[who] -= 1

    async def _answered(self, request: LoginRequest, kind: TokenKind | None) -> LoginResponse:
        try:
            await self._delayed(kind)
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
            await self._delayed(kind)
        say = self.answers.get(kind) or self.token
        status, headers, body = say(request)
        date = {"date": formatdate(self.clock.wall(), usegmt=True)}
        return LoginResponse(status, date | headers, body, self.clock.wall())

    async def _delayed(self, kind: TokenKind | None) -> None:
        await self.clock.sleep(self.delay)
        if kind in self._held:
            await self._held[kind].wait()

    @contextmanager
    def holding(self, *kinds: TokenKind | None) -> Iterator[None]:
        """Requests of these kinds (or all) that arrive inside are not answered before its end."""
        held = asyncio.Event()
        kinds = kinds or (*TokenKind, None)
        self._held |= dict.fromkeys(kinds, held)
        try:
            yield
        finally:
            held.set()
            for kind in kinds:
                del self._held[kind]

    def down(self, status: int = 503) -> None:
        self.answers |= {kind: answer(status) for kind in TokenKind}

    def up(self) -> None:
        self.answers.clear()

    def token(self, request: LoginRequest) -> tuple[int, dict[str, str], bytes]:
        """The answer to a login that succeeds."""
        kind = PATHS[request.path]
        token = f"{kind}-{self.logins[kind]}-of-{_username(request)}-xxxxxxxxxxxxxxxxxxxxxxxx"
        if kind is TokenKind.SESSION and not (self.session_life is self.simplified is None):
            claims: dict[str, object] = {"sub": token}
            if self.session_life is not None:
                claims["exp"] = int(self.clock.wall() + self.session_life)
            if self.simplified is not None:
                claims["canUseSimplifiedKeyDelivery"] = self.simplified
            token = jwt.encode(claims, "k" * 64, algorithm="HS512")
        self.issued.append(token)
        return 200, {}, json.dumps({"token": token}).encode()


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
    username: str = "pricing-bot", *, pod: Pod = ONE_HOST, credentials: KeySource | None = None
) -> Bot:
    return Bot(username, pod, RsaLogin(username, credentials or KeyInHand(key())))


def generations(pair: TokenPair | None) -> tuple[int, int] | None:
    """(session, key manager); 0 stands for none."""
    if pair is None:
        return None
    return pair.session.generation, pair.key_manager.generation if pair.key_manager else 0
