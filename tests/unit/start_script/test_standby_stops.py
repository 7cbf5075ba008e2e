"""What a standby's primary acknowledges is there after stop.sh has handed it over, with real Sentinels and no operator:
from when another is promoted it takes no write, until it is demoted, and before that it takes all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tdredis.manifests.peers import build_peers_files
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.start_scripts import STANDBY_NODE
from tdredis.manifests.stop_scripts import STOP_STANDBY
from tdredis.redislink.errors import Refused, Unreachable
from tdredis.redislink.link import Link
from tests.kit.builders import standby
from tests.kit.containers import DEADLINE_S, INNER, Pods, config, connected, pods
from tests.kit.engines import BIN
from tests.kit.waiting import eventually
from tests.unit.start_script.test_replication_scripts import NAMES, replication, run_sentinel, until

PROGRAMS = "/data/programs"
LEAST = "min-replicas-to-write"
DEMOTED_S = 40.0  # Sentinels wait for eight seconds, once they have heard that it is a primary still

# As a kubelet does it, who may also lose its patience: the test asks by files.
POD = """\
sh /etc/tdredis/start.sh &
started=$!
until [ -e /data/stop ]; do sleep 0.02; done
sh /etc/tdredis/stop.sh &
echo $! >/data/stopping
wait $! && code=0 || code=$?
echo "stop.sh ended with $code"
wait "$started"
"""

# What is asked of Sentinels is counted; who asks them may die of it, or be told a lie, or nothing for once; or somebody
# lowers its fence behind that. A pause of three seconds: what
# comes after it is to be seen.
TIMEOUT = """\
#!/bin/sh
case "$*" in
  *'SENTINEL FAILOVER'*)
    echo asked >>/data/asked
    if [ -e /data/lies ]; then
      echo OK
      exit
    fi
    if [ -e /data/hangs ]; then
      rm /data/hangs
      exit 124
    fi
    if [ -e /data/lowers ]; then
      /usr/bin/timeout "$@"
      redis-cli -h "$POD_IP" CONFIG SET min-replicas-to-write 0 >/dev/null
      exit
    fi
    if [ -e /data/dies ]; then
      /usr/bin/timeout "$@"
      kill -KILL "$(cat /data/stopping)"
      exit
    fi
    ;;
  *'CLIENT PAUSE 10000 WRITE') exec /usr/bin/timeout 2 redis-cli -h "$POD_IP" CLIENT PAUSE 3000 WRITE ;;
esac
exec /usr/bin/timeout "$@"
"""
# The first seconds are the operator's, who is not there.
DATE = """\
#!/bin/sh
now=$(/usr/bin/date +%s)
if [ -e /data/began ]; then
  now=$((now + 4))
fi
: >/data/began
echo "$now"
"""


@dataclass
class World:
    """A primary whose pod is stopped at the test's word, its replicas and three Sentinels."""

    network: Pods
    primary: Link
    replicas: list[Link]
    sentinels: list[Link]

    @property
    def data(self) -> Path:
        return self.network.volume("pod-1", "/data")

    def close(self) -> None:
        for link in (self.primary, *self.replicas, *self.sentinels):
            link.close()

    def has_asked(self) -> int:
        """How often a Sentinel was asked to fail over."""
        file = self.data / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def says(self, words: str) -> bool:
        return words in self.network.log("pod-1")

    async def successor(self) -> Link:
        """Who was promoted, whose connections Sentinels have ended then."""
        found = [await connected(f"{self.network.network}.{2 + number}", INNER) for number in range(len(self.replicas))]
        self.replicas[:] = found
        (promoted,) = [link for link in found if (await replication(link))["role"] == "master"]
        return promoted


async def run_node(network: Pods, number: int, engine: str) -> Link:
    instance = standby()
    lay_out(network, f"pod-{number}", engine, timeout=TIMEOUT, date=DATE)
    files = {
        "/etc/tdredis": {
            "redis.conf": build_redis_conf(instance),
            "start.sh": STANDBY_NODE,
            "stop.sh": STOP_STANDBY,
            "pod.sh": POD,
            "master-name": "mymaster",
        },
        "/etc/tdredis-auth": {
            "auth.conf": build_auth_conf(INNER),
            "password": INNER,
            **build_peers_files(instance, INNER),
        },
        "/data": {},
    }
    return await connected(await network.run(number, files, "/etc/tdredis/pod.sh", first_in_path=PROGRAMS), INNER)


