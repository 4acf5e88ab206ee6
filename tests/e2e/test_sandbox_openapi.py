"""What the sandbox answers is what Symphony's OpenAPI files describe.

The files (finos/symphony-api-spec) are not part of this repository: they are looked for in
`../shared/symphony-api-spec`, beside the checkout. Every operation of the sandbox is called
once, over TLS, and its answer is held against the schema; a field that the schema does not
know is a mistake, too.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from jsonschema import ValidationError
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4
from ruamel.yaml import YAML

from symphony_auth_proxy.model import Component
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.sandbox.server import ROUTES

SPECIFICATIONS = Path(__file__).parents[3] / "shared" / "symphony-api-spec"
FILES = {
    "login": "login/login-api-public.yaml",
    "relay": "login/login-api-public.yaml",
    "sessionauth": "authenticator/authenticator-api-public.yaml",
    "keyauth": "authenticator/authenticator-api-public.yaml",
    "pod": "pod/pod-api-public.yaml",
    "agent": "agent/agent-api-public-deprecated.yaml",
}
# The OpenAPI files know the session's logout only, though the key manager has its own.
UNSPECIFIED = {("POST", "/keyauth/v1/logout")}

OPERATIONS = sorted({(one.method, one.path) for routes in ROUTES.values() for one in routes})

pytestmark = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(),
    reason="Symphony's OpenAPI files are not in ../shared/symphony-api-spec beside the checkout",
)


@cache
def specification(name: str) -> Any:
    """One file, with its object schemas closed against unknown fields."""
    return closed(YAML(typ="safe").load(SPECIFICATIONS / name))


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {str(name): closed(value) for name, value in schema.items()}
    if isinstance(shut.get("properties"), dict) and shut.get("type") == "object":
        shut.setdefault("additionalProperties", False)
    return shut


def schema_of(method: str, path: str, status: int) -> dict[str, Any] | None:
    """The schema of an answer, or None for an answer without a body."""
    component, _, below = path.removeprefix("/").partition("/")
    document = specification(FILES[component])
    answer = document["paths"][f"/{below}"][method.lower()]["responses"][str(status)]
    if "content" in answer:
        answer = next(iter(answer["content"].values()), {})
    return answer.get("schema")


def check(method: str, path: str, answer: httpx.Response) -> None:
    schema = schema_of(method, path, answer.status_code)
    if answer.status_code == 204:
        assert answer.content == b""
        return
    assert schema is not None
    component = path.split("/")[1]
    document = DRAFT4.create_resource(specification(FILES[component]))
    registry = Registry().with_resource("urn:symphony", document)
    json = answer.headers["Content-Type"].startswith("application/json")
    OAS30Validator(
        absolute(schema), registry=registry, format_checker=oas30_format_checker
    ).validate(answer.json() if json else answer.text)


def absolute(schema: Any) -> Any:
    """References within a file, as references to the registry's copy of it."""
    if isinstance(schema, list):
        return [absolute(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: f"urn:symphony{value}" if name == "$ref" else absolute(value)
        for name, value in schema.items()
    }


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), key_bits=2048) as running:
        yield running


