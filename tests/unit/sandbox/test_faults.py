"""What can be made to go wrong, component by component."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from symphony_auth_proxy.model import Component, TokenKind
from symphony_auth_proxy.sandbox import FaultKind

INFO = "/pod/v2/sessioninfo"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_status_is_answered_so_many_times_in_symphonys_shape(bot, sandbox, status):
    sandbox.fail(Component.POD, status=status, times=2)

    answers = [bot.pod("GET", INFO) for _ in range(3)]

    assert [one.status_code for one in answers] == [status, status, 200]
    assert answers[0].json()["code"] == status
    assert answers[0].json()["message"]
    assert [one.status for one in sandbox.requests[-3:]] == [status, status, 200]


def test_a_fault_stays_until_recovery_unless_it_is_counted(bot, sandbox):
    sandbox.fail(Component.POD)
    assert [bot.pod("GET", INFO).status_code for _ in range(3)] == [503] * 3
    sandbox.recover(Component.AGENT)
    assert bot.pod("GET", INFO).status_code == 503
    sandbox.recover(Component.POD)
    assert bot.pod("GET", INFO).status_code == 200


def test_a_fault_concerns_one_component_and_one_path_prefix(bot, sandbox):
    sandbox.fail(Component.POD, path="/login")

    assert bot.present(bot.assertion()).status_code == 503
    assert bot.present(bot.assertion(), TokenKind.KEY_MANAGER).status_code == 200
    assert bot.alive()
    assert bot.echo() == 200


def test_faults_queue_up(bot, sandbox):
    sandbox.fail(Component.POD, status=500, times=1)
    sandbox.fail(Component.POD, status=429, times=1)
    assert [bot.pod("GET", INFO).status_code for _ in range(3)] == [500, 429, 200]


def test_a_throttle_says_when_to_come_back(bot, sandbox):
    sandbox.fail(Component.AGENT, status=429, retry_after=7)
    assert bot.agent("GET", "/agent/v3/health").headers["Retry-After"] == "7"


def test_a_message_can_be_put_in_a_faults_mouth(bot, sandbox):
    text = "This call is not allowed: the KeyManager is not registered in the pod"
    sandbox.fail(Component.KEY_MANAGER, status=400, message=text)
    assert bot.present(bot.assertion(), TokenKind.KEY_MANAGER).json()["message"] == text


def test_a_gateway_answers_in_html(bot, sandbox):
    sandbox.fail(Component.POD, status=502, kind=FaultKind.HTML, times=1)
    answer = bot.pod("GET", INFO)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in answer.text


def test_a_spoilt_request_does_nothing(caller, sandbox):
    sandbox.fail(Component.POD, status=500)
    caller.present(caller.assertion())
    assert sandbox.logins() == 0


def test_an_answer_breaks_off_in_its_middle(bot, sandbox):
    sandbox.fail(Component.POD, kind=FaultKind.CUT, times=1)
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        bot.pod("GET", INFO)
    assert bot.alive()


def test_a_hanging_component_never_answers(bot, sandbox):
    sandbox.fail(Component.POD, kind=FaultKind.HANG, times=1)
    with pytest.raises(httpx.ReadTimeout):
        bot.pod("GET", INFO, timeout=0.2)
    assert sandbox.requests[-1].status is None
    assert bot.alive()


def test_a_slow_component_answers_late(bot, sandbox):
    sandbox.slow(Component.POD, 0.3, path="/pod")
    assert bot.pod("GET", INFO).elapsed.total_seconds() >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        bot.pod("GET", INFO, timeout=0.1)
    sandbox.recover()
    assert bot.pod("GET", INFO).elapsed.total_seconds() < 0.3


def test_an_outage_refuses_connections_and_keeps_the_port(bot, sandbox, client_of):
    port = sandbox.origin(Component.AGENT).port
    assert bot.echo() == 200

    sandbox.outage(Component.AGENT)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(httpx.TransportError):
        bot.echo()
    assert bot.alive()

    sandbox.recover(Component.AGENT)
    assert sandbox.origin(Component.AGENT).port == port
    assert bot.echo() == 200


def test_an_outage_ends_what_is_under_way(bot, sandbox):
    sandbox.fail(Component.POD, kind=FaultKind.HANG)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(bot.pod, "GET", INFO)
        sandbox.wait_for(lambda requests: requests[-1].path == INFO)
        sandbox.outage(Component.POD)
        with pytest.raises(httpx.TransportError):
            waiting.result(10)


def test_outages_may_be_repeated_and_recovered_at_will(bot, sandbox):
    sandbox.recover()
    for _ in range(3):
        sandbox.outage(Component.POD)
        sandbox.outage(Component.POD)
        sandbox.recover(Component.POD)
        sandbox.recover(Component.POD)
    assert bot.pod("GET", INFO, timeout=10).status_code == 200


def test_the_agents_health_tells_of_an_outage(bot, sandbox):
    path = "/agent/v3/health/extended"
    assert bot.agent("GET", path).json()["status"] == "UP"
    sandbox.outage(Component.KEY_MANAGER)
    answer = bot.agent("GET", path)
    assert answer.status_code == 503
    assert answer.json()["services"]["key_manager"]["status"] == "DOWN"
    sandbox.recover()
    assert bot.agent("GET", path).status_code == 200
