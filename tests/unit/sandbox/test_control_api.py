"""The control API: the sandbox's methods, over plain HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from symphony_auth_proxy.model import Component


@pytest.fixture
def control(sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.control_url, trust_env=False) as client:
        yield client


def test_it_lists_its_operations(control):
    operations = control.get("/").json()["operations"]
    assert {"revoke", "fail", "slow", "outage", "recover", "post", "statistics"} <= set(operations)


def test_it_ends_sessions(bot, control):
    arguments = {"username": "pricing-bot", "kind": "session"}
    assert control.post("/revoke", json=arguments).json() == {"result": 1}
    assert not bot.alive()
    assert control.post("/revoke").json() == {"result": 1}


def test_it_breaks_answers_and_recovers(bot, control):
    control.post("/fail", json={"component": "pod", "status": 429, "retry_after": 3})
    answer = bot.pod("GET", "/pod/v2/sessioninfo")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    control.post("/recover")
    assert bot.alive()


def test_it_closes_ports(bot, control):
    control.post("/outage", json={"component": "keyManager"})
    with pytest.raises(httpx.TransportError):
        bot.log_in()
    control.post("/recover", json={"component": "keyManager"})
    bot.log_in()


def test_it_posts_messages(bot, control, sandbox):
    posted = control.post("/post", json={"text": "Hello"}).json()["result"]
    path = f"/agent/v4/stream/{sandbox.room}/message?since=0"
    assert [one["messageId"] for one in bot.agent("GET", path).json()] == [posted]


def test_statistics_count_logins_sessions_and_requests(bot, control, sandbox):
    statistics = control.get("/statistics").json()

    assert statistics["logins"]["pricing-bot"] == {"session": 1, "key_manager": 1}
    assert statistics["sessions"]["pricing-bot"] == {"session": 1, "key_manager": 1}
    assert statistics["requests"] == {"pod": 1, "keyManager": 1}
    assert statistics["streams"] == {sandbox.room: "Trading Desk"}
    assert statistics == sandbox.statistics()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/revoke", b'{"usernam": "x"}', "usernam"),
        ("/revoke", b'{"kind": "x"}', "session"),
        ("/fail", b"{}", "component"),
        ("/revoke", b"[]", "object"),
        ("/revoke", b"{", "JSON"),
        ("/post", b'{"text": "x", "author": "nobody"}', "nobody"),
        ("/post", b'{"text": "x", "stream_id": "nowhere"}', "nowhere"),
        ("/set_simplified_key_delivery", b'{"username": "nobody"}', "nobody"),
        ("/add_app", b'{"app_id": "x", "public_key": "y"}', "PEM"),
    ],
)
def test_wrong_arguments_are_explained(control, path, body, said):
    answer = control.post(path, content=body)
    assert answer.status_code == 400
    assert said in answer.text


@pytest.mark.parametrize("name", ["attach", "_run", "requests", "__exit__"])
def test_only_operations_are_offered(control, name):
    assert control.post(f"/{name}").status_code == 404
    assert control.get(f"/{name}").status_code == 404


def test_nothing_of_it_is_on_the_simulated_ports(bot):
    for component in (Component.POD, Component.AGENT, Component.KEY_MANAGER):
        assert bot.send("POST", component, "/revoke").status_code == 404
    assert bot.alive()
