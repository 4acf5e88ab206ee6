"""All accounts of a provider: those of the configured bots, and those of their apps' users.

A bot's account is there as long as the process is, also while the configuration does not name
the bot: so its generations only grow, whatever is reloaded. Accounts of users come with the
first call on their behalf, and there is a bound: the one that was not used for longest goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from symphony_auth_proxy.errors import LoginUnavailable, Reason
from symphony_auth_proxy.model import Bot
from symphony_auth_proxy.telemetry import Telemetry
from symphony_auth_proxy.tokens.account import Account, Identity
from symphony_auth_proxy.tokens.keyring import Keyring

USERS = 1000
"""Users of all apps whose sessions are kept. What they ask for is bounded by it, too: a client
may send any name."""


class Accounts:
    """Finds accounts, makes those of users, and follows the configuration."""

    def __init__(
        self, bots: Sequence[Bot], telemetry: Telemetry, forget: Callable[[Account], None]
    ) -> None:
        """`forget`: called with an account whose tokens are not needed any more."""
        self._telemetry = telemetry
        self._forget = forget
        self._bots: Mapping[str, Bot] = {}
        self._own: dict[str, Account] = {}
        self._users: OrderedDict[tuple[str, str], Account] = OrderedDict()
        """The one that was used last stands last."""
        self._app_keys: dict[str, Keyring] = {}
        """By bot."""
        self._generation = 0
        """The last one of all users that are forgotten: none of theirs is given again."""
        self.configure(bots)

    def __iter__(self) -> Iterator[Account]:
        return chain(self._own.values(), self._users.values())

    def of(self, bot: str) -> list[Account]:
        """A bot's own account and those of its app's users."""
        return [account for account in self if account.bot == bot]

    def bots(self) -> list[Account]:
        """The own accounts of the bots that are configured, in their order."""
        return [self._own[name] for name in self._bots]

    def find(self, bot: str, user: str | None) -> Account | None:
        """Look for an account that a request has used."""
        return self._own.get(bot) if user is None else self._users.get((bot, user))

    def obtain(self, bot: str, user: str | None) -> Account:
        """Return the account for a request. Raises LoginUnavailable."""
        account = self.find(bot, user)
        if account is None and user is not None:
            account = self._welcome(bot, user)
        if account is None or account.identity is None:
            raise too_late()
        if user is not None:
            self._users.move_to_end((bot, user))
        return account

    def configure(self, bots: Sequence[Bot]) -> list[Account]:
        """Follow a configuration. Returns the accounts that are not what they were."""
        self._bots = {bot.username: bot for bot in bots}
        self._app_keys = {name: key for name, key in self._app_keys.items() if name in self._bots}
        for name in self._bots:
            self._own.setdefault(name, Account.of(name))
        return [account for account in self if self._identify(account)]

    def _welcome(self, bot: str, user: str) -> Account | None:
        account = Account.of(bot, user, generation=self._generation)
        if not self._identify(account):
            return None
        if len(self._users) >= USERS:
            self._dismiss_one()
        self._users[bot, user] = account
        return account

    def _dismiss_one(self) -> None:
        idle = (name for name, account in self._users.items() if account.idle)
        name = next(idle, None)
        if name is None:
            raise LoginUnavailable(
                f"the sessions of {USERS} users are being asked for at this moment",
                hint="send fewer calls on behalf of different users at once",
                retry_after=5,
            )
        account = self._users.pop(name)
        self._generation = max(self._generation, account.session.slot.generation)
        self._forget(account)

    def _identify(self, account: Account) -> bool:
        """Give an account its identity. Returns whether it has another one than before."""
        bot = self._bots.get(account.bot)
        identity = Identity.of(bot, account.user)
        if identity == account.identity:
            return False
        account.identity = identity
        account.keyring = self._keyring(account, identity) if identity else None
        return True

    def _keyring(self, account: Account, identity: Identity) -> Keyring:
        source = identity.method.credentials
        if account.user is None:
            return Keyring(account.bot, source, self._telemetry)
        known = self._app_keys.get(account.bot)
        if known is None or known.source != source:
            known = self._app_keys[account.bot] = Keyring(account.bot, source, self._telemetry)
        return known


def too_late() -> LoginUnavailable:
    """What those are told who began under another configuration, or too late."""
    return LoginUnavailable(
        "the proxy is stopping, or was given another configuration",
        reason=Reason.DRAINING,
        hint="try again",
        retry_after=2,
    )
