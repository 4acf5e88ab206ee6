"""The extension app: needed for calls on behalf of users, else left alone."""

from __future__ import annotations

import pytest

from symphony_auth_proxy.keys import PrivateKeyFile

KEY = "privateKey: {path: bot.pem}"
BDK = f"host: acme.symphony.com\nbot: {{username: pricing-bot, {KEY}}}\n"
GRANT = "{name: a, password: correct horse battery, bots: [pricing-bot], onBehalfOf: any}"
GRANTED = f"authProxy: {{clients: [{GRANT}]}}\n"


@pytest.mark.parametrize(
    "app",
    [
        f"{{appId: my-app, {KEY}}}",
        "{appId: my-app, privateKeyPath: bot.pem}",
        "{appId: my-app, privateKey: {path: encrypted.pem, passwordFile: password}}",
        "{appId: my-app, privateKey: {path: encrypted.pem, password: correct horse}}",
        f"{{appId: my-app, {KEY}, certificate: {{path: ''}}}}",
    ],
)
def test_the_root_s_app_is_its_bots_app(workplace, app):
    other = f"authProxy: {{bots: [{{username: other-bot, {KEY}}}]}}"

    settings = workplace.load(f"{BDK}app: {app}\n{other}")

    for bot in settings.bots:
        assert bot.app is not None
        assert bot.app.app_id == "my-app"
        assert isinstance(bot.app.credentials, PrivateKeyFile)
        assert bot.app.credentials.load().key.key_size == 2048


UNUSABLE = [
    ("{appId: my-app, privateKey: {path: nowhere.pem}}", "privateKey", "no such file"),
    ("{appId: my-app, privateKeyPath: nowhere.pem}", "privateKey", "no such file"),
    ("{appId: my-app, privateKey: {path: '${NO_SUCH}'}}", "privateKey.path", "NO_SUCH is not set"),
    ("{appId: my-app, privateKey: {content: '${NO_SUCH}'}}", "privateKey.content", "NO_SUCH"),
    (f"{{{KEY}}}", "appId", "is missing"),
    (f"{{appId: 12, {KEY}}}", "appId", "quotes"),
    ("{appId: my-app}", "", "needs `privateKey`"),
    (f"{{appId: a, {KEY}, certificate: {{path: bot.p12}}}}", "", "keep the first"),
    (f"{{appId: a, {KEY}, privateKeyPath: b.pem}}", "privateKeyPath", "old spelling"),
    (f"{{appId: a, {KEY}, appSecret: x}}", "appSecret", "not a known key"),
    ("my-app", "", "mapping"),
]


@pytest.mark.parametrize(("app", "path", "words"), UNUSABLE)
def test_an_unusable_app_that_nobody_may_use_is_worth_a_warning(workplace, app, path, words):
    settings = workplace.load(f"{BDK}app: {app}\n")

    (warning,) = [one for one in settings.warnings if "app" in one and "2048" not in one]
    assert words in warning
    assert path in warning


@pytest.mark.parametrize(("app", "path", "words"), UNUSABLE)
def test_an_unusable_app_that_a_client_may_use_is_a_mistake(workplace, app, path, words):
    (problem,) = workplace.problems(f"{BDK}app: {app}\n{GRANTED}").items()

    assert problem[0] == f"app.{path}".rstrip(".")
    assert words in problem[1]


def test_an_app_of_a_further_bot_that_nobody_may_use_is_worth_a_warning_too(workplace):
    bot = f"{{username: other-bot, {KEY}, app: {{appId: x, privateKey: {{path: nowhere}}}}}}"

    settings = workplace.load(f"{BDK}authProxy: {{bots: [{bot}]}}")

    assert settings.bot("other-bot").app is None
    assert any(one.startswith("other-bot: `app` is left out") for one in settings.warnings)


def test_an_app_by_certificate_is_accepted_with_a_warning(workplace):
    settings = workplace.load(f"{BDK}app: {{appId: my-app, certificate: {{path: nowhere.p12}}}}\n")

    assert settings.bots[0].app is None
    assert any("my-app" in one and "`privateKey`" in one for one in settings.warnings)


@pytest.mark.parametrize("app", ["", "app: {appId: my-app, certificate: {path: bot.p12}}\n"])
def test_who_may_call_for_users_needs_an_app_with_a_key(workplace, app):
    problems = workplace.problems(BDK + app + GRANTED)

    assert set(problems) == {"authProxy.clients[0].onBehalfOf"}
    assert "needs an `app` with its `appId` and `privateKey`" in str(problems)


def test_a_client_of_one_bot_needs_that_bot_s_app(workplace):
    app = f"app: {{appId: my-app, {KEY}}}\n"
    elsewhere = f"{{username: beta-bot, {KEY}, host: beta.symphony.com}}"
    grant = GRANT.replace("[pricing-bot]", "[beta-bot]")

    problems = workplace.problems(
        f"{BDK}{app}authProxy: {{bots: [{elsewhere}], clients: [{grant}]}}"
    )

    assert set(problems) == {"authProxy.clients[0].onBehalfOf"}
    both = GRANT.replace("[pricing-bot]", "[beta-bot, pricing-bot]")
    workplace.load(f"{BDK}{app}authProxy: {{bots: [{elsewhere}], clients: [{both}]}}")


@pytest.mark.parametrize("granted", ["", GRANTED])
def test_an_app_id_with_a_colon_is_refused_as_symphony_does(workplace, granted):
    problems = workplace.problems(f"{BDK}app: {{appId: 'a:b', {KEY}}}\n{granted}")

    assert problems == {"app.appId": "has a colon, which Symphony refuses"}


def test_warnings_about_its_key_name_the_app(workplace):
    warnings = workplace.load(f"{BDK}app: {{appId: my-app, {KEY}}}\n").warnings

    assert any(one.startswith("the app my-app: ") and "2048 bits" in one for one in warnings)
