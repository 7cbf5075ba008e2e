"""Containers by bubblewrap, each on an address of its own: what a start script finds in a pod."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.start_scripts import CLUSTER_NODE
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tests.kit.builders import sample

DEADLINE_S = 20.0
PREFIXES = {sys.prefix, sys.base_prefix, "/usr"}  # where redis-server, sh and Envoy live
SYSTEM = (
    *(word for prefix in sorted(PREFIXES) for word in ("--ro-bind", prefix, prefix)),
    *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
)
INNER, OUTER = "inner vault", "outer door"


class Pods:
    """Containers of one pod network, 127.x.y.*: the paths of a pod are folders here, bound in by bubblewrap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = f"127.{random.randint(32, 62)}.{random.randint(1, 250)}"  # noqa: S311 to keep runs apart
        self.processes: list[asyncio.subprocess.Process] = []

    async def run(
        self,
        number: int,
        files: dict[str, dict[str, str]],
        script: str,
        *,
        pod: str = "",
        first_in_path: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Starts *script* in a container whose folders hold *files*; returns its address. The same *pod* has the same
        folders, on whatever address it comes up. Programs are looked for in *first_in_path* first. *variables*: more of
        its environment.
        """
        address, pod = f"{self.network}.{number}", pod or f"pod-{number}"
        binds = []
        for mount, content in files.items():
            place = self.volume(pod, mount)
            place.mkdir(parents=True, exist_ok=True)
            for name, text in content.items():
                (place / name).write_text(text)
            binds += ["--bind", str(place), mount]
        bin_folder = str(Path(sys.executable).parent)
        environment = {"POD_IP": address, "POD_NAME": pod, "PATH": f"{first_in_path}:{bin_folder}:{os.environ['PATH']}"}
        with (self.folder / f"{pod}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *("bwrap", "--die-with-parent", "--unshare-pid", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
                *SYSTEM,
                *binds,
                *("sh", script),
                env={**environment, **variables},
                stdout=log,
            )
        self.processes.append(process)
        return address

    def log(self, pod: str) -> str:
        return (self.folder / f"{pod}.log").read_text(errors="replace")

    def volume(self, pod: str, mount: str) -> Path:
        return self.folder / pod / mount.strip("/").replace("/", "-")

    async def run_redis(self, number: int, password: str = INNER, *, pod: str = "") -> Link:
        cluster = sample(capacity=192)
        address = await self.run(
            number,
            {
                "/etc/tdredis": {"redis.conf": build_redis_conf(cluster), "start.sh": CLUSTER_NODE},
                "/etc/tdredis-auth": {"auth.conf": build_auth_conf(password), "password": password},
                "/data": {},
            },
            "/etc/tdredis/start.sh",
            pod=pod,
        )
        return await connected(address, password)

    async def stop(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def pods(folder: Path) -> AsyncIterator[Pods]:
    found = Pods(folder)
    try:
        yield found
    finally:
        await found.stop()


async def connected(address: str, password: str, port: int = 6379) -> Link:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                link = await connect(address, port, access=Access((password,)), timeout_s=2)
                try:
                    await link.call("PING", timeout_s=2)
                except LinkError as error:
                    if not isinstance(error, Refused) or error.code != "MASTERDOWN":
                        link.close()
                    raise
                else:
                    return link
            except Refused as error:
                if error.code == "MASTERDOWN":
                    return link
                if error.code != "LOADING":
                    raise
            except LinkError:
                pass  # nobody listens yet
            await asyncio.sleep(0.02)  # between two looks, under the deadline above


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended while we looked
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return found


async def config(link: Link, name: str) -> str:
    reply = await link.call("CONFIG", "GET", name, timeout_s=5)
    assert isinstance(reply, list)
    return bytes(reply[1]).decode()
