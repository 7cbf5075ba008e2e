"""What a pod that is to end does: a primary waits for its heir, through slow scripts, and not for one that is silent;
and whoever starts is told to end until it does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.redis_pods import GRACE_S
from tdredis.manifests.start_scripts import CLUSTER_NODE, STANDBY_NODE
from tdredis.manifests.stop_scripts import STOP_CLUSTER, STOP_SILENT_LOOKS, STOP_STANDBY
from tdredis.redislink.link import Link
from tests.kit.builders import sample, standby
from tests.kit.containers import DEADLINE_S, INNER, Pods, connected, pods
from tests.kit.waiting import eventually
from tests.unit.start_script.test_replication_scripts import replication
from tests.unit.start_script.test_start_scripts import until_it_works

LOOK_S = 2.0  # what a look at a silent process takes
KINDS = {
    "cluster": (sample(capacity=192), CLUSTER_NODE, STOP_CLUSTER),
    "standby": (standby(), STANDBY_NODE, STOP_STANDBY),
}
EACH = pytest.mark.parametrize("kind", KINDS)

# As a kubelet does it: stop.sh beside what runs, and only then it is told to end. The test asks by files.
POD = """\
sh /etc/tdredis/start.sh &
started=$!
until [ -e /data/stop ]; do sleep 0.02; done
sh /etc/tdredis/stop.sh
echo "stop.sh ended with $?"
wait "$started"
"""

# Looks that take a tenth of their time, and are counted.
QUICK = """\
#!/bin/sh
echo look >>/data/looks
case "$*" in
  *'CLUSTER NODES' | *'CLIENT LIST')
    if [ -e /data/deaf ]; then
      exit 124
    fi
    ;;
esac
shift
exec /usr/bin/timeout 0.2 "$@"
"""


@dataclass
class Pair:
    """A primary whose pod is stopped at the test's word, and its replica."""

    network: Pods
    primary: Link
    replica: Link

    @property
    def data(self) -> Path:
        return self.network.volume("pod-1", "/data")

    @property
    def process(self) -> asyncio.subprocess.Process:
        return self.network.processes[0]

    def stop(self) -> None:
        (self.data / "stop").touch()

    def looks(self) -> int:
        return len((self.data / "looks").read_text().splitlines()) if (self.data / "looks").exists() else 0

    def says(self, words: str) -> bool:
        return words in self.network.log("pod-1")


async def run(network: Pods, number: int, kind: str) -> Link:
    instance, start, stop = KINDS[kind]
    network.volume(f"pod-{number}", "/data").mkdir(parents=True)
    quick = network.volume(f"pod-{number}", "/data") / "quick" / "timeout"
    quick.parent.mkdir()
    quick.write_text(QUICK)
    quick.chmod(0o755)
    files = {
        "/etc/tdredis": {
            "redis.conf": build_redis_conf(instance),
            "start.sh": start,
            "stop.sh": stop,
            "pod.sh": POD,
            "master-name": "mymaster",
        },
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER), "password": INNER},
        "/data": {},
    }
    address = await network.run(number, files, "/etc/tdredis/pod.sh", first_in_path="/data/quick")
    return await connected(address, INNER)


