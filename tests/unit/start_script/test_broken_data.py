"""Data that is lost or broken: none of it is deleted, nobody empty comes back as a primary, no pod ends for ever."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.start_scripts import CLUSTER_NODE, STANDALONE, STANDALONE_ON_VOLUME, STANDBY_NODE
from tdredis.redislink.errors import Refused
from tdredis.redislink.link import Link
from tests.kit.builders import sample, standalone, standby
from tests.kit.containers import DEADLINE_S, INNER, Pods, config, connected, pods
from tests.kit.pairs import pairs
from tests.kit.waiting import eventually

KEYS = 300
Damage = Callable[[Path], object]

KINDS = {
    "cluster": (CLUSTER_NODE, sample(capacity=192)),
    "standby": (STANDBY_NODE, standby()),
    "standalone": (STANDALONE, standalone()),
    "standalone on a volume": (STANDALONE_ON_VOLUME, standalone(storageclass="fast")),
}


def base(data: Path) -> Path:
    return next((data / "appendonlydir").glob("*.base.rdb"))


def increment(data: Path) -> Path:
    return next((data / "appendonlydir").glob("*.incr.aof"))


def manifest(data: Path) -> Path:
    return data / "appendonlydir" / "appendonly.aof.manifest"


def flip(file: Path, *, at: float) -> None:
    whole = bytearray(file.read_bytes())
    place = int(len(whole) * at)
    whole[place : place + 8] = bytes(byte ^ 0xFF for byte in whole[place : place + 8])
    file.write_bytes(whole)


def append(file: Path, more: bytes) -> None:
    file.write_bytes(file.read_bytes() + more)


def replace(file: Path, old: bytes, new: bytes) -> None:
    whole = file.read_bytes()
    assert old in whole, file
    file.write_bytes(whole.replace(old, new, 1))


# What the engine cannot load, whatever is done.
BROKEN: dict[str, Damage] = {
    "the base is missing": lambda data: base(data).unlink(),
    "the increment is missing": lambda data: increment(data).unlink(),
    "bytes of the base are flipped": lambda data: flip(base(data), at=0.5),
    "the base is empty": lambda data: base(data).write_bytes(b""),
    "bytes in the middle of the increment are flipped": lambda data: flip(increment(data), at=0.5),
    "a command of the increment is none": lambda data: replace(increment(data), b"SET", b"SEX"),
    "NULs stand at the end of the increment": lambda data: append(increment(data), bytes(500)),
    "the increment is something else": lambda data: increment(data).write_bytes(b"<html>no such thing</html>\n"),
    "the manifest is something else": lambda data: manifest(data).write_text(
        "file no such thing type b\nfile type i\n"
    ),
    "the manifest is NULs": lambda data: [
        manifest(data).write_bytes(bytes(100)),
        increment(data).rename(data / "elsewhere"),
    ],
}

# What is put in order without a loss.
MENDED: dict[str, Damage] = {
    "the manifest is gone": lambda data: manifest(data).unlink(),
    "the manifest is empty": lambda data: manifest(data).write_bytes(b""),
    "the manifest names the base only": lambda data: manifest(data).write_text(
        "".join(line for line in manifest(data).read_text().splitlines(keepends=True) if "type b" in line)
    ),
    "the manifest names the increment only": lambda data: manifest(data).write_text(
        "".join(line for line in manifest(data).read_text().splitlines(keepends=True) if "type i" in line)
    ),
    "the last command is torn": lambda data: increment(data).write_bytes(
        increment(data).read_bytes() + b"*3\r\n$3\r\nSE"
    ),
}


async def run(network: Pods, number: int, kind: str, *, first_in_path: str = "") -> Link:
    return await connected(await start(network, number, kind, first_in_path=first_in_path), INNER)


async def start(network: Pods, number: int, kind: str, *, first_in_path: str = "") -> str:
    script, instance = KINDS[kind]
    files = {
        "/etc/tdredis": {"redis.conf": build_redis_conf(instance), "start.sh": script},
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER), "password": INNER},
        "/data": {},
    }
    return await network.run(number, files, "/etc/tdredis/start.sh", pod="pod-1", first_in_path=first_in_path)


async def fill(link: Link, kind: str) -> None:
    """Half of the keys are in the base, half in the increment."""
    if kind == "cluster":
        await link.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383, timeout_s=5)
        await eventually(lambda: has(link, "CLUSTER", "INFO", word=b"cluster_state:ok"), "its cluster works")
    else:
        await link.call("REPLICAOF", "NO", "ONE", timeout_s=5)
    await link.call_all([("SET", f"key:{number}", "v" * 50) for number in range(KEYS // 2)], timeout_s=5)
    await link.call("BGREWRITEAOF", timeout_s=5)
    await eventually(lambda: has(link, "INFO", "persistence", word=b"aof_rewrite_in_progress:0"), "it has written all")
    await link.call_all([("SET", f"key:{number}", "v" * 50) for number in range(KEYS // 2, KEYS)], timeout_s=5)
    await link.call("CONFIG", "SET", "appendfsync", "always", timeout_s=5)
    await link.call("SET", "last", "one", timeout_s=5)


async def has(link: Link, *question: str, word: bytes) -> bool:
    answer = await link.call(*question, timeout_s=5)
    return isinstance(answer, bytes) and word in answer


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volume of each kind as it is before anything is broken, once some test has made it."""
    return tmp_path_factory.mktemp("whole")


