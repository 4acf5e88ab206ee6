"""An image and its containers, without an engine: the same steps and the same commands.

The steps of a Dockerfile are carried out below a directory, where each absolute path of the
image has its place. A container is a process with the image's and the service's environment,
commands and mounts. What an engine adds (namespaces, capabilities, users, read-only roots) is
not there, so tests read those off the files.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.processes import Child, running

_BUILD_SECONDS = 300
_HEALTHY_SECONDS = 60


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile and what follows them."""
    text = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


@dataclass
class Image:
    """What a Dockerfile makes."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)

    def below(self, path: str) -> Path:
        """Where an absolute path of the image is."""
        return self.root / path.lstrip("/")

    @property
    def _python(self) -> str:
        """Where `python` is before anything is installed: the base image's is this one's."""
        return str(Path(sys.base_prefix) / "bin")

    def path(self) -> str:
        """The PATH of its processes."""
        own = self.env.get("PATH", "$PATH").replace("$PATH", f"{self._python}:{os.environ['PATH']}")
        return own.replace("/opt/", f"{self.root}/opt/")


def build(dockerfile: Path, root: Path) -> Image:
    """Carry out all steps, with the build's context filtered as an engine does. Stages share
    one tree, so that what one copies from another is there already."""
    image = Image(root)
    for word, rest in instructions(dockerfile.read_text()):
        match word:
            case "FROM":
                image = Image(root, bases=[*image.bases, rest.split()[0]], copied=image.copied)
            case "COPY":
                _copy(image, dockerfile.parent, rest.split())
            case "RUN":
                _run(image, rest)
            case _:
                _describe(image, word, rest)
    return image


def _describe(image: Image, word: str, rest: str) -> None:
    """Carry out what does not change files, but for the directory to work in."""
    match word:
        case "ENV":
            image.env |= dict(one.split("=", 1) for one in shlex.split(rest))
        case "WORKDIR":
            image.workdir = rest
            image.below(rest).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = rest
        case "HEALTHCHECK":
            image.health = json.loads(rest.partition("CMD ")[2])
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "CMD":
            image.command = json.loads(rest)
        case _:
            raise AssertionError(f"no test knows how to carry out {word}")


def _copy(image: Image, context: Path, words: list[str]) -> None:
    *sources, target = words
    if sources[0].startswith("--from="):
        assert sources[1:] == [target], "stages share one tree here"
        assert image.below(target).exists()
        return
    for source in sources:
        _copy_one(context, source, image.below(image.workdir) / target)
    image.copied += sources


def _copy_one(context: Path, source: str, target: Path) -> None:
    """Copy what `.dockerignore` lets into the build."""
    admitted = ignore_rules(context)
    assert admitted(source), f"{source} is not in the build's context"

    def left_out(directory: str, names: list[str]) -> set[str]:
        places = {name: (Path(directory) / name).relative_to(context) for name in names}
        return {name for name, place in places.items() if not admitted(str(place))}

    if (context / source).is_dir():
        shutil.copytree(context / source, target, ignore=left_out)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(context / source, target)


def ignore_rules(context: Path) -> Any:
    """Return what says whether a path is in the build's context: the last rule that matches
    it, or a directory above it, decides."""
    lines = (context / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    def admitted(path: str) -> bool:
        above = [path, *map(str, Path(path).parents)]
        answer = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            anywhere = "**/" in rule
            names = [Path(one).name if anywhere else one for one in above if one != "."]
            if any(fnmatch.fnmatch(name, pattern) for name in names):
                answer = rule.startswith("!")
        return answer

    return admitted


def _run(image: Image, command: str) -> None:
    if os.geteuid() != 0:  # an engine builds as root
        command = re.sub(r" --(owner|group)=\S+", "", command)
    command = re.sub(r"(?<!\S)/(?=opt/|symphony)", f"{image.root}/", command)
    # A cache of downloads spares the registry; what is installed is the same.
    env = {name: value for name, value in image.env.items() if name != "PIP_NO_CACHE_DIR"}
    subprocess.run(
        ("sh", "-euc", command),
        cwd=image.below(image.workdir),
        env=os.environ | env | {"PATH": image.path()},
        check=True,
        timeout=_BUILD_SECONDS,
    )


@dataclass
class Containers:
    """The services of a compose file, as processes on this machine."""

    image: Image
    services: Mapping[str, Any]
    volumes: Path
    """Where named volumes are, each below its name."""
    scratch: Path
    ports: Mapping[str, str]
    """The ports that the file names → those that are free here."""

    @contextmanager
    def up(self, name: str) -> Iterator[Child]:
        """Run one service, wherever its container would have run."""
        service = self.services[name]
        entrypoint = service.get("entrypoint", self.image.entrypoint)
        command = [*entrypoint, *service.get("command", self.image.command)]
        with running(*self._here(name, command), env=self.env(name), cwd=self._cwd(name)) as child:
            yield child

    def wait_until_healthy(self, name: str, child: Child) -> None:
        """Repeat the service's own check until it is content."""
        check = self.services[name]["healthcheck"]["test"]
        assert check[0] == "CMD"
        self.wait_for(name, check[1:], child)

    def wait_for(self, name: str, check: Sequence[str], child: Child) -> None:
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while self.run(name, check).returncode != 0:
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{child.output}"

    def run(self, name: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a container, as `docker compose exec` does."""
        return subprocess.run(
            self._here(name, command),
            env=self.env(name),
            cwd=self._cwd(name),
            capture_output=True,
            text=True,
            timeout=_HEALTHY_SECONDS,
            check=False,
        )

    def env(self, name: str) -> dict[str, str]:
        """All variables of a service's processes."""
        home = self.scratch / name
        home.mkdir(parents=True, exist_ok=True)
        given = self.image.env | self.services[name].get("environment", {})
        mapped = {key: self._text(name, value) for key, value in given.items()}
        return mapped | {"PATH": self.image.path(), "HOME": str(home), "TMPDIR": str(home)}

    def _here(self, name: str, command: Sequence[str]) -> list[str]:
        words = [self._text(name, word) for word in command]
        program = shutil.which(words[0], path=self.image.path())
        assert program is not None, f"{words[0]} is not in the image"
        return [program, *words[1:]]

    def _text(self, name: str, text: str) -> str:
        """Put this machine's ports and paths in the place of the container's."""
        text = re.sub(r"\b\d{4,5}\b", lambda found: self.ports[found[0]], text)
        return re.sub(r"^/symphony\b", lambda _: str(self._mounted(name)), text)

    def _mounted(self, name: str) -> Path:
        """What stands at /symphony in a container."""
        volumes = dict(one.split(":")[1::-1] for one in self.services[name].get("volumes", []))
        if "/symphony" not in volumes:
            return self.image.below("/symphony")
        place = self.volumes / volumes["/symphony"]
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _cwd(self, name: str) -> Path:
        assert self.image.workdir == "/symphony"
        return self._mounted(name)