@asynccontextmanager
async def pair(folder: Path, kind: str) -> AsyncIterator[Pair]:
    async with pods(folder) as network, AsyncExitStack() as stack:
        primary, replica = await run(network, 1, kind), await run(network, 2, kind)
        for link in (primary, replica):
            stack.callback(link.close)
            await link.call("CONFIG", "SET", "repl-diskless-sync-delay", 0, timeout_s=5)
        if kind == "cluster":
            await primary.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383, timeout_s=5)
            await primary.call("CLUSTER", "MEET", f"{network.network}.2", 6379, timeout_s=5)
            await until_it_works(replica)
            await replica.call("CLUSTER", "REPLICATE", await primary.call("CLUSTER", "MYID", timeout_s=5), timeout_s=5)  # type: ignore[arg-type]
        else:
            await primary.call("REPLICAOF", "NO", "ONE", timeout_s=5)
            await replica.call("REPLICAOF", f"{network.network}.1", 6379, timeout_s=5)
            await primary.call("CLIENT", "SETNAME", "sentinel-01234567-cmd", timeout_s=5)  # somebody will want an heir

        async def is_copied() -> bool:
            return (await replication(replica)).get("master_link_status") == "up"

        await eventually(is_copied, "the replica has its copy", deadline_s=DEADLINE_S)
        await eventually(lambda: is_seen(primary), "the primary knows it", deadline_s=DEADLINE_S)
        yield Pair(network, primary, replica)


async def is_seen(primary: Link) -> bool:
    return "state=online" in (await replication(primary)).get("slave0", "")


def test_who_is_silent_is_ended_long_before_its_grace_is_over() -> None:
    assert 20 <= STOP_SILENT_LOOKS * LOOK_S <= GRACE_S - 20


@EACH
async def test_a_process_that_answers_nothing_is_ended_after_so_many_looks(tmp_path: Path, kind: str) -> None:
    async with pair(tmp_path, kind) as both:
        tell(both, signal.SIGSTOP)
        both.stop()

        async with asyncio.timeout(DEADLINE_S):
            code = await both.process.wait()

        assert both.says("stop.sh: it does not answer, and is not waited for")
        assert both.says("stop.sh ended with 0")
        assert (code, both.looks()) == (128 + 9, STOP_SILENT_LOOKS), "it was ended by nobody else, and not before"


@EACH
async def test_a_process_that_answers_again_is_not_ended(tmp_path: Path, kind: str) -> None:
    async with pair(tmp_path, kind) as both:
        tell(both, signal.SIGSTOP)
        both.stop()
        await eventually(
            lambda: both.looks() >= STOP_SILENT_LOOKS - 3, "it was silent for some time", deadline_s=DEADLINE_S
        )
        tell(both, signal.SIGCONT)

        await hand_over(both, kind)

        await eventually(lambda: both.says("stop.sh ended with 0"), "it waits no more", deadline_s=DEADLINE_S)
        assert not both.says("and is not waited for")
        assert await both.primary.call("PING", timeout_s=5) == b"PONG"


