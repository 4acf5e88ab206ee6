"""The image and `docker compose up`: the very steps, commands and checks of the two files."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
from ruamel.yaml import YAML

from support.containers import Containers, Image, build, ignore_rules, instructions
from support.processes import Child
from symphony_auth_proxy.core.addresses import is_loopback

ROOT = Path(__file__).parents[2]
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "docker-compose.yml"
SERVICES: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
STORY = {name: service for name, service in SERVICES.items() if "profiles" not in service}
POD, CONTROL = 9443, 9447
PORTS = ("8080", *map(str, range(POD, CONTROL + 1)))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(DOCKERFILE, tmp_path_factory.mktemp("image"))


@pytest.fixture
def containers(image: Image, tmp_path: Path, prepared_directory: Path) -> Iterator[Containers]:
    """The services, with a volume that has been used before: its keys need not be made."""
    shutil.copytree(prepared_directory, tmp_path / "symphony")
    ports = dict(zip(PORTS, free(), strict=True))
    # A path that is short, as in a container, leaves room for a socket's name.
    with tempfile.TemporaryDirectory(prefix="sap-") as scratch:
        yield Containers(image, STORY, tmp_path, Path(scratch), ports)


def free() -> list[str]:
    """As many ports as the file names; all but the first in a row, as the sandbox takes them."""
    wanted = len(PORTS) - 1
    while True:
        with ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in range(wanted + 1)]
            probes[0].bind(("127.0.0.1", 0))
            probes[1].bind(("127.0.0.1", 0))
            first = probes[1].getsockname()[1]
            try:
                for offset, probe in enumerate(probes[2:], 1):
                    probe.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return [str(probe.getsockname()[1]) for probe in probes]


def in_order() -> list[str]:
    """The services, each after those that it depends on."""
    order: list[str] = []
    while len(order) < len(STORY):
        able = [
            name
            for name, service in STORY.items()
            if name not in order and set(service.get("depends_on", ())) <= set(order)
        ]
        assert able, "services wait for each other"
        order += able
    return order


@contextmanager
def everything_up(containers: Containers) -> Iterator[dict[str, Child]]:
    """What `docker compose up` does."""
    children: dict[str, Child] = {}
    with ExitStack() as stack:
        for name in in_order():
            for needed, condition in STORY[name].get("depends_on", {}).items():
                assert condition == {"condition": "service_healthy"}
                containers.wait_until_healthy(needed, children[needed])
            children[name] = stack.enter_context(containers.up(name))
        yield children


def test_the_story_is_told_with_nothing_prepared(containers: Containers) -> None:
    with everything_up(containers) as children:
        bot = children["bot"]
        bot.seen("I am pricing-bot, and hold no secret")

        # The image's own check, while its proxy runs.
        assert containers.run("proxy", containers.image.health).returncode == 0
        assert messages(containers)[0]["message"].endswith(
            "Hello from a bot without a secret</div>"
        )

        say_as_the_file_tells(containers)
        bot.seen("alice: .*Hello, bot")
        bot.seen("I have answered")
        texts = [(one["user"]["username"], one["message"]) for one in messages(containers)]
        assert any(name == "pricing-bot" and "alice wrote" in text for name, text in texts)

        status = containers.run("proxy", ["symphony-auth-proxy", "status", "--json"])
        assert status.returncode == 0, status.stderr
        told = json.loads(status.stdout)
        assert told["decisions"]["injected"] >= 5
        assert told["listeners"] == [f"127.0.0.1:{containers.ports['8080']}"]

        statistics = json.load(
            urlopen(f"http://127.0.0.1:{containers.ports[str(CONTROL)]}/statistics")
        )
        assert statistics["requests"]["agent"] >= 3
        for name in ("bot", "proxy", "sandbox"):
            assert children[name].terminate() in {0, -15}


def messages(containers: Containers) -> list[dict[str, Any]]:
    """What stands in the room, oldest first, read through the proxy."""
    ca = containers.volumes / "symphony" / "proxy-ca" / "mitmproxy-ca-cert.pem"
    env = containers.env("bot")
    with httpx.Client(
        proxy=env["HTTPS_PROXY"],
        verify=ssl.create_default_context(cafile=ca),
        trust_env=False,
    ) as client:
        [room, *_] = client.post(f"{env['POD_URL']}/pod/v1/streams/list", json={}).json()
        url = f"{env['AGENT_URL']}/agent/v4/stream/{room['id']}/message"
        found: list[dict[str, Any]] = client.get(url, params={"since": 0}).json()
    return found[::-1]


def say_as_the_file_tells(containers: Containers) -> None:
    """Run the line of the file's head that writes a message."""
    [line] = re.findall(
        r'^#   docker compose exec sandbox python -c "(.*)"$', COMPOSE.read_text(), re.MULTILINE
    )
    code = line.replace('\\"', '"')
    said = containers.run("sandbox", ["python", "-c", code])
    assert said.returncode == 0, said.stderr


