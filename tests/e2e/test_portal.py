"""`http://symphony.proxy/`: answered inside the proxy, read-only, without a secret."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client.parser import text_string_to_metric_families

from support.clients import basic, client_of, trust_of
from support.proxy import Proxy, running_proxy
from symphony_auth_proxy.model import Component
from symphony_auth_proxy.operations.pages import HEADERS
from symphony_auth_proxy.operations.status_page import POLICY
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.sandbox.faults import FaultKind

PORTAL = "http://symphony.proxy"
FILES = ("/status.css", "/status.js", "/icon.svg")
PAGES = ("/", "/healthz", "/readyz", "/metrics", "/status.json", "/ca.pem", "/ca.p12", *FILES)
ECHO = "/agent/v1/util/echo"


def say(proxy: Proxy, *lines: str, body: str = "") -> bytes:
    """Send a request as it stands here, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        head = "\r\n".join((*lines, "Connection: close", "", ""))
        connection.sendall((head + body).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def tunnel(proxy: Proxy, target: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return connection


def rest_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_there_and_nobody_else_may_keep_frame_or_script_it(
    client: httpx.Client, proxy: Proxy, sandbox: Sandbox, path: str
) -> None:
    ready(client, sandbox)
    answer = client.get(PORTAL + path)

    assert answer.status_code == 200
    expected = dict(HEADERS)
    if path == "/":
        expected["Content-Security-Policy"] = POLICY
    if path in FILES:
        expected["Cache-Control"] = "private, max-age=300"
    assert {name: answer.headers[name] for name in HEADERS} == expected
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", PAGES)
def test_head_tells_what_get_would_send(client: httpx.Client, sandbox: Sandbox, path: str) -> None:
    ready(client, sandbox)
    whole, head = client.get(PORTAL + path), client.head(PORTAL + path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0
    # The connection is in step: what follows is an answer, not the body that was spared.
    assert client.get(f"{PORTAL}/healthz").json() == {"healthy": True}


def test_the_index_links_the_pages(client: httpx.Client) -> None:
    answer = client.get(f"{PORTAL}/")

    links = set(re.findall(r'(?:href|src)="(/[^"?]*)', answer.text)) - {"/"}
    assert links == set(PAGES) - {"/"}
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_index_tells_people_how_it_goes(client: httpx.Client, sandbox: Sandbox) -> None:
    ready(client, sandbox)
    client.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "hello"})
    told = client.get(f"{PORTAL}/status.json").json()

    page = client.get(f"{PORTAL}/").text

    assert '<span class="mark good">ready</span>' in page
    for bot in told["bots"]:
        session = bot["session"]
        assert bot["bot"] in page
        assert f"#{session['fingerprint']} gen {session['generation']}" in page
    assert "agent 1" in page
    assert len(re.findall('<span class="mark good">logged in</span>', page)) >= 4


def test_the_index_tells_how_to_use_the_proxy_as_it_was_reached(
    client: httpx.Client, proxy: Proxy
) -> None:
    fingerprint = x509.load_pem_x509_certificate(proxy.ca.read_bytes()).fingerprint(SHA256())

    page = client.get(f"{PORTAL}/").text
    other = client.get(f"{PORTAL}/?bot=compliance-bot").text
    nobody = client.get(f"{PORTAL}/?bot=%22%3E%3Cscript%3E").text

    assert f"curl --proxy http://127.0.0.1:{proxy.port} -o proxy-ca.pem {PORTAL}/ca.pem" in page
    assert fingerprint.hex(":").upper() in page
    assert "Symphony-Bot" not in page
    assert "Symphony-Bot: compliance-bot" in other
    assert "these lines are for <strong>pricing-bot</strong>" in nobody
    assert nobody.count("<script") == 1


def test_last_logins_and_refusals_are_told_with_their_time(
    client_for: Callable[[], httpx.Client], sandbox: Sandbox
) -> None:
    sandbox.fail(Component.POD, status=401, path="/login/pubkey/authenticate")
    client = client_for()
    ready(client, sandbox)
    client.get(f"{sandbox.url(Component.POD)}/pod/x", headers={"Symphony-Bot": "nobody"})

    told = client.get(f"{PORTAL}/status.json").json()

    [failed] = [one for one in told["logins"] if one["result"] == "failed"]
    assert (failed["event"], failed["bot"], failed["kind"]) == (
        "login_failed",
        "pricing-bot",
        "session",
    )
    assert failed["reason"] == "login_rejected"
    now = told["since"] + told["uptime"]
    assert all(now - 60 < one["at"] <= now for one in (*told["logins"], *told["refusals"]))
    [refusal] = told["refusals"]
    assert (refusal["reason"], refusal["count"]) == ("unknown_bot", 1)
    page = client.get(f"{PORTAL}/").text
    assert "ready, but 1 bot cannot log in" in page
    assert "unknown_bot" in page
    assert "What to do:" in page


def test_what_is_no_page_and_what_is_no_reading_is_refused_in_json(client: httpx.Client) -> None:
    missing = client.get(f"{PORTAL}/flush")
    assert (missing.status_code, missing.json()["code"]) == (404, 404)
    assert "/status.json" in missing.json()["message"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        refused = client.request(method, f"{PORTAL}/status.json", content=b"x")
        assert (refused.status_code, refused.json()["code"]) == (405, 405)
        assert refused.headers["Allow"] == "GET, HEAD"


def test_a_body_without_end_is_not_waited_for(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        connection.sendall(
            b"POST http://symphony.proxy/ HTTP/1.1\r\nHost: symphony.proxy\r\n"
            b"Content-Length: 1000000000\r\n\r\n"
        )
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 405")


def test_the_ca_is_the_one_that_clients_must_trust(client: httpx.Client, proxy: Proxy) -> None:
    pem, java = client.get(f"{PORTAL}/ca.pem").content, client.get(f"{PORTAL}/ca.p12").content

    [trusted] = x509.load_pem_x509_certificates(pem)
    assert trusted == x509.load_pem_x509_certificate(proxy.ca.read_bytes())
    assert b"PRIVATE" not in pem
    assert trusted.public_bytes(Encoding.DER) in java


def test_no_certificate_yet_is_told(client: httpx.Client, proxy: Proxy) -> None:
    proxy.ca.unlink()
    missing = client.get(f"{PORTAL}/ca.pem")
    assert (missing.status_code, missing.json()["code"]) == (503, 503)
    assert str(proxy.ca.parent) not in missing.text


def test_the_status_tells_what_was_done(
    client: httpx.Client, proxy: Proxy, sandbox: Sandbox
) -> None:
    ready(client, sandbox)
    client.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "hello"})

    told = client.get(f"{PORTAL}/status.json").json()

    assert told["ready"] is True
    assert told["listeners"] == [f"127.0.0.1:{proxy.port}"]
    assert told["ca_certificate"] == str(proxy.ca)
    assert told["config"] == str(sandbox.config)
    assert told["decisions"]["injected"] == 1
    bot = told["bots"][0]
    assert (bot["bot"], bot["session"]["state"]) == ("pricing-bot", "fresh")
    assert re.fullmatch("[0-9a-f]{4}", bot["session"]["fingerprint"])


def test_metrics_are_what_prometheus_reads(client: httpx.Client, sandbox: Sandbox) -> None:
    ready(client, sandbox)
    client.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "hello"})

    answer = client.get(f"{PORTAL}/metrics")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    [sample] = [
        one
        for one in families["symphony_auth_proxy_requests"].samples
        if one.labels["decision"] == "injected"
    ]
    assert (sample.labels["component"], sample.value) == ("agent", 1)


