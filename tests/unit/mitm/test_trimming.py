"""The list of flows keeps its length, and what a person needs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from mitmproxy import flowfilter, http
from mitmproxy.addons.view import View
from mitmproxy.test import taddons, tflow

from symphony_auth_proxy.mitm.trimming import Trimming

MOST = 100


class Scene:
    """A view and its trimming, called in the order in which mitmproxy calls addons."""

    def __init__(self, **more: object) -> None:
        self.view = View()
        self.trimming = Trimming(self.view, MOST, **more)  # type: ignore[arg-type]
        self.born = 0

    def begin(self, body: bytes = b"", *, to_portal: bool = False) -> http.HTTPFlow:
        flow = tflow.tflow(live=True)
        if to_portal:
            flow.request.host, flow.request.port = "symphony.proxy", 80
        self.born += 1
        flow.timestamp_created = self.born
        flow.request.raw_content = body
        self.view.requestheaders(flow)
        self.trimming.requestheaders(flow)
        return flow

    def end(self, flow: http.HTTPFlow, body: bytes | None = b"") -> http.HTTPFlow:
        flow.response = http.Response.make(200)
        flow.response.raw_content = body
        self.view.response(flow)
        self.trimming.response(flow)
        flow.live = False
        return flow

    def one(self, body: bytes = b"") -> http.HTTPFlow:
        return self.end(self.begin(), body)

    def holds(self, flow: http.HTTPFlow) -> bool:
        return self.view.get_by_id(flow.id) is not None


@pytest.fixture
def scene() -> Scene:
    with taddons.context():
        return Scene()


def test_the_oldest_go_and_the_newest_stay(scene: Scene) -> None:
    flows = [scene.one() for _ in range(1000)]
    assert scene.view.store_count() <= MOST
    assert scene.view.store_count() >= MOST * 0.9
    kept = [flow for flow in flows if scene.holds(flow)]
    assert kept == flows[-len(kept) :]


def test_of_what_asks_the_portal_again_and_again_only_the_last_stay(scene: Scene) -> None:
    call = scene.one()
    looks = [scene.begin(to_portal=True) for _ in range(80)]
    for look in looks:
        scene.end(look)
    looks += [scene.end(scene.begin(to_portal=True)) for _ in range(120)]
    kept = [look for look in looks if scene.holds(look)]
    assert scene.holds(call)
    assert kept[-20:] == looks[-20:]
    assert not any(map(scene.holds, looks[60:180])), "those in flight once were left to the rest"


def test_it_is_bounded_at_every_moment(scene: Scene) -> None:
    for _ in range(500):
        scene.one()
        assert scene.view.store_count() <= MOST + 1


def test_what_is_in_flight_stays_however_old(scene: Scene) -> None:
    polls = [scene.begin() for _ in range(10)]
    for _ in range(500):
        scene.one()
    assert all(map(scene.holds, polls))
    assert all(poll.error is None for poll in polls), "removing a flow in flight would kill it"
    for poll in polls:
        scene.end(poll)
    for _ in range(500):
        scene.one()
    assert not any(map(scene.holds, polls))


def test_what_was_intercepted_stays(scene: Scene) -> None:
    held = scene.begin()
    held.intercept()
    for _ in range(500):
        scene.one()
    assert scene.holds(held)
    assert held.intercepted


def test_what_a_person_is_at_stays() -> None:
    focused: list[http.HTTPFlow] = []
    scene = Scene(focused=lambda: focused[0] if focused else None)
    focused.append(scene.one())
    for _ in range(500):
        scene.one()
    assert scene.holds(focused[0])


def test_what_a_person_looked_at_last_stays(scene: Scene) -> None:
    looked = [scene.one() for _ in range(20)]
    for flow in looked:
        scene.trimming.look_at(flow.id)
        scene.trimming.look_at(flow.id)
    for _ in range(500):
        scene.one()
    assert [scene.holds(flow) for flow in looked] == [False] * 12 + [True] * 8


def test_bodies_are_bounded_too() -> None:
    scene = Scene(body_bytes=1_000_000)
    for _ in range(90):
        scene.one(b"x" * 50_000)
        assert _body_bytes(scene.view) <= 1_050_000
    assert 15 <= scene.view.store_count() <= 20
    scene.begin(b"x" * 900_000)
    assert _body_bytes(scene.view) <= 1_000_000


def test_a_streamed_body_weighs_nothing(scene: Scene) -> None:
    scene.end(scene.begin(), body=None)
    assert scene.view.store_count() == 1


def test_a_flow_that_ends_in_an_error_is_weighed() -> None:
    scene = Scene(body_bytes=1_000)
    for _ in range(20):
        flow = scene.begin()
        flow.request.raw_content = b"x" * 600
        scene.trimming.error(flow)
        flow.live = False
    assert scene.view.store_count() <= 2


def test_flows_that_a_filter_hides_are_trimmed_as_well(scene: Scene) -> None:
    scene.view.set_filter(flowfilter.parse("~u nowhere"))
    for _ in range(500):
        scene.one()
    assert scene.view.store_count() <= MOST


def test_flows_that_were_added_by_hand_are_counted(scene: Scene) -> None:
    for _ in range(500):
        scene.view.add([tflow.tflow(resp=True, live=False)])
    scene.one()
    assert scene.view.store_count() <= MOST


@pytest.mark.parametrize("clear", [View.clear, View.clear_not_marked])
def test_a_person_may_clear_the_list(scene: Scene, clear: Callable[[View], None]) -> None:
    for _ in range(50):
        scene.one(b"x" * 1000)
    clear(scene.view)
    for _ in range(MOST):
        scene.one()
    assert scene.view.store_count() == MOST
    assert scene.trimming._bytes == 0


def test_no_alert_is_logged_for_it(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(500):
        scene.one()
    assert not caplog.records


def test_a_hundred_long_polls_cost_later_flows_nothing() -> None:
    """What has to stay is passed over once a batch, not once a flow."""

    def seconds(polls: int) -> float:
        scene = Scene()
        for _ in range(polls):
            scene.begin()
        before = time.process_time()
        for _ in range(2000):
            scene.one()
        return time.process_time() - before

    assert seconds(90) < 3 * seconds(0) + 0.5


def _body_bytes(view: View) -> int:
    return sum(
        len(message.raw_content or b"")
        for flow in view
        for message in (flow.request, flow.response)
        if message is not None
    )
