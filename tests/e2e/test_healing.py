"""Tokens die; clients do not notice. Also at a thousand requests at once, and under load."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from support.clients import trust_of
from support.proxy import Proxy
from symphony_auth_proxy.mitm.runner import raise_file_limit
from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.telemetry import Event

ECHO, SESSION_INFO = "/agent/v1/util/echo", "/pod/v2/sessioninfo"
BOT = "pricing-bot"


def echo(sandbox: Sandbox, client: httpx.Client, **arguments: object) -> httpx.Response:
    return client.post(sandbox.url(Component.AGENT) + ECHO, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [10, 1_000, 900_000])
def test_a_revoked_session_is_healed_by_one_resend(
    sandbox: Sandbox, client: httpx.Client, size: int
) -> None:
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.revoke(BOT)
    answer = echo(sandbox, client, json={"message": "x" * size})
    assert answer.status_code == 200
    assert answer.json() == {"message": "x" * size}
    statuses = [r.status for r in sandbox.requests if r.path == ECHO]
    assert statuses == [200, 401, 200]
    assert sandbox.logins(TokenKind.SESSION, BOT) == 2
    assert sandbox.logins(TokenKind.KEY_MANAGER, BOT) == 2


def test_sessions_that_died_before_their_first_use_are_healed_too(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    """As after a restart of the pod, right after the proxy's start."""
    assert client.get(sandbox.url(Component.POD) + SESSION_INFO).status_code == 200
    sandbox.wait_for(lambda _: sandbox.logins(TokenKind.KEY_MANAGER, BOT) == 1)
    sandbox.revoke(BOT)
    assert echo(sandbox, client, json={"message": "first agent call"}).status_code == 200


def test_a_body_of_unknown_length_is_resent_too(sandbox: Sandbox, client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"message": '
        yield b'"in chunks"}'

    headers = {"Content-Type": "application/json"}
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.revoke(BOT)
    answer = echo(sandbox, client, content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"message": "in chunks"})


def test_a_body_too_large_to_hold_gets_its_401_and_the_next_request_succeeds(
    sandbox: Sandbox, client: httpx.Client, proxy: Proxy
) -> None:
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.revoke(BOT)
    large = {"message": "x" * 2_000_000}
    assert echo(sandbox, client, json=large).status_code == 401
    assert echo(sandbox, client, json={"message": "next"}).status_code == 200
    assert sandbox.logins(TokenKind.SESSION, BOT) == 2
    assert proxy.addon.state.telemetry.count(Event.RESENT) == 0


def test_only_the_session_token_is_renewed_after_a_401_of_the_pod(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.revoke(BOT, TokenKind.SESSION)
    assert client.get(sandbox.url(Component.POD) + SESSION_INFO).status_code == 200
    assert sandbox.logins(TokenKind.SESSION, BOT) == 2
    assert sandbox.logins(TokenKind.KEY_MANAGER, BOT) == 1


def test_a_second_401_reaches_the_client_as_it_is(sandbox: Sandbox, client: httpx.Client) -> None:
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.fail(Component.AGENT, status=401, path=ECHO)
    answer = echo(sandbox, client, json={"message": "x"})
    assert answer.status_code == 401
    assert "details" not in answer.json()
    assert len([r for r in sandbox.requests if r.path == ECHO]) == 3


def test_when_the_refresh_fails_the_client_is_told_to_come_back(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    assert echo(sandbox, client, json={"message": "first"}).status_code == 200
    sandbox.revoke(BOT)
    sandbox.fail(Component.POD, status=503, path="/login")
    answer = echo(sandbox, client, json={"message": "x"})
    assert answer.status_code == 503
    assert answer.json()["details"]["reason"] == "login_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    sandbox.recover()


def test_answers_of_symphony_pass_unchanged(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.fail(Component.AGENT, status=429, path=ECHO, times=1, retry_after=7)
    throttled = echo(sandbox, client, json={"message": "x"})
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    for status in (400, 403, 404, 500, 503):
        sandbox.fail(Component.AGENT, status=status, path=ECHO, times=1)
        assert echo(sandbox, client, json={"message": "x"}).status_code == status
    assert sandbox.logins(TokenKind.SESSION, BOT) == 1


def test_a_cut_answer_becomes_a_502_that_sdks_retry(sandbox: Sandbox, client: httpx.Client) -> None:
    from symphony_auth_proxy.sandbox.faults import FaultKind

    sandbox.fail(Component.AGENT, kind=FaultKind.CUT, status=200, path=ECHO, times=1)
    answer = echo(sandbox, client, json={"message": "x" * 500})
    assert answer.status_code == 502
    assert answer.json()["details"]["reason"] == "upstream_broken"
    assert echo(sandbox, client, json={"message": "again"}).status_code == 200


def test_a_thousand_first_requests_at_once_cost_one_login_of_each_kind(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    raise_file_limit()
    sandbox.slow(Component.POD, 0.5, path="/login")
    url = sandbox.url(Component.AGENT) + ECHO

    async def one(number: int) -> int:
        async with httpx.AsyncClient(
            proxy=proxy.url, verify=context, trust_env=False, timeout=60
        ) as client:
            answer = await client.post(url, json={"message": str(number)})
            return answer.status_code if answer.json() == {"message": str(number)} else -1

    async def all_at_once() -> Counter[int]:
        return Counter(await asyncio.gather(*map(one, range(1_000))))

    context = trust_of(proxy)
    assert asyncio.run(all_at_once()) == {200: 1_000}
    assert sandbox.logins(TokenKind.SESSION, BOT) == 1
    assert sandbox.logins(TokenKind.KEY_MANAGER, BOT) == 1


def test_a_session_revoked_under_load_costs_no_client_an_error(
    sandbox: Sandbox, proxy: Proxy
) -> None:
    """50 requests a second for 20 seconds; the sessions end after 10."""
    url = sandbox.url(Component.AGENT) + ECHO
    rate, seconds = 50, 20

    async def load() -> Counter[int]:
        loop = asyncio.get_running_loop()
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(
            proxy=proxy.url, verify=trust_of(proxy), trust_env=False, timeout=30, limits=limits
        ) as client:

            async def one(number: int) -> int:
                if number == rate * seconds // 2:
                    sandbox.revoke(BOT)
                return (await client.post(url, json={"message": str(number)})).status_code

            begun = loop.time()
            async with asyncio.TaskGroup() as group:
                tasks = []
                for number in range(rate * seconds):
                    await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
                    tasks.append(group.create_task(one(number)))
            return Counter(task.result() for task in tasks)

    assert asyncio.run(load()) == {200: rate * seconds}
    assert sandbox.logins(TokenKind.SESSION, BOT) == 2
    assert sandbox.logins(TokenKind.KEY_MANAGER, BOT) == 2
