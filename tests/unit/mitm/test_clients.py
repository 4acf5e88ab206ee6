"""Who calls: from credentials, tunnels and memories to the configured client."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import threading
import types
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import argon2
import pytest
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from support.clients import basic
from support.settings import bot, client, settings
from symphony_auth_proxy import passwords
from symphony_auth_proxy.core.routing import Routes
from symphony_auth_proxy.errors import ClientRefused, Reason
from symphony_auth_proxy.mitm.clients import Clients
from symphony_auth_proxy.mitm.state import Active, State
from symphony_auth_proxy.model import Bot, Client, Origin
from symphony_auth_proxy.passwords import HashedPassword
from symphony_auth_proxy.secret import Secret

RIGHT, WRONG = "pricing's password", "another password"
_QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def hashed(name: str, *bots: str, password: str | None = None) -> Client:
    text = f"{name}'s password" if password is None else password
    return Client(name, HashedPassword(Secret(_QUICK.hash(text))), bots)


def active(*clients: Client, bots: tuple[Bot, ...] = ()) -> Active:
    given = settings(*bots, clients=clients)
    return Active(given, Routes(given), provider=None)  # type: ignore[arg-type]


def flow_of(mode: str = "regular", **headers: str) -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
    flow.request.headers.clear()
    for name, value in headers.items():
        flow.request.headers.add(name.replace("_", "-"), value)
    return flow


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """As mitmproxy's loop runs its hooks."""

    async def main() -> T:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await coroutine

    return asyncio.run(main())


def credentials(name: str = "pricing", password: str = RIGHT) -> Secret:
    return Secret(basic(f"{name}:{password}"))


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(ClientRefused) as error:
        yield
    assert (error.value.status, error.value.reason) == (407, Reason.CLIENT_UNKNOWN)
    assert WRONG not in f"{error.value} {error.value.hint()}"


@pytest.fixture
def clients() -> Clients:
    return Clients(State())