async def filled_and_stopped(network: Pods, kind: str, whole: Path) -> Path:
    """A volume for pod-1, as a process that was filled has left it."""
    data = network.volume("pod-1", "/data")
    if copied(whole / kind, data):
        return data
    link = await run(network, 1, kind)
    await fill(link, kind)
    link.close()
    await network.stop()
    (data / "tdredis.lost").unlink(missing_ok=True)  # as ready.sh does with a primary that serves
    assert copied(data, whole / kind)
    return data


def copied(there: Path, here: Path) -> bool:
    """False: there is nothing to copy."""
    if not there.exists():
        return False
    shutil.copytree(there, here)
    return True


async def keys(link: Link) -> int:
    found = await link.call("DBSIZE", timeout_s=5)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(("damage", "kind"), pairs(list(BROKEN), list(KINDS)))
async def test_what_the_engine_cannot_load_is_kept_and_nobody_empty_leads(
    tmp_path: Path, whole: Path, kind: str, damage: str
) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, kind, whole)
        BROKEN[damage](data)
        before = {file.name: file.read_bytes() for file in (data / "appendonlydir").iterdir()}

        link = await run(network, 2, kind)

        stack.callback(link.close)
        (kept,) = data.glob("unusable-*/appendonlydir")
        assert {file.name: file.read_bytes() for file in kept.iterdir()} == before
        assert (await config(link, "syslog-ident")).startswith("lost-data: ")
        if kind == "cluster":
            assert await has(link, "CLUSTER", "INFO", word=b"cluster_slots_assigned:0")
            assert await has(link, "CLUSTER", "INFO", word=b"cluster_known_nodes:1")
        else:
            assert await has(link, "INFO", "replication", word=b"role:slave")
        if "standalone" in kind:
            with pytest.raises(Refused, match="MASTERDOWN"):
                await link.call("GET", "key:1", timeout_s=5)


@pytest.mark.parametrize(("damage", "kind"), pairs(list(MENDED), list(KINDS)))
async def test_what_can_be_put_in_order_comes_back_whole(tmp_path: Path, whole: Path, kind: str, damage: str) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, kind, whole)
        MENDED[damage](data)

        link = await run(network, 2, kind)

        stack.callback(link.close)
        assert await keys(link) == KEYS + 1
        if kind == "cluster":
            assert await has(link, "CLUSTER", "INFO", word=b"cluster_slots_assigned:16384")
        if "standalone" in kind:
            assert await has(link, "INFO", "replication", word=b"role:master")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_list_of_many_files_is_nobody_s_guess(tmp_path: Path, whole: Path, kind: str) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, kind, whole)
        manifest(data).unlink()
        (data / "appendonlydir" / "appendonly.aof.9.incr.aof").write_bytes(increment(data).read_bytes())

        link = await run(network, 2, kind)

        stack.callback(link.close)
        assert len(list(data.glob("unusable-*/appendonlydir/*"))) == 3
        assert (await config(link, "syslog-ident")).startswith("lost-data: the list of append-only files is lost")
        role = b"role:master" if kind == "cluster" else b"role:slave"
        assert await has(link, "INFO", "replication", word=role)


NODES: dict[str, Damage] = {
    "its last line is rubbish": lambda data: append(data / "nodes.conf", b"no such thing"),
    "a range ends at 99999": lambda data: replace(data / "nodes.conf", b"0-16383", b"0-99999"),
    "vars are no numbers": lambda data: replace(data / "nodes.conf", b" lastVoteEpoch 0", b" lastVoteEpoch"),
    "a flag is none": lambda data: replace(data / "nodes.conf", b"myself,master", b"myself,mistress"),
    "the address is none": lambda data: replace(data / "nodes.conf", b"@16379", b""),
    "it is NULs": lambda data: (data / "nodes.conf").write_bytes(bytes(500)),
    "two are myself": lambda data: replace(
        data / "nodes.conf", b"vars ", b"0" * 40 + b" 127.0.0.1:1@2 myself,slave - 0 0 1 connected\nvars "
    ),
    "it is empty": lambda data: (data / "nodes.conf").write_bytes(b""),
    "it is gone": lambda data: (data / "nodes.conf").unlink(),
}


