"""Everything that is known about the token of one account and kind, but for the token itself.

The slot holds the rules: what may be handed out, when a login should be under way, what
keeps it from being tried, and which of its results still count. It holds no secret and
does nothing: the provider asks it and acts.

Two numbers keep late news from doing harm. A *generation* names one token: only a 401 for
the current generation makes it BAD (client-go's rule), an older one is history. The
*epoch* names what is known about the account: a login that was started before a flush, a
reload or a 401 ends in an older epoch, and its result is dropped.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from symphony_auth_proxy.core.backoff import (
    KEY_LOOK_APART,
    Failure,
    Setback,
    setback,
    tokens_refused,
    told_again,
)
from symphony_auth_proxy.core.freshness import Life, State
from symphony_auth_proxy.core.names import shown
from symphony_auth_proxy.model import Token, TokenKind

UNPROVEN_PAUSE = 120.0
"""Seconds between getting a token because of a 401 and replacing it because of another, when
no upstream ever accepted it: fetching a third is unlikely to help, and would turn an
upstream's outage into a storm of logins (Symphony's own integration bridge waits 180)."""

FORCED_PER_HOUR = 30
"""Tokens of one account and kind replaced because of a 401, within any hour."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Held:
    """One token, without its value."""

    generation: int
    obtained: float
    life: Life
    fingerprint: str
    accepted: bool = False
    """Whether an upstream ever answered a request with it with 2xx."""
    refused: bool = False
    replacement: bool = False
    """Whether it was fetched because the one before it was refused."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a login that requests wait for from being tried now."""

    error: Failure
    until: float
    """Monotonic seconds."""
    worth_waiting: bool
    """Whether a request that can wait that long should."""

    def telling(self, now: float) -> Failure:
        """The error for a client that comes at `now`."""
        return told_again(self.error, max(self.until - now, 0.0))


