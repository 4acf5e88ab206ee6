"""Everything that is wrong is told at once, with its place, the way out and no secret."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from symphony_auth_proxy import config
from symphony_auth_proxy.config.bdk import File
from symphony_auth_proxy.diagnoses import Diagnosis
from symphony_auth_proxy.errors import ConfigError

CANARY = "hunter2-canary"
GOOD_BOT = "bot: {username: pricing-bot, privateKey: {path: bot.pem}}"


def test_a_file_with_five_mistakes_lists_five_problems_with_their_paths_and_no_secret(workplace):
    path = workplace.write(f"""
        host: https://acme.symphony.com
        prot: 443
        proxy: {{host: proxy, port: 80, username: me, password: "{CANARY}", pass: "{CANARY}"}}
        bot:
          username: pricing-bot
          privateKey: {{path: nowhere.pem, password: "{CANARY}"}}
        authProxy: {{tokens: {{lifetime: "{CANARY}"}}}}
    """)

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)

    error = caught.value
    assert {problem.path for problem in error.problems} == {
        "host",
        "prot",
        "proxy.pass",
        "bot.privateKey",
        "authProxy.tokens.lifetime",
    }
    assert str(error).startswith(f"{path} has 5 problems:\n  - ")
    assert CANARY not in str(error) + repr(error) + error.hint()
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        # Addresses
        ("scheme: http\nhost: acme", "scheme", "https"),
        ("host: https://acme.symphony.com", "host", "without a scheme"),
        ("host: acme.symphony.com/pod", "host", "without a port, path"),
        ("host: acme.symphony.com:443", "host", "without a port"),
        ("host: '*.symphony.com'", "host", "wildcards"),
        ("host: me:secret@acme", "host", "user"),
        ("host: 12", "host", "quotes"),
        ("port: 0", "port", "1 to 65535"),
        ("port: 65536", "port", "1 to 65535"),
        ("port: true", "port", "1 to 65535"),
        ("port: 4 4 3", "port", "1 to 65535"),
        ("context: /a/../b", "context", "plain path"),
        ("context: /a?b", "context", "plain path"),
        ("context: /a//b", "context", "plain path"),
        ("context: /a%2fb", "context", "plain path"),
        ("host: null", "host", "is missing"),
        ("pod: {host: acme}\nhost: null", "agent.host", "is missing"),
        ("proxy: {host: proxy.acme}", "proxy.port", "is missing"),
        ("proxy: {host: p, port: 1, username: me}", "proxy", "together"),
        ("proxy: {host: p, port: 1, username: 'a:b', password: x}", "proxy", "colon"),
        ("proxy: http://proxy.acme:3128", "proxy", "mapping"),
        ("agent: {host: a, loadBalancing: {nodes: [{host: b}]}}", "agent", "keep one"),
        ("agent: {loadBalancing: {nodes: []}}", "agent.loadBalancing.nodes", "empty"),
        (
            "agent: {loadBalancing: {nodes: [{port: 1}]}}",
            "agent.loadBalancing.nodes[0].host",
            "is missing",
        ),
        (
            "agent: {loadBalancing: {mode: dice, nodes: [{host: b}]}}",
            "agent.loadBalancing.mode",
            "'external'",
        ),
        # Headers
        ("defaultHeaders: [a]", "defaultHeaders", "mapping"),
        ("defaultHeaders: {X-A: 1}", "defaultHeaders", "ASCII"),
        ('defaultHeaders: {X-A: "a\\r\\nb"}', "defaultHeaders", "one line"),
        ("defaultHeaders: {'X A': b}", "defaultHeaders", "name"),
        ("defaultHeaders: {X-A: b, x-a: c}", "defaultHeaders", "twice"),
        ("defaultHeaders: {SessionToken: b}", "defaultHeaders", "leave sessionToken"),
        # Trust
        ("ssl: {trustStore: {path: nowhere.pem}}", "ssl.trustStore", "cannot be read"),
        ("ssl: {trustStore: {path: password}}", "ssl.trustStore", "not PEM"),
        ("ssl: {trustStore: {path: trust.jks}}", "ssl.trustStore", "keytool -importkeystore"),
        ("ssl: {trustStore: {password: x}}", "ssl.trustStore", "needs `path` or `content`"),
        ("ssl: {trustStore: {path: bot.pem}}", "ssl.trustStore", "no certificate"),
        # Keys
        ("prot: 443", "prot", "did you mean `port`"),
        ("key_manager: {host: x}", "key_manager", "did you mean `keyManager`"),
        ("keyAuth: {host: x}", "keyAuth", "did you mean `keyManager`"),
        ("listen: 127.0.0.1:1", "listen", "did you mean `authProxy.listen`"),
        ("pod: {hots: x}", "pod.hots", "did you mean `host`"),
        ("zebra: 1", "zebra", "is not a known key"),
        ("host: a\nhost: b", "host", "given twice"),
        ("pod: {port: 1, port: 2}", "pod.port", "given twice"),
        ("agent: [1]", "agent", "mapping"),
    ],
)
def test_a_mistake_is_named_at_its_place(workplace, text, path, words):
    if not re.search("^host:", text, re.MULTILINE):
        text = f"host: acme.symphony.com\n{text}"

    problems = workplace.problems(f"{text}\n{GOOD_BOT}")

    assert path in problems
    assert words in problems[path]


@pytest.mark.parametrize(
    ("bot", "path", "words"),
    [
        ("{username: pricing-bot}", "bot", "needs `privateKey` or `certificate`"),
        ("{privateKey: {path: bot.pem}}", "bot.username", "is missing"),
        ("{username: 12, privateKey: {path: bot.pem}}", "bot.username", "quotes"),
        ('{username: "a\\nb", privateKey: {path: bot.pem}}', "bot.username", "line break"),
        (
            "{username: pricing-bot, privateKey: {path: bot.pem}, certificate: {path: bot.pem}}",
            "bot",
            "`privateKey` and `certificate`; keep one",
        ),
        ("{username: b, privateKey: {path: bot.pem, content: x}}", "bot.privateKey", "keep one"),
        ("{username: b, privateKey: {password: x}}", "bot.privateKey", "needs `path` or `content`"),
        (
            "{username: b, privateKey: {path: bot.pem}, privateKeyPath: bot.pem}",
            "bot.privateKeyPath",
            "old spelling of `privateKey.path`",
        ),
        ("{username: b, privateKey: {path: password}}", "bot.privateKey", "no known format"),
        ("{username: b, privateKey: {path: encrypted.pem}}", "bot.privateKey", "passwordFile"),
        ("{username: b, privateKey: {path: trust.jks}}", "bot.privateKey", "keytool"),
        ("{username: b, privateKey: {path: 'classpath:/k.pem'}}", "bot.privateKey.path", "Java"),
        (
            '{username: b, privateKey: {path: "-----BEGIN PRIVATE KEY-----"}}',
            "bot.privateKey.path",
            "under `content`",
        ),
        (
            "{username: b, privateKey: {path: encrypted.pem, password: x, passwordFile: password}}",
            "bot.privateKey",
            "`password` and `passwordFile`",
        ),
        (
            "{username: b, privateKey: {path: encrypted.pem, passwordFile: nowhere}}",
            "bot.privateKey.passwordFile",
            "cannot be read",
        ),
        (
            '{username: b, privateKey: {path: encrypted.pem, password: "a\\nb"}}',
            "bot.privateKey.password",
            "line break",
        ),
        (
            "{username: b, privateKey: {path: bot.pem, passwrd: x}}",
            "bot.privateKey.passwrd",
            "`password`",
        ),
        ("{username: b, certificate: {path: combined.pem}}", "bot.certificate", "pricing-bot"),
        (
            "{username: pricing-bot, certificate: {path: certificate.pem}}",
            "bot.certificate",
            "private key",
        ),
        (
            "{username: pricing-bot, certificate: {path: bot.p12, password: wrong}}",
            "bot.certificate",
            "password",
        ),
        ("[1]", "bot", "mapping"),
        ("null", "bot", "is missing"),
    ],
)
def test_a_mistake_of_the_bot_is_named_at_its_place(workplace, bot, path, words):
    problems = workplace.problems(f"host: acme.symphony.com\nbot: {bot}")

    assert path in problems
    assert words in problems[path]


@pytest.mark.parametrize("bot", ["{}", "", "{username: , privateKey: }"])
def test_a_bot_of_which_nothing_is_filled_in_is_one_problem(workplace, bot):
    path = workplace.write(f"host: acme.symphony.com\nbot: {bot}")

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)

    assert list(map(str, caught.value.problems)) == ["bot: is missing"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"a\nb\n", "line break"), (b"a\0b", "NUL"), (b"\xff", "UTF-8")],
)
def test_a_password_file_holds_one_line(workplace, content, words):
    (workplace.directory / "odd").write_bytes(content)
    bot = "{username: b, privateKey: {path: encrypted.pem, passwordFile: odd}}"

    problems = workplace.problems(f"host: acme\nbot: {bot}")

    assert words in problems["bot.privateKey.passwordFile"]


def test_one_line_break_at_the_end_of_a_password_file_is_not_the_password_s(workplace):
    bot = "{username: b, privateKey: {path: encrypted.pem, passwordFile: odd}}"
    for ending in ("", "\n", "\r\n"):
        (workplace.directory / "odd").write_bytes(f"correct horse{ending}".encode())
        settings = workplace.load(f"host: acme\nbot: {bot}")
        assert settings.bots[0].method.credentials.password.reveal() == "correct horse"


def test_a_certificate_bot_needs_a_host_for_session_auth(workplace):
    assert workplace.problems("""
        pod: {host: acme.symphony.com}
        agent: {host: acme.symphony.com}
        keyManager: {host: acme.symphony.com}
        bot: {username: pricing-bot, certificate: {path: combined.pem}}
    """) == {"sessionAuth.host": "is missing; give it here, or one `host` for all at the root"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing", "is empty"),
        ("- a\n- b", "must be a mapping"),
        ("just text", "must be a mapping"),
        ('{"host": "a",,}', "line 1, column 14"),
        ("host: a\n\tbot: b", "line 2"),
        (f"password: *{CANARY}", "neither valid JSON nor YAML"),
        (f"password: !!int {CANARY}", "neither valid JSON nor YAML"),
        (f'password: "{CANARY}', "neither valid JSON nor YAML"),
        (f"password: {CANARY}: x", "neither valid JSON nor YAML"),
        ("a: 1\n---\nb: 2", "one document"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_mapping_is_told_without_quoting_it(workplace, text, words):
    path = workplace.directory / "config.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)

    assert words in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"host: \xff"])
def test_a_file_that_cannot_be_read_is_a_problem(workplace, content):
    path = workplace.directory / "odd.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)

    assert caught.value.source == str(path)


def keys_of_every_section() -> set[str]:
    """Return all keys that the file may have, so that hypothesis gets deep into it."""
    definitions = File.model_json_schema()
    sections = [definitions, *definitions["$defs"].values()]
    return {key for section in sections for key in section.get("properties", {})}


KEYS = sorted({*keys_of_every_section(), "bdk", "privateKeyPath", "trustStorePassword", "x y"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(CANARY),
    st.sampled_from(
        ["acme.symphony.com", "bot.pem", "password", "${MISSING}", "${X:-443}", "auto"]
    ),
    st.text(max_size=8),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(document=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=8))
@example(document={"bot": {"username": CANARY, "certificate": {"content": CANARY}}, "host": "a"})
@example(document={"ssl": {"trustStore": {"content": CANARY, "password": CANARY}}})
@example(document={"authProxy": {"listen": CANARY, "bots": [CANARY, {"username": CANARY}]}})
@example(document={"bot": CANARY, "proxy": CANARY, "defaultHeaders": {CANARY: CANARY}})
def test_no_mapping_raises_anything_but_a_config_error_that_keeps_secrets(workplace, document):
    path = workplace.directory / "config.json"
    path.write_text(json.dumps(document))

    problems = ()
    try:
        config.load(path, environ=workplace.environ)
    except ConfigError as error:
        problems = error.problems

    messages = " ".join(problem.message for problem in problems)
    # A key file's name is no secret; it helps to find the mistake.
    assert CANARY not in messages.replace(str(workplace.directory / CANARY), "")


HOSTS = st.sampled_from([None, "", "acme.symphony.com"])
NODES = st.lists(st.fixed_dictionaries({"host": HOSTS}), max_size=1)
BALANCING = st.none() | st.fixed_dictionaries({"nodes": st.none() | NODES})
SERVER = st.none() | st.fixed_dictionaries({}, optional={"host": HOSTS, "port": st.just("444")})
AGENT = SERVER | st.fixed_dictionaries({"loadBalancing": BALANCING})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    servers=st.fixed_dictionaries(
        {"agent": AGENT},
        optional={"host": HOSTS, "pod": SERVER, "keyManager": SERVER, "sessionAuth": SERVER},
    )
)
@example(servers={"agent": {"host": ""}, "pod": {"host": ""}, "keyManager": {"host": ""}})
def test_what_loads_has_a_host_everywhere(workplace, servers):
    bot = {"username": "pricing-bot", "privateKey": {"path": "bot.pem"}}
    path = workplace.directory / "config.json"
    path.write_text(json.dumps({"bot": bot, **servers}))

    with contextlib.suppress(ConfigError):
        pod = config.load(path, environ=workplace.environ).bots[0].pod
        assert {endpoint.origin.host for _, endpoint in pod.endpoints()} == {"acme.symphony.com"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("ab:{}[]-&*!%@`'\"\\<|>#,?~=. \n\t0123_x"), max_size=60)
)
def test_no_text_raises_anything_but_a_config_error(workplace, text):
    path = workplace.directory / "config.yaml"
    path.write_text(f"{text}\nzebra: {CANARY}\n")

    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "diagnosis"),
    [
        ("privateKey: {path: nowhere.pem}", Diagnosis.KEY_FILE),
        ("privateKey: {path: encrypted.pem}", Diagnosis.KEY_PASSWORD),
        ("certificate: {path: combined.pem}, privateKeys: x", Diagnosis.CONFIGURATION),
    ],
)
def test_a_file_whose_keys_alone_are_the_trouble_says_what_is_the_matter_with_them(
    workplace, text, diagnosis
):
    path = workplace.write(f"host: acme.example\nbot: {{username: pricing-bot, {text}}}")
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)
    assert caught.value.diagnosis is diagnosis


def test_different_troubles_of_keys_are_one_of_the_configuration(workplace):
    path = workplace.write("""
        host: acme.example
        bot: {username: pricing-bot, privateKey: {path: nowhere.pem}}
        authProxy: {bots: [{username: other-bot, privateKey: {path: encrypted.pem}}]}
    """)
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=workplace.environ)
    assert len(caught.value.problems) == 2
    assert caught.value.diagnosis is Diagnosis.CONFIGURATION
