"""Logins over real TLS connections: what goes out, what comes back, what stays behind."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from loopback import (
    CA,
    ConnectProxy,
    Pod,
    demanding_context,
    listening,
    login,
    run,
    server_context,
    silence,
    transport,
)
from pki import client_certificate
from symphony_auth_proxy.errors import LoginProtocolError, Reason
from symphony_auth_proxy.model import UpstreamProxy
from symphony_auth_proxy.secret import Secret
from symphony_auth_proxy.transport import MAXIMUM_BODY, network
from symphony_auth_proxy.transport.unreachable import Trouble, Unreachable

# What goes out


def test_a_login_is_sent_whole_and_its_answer_brought_back():
    pod = Pod(
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b'X-Twice: 1\r\nx-twice: 2\r\n\r\n{"token":"t"}'
    )

    async def main():
        async with listening(pod, server_context()) as port:
            return port, await transport().send(login(port, context="/gateway/prod"))

    before = datetime.now(UTC).timestamp()
    port, response = run(main())

    head, _, body = pod.received[0].partition(b"\r\n\r\n")
    request_line, *headers = head.decode().split("\r\n")
    assert request_line == "POST /gateway/prod/login/pubkey/authenticate HTTP/1.1"
    assert body == b'{"token": "assertion"}'
    assert {header.lower() for header in headers} == {
        f"host: localhost:{port}",
        "user-agent: symphony-auth-proxy",
        "accept: application/json",
        "accept-encoding: identity",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
    }
    assert (response.status, response.body) == (200, b'{"token":"t"}')
    assert response.headers["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert response.headers["x-twice"] == "1, 2"
    assert before <= response.received <= datetime.now(UTC).timestamp()


def test_a_certificate_login_has_neither_body_nor_content_type():
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            gateway = (("Content-Type", Secret("application/json")),)
            await transport().send(login(port, json=None, default_headers=gateway))

    run(main())
    head, _, body = pod.received[0].lower().partition(b"\r\n\r\n")
    assert b"content-type" not in head
    assert b"\r\ncontent-length: 0" in head
    assert body == b""


def test_a_get_has_no_content_length():
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            await transport().send(login(port, json=None, method="GET"))

    run(main())
    assert pod.received[0].startswith(b"GET /")
    assert b"content-length" not in pod.received[0].lower()


def test_configured_headers_are_sent_but_cannot_change_the_message_itself():
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            await transport().send(
                login(
                    port,
                    default_headers=(
                        ("X-Api-Key", Secret("key-of-the-gateway")),
                        ("sessionToken", Secret("of the gateway")),
                        ("user-agent", Secret("bot/1")),
                        ("HOST", Secret("elsewhere")),
                        ("Transfer-Encoding", Secret("chunked")),
                    ),
                    headers=(("SessionToken", Secret("of the login")),),
                )
            )

    run(main())
    headers = pod.received[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]
    assert b"x-api-key: key-of-the-gateway" in headers
    assert [one for one in headers if one.startswith(b"sessiontoken")] == [
        b"sessiontoken: of the login"
    ]
    assert [one for one in headers if one.startswith(b"user-agent")] == [b"user-agent: bot/1"]
    assert b"elsewhere" not in pod.received[0]
    assert b"transfer-encoding" not in pod.received[0].lower()


@pytest.mark.parametrize(
    "header",
    [
        ("X-Key", "canary\r\nsessionToken: other"),
        ("X-Key", "canary\n"),
        ("X-Key", "canary\x00"),
        ("X-Key", "canary-ü"),
        ("X Key", "canary"),
        ("", "canary"),
    ],
)
def test_a_header_that_would_break_the_message_is_refused_without_quoting_it(header):
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            name, value = header
            with pytest.raises(LoginProtocolError) as caught:
                await transport().send(login(port, default_headers=((name, Secret(value)),)))
        return caught.value

    error = run(main())
    assert "canary" not in f"{error!r} {error} {error.hint()}"
    assert pod.received == []


def test_the_environment_changes_nothing(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "session-keys"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine localhost login user password secret\n")
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            return await transport().send(login(port))

    assert run(main()).status == 200
    assert b"authorization" not in pod.received[0].lower()
    assert not (tmp_path / "session-keys").exists()


def test_the_debug_log_holds_no_header_of_request_or_answer(caplog):
    caplog.set_level(logging.DEBUG)
    pod = Pod(b"HTTP/1.1 200 OK\r\nSet-Cookie: skey=canary\r\nContent-Length: 0\r\n\r\n")

    async def main():
        async with listening(pod, server_context()) as port:
            key = (("X-Key", Secret("canary")),)
            await transport().send(login(port, json={"token": Secret("canary")}, headers=key))

    run(main())
    assert b"canary" in pod.received[0]
    assert "canary" not in caplog.text


def test_ipv6_literals_are_spoken_to():
    pod = Pod()

    async def main():
        tls = server_context(CA.issue_cert("::1"))
        async with listening(pod, tls, host="::1") as port:
            return port, await transport().send(login(port, host="::1"))

    port, response = run(main())
    assert response.status == 200
    assert f"host: [::1]:{port}\r\n".encode() in pod.received[0].lower()


# What comes back


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_the_answer_and_is_not_followed(status):
    pod = Pod()

    async def main():
        async with listening(pod, server_context()) as port:
            pod.answer = (
                f"HTTP/1.1 {status} Moved\r\nLocation: https://localhost:{port}/elsewhere\r\n"
                "Content-Length: 0\r\n\r\n"
            ).encode()
            return await transport().send(login(port))

    response = run(main())
    assert response.status == status
    assert len(pod.received) == 1


def test_cookies_are_not_kept():
    pod = Pod(b"HTTP/1.1 200 OK\r\nSet-Cookie: skey=1; Path=/\r\nContent-Length: 0\r\n\r\n")

    async def main():
        sender = transport()
        async with listening(pod, server_context()) as port:
            await sender.send(login(port))
            await sender.send(login(port))

    run(main())
    assert len(pod.received) == 2
    assert b"cookie" not in pod.received[1].lower()


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_an_answer_is_read_up_to_the_limit_and_no_further(framing):
    def answer(size: int) -> bytes:
        body = b"x" * size
        match framing:
            case "length":
                return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
            case "chunked":
                return (
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
                    % (size, body)
                )
            case _:
                return b"HTTP/1.1 200 OK\r\n\r\n" + body

    async def main(size: int):
        async with listening(Pod(answer(size)), server_context()) as port:
            return await transport().send(login(port))

    assert len(run(main(MAXIMUM_BODY)).body) == MAXIMUM_BODY
    with pytest.raises(LoginProtocolError, match="more than 64 KiB"):
        run(main(MAXIMUM_BODY + 1))


def test_an_endless_answer_is_cut_off_by_its_size():
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async def main():
        async with listening(flood, server_context()) as port:
            with pytest.raises(LoginProtocolError):
                await transport().send(login(port))

    run(main())


# Addresses


def test_the_address_that_a_name_leads_to_is_checked_before_it_is_connected_to(monkeypatch):
    """The name is asked once, and what was checked is what is connected to."""
    received: list[bytes] = []

    async def record(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    monkeypatch.setattr(network, "forbidden_address", lambda ip: ip == "127.0.0.1")

    async def main():
        async with listening(record) as port:
            with pytest.raises(Unreachable) as caught:
                await transport().send(login(port))
        return caught.value

    error = run(main())
    assert error.trouble is Trouble.ADDRESS_REFUSED
    assert error.reason is Reason.ADDRESS_REFUSED
    assert received == []


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "fd00:ec2::254"])
def test_a_forbidden_literal_is_refused_even_behind_a_proxy(host):
    proxied: list[bytes] = []

    async def record(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        proxied.append(await reader.read())

    async def main():
        async with listening(record) as port:
            proxy = UpstreamProxy("127.0.0.1", port)
            with pytest.raises(Unreachable) as caught:
                await transport().send(login(443, host=host, proxy=proxy))
        return caught.value.trouble

    assert run(main()) is Trouble.ADDRESS_REFUSED
    assert proxied == []


# What stays behind: nothing


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_failures_leave_no_open_file_behind():
    async def main():
        sender = transport()
        certificate = client_certificate("bot")
        untrusted = server_context(trustme.CA().issue_cert("localhost"))
        async with (
            listening(Pod(), untrusted) as stranger,
            listening(Pod(b""), server_context()) as rude,
            listening(Pod(), demanding_context()) as demanding,
            listening(silence) as tcp_only,
        ):
            pass_through = ConnectProxy(0, b"403 Forbidden")
            async with listening(pass_through) as proxy_port, listening(silence) as free:
                requests = [
                    login(stranger),
                    login(rude, certificate=certificate),
                    login(demanding),
                    login(443, host="pod.example", proxy=UpstreamProxy("127.0.0.1", proxy_port)),
                    login(9, host="127.0.0.1"),
                ]

                async def fail_each() -> None:
                    for request in requests:
                        with pytest.raises(Unreachable):
                            await sender.send(request)
                    with pytest.raises(Unreachable):
                        await sender.send(login(tcp_only), connect_timeout=0.01)
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await sender.send(login(free))

                await fail_each()
                before = _open_files()
                for _ in range(20):
                    await fail_each()
                return before, _open_files()

    before, after = run(main())
    # The servers' own ends of the last round may not have noticed yet.
    assert after <= before + 4


def test_a_caller_that_leaves_takes_the_connection_along():
    async def main():
        ended = asyncio.Event()
        begun = asyncio.Event()

        async def watch(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            begun.set()
            await reader.read()
            ended.set()

        async with listening(watch) as port, asyncio.TaskGroup() as group:
            caller = group.create_task(transport().send(login(port)))
            await begun.wait()
            caller.cancel()
            await ended.wait()
        return caller.cancelled()

    assert run(main())
