"""Where the proxy may listen: off loopback only for clients with a password."""

from __future__ import annotations

import pytest

from symphony_auth_proxy import config
from symphony_auth_proxy.model import Origin

BDK = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
"""
CLIENTS = "clients: [{name: a, password: correct horse battery, bots: [pricing-bot]}]"
OFF_LOOPBACK = ["0.0.0.0:8080", "10.0.0.1:8080", "[::]:8080", "proxy.acme.example:8080"]


def own(*parts: str) -> str:
    return f"{BDK}authProxy: {{{', '.join(parts)}}}\n"


def bot(listen: str, username: str = "quotes-bot") -> str:
    return f"{{username: {username}, privateKey: {{path: bot.pem}}, listen: '{listen}'}}"


@pytest.mark.parametrize("place", OFF_LOOPBACK)
def test_off_loopback_the_proxy_needs_clients(workplace, place):
    problems = workplace.problems(own(f"listen: '{place}'"))

    assert set(problems) == {"authProxy.listen"}
    assert "`authProxy.clients`" in problems["authProxy.listen"]
    assert str(workplace.load(own(f"listen: '{place}'", CLIENTS)).listen) == place


@pytest.mark.parametrize("place", ["0.0.0.0:9000", "10.0.0.1:9000"])
def test_off_loopback_a_bot_s_listener_needs_clients(workplace, place):
    problems = workplace.problems(own(f"bots: [{bot(place)}]"))

    assert set(problems) == {"authProxy.bots[0].listen"}
    assert "`authProxy.clients`" in problems["authProxy.bots[0].listen"]
    settings = workplace.load(own(f"bots: [{bot(place)}]", CLIENTS))
    assert str(settings.bot("quotes-bot").listen) == place


def test_wrong_clients_are_one_problem(workplace):
    assert set(workplace.problems(own("listen: '0.0.0.0:1'", "clients: []"))) == {
        "authProxy.clients"
    }


def test_health_may_be_served_off_loopback_with_a_warning(workplace):
    settings = workplace.load(own("admin: {listen: '0.0.0.0:9090'}"))

    assert settings.admin_listen == Origin("0.0.0.0", 9090)
    assert any("0.0.0.0:9090" in warning for warning in settings.warnings)
    on_loopback = workplace.load(own("admin: {listen: '127.0.0.1:9090'}"))
    assert not any("9090" in warning for warning in on_loopback.warnings)


@pytest.mark.parametrize("place", [place.replace("8080", "8081") for place in OFF_LOOPBACK])
def test_off_loopback_the_inspection_ui_needs_a_password(workplace, place):
    problems = workplace.problems(own(f"web: {{listen: '{place}'}}", CLIENTS))

    assert set(problems) == {"authProxy.web.listen"}
    assert "`authProxy.web.passwordFile`" in problems["authProxy.web.listen"]
    web = workplace.load(own(f"web: {{listen: '{place}', password: correct horse battery}}")).web
    assert str(web.listen) == place
    assert web.password.matches("correct horse battery")


def test_the_inspection_ui_is_on_loopback_unless_told(workplace):
    web = workplace.load(own("web: {flows: 7}")).web

    assert (web.listen, web.password, web.flows) == (Origin("127.0.0.1", 8081), None, 7)


@pytest.mark.parametrize(
    ("part", "path", "words"),
    [
        ("flows: 0", "flows", "from 1 to"),
        ("flows: 1000001", "flows", "from 1 to"),
        ("flows: many", "flows", "from 1 to"),
        ("flows: true", "flows", "from 1 to"),
        ("listen: '127.0.0.1:0'", "listen", "1 to 65535"),
        ("listen: 8081", "listen", "HOST:PORT"),
        ("flows: 5, password: ''", "password", "empty"),
        ("passwordFile: nowhere", "passwordFile", "cannot be read"),
        ("password: hunter2-canary, passwordFile: password", None, "keep one"),
        ("passwordHash: hunter2-canary", "passwordHash", "not a known key"),
    ],
)
def test_a_mistake_about_the_inspection_ui_is_named(workplace, part, path, words):
    problems = workplace.problems(own(f"web: {{{part}}}"))

    place = "authProxy.web" if path is None else f"authProxy.web.{path}"
    assert words in problems[place]
    assert "hunter2" not in str(problems)


def test_a_short_password_of_the_ui_is_worth_a_warning(workplace):
    settings = workplace.load(own("web: {password: hunter2}"))

    assert any("inspection UI" in warning for warning in settings.warnings)
    assert "hunter2" not in str(settings)


def test_a_port_that_means_a_bot_is_a_fixed_one(workplace):
    problems = workplace.problems(own(f"bots: [{bot('127.0.0.1:0')}]"))

    assert "1 to 65535" in problems["authProxy.bots[0].listen"]


@pytest.mark.parametrize(
    ("parts", "path", "other"),
    [
        ([f"bots: [{bot('127.0.0.1:8080')}]"], "bots[0].listen", "authProxy.listen"),
        (
            ["listen: '127.0.0.1:0'", f"bots: [{bot('127.0.0.1:1')}, {bot('127.0.0.1:1', 'c')}]"],
            "bots[1].listen",
            "authProxy.bots[0].listen",
        ),
        (["admin: {listen: '127.0.0.1:8080'}"], "admin.listen", "authProxy.listen"),
        (["web: {listen: '127.0.0.1:8080'}"], "web.listen", "authProxy.listen"),
        (["admin: {listen: 'localhost:8080'}"], "admin.listen", "authProxy.listen"),
        (["admin: {listen: '0.0.0.0:8080'}"], "admin.listen", "authProxy.listen"),
        (["listen: '0.0.0.0:9'", CLIENTS, f"bots: [{bot('10.0.0.1:9')}]"], "bots[0].listen", "au"),
        (
            [f"bots: [{bot('127.0.0.1:7')}]", "admin: {listen: '127.0.0.1:7'}"],
            "admin.listen",
            "authProxy.bots[0].listen",
        ),
    ],
)
def test_no_two_listeners_share_a_port(workplace, parts, path, other):
    (problem,) = workplace.problems(own(*parts)).items()

    assert problem[0] == f"authProxy.{path}"
    assert f"the same port as `{other}" in problem[1]


def test_two_addresses_may_have_the_same_port(workplace):
    settings = workplace.load(
        own("listen: '127.0.0.1:8080'", f"bots: [{bot('127.0.0.2:8080')}]", "admin: ")
    )

    assert str(settings.bot("quotes-bot").listen) == "127.0.0.2:8080"


def test_free_ports_do_not_clash(workplace):
    workplace.load(own("listen: '127.0.0.1:0'", "admin: {listen: '127.0.0.1:0'}"))


@pytest.mark.parametrize("place", OFF_LOOPBACK)
def test_a_place_on_the_command_line_is_read_alike(place):
    assert str(config.parse_listen(place)) == place
