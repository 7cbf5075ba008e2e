"""Which local program plays which container image, with the image's own defaults of command, environment, volumes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The stock image's entrypoint: bare options mean redis-server. Inside a pod "every address" is the pod's address; here,
# where pods share the machine's network, it has to be said, or the second pod would find the port taken.
_REDIS_ENTRYPOINT = """
case "$1" in -*|*.conf) set -- {program} "$@" ;; esac
if [ "$1" = {program} ]; then
  case " $* " in *" --bind "*|*.conf\\ *) ;; *) set -- "$@" --bind {pod_ip} --protected-mode no ;; esac
fi
exec "$@"
"""


# An imageID says which file of this machine truly runs.
IDENTITY_SCHEME = "localkube://"


class ImageProblem(Exception):
    """The catalogue has no program for this image; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container of this image starts from. `{pod_ip}` in entrypoint and env stands for the pod's address."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    volumes: tuple[str, ...] = ()  # writable even under a read-only root, as containerd does
    programs: Mapping[str, str] = field(default_factory=dict)  # path in the container -> file or folder of this machine
    identity: str = ""  # shown as imageID: the program that truly runs


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRule:
    """Images whose name (without registry and tag) matches *pattern* are played by the first of *programs* found."""

    pattern: str
    programs: tuple[str, ...]
    called: str  # the program's absolute path in the image
    also_called: tuple[str, ...] = ()  # as a link beside it
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    volumes: tuple[str, ...] = ()


def _redis_rule(pattern: str, program: str, others: tuple[str, ...], *, also_called: tuple[str, ...] = ()) -> ImageRule:
    return ImageRule(
        pattern=pattern,
        programs=(program, *others),
        called=f"/usr/local/bin/{program}",
        also_called=also_called,
        entrypoint=("sh", "-c", _REDIS_ENTRYPOINT.replace("{program}", program), "docker-entrypoint.sh"),
        cmd=(program,),
        working_dir="/data",
        volumes=("/data",),
    )


_EXPORTER_ENV = {"REDIS_EXPORTER_WEB_LISTEN_ADDRESS": "{pod_ip}:9121", "REDIS_ADDR": "redis://{pod_ip}:6379"}

RULES: tuple[ImageRule, ...] = (
    _redis_rule(r"redis", "redis-server", ("valkey-server",)),
    _redis_rule(r"valkey/valkey", "valkey-server", ("redis-server",), also_called=("/usr/local/bin/redis-server",)),
    _redis_rule(r"tongduncloud/redis-(cluster|standby|standalone)", "redis-server", ("valkey-server",)),
    ImageRule(
        pattern=r"tongduncloud/sentinel-standby",
        programs=("redis-sentinel", "valkey-sentinel"),
        called="/usr/local/bin/redis-sentinel",
        cmd=("redis-sentinel", "/home/admin/sentinel/sentinel.conf"),
    ),
    ImageRule(
        pattern=r"(oliver006/redis_exporter|tongduncloud/redis-exporter)",
        programs=("prometheus-redis-exporter", "redis_exporter"),
        called="/redis_exporter",
        entrypoint=("/redis_exporter",),
        env=_EXPORTER_ENV,
    ),
    ImageRule(
        pattern=r"envoyproxy/envoy",
        programs=("envoy",),
        called="/usr/local/bin/envoy",
        entrypoint=("envoy",),
        cmd=("-c", "/etc/envoy/envoy.yaml"),
    ),
    ImageRule(
        pattern=r"tongduncloud/predixy",
        programs=("predixy",),
        called="/usr/local/bin/predixy",
        entrypoint=("predixy",),
        cmd=("/etc/predixy/predixy.conf",),
    ),
    ImageRule(pattern=r"busybox|alpine|debian|ubuntu", programs=("sh",), called="/bin/sh", cmd=("sh",)),
    ImageRule(
        pattern=r"(.+/)?pause",
        programs=("sleep",),
        called="/bin/sleep",
        # Unlike a bare sleep, the real one ends when it is told to.
        entrypoint=("sh", "-c", "trap 'exit 0' TERM INT; sleep infinity & wait"),
    ),
)