@pytest.mark.parametrize("damage", NODES)
async def test_a_node_with_a_torn_nodes_conf_keeps_every_key(tmp_path: Path, whole: Path, damage: str) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, "cluster", whole)
        NODES[damage](data)

        link = await run(network, 2, "cluster")

        stack.callback(link.close)
        assert await keys(link) == KEYS + 1
        assert await has(link, "CLUSTER", "INFO", word=b"cluster_known_nodes:1")


async def test_nuls_behind_nodes_conf_are_nothing_to_the_engine(tmp_path: Path, whole: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, "cluster", whole)
        append(data / "nodes.conf", bytes(100))

        link = await run(network, 2, "cluster")

        stack.callback(link.close)
        assert await has(link, "CLUSTER", "INFO", word=b"cluster_slots_assigned:16384")


async def test_a_torn_nodes_conf_and_broken_data_are_both_seen(tmp_path: Path, whole: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, "cluster", whole)
        NODES["its last line is rubbish"](data)
        BROKEN["bytes of the base are flipped"](data)

        link = await run(network, 2, "cluster")

        stack.callback(link.close)
        assert len(list(data.glob("unusable-*"))) == 2
        assert (await config(link, "syslog-ident")).startswith("lost-data: ")
        assert await has(link, "CLUSTER", "INFO", word=b"cluster_slots_assigned:0")


def older_engine(folder: Path, version: str) -> str:
    """A folder in which redis-server says that it is *version*. Returns its path."""
    folder.mkdir(exist_ok=True)
    real = shutil.which("redis-server")
    script = f'#!/bin/sh\ncase $1 in --version) echo "Redis server v={version} sha=0";; *) exec {real} "$@";; esac\n'
    (folder / "redis-server").write_text(script)
    (folder / "redis-server").chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_engine_that_would_begin_with_nothing_beside_the_data_does_not_start(
    tmp_path: Path, whole: Path, kind: str
) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        data = await filled_and_stopped(network, kind, whole)
        before = {file.name: file.read_bytes() for file in (data / "appendonlydir").iterdir()}
        older = older_engine(data / "older", "6.2.14")

        await start(network, 2, kind, first_in_path="/data/older")

        code = await asyncio.wait_for(network.processes[-1].wait(), DEADLINE_S)
        assert code == 1, older
        assert "6.2.14 does not read it: write the previous image again" in network.log("pod-1")
        assert {file.name: file.read_bytes() for file in (data / "appendonlydir").iterdir()} == before
        again = await run(network, 3, kind)
        stack.callback(again.close)
        assert await keys(again) == KEYS + 1


@pytest.mark.parametrize("kind", KINDS)
async def test_data_of_a_newer_engine_is_not_set_aside(tmp_path: Path, whole: Path, kind: str) -> None:
    async with pods(tmp_path) as network:
        data = await filled_and_stopped(network, kind, whole)
        replace(base(data), b"REDIS0010", b"REDIS0099")

        await start(network, 2, kind)

        assert await asyncio.wait_for(network.processes[-1].wait(), DEADLINE_S) == 1
        assert "written by an engine that writes REDIS0099" in network.log("pod-1")
        assert not list(data.glob("unusable-*"))


async def test_a_configuration_that_is_wrong_is_not_the_data_s_fault(tmp_path: Path, whole: Path) -> None:
    async with pods(tmp_path) as network:
        data = await filled_and_stopped(network, "standby", whole)
        conf = network.volume("pod-1", "/etc/tdredis")
        script, instance = KINDS["standby"]
        files = {
            "/etc/tdredis": {"redis.conf": build_redis_conf(instance) + "no-such-thing yes\n", "start.sh": script},
            "/etc/tdredis-auth": {},
            "/data": {},
        }

        await network.run(2, files, "/etc/tdredis/start.sh", pod="pod-1")

        assert await asyncio.wait_for(network.processes[-1].wait(), DEADLINE_S) != 0, conf
        assert not list(data.glob("unusable-*"))


async def test_a_new_standalone_on_a_volume_waits_for_the_operator_and_is_one_for_good_then(tmp_path: Path) -> None:
    async with pods(tmp_path) as network, AsyncExitStack() as stack:
        link = await run(network, 1, "standalone on a volume")
        assert await has(link, "INFO", "replication", word=b"role:slave")
        assert (await config(link, "syslog-ident")).startswith("blank: ")
        link.close()
        await network.stop()

        again = await run(network, 2, "standalone on a volume")

        stack.callback(again.close)
        assert await has(again, "INFO", "replication", word=b"role:slave")
