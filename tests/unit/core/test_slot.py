"""The rules about one token, told without any clock, loop or network."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.core.freshness import Life, State
from symphony_auth_proxy.core.slot import Slot
from symphony_auth_proxy.errors import LoginRejected, LoginUnavailable, Reason
from symphony_auth_proxy.model import Token, TokenKind
from symphony_auth_proxy.secret import Secret

HOUR = 3600.0


def a_slot() -> Slot:
    return Slot("pricing-bot", TokenKind.SESSION)


def publish(slot: Slot, *, now: float = 0.0, life: Life | None = None) -> Token:
    token = Token(slot.kind, Secret("canary"), slot.next_generation(), now)
    assert slot.publish(token, life or Life(), slot.epoch)
    return token


def fail(slot: Slot, error: LoginUnavailable | LoginRejected, *, now: float = 0.0) -> None:
    assert slot.fail(error, slot.epoch, now=now, draw=0.5, key="key-1")


def test_an_empty_slot_wants_a_login_and_has_nothing_to_give() -> None:
    slot = a_slot()
    assert slot.state(0) is State.EMPTY
    assert slot.wants_login(0)
    assert not slot.ready(0)
    assert slot.obstacle(0) is None


def test_a_token_is_vouched_for_until_the_next_one() -> None:
    slot = a_slot()
    first = publish(slot)
    assert slot.vouches_for(first, 0)
    second = publish(slot)
    assert not slot.vouches_for(first, 0)
    assert slot.vouches_for(second, 0)


def test_a_token_is_not_vouched_for_after_its_end() -> None:
    slot = a_slot()
    token = publish(slot, life=Life.between(0, HOUR, 0.5))
    assert slot.vouches_for(token, HOUR - 1)
    assert not slot.vouches_for(token, HOUR)


def test_only_the_current_generation_can_be_refused_and_only_once() -> None:
    slot = a_slot()
    first, second = publish(slot), publish(slot)
    assert not slot.refuse(first.generation)
    assert slot.epoch == 0
    assert slot.refuse(second.generation)
    assert slot.epoch == 1
    assert not slot.refuse(second.generation)
    assert slot.epoch == 1
    assert slot.state(0) is State.BAD
    assert not slot.vouches_for(second, 0)


def test_an_acceptance_of_an_older_generation_proves_nothing() -> None:
    slot = a_slot()
    first = publish(slot)
    slot.refuse(first.generation)
    second = publish(slot)
    slot.accept(first.generation)
    slot.refuse(second.generation)
    assert not slot.wants_login(0)
    slot.accept(second.generation)
    assert slot.wants_login(0)


def test_nothing_counts_that_began_in_an_older_epoch() -> None:
    slot = a_slot()
    begun = slot.epoch
    slot.clear()
    token = Token(slot.kind, Secret("canary"), slot.next_generation(), 0.0)
    assert not slot.publish(token, Life(), begun)
    assert not slot.waive(600, begun)
    assert not slot.fail(LoginUnavailable("down"), begun, now=0, draw=0.5, key=None)
    assert slot.state(0) is State.EMPTY
    assert slot.setback is None


def test_an_older_token_never_takes_the_place_of_a_newer_one() -> None:
    slot = a_slot()
    first = publish(slot)
    publish(slot)
    with pytest.raises(ValueError, match="older token"):
        slot.publish(first, Life(), slot.epoch)


def test_generations_are_not_forgotten() -> None:
    slot = a_slot()
    publish(slot)
    slot.clear()
    assert publish(slot).generation == 2


def test_the_first_refused_token_is_replaced_at_once_though_nobody_accepted_it() -> None:
    slot = a_slot()
    slot.refuse(publish(slot, now=1000).generation)
    assert slot.wants_login(1000)


def test_an_unproven_replacement_is_replaced_after_two_minutes_of_its_life() -> None:
    slot = a_slot()
    slot.refuse(publish(slot, now=900).generation)
    slot.refuse(publish(slot, now=1000).generation)
    obstacle = slot.obstacle(1030)
    assert obstacle is not None
    assert not obstacle.worth_waiting
    error = obstacle.telling(1040)
    assert (error.reason, error.retry_after) == (Reason.TOKENS_REFUSED, 80)
    assert not slot.wants_login(1119)
    assert slot.wants_login(1120)
    assert slot.obstacle(1120) is None


def test_thirty_tokens_an_hour_are_replaced_because_of_a_refusal() -> None:
    slot = a_slot()
    publish(slot)
    for number in range(30):
        slot.accept(slot.generation)
        slot.refuse(slot.generation)
        assert slot.wants_login(number)
        publish(slot, now=float(number))
    slot.accept(slot.generation)
    slot.refuse(slot.generation)
    assert not slot.wants_login(HOUR - 1)
    assert slot.wants_login(HOUR)


def test_a_refusal_of_the_key_lets_only_a_look_at_the_file_through() -> None:
    slot = a_slot()
    fail(slot, LoginRejected("no"))
    assert not slot.wants_login(4)
    assert slot.wants_login(5)
    assert slot.is_refused("key-1", 5)
    assert not slot.wants_login(9)
    assert slot.wants_login(10)
    assert not slot.is_refused("key-2", 10)
    assert not slot.is_refused("key-1", 60)


def test_a_waiver_serves_requests_and_is_asked_about_again() -> None:
    slot = a_slot()
    publish(slot)
    assert slot.waive(600, slot.epoch)
    assert slot.state(0) is State.NOT_REQUIRED
    assert slot.ready(0)
    assert not slot.at_hand(0)
    assert not slot.wants_login(599)
    assert slot.wants_login(600)
    assert slot.ready(600)
    slot.unwaive()
    assert slot.state(0) is State.EMPTY


def test_a_waiver_outlives_a_failed_question() -> None:
    slot = a_slot()
    slot.waive(0, slot.epoch)
    fail(slot, LoginUnavailable("down"))
    assert slot.ready(1)
    assert not slot.wants_login(59)
    assert slot.wants_login(60)


def test_a_stale_token_is_refreshed_in_time_and_retried_at_leisure() -> None:
    slot = a_slot()
    publish(slot, life=Life.between(0, 2 * HOUR, 0.0))
    assert not slot.wants_login(1.39 * HOUR)
    assert slot.wants_login(1.4 * HOUR)
    assert slot.ready(1.4 * HOUR)
    fail(slot, LoginUnavailable("down"), now=1.4 * HOUR)
    assert not slot.wants_login(1.4 * HOUR + 59)
    assert slot.wants_login(1.4 * HOUR + 60)


def test_before_the_end_requests_wait_for_one_refresh_and_no_more() -> None:
    slot = a_slot()
    publish(slot, life=Life.between(0, 2 * HOUR, 0.0))
    soon = 2 * HOUR - 100
    assert slot.overdue(soon)
    assert not slot.ready(soon)
    assert slot.ready(soon, patient=False)
    fail(slot, LoginUnavailable("down"), now=soon)
    assert slot.ready(soon)
    assert slot.wants_login(soon + 1)
    assert not slot.ready(2 * HOUR - 29)


def test_a_slot_holds_no_secret() -> None:
    slot = a_slot()
    publish(slot)
    assert "canary" not in repr(slot)