def repository_of(image: str) -> str:
    """`docker.io/library/redis:7@sha256:...` -> `redis`: without registry, `library/`, tag and digest."""
    return re.sub(r":[^:/]*$", "", tagged(image))


def tagged(image: str) -> str:
    """`docker.io/library/redis:7@sha256:...` -> `redis:7`: without registry, `library/` and digest."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        name = rest
    return name.removeprefix("library/")


def find_program(name: str) -> str | None:
    """Absolute path of a program of this machine; programs installed beside our Python come first."""
    packaged = _packaged_program(name)
    if packaged is not None:
        return packaged
    beside = f"{Path(sys.executable).parent}/{name}"
    if os.access(beside, os.X_OK) and _is_binary(beside):
        return beside
    return shutil.which(name, path=STANDARD_PATH) or shutil.which(name)


def _packaged_program(name: str) -> str | None:
    # Python packages of programs install a Python wrapper; only the program itself runs in a container.
    for folder in sys.path:
        candidate = f"{folder}/{name}/_bin/{name}"
        if os.access(candidate, os.X_OK):
            return candidate
    return None


def _is_binary(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(4) == b"\x7fELF"


class Catalogue:
    """Images by name. *extra* rules come before the built-in ones. *played*: by name and tag, the file of this machine
    that is the first program of its rule. *seen*: folders of this machine that containers of these images see where
    they are: what such a file needs.
    """

    def __init__(
        self,
        extra: Sequence[ImageRule] = (),
        *,
        played: Mapping[str, str] | None = None,
        seen: Sequence[str] = (),
    ) -> None:
        self._rules = (*extra, *RULES)
        self._played = played or {}
        self._seen = {folder: folder for folder in seen}
        self._found: dict[str, Image] = {}

    def resolve(self, name: str) -> Image:
        """Raises ImageProblem with a sentence for the pod's status."""
        repository, played = repository_of(name), self._played.get(tagged(name))
        key = tagged(name) if played else repository
        known = self._found.get(key)
        if known is None:
            # A miss is not remembered: the program may be installed while we run.
            known = self._found[key] = self._look_up(name, repository, played)
        return known

    def _look_up(self, name: str, repository: str, played: str | None) -> Image:
        rule = next((rule for rule in self._rules if re.fullmatch(rule.pattern, repository)), None)
        if rule is None:
            raise ImageProblem(
                f'failed to pull and unpack image "{name}": not found: no program of this machine plays "{repository}"'
            )
        if played is not None:
            return _image_of(rule, rule.programs[0], played, seen=self._seen)
        for program in rule.programs:
            host = find_program(program)
            if host is not None:
                return _image_of(rule, program, host)
        wanted = " or ".join(f'"{program}"' for program in rule.programs)
        raise ImageProblem(f'failed to pull and unpack image "{name}": not found: no program {wanted} on this machine')


def _image_of(rule: ImageRule, program: str, host: str, *, seen: Mapping[str, str] | None = None) -> Image:
    # A program that the container sees under /usr anyway needs no mount of its own.
    in_place = rule.called.rpartition("/")[2] == program and host.startswith(("/usr/bin/", "/usr/sbin/"))
    seen_on_path = in_place and rule.called.startswith(("/usr/local/bin/", "/bin/"))
    return Image(
        entrypoint=rule.entrypoint,
        cmd=rule.cmd,
        env={"PATH": STANDARD_PATH, **rule.env},
        working_dir=rule.working_dir,
        volumes=rule.volumes,
        programs={} if seen_on_path else {**dict.fromkeys((rule.called, *rule.also_called), host), **(seen or {})},
        identity=f"{IDENTITY_SCHEME}{host}",
    )