def test_no_page_holds_a_secret(client: httpx.Client, proxy: Proxy, sandbox: Sandbox) -> None:
    ready(client, sandbox)
    client.post(sandbox.url(Component.AGENT) + ECHO, json={"message": "hello"})
    tokens = [
        value
        for received in sandbox.requests
        for name in ("sessionToken", "keyManagerToken")
        for value in received.values(name)
    ]
    assert len(tokens) == 2

    text = "".join(client.get(PORTAL + path).text for path in PAGES)

    for token in tokens:
        assert token not in text
        assert token[-40:] not in text
        assert token.rpartition(".")[2] not in text


@pytest.mark.parametrize(
    "target",
    [
        "http://symphony.proxy/healthz",
        "http://symphony.proxy:80/healthz",
        "http://SYMPHONY.Proxy/healthz",
        "http://symphony.proxy./healthz",
        "http://symphony.proxy/healthz?verbose=1",
    ],
)
def test_every_spelling_of_its_name_is_answered_here(proxy: Proxy, target: str) -> None:
    host = target.split("/")[2]
    answer = say(proxy, f"GET {target} HTTP/1.1", f"Host: {host}")

    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b'{"healthy": true}' in answer


@pytest.mark.parametrize("host", ["evil.example", "symphony.proxy.evil.example", "127.0.0.1"])
def test_a_request_that_names_another_host_as_well_is_refused(proxy: Proxy, host: str) -> None:
    """As a page does whose name was made to lead here (DNS rebinding)."""
    answer = say(proxy, "GET http://symphony.proxy/status.json HTTP/1.1", f"Host: {host}")

    assert answer.startswith(b"HTTP/1.1 421"), answer
    assert b"pricing-bot" not in answer