def lay_out(network: Pods, pod: str, engine: str, **programs: str) -> None:
    """What is found first in the path of *pod*: texts of *programs*, and the engine under Redis' names."""
    network.volume(pod, "/data").mkdir(parents=True, exist_ok=True)
    folder = network.volume(pod, "/data") / Path(PROGRAMS).name
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("redis-server", "redis-sentinel"):
        if engine == "valkey" and not (folder / name).is_symlink():
            (folder / name).symlink_to(BIN / "valkey-server")


@asynccontextmanager
async def world(folder: Path, *, replicas: int = 1, priority: int = 100, engine: str = "redis") -> AsyncIterator[World]:
    async with pods(folder) as network, AsyncExitStack() as stack:
        host = f"{network.network}.1"
        primary, *others = [await run_node(network, 1 + number, engine) for number in range(1 + replicas)]
        sentinels = []
        for number, pod in enumerate(NAMES):
            lay_out(network, pod, engine)
            sentinels.append(await run_sentinel(network, 11 + number, pod, first_in_path=PROGRAMS))
        here = World(network, primary, others, sentinels)
        stack.callback(here.close)
        await primary.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        for link in others:
            await link.call("CONFIG", "SET", "replica-priority", priority, timeout_s=5)
            await link.call("REPLICAOF", host, 6379, timeout_s=5)

        async def are_online() -> bool:
            found = await replication(primary)
            return sum("state=online" in found.get(f"slave{number}", "") for number in range(replicas)) == replicas

        await eventually(are_online, "the primary knows its replicas", deadline_s=DEADLINE_S)
        for link in sentinels:
            await link.call("SENTINEL", "MONITOR", "mymaster", host, 6379, 2, timeout_s=5)
            await link.call("SENTINEL", "SET", "mymaster", "auth-pass", INNER, timeout_s=5)
        await until(sentinels, "REPLICAS", lambda found: len([each for each in found if each["runid"]]) == replicas)
        await until(sentinels, "SENTINELS", lambda found: len([each for each in found if each["runid"]]) == 2)
        yield here


async def write(link: Link, number: int) -> bool:
    """Whether it is acknowledged."""
    try:
        return await link.call("SET", f"key-{number}", number, timeout_s=DEMOTED_S) == b"OK"
    except Refused as error:
        assert error.code in {"NOREPLICAS", "READONLY"}, error
        return False


async def write_until_demoted(here: World) -> set[int]:
    """Numbers of the writes of which a client that stays connected is told that they are done. Who is demoted ends the
    connections of all.
    """
    done: set[int] = set()
    number = 1
    with contextlib.suppress(Unreachable):
        async with asyncio.timeout(DEMOTED_S):
            while (await replication(here.primary))["role"] == "master":
                number += 1
                if await write(here.primary, number):
                    done.add(number)
                await asyncio.sleep(0.01)  # a client's pace
    here.primary.close()
    here.primary = await connected(f"{here.network.network}.1", INNER)
    assert (await replication(here.primary))["role"] == "slave"
    return done


async def has_all(link: Link, numbers: set[int]) -> bool:
    found = await link.call_all([("GET", f"key-{number}") for number in sorted(numbers)], timeout_s=5)
    return found == [str(number).encode() for number in sorted(numbers)]


@pytest.mark.parametrize(("engine", "replicas"), [("redis", 2), ("valkey", 1)])
async def test_a_primary_whose_script_was_killed_behind_its_handover_takes_no_write_that_is_lost(
    tmp_path: Path, engine: str, replicas: int
) -> None:
    """Nobody demotes it before the Sentinels do, long after the pause is over. Started anew it has its own value."""
    async with world(tmp_path, replicas=replicas, engine=engine) as here:
        (here.data / "dies").touch()
        (here.data / "stop").touch()

        done = await write_until_demoted(here)

        assert here.says("stop.sh ended with 137")
        promoted = await here.successor()
        assert done
        assert await has_all(promoted, done)
        assert await write(promoted, 0), "nothing stops its successor"
        assert await config(here.primary, LEAST) == str(replicas)
        here.primary.close()
        here.network.processes[0].kill()
        await here.network.processes[0].wait()
        again = await run_node(here.network, 1, engine)
        assert await config(again, LEAST) == "0"
        again.close()


