"""Who may use the proxy, and what they may use."""

from __future__ import annotations

import pytest

from symphony_auth_proxy import passwords
from symphony_auth_proxy.passwords import HashedPassword, PlainPassword
from symphony_auth_proxy.secret import Secret

LONG = "correct horse battery"
HASH = passwords.hashed(Secret(LONG))
BDK = """
host: acme.symphony.com
bot: {username: pricing-bot, privateKey: {path: bot.pem}}
app: {appId: pricing-app, privateKey: {path: bot.pem}}
"""
OTHERS = "bots: [{username: quotes-bot, privateKey: {path: bot.pem}}]"


def clients(text: str, rest: str = OTHERS) -> str:
    return f"{BDK}authProxy:\n  clients:\n    - {text}\n  {rest}\n"


def test_a_client_has_a_name_a_password_and_bots(workplace):
    (client,) = workplace.load(
        clients(f"{{name: pricing, password: {LONG}, bots: [pricing-bot, quotes-bot]}}")
    ).clients

    assert client.name == "pricing"
    assert client.password == PlainPassword(Secret(LONG))
    assert client.bots == ("pricing-bot", "quotes-bot")
    assert not client.may_call_for("alice")


def test_a_password_comes_from_the_environment_or_a_file(workplace):
    (workplace.directory / "secret").write_text(f"{LONG}\n")
    for way in ('password: "${PASSWORD}"', "passwordFile: secret"):
        settings = workplace.load(
            clients(f"{{name: pricing, {way}, bots: [pricing-bot]}}"), PASSWORD=LONG
        )
        assert settings.clients[0].password.matches(LONG)


def test_a_password_may_be_known_by_its_hash_alone(workplace):
    (client,) = workplace.load(
        clients(f"{{name: pricing, passwordHash: '{HASH}', bots: [pricing-bot]}}")
    ).clients

    assert isinstance(client.password, HashedPassword)
    assert client.password.matches(LONG)
    assert not client.password.matches("another")


@pytest.mark.parametrize(
    ("granted", "users", "others"),
    [
        ("[alice, 71811853189212]", ["alice", "71811853189212"], ["any", "bob", "7181"]),
        ("['71811853189212']", ["71811853189212"], ["alice"]),
        ("any", ["alice", "bob", "1"], []),
        ("[]", [], ["alice"]),
        ("", [], ["alice"]),
    ],
)
def test_a_client_calls_for_the_users_that_it_is_granted(workplace, granted, users, others):
    (client,) = workplace.load(
        clients(f"{{name: p, password: {LONG}, bots: [pricing-bot], onBehalfOf: {granted}}}")
    ).clients

    assert all(map(client.may_call_for, users))
    assert not any(map(client.may_call_for, others))


def test_a_client_may_call_for_users_and_be_no_bot(workplace):
    (client,) = workplace.load(
        clients(f"{{name: p, password: {LONG}, onBehalfOf: [alice]}}")
    ).clients

    assert client.bots == ()


ABSURD = "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0$L3BSdmRTT09IRFE1bGh6Rzg"