def tell(both: Pair, what: signal.Signals) -> None:
    """The primary's process, and nothing else of its container."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue  # it ended while we looked
        if line.startswith("redis-server") and f"{both.network.network}.1:" in line:
            os.kill(int(path.parent.name), what)


async def hand_over(both: Pair, kind: str) -> None:
    """As the operator does as soon as it sees that the pod is to go."""
    if kind == "cluster":
        await both.replica.call("CLUSTER", "FAILOVER", timeout_s=5)
    else:
        await both.replica.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        await both.primary.call("REPLICAOF", f"{both.network.network}.2", 6379, timeout_s=5)


@EACH
async def test_a_slow_script_ends_no_wait_and_its_primary_hands_over_afterwards(tmp_path: Path, kind: str) -> None:
    """It answers BUSY to whatever it is asked, for as long as the script takes: longer than any silence is borne."""
    async with pair(tmp_path, kind) as both:
        await both.primary.call("CONFIG", "SET", "busy-reply-threshold", 50, timeout_s=5)
        other = await connected(f"{both.network.network}.1", INNER)
        both.primary.send("EVAL", "while true do end", 0)
        both.stop()
        await eventually(lambda: both.looks() > STOP_SILENT_LOOKS, "it is looked at often", deadline_s=DEADLINE_S)
        assert not both.says("stop.sh ended"), "nobody else has its data yet"
        await other.call("SCRIPT", "KILL", timeout_s=5)
        other.close()

        await hand_over(both, kind)

        await eventually(lambda: both.says("stop.sh ended with 0"), "it waits no more", deadline_s=DEADLINE_S)
        assert not both.says("and is not waited for")
        assert (await replication(both.replica))["role"] == "master"


@EACH
async def test_a_question_that_is_not_answered_does_not_mean_that_everybody_goes(tmp_path: Path, kind: str) -> None:
    """Its replica copies, or is made anew: as long as nobody says that there is none, it is waited for."""
    async with pair(tmp_path, kind) as both:
        (both.data / "deaf").touch()
        both.network.processes[1].kill()
        await both.network.processes[1].wait()
        await eventually(lambda: is_alone(both.primary), "the primary has lost it", deadline_s=DEADLINE_S)

        both.stop()

        await eventually(lambda: both.looks() > STOP_SILENT_LOOKS, "it is looked at often", deadline_s=DEADLINE_S)
        assert not both.says("stop.sh ended")
        (both.data / "deaf").unlink()
        if kind == "standby":
            await both.primary.call("CLIENT", "SETNAME", "", timeout_s=5)  # the last Sentinel goes too
        await eventually(lambda: both.says("stop.sh ended with 0"), "nobody is left to wait for", deadline_s=DEADLINE_S)


async def is_alone(primary: Link) -> bool:
    return (await replication(primary))["connected_slaves"] == "0"


# ---- told to end while it starts

STARTING = """\
sh /etc/tdredis/start.sh &
started=$!
until [ -e /data/stop ]; do sleep 0.02; done
kill -TERM "$started"
wait "$started" && code=0 || code=$?
echo "start.sh ended with $code"
"""

# An engine that does not listen yet when it is told to end for the first time, nor for the second.
DEAF = """\
#!/bin/sh
case $1 in
  --version) exec REAL --version ;;
esac
told=0
trap 'told=$((told + 1)); echo "told $told times"' TERM
: >/data/begun
while [ "$told" -lt 3 ]; do sleep 0.05; done
"""


# The data is another's still, as far as anybody can tell.
LOCKED = """\
#!/bin/sh
: >/data/begun
exit 1
"""


async def start(network: Pods, kind: str, **shims: str) -> Path:
    """A pod that starts with *shims* for programs, until these have begun; returns its data."""
    instance, script, _ = KINDS[kind]
    data = network.volume("pod-1", "/data")
    (data / "shims").mkdir(parents=True)
    for name, text in shims.items():
        shim = data / "shims" / name.replace("_", "-")
        shim.write_text(text.replace("REAL", str(shutil.which("redis-server"))))
        shim.chmod(0o755)
    files = {
        "/etc/tdredis": {"redis.conf": build_redis_conf(instance), "start.sh": script, "pod.sh": STARTING},
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER), "password": INNER},
        "/data": {},
    }
    await network.run(1, files, "/etc/tdredis/pod.sh", first_in_path="/data/shims")
    await eventually((data / "begun").exists, "it has begun", deadline_s=DEADLINE_S)
    return data


@EACH
async def test_an_engine_that_does_not_listen_yet_is_told_to_end_until_it_does(tmp_path: Path, kind: str) -> None:
    async with pods(tmp_path) as network:
        data = await start(network, kind, redis_server=DEAF)

        (data / "stop").touch()

        async with asyncio.timeout(DEADLINE_S):
            await network.processes[0].wait()
        assert "told 3 times" in network.log("pod-1")
        assert "start.sh ended with 0" in network.log("pod-1")


@EACH
async def test_who_is_told_to_end_before_there_is_an_engine_ends_at_once(tmp_path: Path, kind: str) -> None:
    """It would wait for twenty seconds for a predecessor that still has the data."""
    async with pods(tmp_path) as network:
        data = await start(network, kind, flock=LOCKED)

        (data / "stop").touch()

        async with asyncio.timeout(5.0):
            await network.processes[0].wait()
        assert "start.sh ended with 143" in network.log("pod-1")