def test_it_is_there_in_a_tunnel_as_well(proxy: Proxy) -> None:
    """Some clients tunnel whatever they send through a proxy."""
    with tunnel(proxy, "symphony.proxy:80") as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: symphony.proxy\r\nConnection: close\r\n\r\n"
        )
        answer = rest_of(connection)
    assert b'{"healthy": true}' in answer


def test_it_is_there_over_tls_as_well(proxy: Proxy) -> None:
    with (
        tunnel(proxy, "symphony.proxy:443") as plain,
        trust_of(proxy).wrap_socket(plain, server_hostname="symphony.proxy") as connection,
    ):
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: symphony.proxy\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'{"healthy": true}' in answer


def test_what_is_no_http_in_its_tunnel_goes_nowhere(proxy: Proxy, looked_up: list[object]) -> None:
    with tunnel(proxy, "symphony.proxy:80") as connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        assert rest_of(connection).startswith(b"HTTP/1.1 400")
    assert "symphony.proxy" not in looked_up


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The names that are resolved from now on."""
    names: list[object] = []
    resolve = socket.getaddrinfo

    def noting(host: object, *arguments: object, **options: object) -> object:
        names.append(host.decode() if isinstance(host, bytes) else host)
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", noting)
    return names


def test_its_name_is_never_looked_up(
    client: httpx.Client, proxy: Proxy, looked_up: list[object]
) -> None:
    for path in PAGES:
        client.get(PORTAL + path)
    with tunnel(proxy, "symphony.proxy:80") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: symphony.proxy\r\nConnection: close\r\n\r\n")
        assert rest_of(connection)

    assert "symphony.proxy" not in looked_up


def test_other_hosts_may_be_refused_and_the_portal_is_none(
    configured: Callable[[str], Path], confdir: Path
) -> None:
    with running_proxy(configured("  otherHosts: refuse\n"), confdir) as proxy:
        with client_of(proxy) as client:
            assert client.get(f"{PORTAL}/healthz").status_code == 200
        with tunnel(proxy, "symphony.proxy:80") as connection:
            connection.sendall(
                b"GET /healthz HTTP/1.1\r\nHost: symphony.proxy\r\nConnection: close\r\n\r\n"
            )
            assert b'{"healthy": true}' in rest_of(connection)


CLIENTS = """\
  clients:
    - {name: pricing, password: a-long-pass-word-for-pricing, bots: [pricing-bot]}