class Counted:
    """Counts the hashes that are computed; `gate` holds them back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes = self.at_once = self.most_at_once = 0
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()
        self._matches = HashedPassword.matches
        monkeypatch.setattr(HashedPassword, "matches", self._counting())

    def _counting(self) -> Callable[[HashedPassword, str], bool]:
        def matches(password: HashedPassword, candidate: str) -> bool:
            with self._lock:
                self.hashes += 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            self.begun.release()
            assert self.gate.wait(10)
            try:
                return self._matches(password, candidate)
            finally:
                with self._lock:
                    self.at_once -= 1

        return matches


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


# --- what is taken out of a request --------------------------------------------------


def test_credentials_leave_the_request_and_its_metadata(clients: Clients) -> None:
    flow = flow_of(Proxy_Authorization="Basic secret", Authorization="Basic for-the-server")
    flow.metadata["proxyauth"] = ("pricing", "secret")
    taken = clients.take_credentials(flow)
    assert taken is not None
    assert taken.reveal() == "Basic secret"
    assert flow.request.headers.fields == ((b"Authorization", b"Basic for-the-server"),)
    assert flow.metadata == {}


def test_two_credentials_are_none(clients: Clients) -> None:
    clients.state.active = active(client("pricing"))
    flow = flow_of(Proxy_Authorization=credentials().reveal())
    flow.request.headers.add("proxy-authorization", credentials().reveal())
    taken = clients.take_credentials(flow)
    with refused():
        run(clients.caller(flow, taken, clients.state.active))


REVERSE = "reverse:https://localhost:1"


def test_a_reverse_proxy_is_the_server_in_its_clients_eyes(clients: Clients) -> None:
    clients.state.active = active(client("pricing"))
    flow = flow_of(REVERSE, Authorization=credentials().reveal())
    flow.request.headers.add("Authorization", "Bearer mine")
    taken = clients.take_credentials(flow)
    assert taken == credentials()
    assert flow.request.headers.get_all("Authorization") == ["Bearer mine"]


def test_a_reverse_proxy_prefers_what_is_said_to_a_proxy(clients: Clients) -> None:
    clients.state.active = active(client("pricing"))
    flow = flow_of(
        REVERSE, Authorization="Basic for-the-server", Proxy_Authorization="Basic for-us"
    )
    taken = clients.take_credentials(flow)
    assert taken is not None
    assert taken.reveal() == "Basic for-us"
    assert flow.request.headers["Authorization"] == "Basic for-the-server"


@pytest.mark.parametrize(
    ("mode", "configured", "value"),
    [
        (REVERSE, False, "Basic eDp5"),
        (REVERSE, True, "Bearer mine"),
        ("regular", True, "Basic eDp5"),
        ("upstream:http://localhost:1", True, "Basic eDp5"),
    ],
)
def test_other_authorizations_are_the_servers(
    clients: Clients, mode: str, configured: bool, value: str
) -> None:
    clients.state.active = active(*([client("pricing")] if configured else []))
    flow = flow_of(mode, Authorization=value)
    assert clients.take_credentials(flow) is None
    assert flow.request.headers["Authorization"] == value


# --- who calls -----------------------------------------------------------------------


def test_without_clients_nobody_is_asked(clients: Clients) -> None:
    caller = run(clients.caller(flow_of(), credentials("who", "ever"), active()))
    assert caller.client is None


@pytest.mark.parametrize("make", [client, hashed])
def test_a_client_is_known_by_its_password(clients: Clients, make: Callable[..., Client]) -> None:
    one = make("pricing", "pricing-bot")
    caller = run(clients.caller(flow_of(), credentials(), active(make("other"), one)))
    assert caller.client == one


@pytest.mark.parametrize("make", [client, hashed])
@pytest.mark.parametrize(
    "sent",
    [
        None,
        Secret("Basic ?"),
        Secret(f"Bearer {WRONG}"),
        credentials(password=WRONG),
        credentials(password=""),
        credentials(password=RIGHT + " "),
        credentials("Pricing"),
        credentials("nobody"),
        credentials("other"),
    ],
    ids=str,
)
def test_everybody_else_is_refused(
    clients: Clients, make: Callable[..., Client], sent: Secret | None
) -> None:
    with refused():
        run(clients.caller(flow_of(), sent, active(make("pricing"), make("other"))))


def test_a_request_outside_of_a_tunnel_speaks_for_itself_only(clients: Clients) -> None:
    given, flow = active(client("pricing")), flow_of()
    run(clients.caller(flow, credentials(), given))
    second = flow_of()
    second.client_conn = flow.client_conn
    with refused():
        run(clients.caller(second, None, given))


def in_tunnel(
    clients: Clients, given: Active, name: str = "pricing"
) -> Callable[..., http.HTTPFlow]:
    connect = flow_of()
    sent = credentials(name, f"{name}'s password")
    run(clients.admit_tunnel(connect, sent, given))

    def flow_inside(**headers: str) -> http.HTTPFlow:
        flow = flow_of(**headers)
        flow.client_conn = connect.client_conn
        return flow

    return flow_inside


def test_a_tunnel_speaks_for_all_that_is_sent_in_it(clients: Clients) -> None:
    given = active(client("pricing"), client("other"))
    inside = in_tunnel(clients, given)
    for sent in (None, credentials("other", "other's password"), Secret("Basic ?")):
        caller = run(clients.caller(inside(), sent, given))
        assert caller.client is not None
        assert caller.client.name == "pricing"


def test_a_tunnel_is_refused_in_the_same_words(clients: Clients) -> None:
    with refused():
        run(clients.admit_tunnel(flow_of(), None, active(client("pricing"))))


def test_what_a_reload_changes_counts_in_open_tunnels(clients: Clients) -> None:
    inside = in_tunnel(clients, active(client("pricing", "pricing-bot")))
    revoked = active(client("pricing", "compliance-bot"))
    caller = run(clients.caller(inside(), None, revoked))
    assert caller.client is not None
    assert caller.client.bots == ("compliance-bot",)
    with refused():
        run(clients.caller(inside(), None, active(client("other"))))


def test_a_tunnel_from_before_there_were_clients_is_nobodys(clients: Clients) -> None:
    inside = in_tunnel(clients, active())
    with refused():
        run(clients.caller(inside(), None, active(client("pricing"))))
    assert clients.client_of_tunnel(inside().client_conn, active(client("pricing"))) is None


def test_the_listener_is_the_callers_whoever_it_is(clients: Clients) -> None:
    bots = (bot("pricing-bot"), Bot("other-bot", bot().pod, bot().method, Origin("127.0.0.1", 1)))
    for mode, expected in (("regular@127.0.0.1:1", "other-bot"), ("regular", None)):
        given = active(client("pricing"), bots=bots)
        caller = run(clients.caller(flow_of(mode), credentials(), given))
        assert caller.listener == expected


# --- what is sent again --------------------------------------------------------------


def replayed(flow: http.HTTPFlow) -> http.HTTPFlow:
    flow.is_replay = "request"
    return flow


def test_a_flow_that_is_sent_again_has_the_same_caller(clients: Clients) -> None:
    given, flow = active(client("pricing")), flow_of()
    caller = run(clients.caller(flow, credentials(), given))
    copy = flow.copy()
    clients.same_caller(flow, copy)
    for again in (copy, flow):
        assert run(clients.caller(replayed(again), None, given)) == caller


def test_the_bot_of_a_placeholder_is_remembered(clients: Clients) -> None:
    given, flow = active(), flow_of()
    caller = run(clients.caller(flow, None, given))
    clients.remember(flow, dataclasses.replace(caller, remembered="pricing-bot"))
    assert run(clients.caller(replayed(flow), None, given)).remembered == "pricing-bot"


def test_what_was_refused_stays_so(clients: Clients) -> None:
    given, flow = active(client("pricing")), flow_of()
    with refused():
        run(clients.caller(flow, credentials(password=WRONG), given))
    with refused():
        run(clients.caller(replayed(flow), None, given))


def test_a_flow_from_a_file_is_nobodys_whatever_it_says(clients: Clients) -> None:
    """It may name the connection of a tunnel that is open, and hold the right password."""
    given = active(client("pricing"))
    flow = in_tunnel(clients, given)()
    loaded = http.HTTPFlow.from_state(flow.get_state())
    assert loaded.client_conn == flow.client_conn
    with refused():
        run(clients.caller(replayed(loaded), credentials(), given))


def test_a_gone_client_cannot_send_again(clients: Clients) -> None:
    flow = flow_of()
    run(clients.caller(flow, credentials(), active(client("pricing"))))
    with refused():
        run(clients.caller(replayed(flow), None, active(client("other"))))


# --- records -------------------------------------------------------------------------


def test_records_name_configured_clients_only(clients: Clients) -> None:
    given = active(client("pricing"))
    for sent, told in (
        (credentials(password=WRONG), "pricing"),
        (credentials(WRONG, "x"), None),
        (None, None),
    ):
        flow = flow_of()
        with refused():
            run(clients.caller(flow, sent, given))
        assert clients.state.client_names.get(flow) == told
    flow = flow_of()
    run(clients.caller(flow, credentials(), given))
    assert clients.state.client_names[flow] == "pricing"


# --- hashes --------------------------------------------------------------------------


def test_every_refusal_costs_one_hash(clients: Clients, counted: Counted) -> None:
    """So the time that it takes does not tell who the clients are."""
    given = active(client("plain"), hashed("pricing"), hashed("other"))
    for name in ("pricing", "other", "plain", "nobody", ""):
        before = counted.hashes
        with refused():
            run(clients.caller(flow_of(), credentials(name or "x", WRONG), given))
        assert counted.hashes == before + 1, name


def test_what_the_decoy_says_counts_for_nothing(clients: Clients) -> None:
    given = active(hashed("pricing"), client("plain"))
    for name in ("nobody", "plain"):
        with refused():
            run(clients.caller(flow_of(), credentials(name, RIGHT), given))


def test_a_password_that_was_right_is_not_hashed_again(clients: Clients, counted: Counted) -> None:
    given = active(hashed("pricing"))
    for _ in range(5):
        run(clients.caller(flow_of(), credentials(), given))
    assert counted.hashes == 1
    with refused():
        run(clients.caller(flow_of(), credentials(password=WRONG), given))
    assert counted.hashes == 2


def texts_kept_by(root: object) -> str:
    """All texts that can be reached from an object, in one."""
    seen, found, waiting = {id(root)}, "", [root]
    while waiting:
        one = waiting.pop()
        found += f"\n{one!r}" if isinstance(one, str | bytes) else ""
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, type | types.ModuleType):
                seen.add(id(other))
                waiting.append(other)
    return found


@pytest.mark.parametrize("make", [client, hashed])
def test_what_was_sent_is_not_kept(clients: Clients, make: Callable[..., Client]) -> None:
    given = active(make("pricing"))
    for password in (RIGHT, WRONG):
        with contextlib.suppress(ClientRefused):
            run(clients.admit_tunnel(flow_of(), credentials(password=password), given))
    kept = texts_kept_by(clients)
    assert "'pricing'" in kept or make is client
    assert RIGHT not in kept
    assert WRONG not in kept


def test_a_changed_password_ends_the_old_one_at_once(clients: Clients) -> None:
    run(clients.caller(flow_of(), credentials(), active(hashed("pricing"))))
    changed = active(hashed("pricing", password="a new one"))
    with refused():
        run(clients.caller(flow_of(), credentials(), changed))
    run(clients.caller(flow_of(), credentials(password="a new one"), changed))


def test_hashing_stops_nobody_else_and_is_done_for_two_at_a_time(
    clients: Clients, counted: Counted
) -> None:
    given = active(hashed("pricing"), hashed("other"))

    async def story() -> None:
        await clients.caller(flow_of(), credentials("other", "other's password"), given)
        counted.gate.clear()
        guesses = [credentials("nobody", f"guess {number}") for number in range(6)]
        waiting = asyncio.gather(
            *(clients.caller(flow_of(), guess, given) for guess in guesses),
            return_exceptions=True,
        )
        for _ in range(3):  # two of them, and the one before
            assert await asyncio.to_thread(counted.begun.acquire, timeout=10)
        # The loop is free, and whoever is known does not wait.
        await clients.caller(flow_of(), credentials("other", "other's password"), given)
        assert not waiting.done()
        counted.gate.set()
        assert all(isinstance(result, ClientRefused) for result in await waiting)

    run(story())
    assert counted.most_at_once == 2
    assert counted.hashes == 7


def test_many_who_come_with_the_same_password_cost_few_hashes(
    clients: Clients, counted: Counted
) -> None:
    given = active(hashed("pricing"))

    async def story() -> None:
        calls = [clients.caller(flow_of(), credentials(), given) for _ in range(20)]
        callers = await asyncio.gather(*calls)
        assert all(caller.client == given.settings.clients[0] for caller in callers)

    run(story())
    assert counted.hashes <= 2


def test_what_the_configuration_makes_is_what_is_checked(clients: Clients) -> None:
    phc = passwords.hashed(Secret(RIGHT))
    given = active(Client("pricing", HashedPassword(Secret(phc))))
    run(clients.caller(flow_of(), credentials(), given))