@dataclass(slots=True)
class Slot:
    """One account's token of one kind. Instants are monotonic seconds."""

    bot: str
    kind: TokenKind
    user: str | None = None
    """On whose behalf; None: it is the bot's own."""
    generation: int = 0
    """Of the newest token that there ever was; 0 before the first. Only grows."""
    epoch: int = 0
    held: Held | None = None
    waiver: Life | None = None
    """Set while no token of this kind is required; its windows say when to ask again."""
    exemption: Life | None = None
    """A waiver that nothing ends: there is no key manager token on behalf of users."""
    setback: Setback | None = None
    _forced: deque[float] = field(default_factory=lambda: deque(maxlen=FORCED_PER_HOUR))

    def __post_init__(self) -> None:
        self.waiver = self.exemption

    @property
    def owner(self) -> str:
        """Whose token it is, as people may see it."""
        return shown(self.bot, self.user)

    # What requests may have.

    def state(self, now: float) -> State:
        if self.waiver is not None:
            return State.NOT_REQUIRED
        if self.held is None:
            return State.EMPTY
        return State.BAD if self.held.refused else self.held.life.state(now)

    def at_hand(self, now: float) -> bool:
        """Whether there is a token that may be sent."""
        return self.state(now) in {State.FRESH, State.STALE}

    def ready(self, now: float, *, patient: bool = True) -> bool:
        """Whether a request need not wait.

        In the mandatory window it waits for one refresh; once that has failed, or when the
        request has no time left (not `patient`), a token that tides over is used.
        """
        if self.waiver is not None:
            return True
        if self.held is None or not self.at_hand(now):
            return False
        if not self.held.life.must_be_renewed(now):
            return True
        return (self.setback is not None or not patient) and self.held.life.tides_over(now)

    def overdue(self, now: float) -> bool:
        """Whether a token that is handed out now should have been replaced before."""
        return self.held is not None and self.held.life.must_be_renewed(now)

    def vouches_for(self, token: Token, now: float) -> bool:
        """Whether exactly this token may be sent."""
        return (
            self.held is not None and self.held.generation == token.generation and self.at_hand(now)
        )

    # When to log in.

    def wants_login(self, now: float) -> bool:
        """Whether a login should be under way now."""
        urgent = self._urgent(now)
        if self._cooling(now) or not (urgent or self._should_be_replaced(now)):
            return False
        if self.setback is None or self.setback.allows_look(now):
            return True
        return now >= (self.setback.request_at if urgent else self.setback.background_at)

    def obstacle(self, now: float) -> Obstacle | None:
        """What keeps a login that requests wait for from being tried now."""
        until = self._cooling(now)
        if until:
            error = tokens_refused(self.owner, until - now)
            return Obstacle(error, until, worth_waiting=False)
        if self.setback is not None and now < self.setback.request_at:
            return Obstacle(self.setback.error, self.setback.request_at, self.setback.worth_waiting)
        return None

    def _urgent(self, now: float) -> bool:
        if self.waiver is not None:
            return False
        return not self.at_hand(now) or self.overdue(now)

    def _should_be_replaced(self, now: float) -> bool:
        life = self.waiver or (self.held.life if self.held else None)
        return life is not None and life.state(now) is not State.FRESH

    def _cooling(self, now: float) -> float:
        """Until when a refused token may not be replaced; 0 when it may."""
        if self.held is None or not self.held.refused:
            return 0.0
        unproven = self.held.replacement and not self.held.accepted
        until = self.held.obtained + UNPROVEN_PAUSE if unproven else 0.0
        if len(self._forced) == FORCED_PER_HOUR:
            until = max(until, self._forced[0] + _HOUR)
        return until if until > now else 0.0

    # What happens to it.

    def next_generation(self) -> int:
        """Name a new token. Each name is given once, also when the token is then dropped."""
        self.generation += 1
        return self.generation

    def publish(self, token: Token, life: Life, epoch: int) -> bool:
        """Take over the token of a login that was started in `epoch`.

        Returns whether it still counted, as `waive` and `fail` do.
        """
        if epoch != self.epoch:
            return False
        if token.generation != self.generation:
            raise ValueError("an older token never takes the place of a newer one")
        replacement = self.held is not None and self.held.refused
        if replacement:
            self._forced.append(token.obtained)
        self.held = Held(
            token.generation,
            token.obtained,
            life,
            token.value.fingerprint(),
            replacement=replacement,
        )
        self.waiver = self.setback = None
        return True

    def waive(self, ask_again: float, epoch: int) -> bool:
        """No token of this kind is required; ask again from `ask_again` on."""
        if epoch != self.epoch:
            return False
        self.held = self.setback = None
        self.waiver = Life(advisory=ask_again)
        return True

    def unwaive(self) -> None:
        """What the waiver was based on is no longer certain."""
        self.waiver = self.exemption

    def fail(self, error: Failure, epoch: int, *, now: float, draw: float, key: str | None) -> bool:
        """Remember a login that failed."""
        if epoch != self.epoch:
            return False
        self.setback = setback(error, self.setback, now, draw, key)
        return True

    def is_refused(self, key: str, now: float) -> bool:
        """Whether this very key was refused lately, so that it is not shown again now."""
        if self.setback is None or not self.setback.refuses(key, now):
            return False
        self.setback = replace(self.setback, look_at=now + KEY_LOOK_APART)
        return True

    def accept(self, generation: int) -> None:
        """An upstream accepted the token of `generation`."""
        if self.held is not None and self.held.generation == generation:
            self.held = replace(self.held, accepted=True)

    def refuse(self, generation: int) -> bool:
        """An upstream refused the token of `generation`.

        Returns whether that was news; only news moves the epoch.
        """
        held = self.held
        if held is None or held.generation != generation or held.refused:
            return False
        self.held = replace(held, refused=True)
        self.epoch += 1
        return True

    def lose(self) -> None:
        """The store no longer has the token."""
        self.held = None

    def clear(self) -> None:
        """Forget everything but how far generations have counted."""
        self.held = None
        self.unwaive()
        self.forgive()

    def forgive(self) -> None:
        """Forget what failed and what was refused: what it failed on may have been mended. A
        token that is good stays."""
        if self.held is not None and self.held.refused:
            self.held = None
        self.setback = None
        self._forced.clear()
        self.epoch += 1

    def distrust_clocks(self, now: float) -> None:
        """Make what is FRESH STALE."""
        if self.held is not None:
            self.held = replace(self.held, life=self.held.life.made_stale(now))