async def test_a_primary_whose_fence_somebody_lowered_meanwhile_takes_no_write_that_is_lost(tmp_path: Path) -> None:
    """Who did that knew of no failover. The primary takes writes no sooner because its script ends the pause."""
    async with world(tmp_path) as here:
        (here.data / "lowers").touch()
        (here.data / "stop").touch()

        done = await write_until_demoted(here)

        await eventually(lambda: here.says("stop.sh ended with 0"), "it waits no more", deadline_s=DEADLINE_S)
        assert done
        assert await has_all(await here.successor(), done)
        assert await config(here.primary, LEAST) == "0"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_primary_that_is_not_replaced_takes_writes_and_has_what_it_had(tmp_path: Path, *, hangs: bool) -> None:
    """Sentinels may choose none of its replicas, and say so, one of them only when it is asked again; somebody had
    asked for one in reach.
    """
    async with world(tmp_path, replicas=2, priority=0) as here:
        await here.primary.call("CONFIG", "SET", LEAST, 1, timeout_s=5)
        if hangs:
            (here.data / "hangs").touch()
        (here.data / "stop").touch()
        times = 6 if hangs else 3
        await eventually(lambda: here.has_asked() == times, "all Sentinels have said so", deadline_s=DEADLINE_S)

        async def is_undone() -> bool:
            return await config(here.primary, LEAST) == "1"

        await eventually(is_undone, "it counts on one as before", deadline_s=DEADLINE_S)
        assert await here.primary.call("SET", "key", "value", timeout_s=1) == b"OK"
        assert not here.says("stop.sh ended")


async def test_a_failover_that_nobody_carries_out_stops_writes_for_the_pause_and_is_asked_for_again_until_it_is(
    tmp_path: Path,
) -> None:
    """The Sentinel that said OK ended then. Who has been replaced is demoted only after it would be asked for a third
    time. Asked then, Sentinels might go back to who lacks what came since; and in a pause the word that demotes it
    would wait as writes do.
    """
    async with world(tmp_path, replicas=2) as here:
        (here.data / "lies").touch()
        (here.data / "stop").touch()
        await eventually(lambda: here.has_asked() == 1, "a Sentinel was asked", deadline_s=DEADLINE_S)

        assert await write(here.primary, 1), "it has all that follow it"
        assert await config(here.primary, LEAST) == "2"
        (here.data / "lies").unlink()
        done = {1, *await write_until_demoted(here)}

        await eventually(lambda: here.says("stop.sh ended with 0"), "it waits no more", deadline_s=DEADLINE_S)
        assert here.has_asked() == 2
        assert await has_all(await here.successor(), done)
        assert await config(here.primary, LEAST) == "0"


async def test_a_replica_that_waits_for_its_copy_is_not_counted_on(tmp_path: Path) -> None:
    """The engine does not count it: a primary that did would refuse writes whether it is replaced or not."""
    async with world(tmp_path) as here, AsyncExitStack() as stack:
        await here.primary.call("CONFIG", "SET", "repl-diskless-sync-delay", 3600, timeout_s=5)
        reader, writer = await asyncio.open_connection(f"{here.network.network}.1", 6379)
        stack.callback(writer.close)
        password = f"*2\r\n$4\r\nAUTH\r\n${len(INNER)}\r\n{INNER}\r\n"
        for words in (password, "REPLCONF capa eof\r\n"):
            writer.write(words.encode())
            assert await asyncio.wait_for(reader.readline(), 5) == b"+OK\r\n"
        writer.write(b"SYNC\r\n")

        async def is_known() -> bool:
            return "state=wait_bgsave" in (await replication(here.primary)).get("slave1", "")

        await eventually(is_known, "the primary knows it", deadline_s=DEADLINE_S)
        (here.data / "lies").touch()
        (here.data / "stop").touch()
        await eventually(lambda: here.has_asked() == 1, "a Sentinel was asked", deadline_s=DEADLINE_S)

        assert await write(here.primary, 1), "it has all that follow it"
        assert await config(here.primary, LEAST) == "1"