def test_the_bot_has_no_secret_and_no_place_to_get_one_from() -> None:
    bot = SERVICES["bot"]

    assert "volumes" not in bot
    assert set(bot["environment"]) == {"HTTP_PROXY", "HTTPS_PROXY", "POD_URL", "AGENT_URL"}
    for value in bot["environment"].values():
        assert re.fullmatch(r"https?://(127\.0\.0\.1|localhost):\d+", value)


def test_what_the_sandbox_makes_is_mounted_for_the_proxy_alone() -> None:
    having = {name for name, service in STORY.items() if service.get("volumes")}
    assert having == {"sandbox", "proxy"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_as_little_as_it_needs(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    for port in service.get("ports", ()):
        assert is_loopback(port.split(":")[0]), "nothing is published off loopback"


def test_the_story_shares_one_network_and_publishes_nothing() -> None:
    for name, service in STORY.items():
        assert "ports" not in service
        if name != "sandbox":
            assert service["network_mode"] == "service:sandbox"


def test_the_ports_of_the_file_agree_with_each_other() -> None:
    text = re.sub(r"^ *#.*$", "", COMPOSE.read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"(?<![\d.])\d{4,5}(?!\d)", text)) - {"1000"}
    assert named <= set(PORTS)
    assert SERVICES["sandbox"]["command"][-2:] == ["--port", str(POD)]
    assert str(CONTROL) in SERVICES["sandbox"]["healthcheck"]["test"][-1]
    listen = SERVICES["proxy"]["command"][-1]
    for text in (
        SERVICES["proxy"]["healthcheck"]["test"][-1],
        SERVICES["bot"]["environment"]["HTTPS_PROXY"],
        DOCKERFILE.read_text(),
    ):
        assert listen in text


def test_nothing_waits_by_time() -> None:
    assert "sleep" not in COMPOSE.read_text() + DOCKERFILE.read_text()


def test_the_real_profile_mounts_the_users_files_and_writes_its_ca_only() -> None:
    mounts = {one["target"]: one for one in SERVICES["gateway"]["volumes"]}

    assert SERVICES["gateway"]["profiles"] == ["real"]
    assert {one["source"] for one in mounts.values()} == {"./config.yaml", "./certs", "./certs/ca"}
    for target, mount in mounts.items():
        assert mount["bind"]["create_host_path"] is False, "a missing file is told, not made"
        assert mount.get("read_only", False) is (target != "/symphony/certs/ca")
    assert (ROOT / "certs").is_dir()


def test_a_listener_for_others_needs_clients(
    containers: Containers, prepared_directory: Path
) -> None:
    """What the real profile publishes is reached only by a proxy that knows its clients."""
    gateway = {"command": ["serve", "--listen", "0.0.0.0:0"], "volumes": ["own:/symphony"]}
    containers.services = {"gateway": gateway}
    place = shutil.copytree(prepared_directory, containers.volumes / "own")
    (place / "config.yaml").write_text(
        "host: acme.symphony.com\n"
        "bot: {username: pricing-bot, privateKey: {path: pricing-bot.pem}}\n"
    )
    with containers.up("gateway") as child:
        assert child.exit_code() == 78
        assert "clients" in child.output


def test_the_image_runs_as_nobody_in_particular(image: Image) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", image.user)
    version = (ROOT / ".python-version").read_text().strip()
    assert image.bases == [f"python:{version}-slim"] * 2
    assert image.command == ["serve"]


def test_the_image_holds_the_program_and_no_secret(image: Image) -> None:
    assert (image.below("/opt/symphony-auth-proxy/bin") / image.entrypoint[0]).is_file()
    assert image.copied == ["pyproject.toml", "README.md", "addon"]
    assert list(image.below("/symphony").iterdir()) == []
    for place in (image.below("/src"), image.below("/symphony")):
        for path in place.rglob("*"):
            assert path.suffix not in {".p12", ".key"}
            assert path.suffix != ".pem"
    assert not list(image.below("/src").rglob("__pycache__"))


@pytest.mark.parametrize(
    ("path", "admitted"),
    [
        ("addon/symphony_auth_proxy/cli/serve.py", True),
        ("pyproject.toml", True),
        ("addon/symphony_auth_proxy/__pycache__/keys.cpython-313.pyc", False),
        ("certs/pricing-bot.pem", False),
        ("config.yaml", False),
        (".git/config", False),
        (".venv/bin/python", False),
        ("tests/conftest.py", False),
    ],
)
def test_only_what_is_needed_gets_into_the_build(path: str, admitted: bool) -> None:
    assert ignore_rules(ROOT)(path) is admitted


def test_no_step_of_the_image_is_given_a_secret() -> None:
    words = {word for word, _ in instructions(DOCKERFILE.read_text())}
    assert not words & {"ARG", "ADD", "EXPOSE"}


def test_an_engine_understands_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run((docker, "compose", "version"), check=False).returncode:
        pytest.skip("docker: it is not installed, or its plugin `compose` is not")
    compose = (docker, "compose", "-f", str(COMPOSE), "--profile", "real")
    subprocess.run((*compose, "config", "--quiet"), check=True)