"""
PASSWORD = "a-long-pass-word-for-pricing"


@pytest.fixture
def configured(sandbox: Sandbox, prepared: Path) -> Callable[[str], Path]:
    """Write a configuration with further lines below `authProxy`."""

    def write(lines: str) -> Path:
        path = prepared / "configured.yaml"
        text = sandbox.config.read_text()
        path.write_text(text.replace("authProxy:\n", f"authProxy:\n{lines}"))
        return path

    return write


@pytest.fixture
def guarded(configured: Callable[[str], Path], confdir: Path) -> Iterator[Proxy]:
    with running_proxy(configured(CLIENTS), confdir) as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_where_clients_are_known_all_but_two_pages_want_a_password(
    guarded: Proxy, path: str
) -> None:
    head = (f"GET {PORTAL}{path} HTTP/1.1", "Host: symphony.proxy")

    def status(*lines: str) -> int:
        return int(say(guarded, *head, *lines).split(b" ")[1])

    known = status(f"Proxy-Authorization: {basic(f'pricing:{PASSWORD}')}")
    assert known in {200, 503}
    assert status() == (200 if path in {"/healthz", "/ca.pem"} else 407)
    wrong = status(f"Proxy-Authorization: {basic('pricing:wrong')}")
    assert wrong == (200 if path in {"/healthz", "/ca.pem"} else 407)


def test_a_client_is_told_its_own_name_and_no_password(guarded: Proxy) -> None:
    with client_of(guarded, credentials=("pricing", PASSWORD)) as client:
        page = client.get(f"{PORTAL}/").text

    assert "as the client <strong>pricing</strong>" in page
    assert "--proxy-user pricing" in page
    assert PASSWORD not in page


def test_no_spelling_of_a_path_gets_around_the_password(guarded: Proxy) -> None:
    for path in (
        "/status.json?/healthz",
        "/healthz/../status.json",
        "/healthz%2f..%2fstatus.json",
        "//status.json",
        "/healthz;/status.json",
    ):
        answer = say(guarded, f"GET {PORTAL}{path} HTTP/1.1", "Host: symphony.proxy")
        assert answer.startswith((b"HTTP/1.1 407", b"HTTP/1.1 404")), path
        assert b"pricing-bot" not in answer


def test_off_loopback_without_clients_only_the_open_pages_are_there(
    sandbox: Sandbox, confdir: Path
) -> None:
    """As in a stock tool that nobody told `--listen-host`."""
    with (
        running_proxy(sandbox.config, confdir, listen_host="0.0.0.0") as proxy,
        client_of(proxy) as client,
    ):
        assert client.get(f"{PORTAL}/healthz").status_code == 200
        refused = client.get(f"{PORTAL}/status.json")
    assert refused.status_code == 403
    assert refused.json()["details"]["reason"] == "clients_required"


def test_it_is_not_ready_before_the_first_logins_have_ended(
    sandbox: Sandbox, confdir: Path
) -> None:
    sandbox.fail(Component.POD, kind=FaultKind.HANG, path="/login/")
    with running_proxy(sandbox.config, confdir) as proxy, client_of(proxy) as client:
        sandbox.wait_for(
            lambda arrived: any(one.path == "/login/pubkey/authenticate" for one in arrived)
        )
        waiting = client.get(f"{PORTAL}/readyz")
        assert waiting.status_code == 503
        assert waiting.json()["ready"] is False
        assert "the first login of pricing-bot has not ended yet" in waiting.json()["reasons"]
        assert client.get(f"{PORTAL}/healthz").status_code == 200
        sandbox.recover()


def test_a_bot_that_may_not_log_in_does_not_make_the_others_unready(
    sandbox: Sandbox, client_for: Callable[[], httpx.Client]
) -> None:
    sandbox.fail(Component.POD, status=401, path="/login/pubkey/authenticate")
    client = client_for()
    ready(client, sandbox)

    told = client.get(f"{PORTAL}/status.json").json()

    states = {bot["bot"]: bot["session"]["state"] for bot in told["bots"]}
    assert states == {"pricing-bot": "empty", "compliance-bot": "fresh"}
    assert "login_rejected" in told["bots"][0]["session"]["trouble"]


@pytest.fixture
def client_for(sandbox: Sandbox, confdir: Path) -> Iterator[Callable[[], httpx.Client]]:
    """A proxy that is started when it is asked for: after the sandbox was told to fail."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start() -> httpx.Client:
            proxy = stack.enter_context(running_proxy(sandbox.config, confdir))
            return stack.enter_context(client_of(proxy))

        yield start


def ready(client: httpx.Client, sandbox: Sandbox) -> None:
    """Wait until the first logins have ended: the sandbox tells when it has answered them,
    and the proxy when it has read the answers."""
    logins = ("/login/pubkey/authenticate", "/sessionauth/v1/authenticate")
    sandbox.wait_for(
        lambda arrived: all(
            any(one.path == path and one.status for one in arrived) for path in logins
        )
    )
    for _ in range(1000):
        answer = client.get(f"{PORTAL}/readyz")
        if answer.status_code == 200:
            return
    raise AssertionError(json.dumps(answer.json()))


def test_tls_with_another_name_is_not_the_portal(proxy: Proxy) -> None:
    with tunnel(proxy, "symphony.proxy:443") as plain:
        context = trust_of(proxy)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain, server_hostname="evil.example") as connection:
            connection.sendall(
                b"GET /status.json HTTP/1.1\r\nHost: symphony.proxy\r\nConnection: close\r\n\r\n"
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 421")
