"""`symphony-auth-proxy run -- COMMAND`: programs that know of no proxy, in every runtime."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.canaries import canaries_of, issuing_noted
from support.configuration import change
from support.environments import java_for_sources, node_modules_with, own_script, program
from support.processes import Child, environment, running
from support.wire import connect_proxy, recorded_origin
from symphony_auth_proxy import environment as environment_of_run
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import CERTIFICATE_BOT, KEY_BOT, Sandbox

HERE = Path(__file__).parent
INFO = "/pod/v2/sessioninfo"
UNDICI = "undici@6.29.1"

NOTE_SIGNALS = """
import signal
wanted = {signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", flush=True)
while True:
    got = signal.sigwait(wanted)
    print("got", got.name, flush=True)
    if got == signal.SIGTERM:
        raise SystemExit(5)
"""


@pytest.fixture
def symphony(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose proxy has no CA yet: the first run makes it."""
    shutil.rmtree(sandbox.directory / "proxy-ca")
    return sandbox


def run_command(symphony: Sandbox, *command: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    start = (own_script("symphony-auth-proxy"), "run", "--config", str(symphony.config))
    return (*start, *options, "--", *command)


def run(
    symphony: Sandbox, *command: str, options: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        run_command(symphony, *command, options=options),
        env=environment(symphony.directory, **variables),
        cwd=symphony.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def urls(symphony: Sandbox) -> tuple[str, str]:
    return symphony.url(Component.POD), symphony.url(Component.AGENT)


def last_line(ended: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert isinstance(seen, dict)
    return seen


# --- programs ------------------------------------------------------------------------------


def test_a_bot_in_plain_requests_reads_and_answers_a_message(symphony: Sandbox) -> None:
    command = run_command(symphony, sys.executable, str(HERE / "bots" / "plain.py"))
    variables = environment(symphony.directory, AGENT=symphony.url(Component.AGENT))
    with running(*command, env=variables) as bot:
        bot.seen("waiting")
        symphony.post("Hello, bots")
        bot.seen("answered .*Hello, ")
        assert bot.exit_code() == 0
    calls = [one for one in symphony.requests if one.path.startswith("/agent/")]
    assert len(calls) == 3
    for call in calls:
        assert len(call.values("sessionToken")) == len(call.values("keyManagerToken")) == 1


@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp", "urllib"])
def test_libraries_for_python(symphony: Sandbox, name: str) -> None:
    script = HERE / "programs" / f"with_{name}.py"
    seen = last_line(run(symphony, sys.executable, str(script), *urls(symphony)))
    assert (seen["info"]["username"], seen["echo"]) == (KEY_BOT, {"message": "hello"})


def test_curl(symphony: Sandbox) -> None:
    seen = last_line(run(symphony, program("curl"), "-sS", urls(symphony)[0] + INFO))
    assert seen["username"] == KEY_BOT


def test_node(symphony: Sandbox) -> None:
    command = (program("node"), str(HERE / "programs" / "with_fetch.cjs"), *urls(symphony))
    seen = last_line(run(symphony, *command, NODE_PATH=str(node_modules_with(UNDICI))))
    assert (seen["info"]["username"], seen["echo"]) == (KEY_BOT, {"message": "hello"})


def test_java(symphony: Sandbox) -> None:
    script = str(HERE / "programs" / "WithHttpClient.java")
    seen = last_line(run(symphony, java_for_sources(), script, *urls(symphony)))
    assert (seen["info"]["username"], seen["echo"]) == (KEY_BOT, {"message": "hello"})


# --- other hosts ---------------------------------------------------------------------------

OTHER_HOSTS = {
    "curl": ("CURL_CA_BUNDLE", ("curl", "-sSf")),
    "curl, by the system's": ("SSL_CERT_FILE", ("curl", "-sSf")),
    "requests": (
        "REQUESTS_CA_BUNDLE",
        (
            sys.executable,
            "-c",
            "import requests, sys; requests.get(sys.argv[1]).raise_for_status()",
        ),
    ),
    "urllib": (
        "SSL_CERT_FILE",
        (sys.executable, "-c", "import urllib.request, sys; urllib.request.urlopen(sys.argv[1])"),
    ),
}


@pytest.mark.parametrize(("variable", "command"), OTHER_HOSTS.values(), ids=OTHER_HOSTS)
def test_a_ca_that_a_program_was_told_of_stays_trusted(
    symphony: Sandbox, prepared_directory: Path, variable: str, command: tuple[str, ...]
) -> None:
    with recorded_origin(prepared_directory, http2=False) as other:
        told = {variable: str(symphony.ca)}
        ended = run(symphony, program(command[0]), *command[1:], f"{other.url}/x", **told)
        assert ended.returncode == 0, ended.stderr
        assert len(other.requests) == 1
        untold = run(symphony, program(command[0]), *command[1:], f"{other.url}/x")
        assert untold.returncode != 0


def test_the_systems_own_cas_stay_trusted_by_java(symphony: Sandbox) -> None:
    bundle = symphony.directory / "system.pem"
    bundle.write_bytes(symphony.ca.read_bytes())
    script = symphony.directory / "Count.java"
    script.write_text(
        "class Count { public static void main(String[] a) throws Exception {"
        "var f = javax.net.ssl.TrustManagerFactory.getInstance("
        "javax.net.ssl.TrustManagerFactory.getDefaultAlgorithm());"
        "f.init((java.security.KeyStore) null);"
        "for (var c : ((javax.net.ssl.X509TrustManager) f.getTrustManagers()[0])"
        ".getAcceptedIssuers()) System.out.println(c.getSubjectX500Principal()); } }"
    )
    ended = run(symphony, java_for_sources(), str(script), SSL_CERT_FILE=str(bundle))
    assert "Symphony sandbox CA" in ended.stdout
    assert "symphony-auth-proxy CA" in ended.stdout


def test_an_inherited_proxy_becomes_the_way_to_symphony(symphony: Sandbox) -> None:
    with connect_proxy(credentials="bank:secret") as corporate:
        inherited = f"http://bank:secret@127.0.0.1:{corporate.port}"
        command = (program("curl"), "-sSf", urls(symphony)[0] + INFO)
        assert last_line(run(symphony, *command, HTTPS_PROXY=inherited))["username"] == KEY_BOT
        assert urlsplit(urls(symphony)[0]).netloc in corporate.targets


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_its_password_is_not_handed_on(symphony: Sandbox, name: str) -> None:
    ended = run(symphony, "env", **{name: "http://bank:secret@127.0.0.1:1"})
    assert "HTTPS_PROXY=http://127.0.0.1:" in ended.stdout
    assert "secret" not in ended.stdout


def test_one_that_cannot_be_used_is_told_and_not_repeated(symphony: Sandbox) -> None:
    command = (program("curl"), "-sSf", urls(symphony)[0] + INFO)
    ended = run(symphony, *command, ALL_PROXY="socks5://bank:secret@127.0.0.1:1")
    assert last_line(ended)["username"] == KEY_BOT
    assert "is not used" in ended.stderr
    assert "secret" not in ended.stderr


def test_symphonys_hosts_go_through_the_proxy_though_no_proxy_names_them(
    symphony: Sandbox,
) -> None:
    command = (program("curl"), "-sSf", urls(symphony)[0] + INFO)
    seen = last_line(run(symphony, *command, NO_PROXY="localhost,127.0.0.1,*"))
    assert seen["username"] == KEY_BOT


# --- what the program gets, and what not ---------------------------------------------------


def test_nothing_secret_is_in_its_environment(symphony: Sandbox) -> None:
    key = (symphony.directory / f"{KEY_BOT}.pem").read_text()
    with change(symphony.config) as document:
        document["bot"]["privateKey"] = {"content": "${BOT_KEY}"}
        document["agent"]["context"] = "${CONTEXT:-}"
    variables = {"BOT_KEY": key, "CONTEXT": "", "OWN": "kept", environment_of_run.PASSWORD: "x"}
    with issuing_noted() as issued:
        ended = run(
            symphony, "sh", "-c", 'env; curl -sS "$0"', urls(symphony)[0] + INFO, **variables
        )
        assert KEY_BOT in ended.stdout
    assert {"OWN=kept", "CONTEXT="} <= set(ended.stdout.splitlines())
    assert "BOT_KEY" not in ended.stdout
    assert environment_of_run.PASSWORD not in ended.stdout
    canaries = canaries_of(symphony, issued)
    assert canaries.found_in(ended.stdout.encode() + ended.stderr.encode()) == set()


def test_its_output_is_its_own(symphony: Sandbox) -> None:
    assert run(symphony, "printf", "%s", "x").stdout == "x"


def test_nothing_is_left_behind(symphony: Sandbox, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    assert run(symphony, "true", TMPDIR=str(temporary)).returncode == 0
    assert list(temporary.iterdir()) == []


def test_it_runs_beside_a_proxy_with_the_same_configuration(symphony: Sandbox) -> None:
    here = ("127.0.0.1", 0)
    with socket.create_server(here) as one, socket.create_server(here) as other:
        with change(symphony.config) as document:
            document["authProxy"]["listen"] = "{}:{}".format(*one.getsockname())
            document["authProxy"]["bots"][0]["listen"] = "{}:{}".format(*other.getsockname())
        assert run(symphony, "true").returncode == 0


# --- how it ends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "kill -9 $$"), 128 + signal.SIGKILL),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
    ],
    ids=["its own", "killed", "not found", "not executable"],
)
def test_the_exit_code_is_the_commands(
    symphony: Sandbox, command: tuple[str, ...], code: int
) -> None:
    ended = run(symphony, *command)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("options", [("--no-such-option",), ("--client", "nobody")])
def test_wrong_usage_runs_nothing(symphony: Sandbox, options: tuple[str, ...]) -> None:
    ended = run(symphony, "echo", "ran", options=options)
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_broken_configuration_runs_nothing(symphony: Sandbox) -> None:
    symphony.config.write_text("host: no host")
    ended = run(symphony, "echo", "ran")
    assert (ended.returncode, ended.stdout) == (78, "")


@pytest.fixture
def noting(symphony: Sandbox) -> Iterator[Child]:
    command = run_command(symphony, sys.executable, "-c", NOTE_SIGNALS)
    with running(*command, env=environment(symphony.directory)) as child:
        child.seen("ready")
        yield child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on_and_do_not_end_the_proxy(
    noting: Child, number: signal.Signals
) -> None:
    noting.signal(number)
    noting.seen(f"got {number.name}")
    noting.signal(signal.SIGTERM)
    noting.seen("got SIGTERM")
    assert noting.exit_code() == 5


def test_ctrl_c_on_a_terminal_reaches_the_program_once(symphony: Sandbox) -> None:
    own_terminal = (program("setsid"), "--ctty")
    command = run_command(symphony, sys.executable, "-c", NOTE_SIGNALS)
    variables = environment(symphony.directory)
    with running(*own_terminal, *command, env=variables, terminal=True) as child:
        child.seen("ready")
        child.press("\x03")
        child.seen("got SIGINT")
        child.signal(signal.SIGTERM)
        child.seen("got SIGTERM")
        assert child.exit_code() == 5
    assert child.output.count("got SIGINT") == 1


def test_a_signal_that_was_ignored_stays_ignored(symphony: Sandbox) -> None:
    """As `nohup` wants it."""
    ask = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    ended = subprocess.run(
        (
            "sh",
            "-c",
            'trap "" HUP; exec "$@"',
            "sh",
            *run_command(symphony, sys.executable, "-c", ask),
        ),
        env=environment(symphony.directory),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "True\n"


# --- clients -------------------------------------------------------------------------------


@pytest.fixture
def guarded(symphony: Sandbox) -> Sandbox:
    """A sandbox whose proxy is for two clients only."""
    passwords = symphony.directory / "passwords"
    passwords.mkdir()
    for name in ("desk", "office"):
        (passwords / name).write_text(f"the password of {name}")
        (passwords / name).chmod(0o600)
    with change(symphony.config) as document:
        document["authProxy"]["clients"] = [
            {"name": "desk", "passwordFile": "passwords/desk", "bots": [KEY_BOT]},
            {"name": "office", "passwordFile": "passwords/office", "bots": [CERTIFICATE_BOT]},
        ]
    return symphony


def test_the_program_is_the_client_that_it_is_said_to_be(guarded: Sandbox) -> None:
    command = ("curl", "-sS", urls(guarded)[0] + INFO)
    for client, bot in (("desk", KEY_BOT), ("office", CERTIFICATE_BOT)):
        assert last_line(run(guarded, *command, options=("--client", client)))["username"] == bot


def test_of_several_clients_one_must_be_named(guarded: Sandbox) -> None:
    ended = run(guarded, "echo", "ran")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "desk, office" in ended.stderr


def test_nobody_else_gets_in_and_the_clients_own_password_is_not_told(guarded: Sandbox) -> None:
    show_and_wait = "import os; print(os.environ['HTTPS_PROXY'], flush=True); input()"
    command = run_command(
        guarded, sys.executable, "-c", show_and_wait, options=("--client", "desk")
    )
    variables = environment(guarded.directory)
    with running(*command, env=variables, terminal=True) as child:
        told = urlsplit(child.seen(r"http://\S+")[0])
        for user in ("", "desk:the password of desk@", "desk:@", f"office:{told.password}@"):
            with (
                httpx.Client(
                    proxy=f"http://{user}{told.hostname}:{told.port}", trust_env=False
                ) as client,
                pytest.raises(httpx.ProxyError, match="407"),
            ):
                client.get(urls(guarded)[0] + INFO)
        child.press("\n")
        assert child.exit_code() == 0
    assert "the password of desk" not in child.output
    assert told.password is not None
    assert len(told.password) >= 32
    assert os.environ.get("HTTPS_PROXY") != told.geturl()
