"""Logins by client certificate: the handshake, the body rules, the name in the certificate."""

import select
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from symphony_auth_proxy.certificates import (
    certificates_pem,
    make_ca,
    make_csr,
    make_rsa_key,
    private_key_pem,
    sign_csr,
)
from symphony_auth_proxy.model import Component, TokenKind

SESSION_LOGIN = "/sessionauth/v1/authenticate"
KEY_MANAGER_LOGIN = "/keyauth/v1/authenticate"


@pytest.fixture
def certified(sandbox, client_of):
    """A client that shows the certificate bot's certificate."""
    return client_of(sandbox.directory / "compliance-bot.pem")


@pytest.fixture(scope="session")
def some_key():
    return make_rsa_key(2048)


@pytest.fixture
def issue(sandbox, some_key, tmp_path):
    """Makes a certificate for any name, by the sandbox's CA unless told."""

    def make(username, ca=None) -> Path:
        if ca is None:
            ca = (
                x509.load_pem_x509_certificate(sandbox.ca.read_bytes()),
                load_pem_private_key((sandbox.directory / "ca.key.pem").read_bytes(), None),
            )
        certificate = sign_csr(make_csr(some_key, username), *ca)
        path = tmp_path / "issued.pem"
        path.write_bytes(certificates_pem([certificate]) + private_key_pem(some_key))
        return path

    return make


def both(sandbox):
    """The two certificate logins."""
    return (
        sandbox.url(Component.SESSION_AUTH) + SESSION_LOGIN,
        sandbox.url(Component.KEY_MANAGER) + KEY_MANAGER_LOGIN,
    )


def test_a_certificate_brings_both_tokens_and_they_open_the_agent(sandbox, certified):
    answers = [certified.post(url).json() for url in both(sandbox)]
    tokens = {answer["name"]: answer["token"] for answer in answers}

    echo = sandbox.url(Component.AGENT) + "/agent/v1/util/echo"
    answer = certified.post(echo, json={"message": "hi"}, headers=tokens)

    assert set(tokens) == {"sessionToken", "keyManagerToken"}
    assert answer.json() == {"message": "hi"}
    assert [one.client_name for one in sandbox.requests[:2]] == ["compliance-bot"] * 2
    assert sandbox.logins(TokenKind.SESSION, "compliance-bot") == 1


def test_session_auth_demands_a_certificate_in_the_handshake(sandbox, caller):
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
        caller.send("POST", Component.SESSION_AUTH, SESSION_LOGIN)
    assert sandbox.requests == ()


def test_whose_handshake_fails_can_read_why(sandbox):
    """Also when it has not stopped sending: with TLS 1.3 it does not know yet."""
    context = ssl.create_default_context(cafile=sandbox.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    origin = sandbox.origin(Component.SESSION_AUTH)
    with (
        socket.create_connection(("127.0.0.1", origin.port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=origin.host) as client,
    ):
        assert select.select([client], [], [], 10)[0], "the server has not said anything"
        for _ in range(20):
            client.send(bytes(1024))
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            client.recv(1)


@pytest.mark.parametrize("component", [Component.SESSION_AUTH, Component.KEY_MANAGER])
def test_a_certificate_of_another_ca_fails_the_handshake(sandbox, client_of, issue, component):
    stranger = issue("compliance-bot", make_ca("Stranger", key=make_rsa_key(2048)))

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
        client_of(stranger).post(sandbox.url(component) + SESSION_LOGIN)
    assert sandbox.requests == ()


def test_the_key_manager_asks_for_a_certificate_on_keyauth_only(caller):
    assert caller.send("POST", Component.KEY_MANAGER, KEY_MANAGER_LOGIN).status_code == 401
    assert caller.present(caller.assertion(), TokenKind.KEY_MANAGER).status_code == 200


def test_a_body_with_a_json_content_type_is_a_401(sandbox, certified):
    for url in both(sandbox):
        assert certified.post(url, json={}).status_code == 401


def test_a_body_without_a_content_type_is_a_500(sandbox, certified):
    for url in both(sandbox):
        assert certified.post(url, content=b"{}").status_code == 500


def test_an_empty_body_with_a_json_content_type_is_accepted_as_the_bdk_sends_it(sandbox, certified):
    for url in both(sandbox):
        headers = {"Content-Type": "application/json"}
        assert certified.post(url, headers=headers).status_code == 200


@pytest.mark.parametrize("username", ["nobody", "Compliance-Bot"])
def test_a_name_that_no_user_has_is_a_401(sandbox, client_of, issue, username):
    client = client_of(issue(username))
    assert [client.post(url).status_code for url in both(sandbox)] == [401, 401]


def test_a_user_who_may_not_use_certificates_is_a_403(sandbox, client_of, issue):
    client = client_of(issue("pricing-bot"))
    assert [client.post(url).status_code for url in both(sandbox)] == [403, 403]


def test_a_bot_that_is_allowed_certificates_later_gets_in(sandbox, client_of, issue):
    sandbox.add_bot("audit-bot", certificate_login=True)
    client = client_of(issue("audit-bot"))
    assert [client.post(url).status_code for url in both(sandbox)] == [200, 200]


def test_logout_ends_the_session_that_is_shown(sandbox, certified):
    session, key_manager = (certified.post(url).json()["token"] for url in both(sandbox))
    session_logout, key_manager_logout = (
        url.replace("authenticate", "logout") for url in both(sandbox)
    )

    first = certified.post(session_logout, headers={"sessionToken": session})
    again = certified.post(session_logout, headers={"sessionToken": session})
    other = certified.post(key_manager_logout, headers={"keyManagerToken": key_manager})

    assert (first.status_code, first.json()) == (200, {"message": "OK"})
    assert (again.status_code, other.status_code) == (401, 200)
    assert sandbox.statistics()["sessions"]["compliance-bot"] == {"session": 0, "key_manager": 0}


def test_the_key_managers_logout_takes_either_header_name(sandbox, certified):
    url = both(sandbox)[1]
    token = certified.post(url).json()["token"]

    logout = certified.post(url.replace("authenticate", "logout"), headers={"sessionToken": token})

    assert logout.status_code == 200