@pytest.fixture(scope="module")
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=sandbox.ca)
    context.load_cert_chain(sandbox.directory / "compliance-bot.pem")
    with httpx.Client(verify=context, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def answers(sandbox: Sandbox, http: httpx.Client) -> dict[tuple[str, str], httpx.Response]:
    """One successful answer of every operation."""
    tour = Tour(sandbox, http)
    tour.certificate_logins()
    tour.key_logins()
    tour.pod()
    tour.agent()
    tour.own_sessions()
    return tour.answers


class Tour:
    """Calls every operation once, in an order in which they succeed."""

    COMPONENTS = {  # noqa: RUF012 (never changed)
        "login": Component.POD,
        "pod": Component.POD,
        "relay": Component.KEY_MANAGER,
        "keyauth": Component.KEY_MANAGER,
        "sessionauth": Component.SESSION_AUTH,
        "agent": Component.AGENT,
    }

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http
        self.tokens: dict[str, str] = {}
        self.answers: dict[tuple[str, str], httpx.Response] = {}

    def call(
        self,
        method: str,
        path: str,
        *,
        parts: dict[str, Any] | None = None,
        tokens: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """Call `path` with its placeholders filled in; returns the answer's JSON."""
        url = self.sandbox.url(self.COMPONENTS[path.split("/")[1]]) + path.format(**(parts or {}))
        headers = self.tokens if tokens is None else tokens
        answer = self.http.request(method, url, headers=headers, **more)
        self.answers[method, path] = answer
        json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.json() if json else None

    def assertion(self, subject: str) -> dict[str, str]:
        key = (self.sandbox.directory / "pricing-bot.pem").read_text()
        claims = {"sub": subject, "exp": int(time.time()) + 240}
        return {"token": jwt.encode(claims, key, algorithm="RS512")}

    def log_in(self, path: str) -> None:
        granted = self.call("POST", path, json=self.assertion("pricing-bot"), tokens={})
        self.tokens[granted["name"]] = granted["token"]

    def certificate_logins(self) -> None:
        for base in ("/sessionauth/v1", "/keyauth/v1"):
            granted = self.call("POST", f"{base}/authenticate", tokens={})
            self.call("POST", f"{base}/logout", tokens={granted["name"]: granted["token"]})

    def key_logins(self) -> None:
        self.log_in("/login/pubkey/authenticate")
        self.log_in("/relay/pubkey/authenticate")
        self.call("POST", "/login/idm/tokens")
        self.call("GET", "/login/idm/keys")

        self.sandbox.add_app("app", (self.sandbox.directory / "pricing-bot.public.pem").read_text())
        path = "/login/pubkey/app/authenticate"
        app = self.call("POST", path, json=self.assertion("app"), tokens={})
        user = self.call("GET", "/pod/v3/users", params={"username": "alice"})["users"][0]
        for path in (
            "/login/pubkey/app/user/{userId}/authenticate",
            "/login/pubkey/app/username/{username}/authenticate",
        ):
            parts = {"userId": user["id"], "username": user["username"]}
            self.call("POST", path, parts=parts, tokens={"sessionToken": app["token"]})

    def pod(self) -> None:
        self.call("GET", "/pod/v2/sessioninfo")
        alice = self.call("GET", "/pod/v3/users", params={"username": "alice"})["users"][0]["id"]
        self.call("POST", "/pod/v1/im/create", json=[alice])
        self.call("POST", "/pod/v1/streams/list")
        self.call("GET", "/pod/v1/podcert")

    def agent(self) -> None:
        feed = self.call("POST", "/agent/v5/datafeeds", json={})["id"]
        old_feed = self.call("POST", "/agent/v4/datafeed/create")["id"]
        self.call("GET", "/agent/v5/datafeeds")

        form = {
            "message": (None, "<messageML>Hello</messageML>"),
            "data": (None, "{}"),
            "attachment": ("a.txt", b"content"),
        }
        room = {"sid": self.sandbox.room}
        message = self.call("POST", "/agent/v4/stream/{sid}/message/create", parts=room, files=form)
        blast = form | {"sids": (None, f"{self.sandbox.room},nowhere")}
        self.call("POST", "/agent/v4/message/blast", files=blast)
        self.call("GET", "/agent/v4/stream/{sid}/message", parts=room, params={"since": 0})
        file = {"messageId": message["messageId"], "fileId": message["attachments"][0]["id"]}
        self.call("GET", "/agent/v1/stream/{sid}/attachment", parts=room, params=file)
        self.call("POST", "/agent/v1/util/echo", json={"message": "hi"})

        read = {"parts": {"datafeedId": feed}, "json": {"ackId": ""}}
        events = self.call("POST", "/agent/v5/datafeeds/{datafeedId}/read", **read)["events"]
        assert len(events) == 2
        self.call("GET", "/agent/v4/datafeed/{id}/read", parts={"id": old_feed})
        self.call("DELETE", "/agent/v5/datafeeds/{datafeedId}", parts={"datafeedId": feed})

        self.call("GET", "/agent/v3/health")
        self.call("GET", "/agent/v3/health/extended")
        self.call("GET", "/agent/v1/info")

    def own_sessions(self) -> None:
        me = {"uid": self.call("GET", "/pod/v2/sessioninfo")["id"]}
        session = self.call("GET", "/pod/v1/users/{uid}/sessions", parts=me)["sessions"][0]
        self.log_in("/login/pubkey/authenticate")
        first = me | {"sid": session["sessionId"]}
        self.call("POST", "/pod/v1/users/{uid}/sessions/{sid}/logout", parts=first)
        self.call("POST", "/pod/v1/users/{uid}/sessions/logout", parts=me)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_success_has_the_shape_of_the_specification(answers, method, path):
    answer = answers[method, path]
    assert answer.is_success, answer.text
    if (method, path) not in UNSPECIFIED:
        check(method, path, answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [one for one in OPERATIONS if "sessions" in one[1] or one[1].startswith("/agent/v5")],
)
def test_a_refusal_has_the_shape_of_the_specification(sandbox, http, method, path):
    component = Component.POD if path.startswith("/pod") else Component.AGENT
    url = sandbox.url(component) + path.format(uid=1, sid=2, datafeedId="x")
    answer = http.request(method, url)
    assert answer.status_code == 401
    check(method, path, answer)


def test_a_field_that_the_specification_does_not_know_is_noticed():
    answer = httpx.Response(200, json={"name": "x", "token": "x", "unknown": 1})
    with pytest.raises(ValidationError):
        check("POST", "/login/pubkey/authenticate", answer)
