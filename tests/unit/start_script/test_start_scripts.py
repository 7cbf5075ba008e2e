"""Start scripts, by themselves: shellcheck, and the real programs they start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tdredis.manifests.proxy import build_envoy, build_listener
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.start_scripts import ENVOY, PREDIXY, REDIS
from tdredis.redis.slots import even_split
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link, connect
from tests.unit.manifests.builders import sample

DEADLINE_S = 20.0
PREFIXES = {sys.prefix, sys.base_prefix, "/usr"}  # where redis-server, sh and Envoy live
SYSTEM = (
    *(word for prefix in sorted(PREFIXES) for word in ("--ro-bind", prefix, prefix)),
    *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
)
INNER, OUTER = "inner vault", "outer door"


@pytest.mark.parametrize("script", [REDIS, ENVOY, PREDIXY], ids=["redis", "envoy", "predixy"])
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert checked.stdout == ""


class Pods:
    """Containers of one pod network, 127.x.y.*: the paths of a pod are folders here, bound in by bubblewrap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = f"127.{random.randint(32, 62)}.{random.randint(1, 250)}"  # noqa: S311 to keep runs apart
        self.processes: list[asyncio.subprocess.Process] = []

    async def run(self, number: int, files: dict[str, dict[str, str]], script: str) -> str:
        """Starts *script* in a container whose folders hold *files*; returns its address."""
        address = f"{self.network}.{number}"
        binds = []
        for mount, content in files.items():
            place = self.folder / str(number) / mount.strip("/").replace("/", "-")
            place.mkdir(parents=True)
            for name, text in content.items():
                (place / name).write_text(text)
            binds += ["--bind", str(place), mount]
        bin_folder = str(Path(sys.executable).parent)
        environment = {"POD_IP": address, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        self.processes.append(
            await asyncio.create_subprocess_exec(
                *("bwrap", "--die-with-parent", "--unshare-pid", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
                *SYSTEM,
                *binds,
                *("sh", script),
                env=environment,
                stdout=subprocess.DEVNULL,
            )
        )
        return address

    async def run_redis(self, number: int, password: str = INNER) -> Link:
        cluster = sample(capacity=192)
        address = await self.run(
            number,
            {
                "/etc/tdredis": {"redis.conf": build_redis_conf(cluster), "start.sh": REDIS},
                "/etc/tdredis-auth": {"auth.conf": build_auth_conf(password)},
                "/data": {},
            },
            "/etc/tdredis/start.sh",
        )
        return await _connected(address, password)

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


async def _connected(address: str, password: str) -> Link:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await connect(address, 6379, password=password, timeout_s=2)
            except Refused:
                raise
            except LinkError:
                await asyncio.sleep(0.02)  # between two looks, under the deadline above


def _command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended while we looked
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return found


async def _config(link: Link, name: str) -> str:
    reply = await link.call("CONFIG", "GET", name, timeout_s=5)
    assert isinstance(reply, list)
    return bytes(reply[1]).decode()


@pytest.fixture(autouse=True)
def programs() -> None:
    assert shutil.which("bwrap"), "install bubblewrap (make install does)"


async def test_redis_comes_up_as_configured_on_its_own_address(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)

        assert await _config(link, "bind") == f"{network.network}.1"
        assert await _config(link, "bind-source-addr") == f"{network.network}.1"
        assert await _config(link, "cluster-announce-ip") == f"{network.network}.1"
        assert (await _config(link, "maxmemory"), await _config(link, "appendonly")) == (str(64 * 2**20), "yes")
        link.close()


async def test_the_password_is_demanded_and_not_on_the_command_line(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1, password='p"w \\x')

        (process,) = network.processes
        assert process.returncode is None
        assert not [command for command in _command_lines() if 'p"w' in command]
        with pytest.raises(Refused):
            await connect(f"{network.network}.1", 6379, password="wrong", timeout_s=5)
        link.close()


async def test_a_node_that_has_met_nobody_begins_with_a_short_timeout_and_no_other_does(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        blank = await network.run_redis(1)
        assert await _config(blank, "cluster-node-timeout") == "1000"
        blank.close()
        await network.stop()
        (network.folder / "again").mkdir()
        network.folder = network.folder / "again"
        known = network.folder / "1" / "data"

        address = await network.run(
            1,
            {
                "/etc/tdredis": {"redis.conf": build_redis_conf(sample()), "start.sh": REDIS},
                "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER)},
                "/data": {"nodes.conf": (tmp_path / "1" / "data" / "nodes.conf").read_text()},
            },
            "/etc/tdredis/start.sh",
        )

        link = await _connected(address, INNER)
        assert known.exists()
        assert await _config(link, "cluster-node-timeout") == "5000"
        link.close()


async def test_envoy_leads_plain_clients_to_the_right_shard_and_asks_for_the_password(tmp_path: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        links = [await network.run_redis(number) for number in (1, 2, 3)]
        for link in links:
            stack.callback(link.close)
        for link, slots in zip(links, even_split(3), strict=True):
            await link.call("CLUSTER", "ADDSLOTS", *slots, timeout_s=5)
        for number in (2, 3):
            await links[0].call("CLUSTER", "MEET", f"{network.network}.{number}", 6379, timeout_s=5)
        await _all_ok(links)
        address = await network.run(
            4,
            {
                "/etc/proxy": {
                    "envoy.json": json.dumps(build_envoy(f"{network.network}.1", authenticated=True)),
                    "listener.json": json.dumps(build_listener(authenticated=True)),
                    "start.sh": ENVOY,
                },
                "/etc/proxy-secret": {"redis-password": INNER, "proxy-password": OUTER},
            },
            "/etc/proxy/start.sh",
        )

        proxy = await _connected(address, OUTER)
        stack.callback(proxy.close)
        names = [f"key:{number}" for number in range(200)]
        assert set(await proxy.call_all([("SET", name, name) for name in names], timeout_s=10)) == {b"OK"}
        assert await proxy.call_all([("GET", name) for name in names], timeout_s=10) == [n.encode() for n in names]
        sizes = [await link.call("DBSIZE", timeout_s=5) for link in links]
        assert all(isinstance(size, int) and size > 20 for size in sizes)
        with pytest.raises(Refused):
            await connect(address, 6379, password=INNER, timeout_s=5)


async def _all_ok(links: list[Link]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answers = [await link.call("CLUSTER", "INFO", timeout_s=5) for link in links]
            if all("cluster_state:ok" in str(answer) for answer in answers):
                return
            await asyncio.sleep(0.05)  # between two looks, under the deadline above