@pytest.mark.parametrize(
    ("client", "path", "words"),
    [
        ("{password: PW, bots: [pricing-bot]}", ".name", "is missing"),
        ("{name: '', password: PW, bots: [pricing-bot]}", ".name", "is empty"),
        ("{name: 'a:b', password: PW, bots: [pricing-bot]}", ".name", "colon"),
        ('{name: "a\\nb", password: PW, bots: [pricing-bot]}', ".name", "cannot be printed"),
        ("{name: 12, password: PW, bots: [pricing-bot]}", ".name", "quotes"),
        ("{name: a, bots: [pricing-bot]}", "", "needs `passwordFile`, `passwordHash` or"),
        ("{name: a, password: , bots: [pricing-bot]}", "", "needs `passwordFile`"),
        (
            "{name: a, password: PW, passwordFile: password, bots: [pricing-bot]}",
            "",
            "`passwordFile` and `password`; keep one",
        ),
        (
            f"{{name: a, password: PW, passwordHash: '{HASH}', bots: [pricing-bot]}}",
            "",
            "`passwordHash` and `password`; keep one",
        ),
        ("{name: a, password: '', bots: [pricing-bot]}", ".password", "it is empty"),
        ("{name: a, password: 123456, bots: [pricing-bot]}", ".password", "quotes"),
        ('{name: a, password: "a\\tb", bots: [pricing-bot]}', ".password", "control character"),
        ("{name: a, passwordFile: nowhere, bots: [pricing-bot]}", ".passwordFile", "cannot be"),
        ("{name: a, passwordFile: empty, bots: [pricing-bot]}", ".passwordFile", "empty file"),
        ("{name: a, passwordFile: tabbed, bots: [pricing-bot]}", ".passwordFile", "control"),
        ("{name: a, passwordHash: PW, bots: [pricing-bot]}", ".passwordHash", "config hash"),
        ("{name: a, passwordHash: '', bots: [pricing-bot]}", ".passwordHash", "not an Argon2"),
        (f"{{name: a, passwordHash: '{ABSURD}', bots: [a]}}", ".passwordHash", "exhaust"),
        ("{name: a, password: PW}", "", "may do nothing"),
        ("{name: a, password: PW, bots: [], onBehalfOf: []}", "", "may do nothing"),
        ("{name: a, password: PW, bots: pricing-bot}", ".bots", "a list"),
        ("{name: a, password: PW, bots: [pricing-bto]}", ".bots[0]", "`pricing-bot`?"),
        ("{name: a, password: PW, bots: [zebra]}", ".bots[0]", "one of the bots"),
        ("{name: a, password: PW, bots: [quotes-bot, quotes-bot]}", ".bots[1]", "twice"),
        ("{name: a, password: PW, bots: [12]}", ".bots[0]", "quotes"),
        ("{name: a, password: PW, onBehalfOf: alice}", ".onBehalfOf", "`any` or a list"),
        ("{name: a, password: PW, onBehalfOf: [any]}", ".onBehalfOf", "the word alone"),
        ("{name: a, password: PW, onBehalfOf: [true]}", ".onBehalfOf", "an entry"),
        ("{name: a, password: PW, onBehalfOf: ['']}", ".onBehalfOf", "an entry that is empty"),
        ("{name: a, password: PW, bot: [pricing-bot]}", ".bot", "did you mean `bots`"),
        ("a", "", "mapping"),
    ],
)
def test_a_mistake_is_named_at_its_place(workplace, client, path, words):
    (workplace.directory / "empty").write_text("\n")
    (workplace.directory / "tabbed").write_text("correct\thorse\n")
    secret = "hunter2-canary-hunter2"

    problems = workplace.problems(clients(client.replace("PW", secret)))

    assert words in problems[f"authProxy.clients[0]{path}"]
    assert secret not in str(problems)


def test_a_list_of_no_clients_is_not_taken_for_none_configured(workplace):
    problems = workplace.problems(f"{BDK}authProxy: {{clients: []}}")

    assert problems == {"authProxy.clients": "must not be empty"}


def test_names_are_unique(workplace):
    one = f"{{name: a, password: {LONG}, bots: [pricing-bot]}}"

    problems = workplace.problems(clients(f"{one}\n    - {one}"))

    assert problems == {"authProxy.clients[1].name": "is the name of another client too"}


def test_a_bot_whose_name_could_not_be_resolved_makes_no_grant_wrong(workplace):
    text = clients(f"{{name: a, password: {LONG}, bots: [pricing-bot]}}")

    problems = workplace.problems(text.replace("username: pricing-bot", 'username: "${BOT}"'))

    assert set(problems) == {"bot.username"}


@pytest.mark.parametrize(
    ("way", "warned"),
    [
        ("password: short", True),
        ("passwordFile: password", False),
        ("passwordFile: short", True),
        (f"passwordHash: '{HASH}'", False),
        ("password: 'twelve chars'", False),
    ],
)
def test_a_short_password_is_worth_a_warning(workplace, way, warned):
    (workplace.directory / "short").write_text("short\n")

    settings = workplace.load(clients(f"{{name: pricing, {way}, bots: [pricing-bot]}}"))

    found = [one for one in settings.warnings if "12 characters" in one]
    assert bool(found) == warned
    assert all(one.startswith("the client pricing: ") for one in found)
    assert "short" not in "".join(found)
