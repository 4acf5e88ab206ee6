"""What the README promises exists: commands, options, settings, reasons, files."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from symphony_auth_proxy import config
from symphony_auth_proxy.cli import cli
from symphony_auth_proxy.errors import Reason
from symphony_auth_proxy.passwords import hashed
from symphony_auth_proxy.sandbox import Sandbox
from symphony_auth_proxy.secret import Secret

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = "symphony-auth-proxy"


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def code(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in `text`, but for their heads."""
    for line in re.findall(r"^\|(.*)\|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        if not set(line) <= set("|- "):
            yield cells


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def command_lines() -> list[str]:
    """All calls of this program in the README, without what a shell takes away."""
    lines = [line for block in code("sh") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    lines += spans(prose.replace("\n", " "))
    return [line for line in lines if line.startswith(f"{PROGRAM} ")]


def leaf_of(words: list[str]) -> tuple[click.Context, list[str]]:
    """Return the command that the words call, and its arguments."""
    context, command = click.Context(cli, info_name=PROGRAM), cli
    while isinstance(command, click.Group) and words:
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = click.Context(command, parent=context, info_name=name)
    return context, words


def commands(command: click.Command = cli, name: str = PROGRAM) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield name
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        below = command.get_command(context, word)
        assert below is not None
        yield from commands(below, f"{name} {word}")


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/symphony-auth-proxy demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && "
        ".venv/bin/pytest -n 2 --dist loadfile",
    ],
)
def test_the_two_commands_open_the_readme(command: str) -> None:
    assert f"{command}\n" in code("sh")[:2]


@pytest.mark.parametrize("line", command_lines())
def test_each_command_line_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[-1:] == ["&"]:
        words.pop()
    context, arguments = leaf_of(words)

    # In prose a command is named without its arguments.
    with contextlib.suppress(click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        context.command.parse_args(context, arguments)


def test_the_table_of_commands_is_complete() -> None:
    table = section("Commands")
    named = set()
    for cells in rows(table):
        for span in spans(cells[0]):
            whole = span if span.startswith(PROGRAM) else f"{PROGRAM} keys {span}"
            named.add(whole)
    assert named - {"command"} == set(commands())


def test_the_options_in_the_table_of_commands_exist() -> None:
    for first, text in list(rows(section("Commands")))[1:]:
        for command in spans(first)[:1]:
            context, _ = leaf_of(command.split()[1:])
            known = {name for one in context.command.params for name in one.opts}
            assert {span for span in spans(text) if span.startswith("--")} - {"--help"} <= known


def test_the_least_configuration_is_enough(prepared_directory: Path, tmp_path: Path) -> None:
    path = written(code("yaml", section("Use it with your bot"))[0], prepared_directory, tmp_path)

    assert config.load(path).bots[0].username == "pricing-bot"


def test_the_configuration_of_many_is_one(prepared_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "certs" / "clients").mkdir(parents=True)
    for file, source in {
        "pricing-bot.pem": "pricing-bot.pem",
        "other-bot.pem": "pricing-bot.pem",
        "desk-app.pem": "pricing-bot.pem",
        "compliance.p12": "compliance-bot.p12",
        "compliance.password": "compliance-bot.password",
    }.items():
        shutil.copy(prepared_directory / source, tmp_path / "certs" / file)
    (tmp_path / "certs" / "clients" / "pricing").write_text("a password of some length")
    text = code("yaml", section("Many bots, many clients"))[0]
    elided = "$argon2id$v=19$m=65536,t=3,p=4$…"
    assert elided in text
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(elided, hashed(Secret("another password"))), encoding="utf-8")

    settings = config.load(path)
    assert [bot.username for bot in settings.bots] == ["pricing-bot", "compliance-bot", "other-bot"]
    assert [client.name for client in settings.clients] == ["pricing", "desk"]


def test_defaults_are_those_of_the_program(prepared_directory: Path, tmp_path: Path) -> None:
    path = written(code("yaml", section("Use it with your bot"))[0], prepared_directory, tmp_path)
    shown = YAML(typ="safe").load(config.show(path))["authProxy"]
    told = {
        spans(cells[0])[0]: spans(cells[1])[0]
        for cells in rows(section("Configuration").partition("below `authProxy`")[2])
        if len(cells) == 3 and spans(cells[1])
    }
    assert {"listen", "clientTokens", "otherHosts", "tokens.lifetime", "drainSeconds"} <= set(told)
    for key, default in told.items():
        value = shown
        for part in key.split("."):
            value = value[part]
        expected = str(path.parent / default) if key == "ca.directory" else default
        assert str(value).removesuffix(".0") == expected, key


def written(text: str, prepared: Path, directory: Path) -> Path:
    """Write a configuration, and the key that it names."""
    (directory / "certs").mkdir()
    shutil.copy(prepared / "pricing-bot.pem", directory / "certs")
    path = directory / "config.yaml"
    path.write_text(text)
    return path


def test_the_reasons_are_those_of_the_contract() -> None:
    table = list(rows(section("What the proxy answers itself")))[1:]
    told = {reason for cells in table for reason in spans(cells[2])}

    assert told == set(Reason)


def test_the_sandbox_understands_each_call_of_its_control_api() -> None:
    calls = re.findall(
        r"^curl (?:-d '(.*?)' )?http://127\.0\.0\.1:9447/(\w+)", README, re.MULTILINE
    )

    assert {name for _, name in calls} >= {"statistics", "revoke", "fail", "outage", "recover"}
    for body, name in calls:
        inspect.signature(getattr(Sandbox, name)).bind(None, **json.loads(body or "{}"))


def test_the_files_that_it_points_to_exist() -> None:
    links = [one for one in re.findall(r"\]\(([^)#]+)", README) if "://" not in one]
    for name in [*links, "addon/symphony_auth.py"]:
        assert (ROOT / name).is_file(), name
