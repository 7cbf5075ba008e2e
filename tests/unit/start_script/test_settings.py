"""What spec.config says is there after a start, and nothing that it says keeps an engine from starting."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tdredis.manifests.data_scripts import TOLD_BY
from tdredis.manifests.ready_scripts import READY
from tdredis.manifests.redis_config import build_auth_conf, build_redis_conf
from tdredis.manifests.settings_file import AT_START, render_settings
from tdredis.manifests.start_scripts import CLUSTER_NODE, STANDALONE, STANDALONE_ON_VOLUME, STANDBY_NODE
from tdredis.redis.facts import said_by_the_start_script
from tdredis.redislink.link import Link
from tests.kit.builders import sample, standalone, standby
from tests.kit.containers import INNER, Pods, config, connected, pods
from tests.kit.waiting import eventually

KINDS = {
    "cluster": (CLUSTER_NODE, sample(capacity=192)),
    "standby": (STANDBY_NODE, standby()),
    "standalone": (STANDALONE, standalone()),
    "standalone on a volume": (STANDALONE_ON_VOLUME, standalone(storageclass="fast")),
}
LIMITS = "normal 0 0 0 slave 1048576 524288 10 pubsub 33554432 8388608 60"


@pytest.fixture(autouse=True)
def programs() -> None:
    assert shutil.which("bwrap"), "install bubblewrap (make install does)"


async def start(
    network: Pods,
    number: int,
    kind: str,
    settings: dict[str, str | None],
    *,
    extra: str = "",
    at_start: str = "",
) -> Link:
    script, instance = KINDS[kind]
    files = {
        "/etc/tdredis": {
            "redis.conf": build_redis_conf(instance),
            "start.sh": script,
            "ready.sh": READY,
            "settings.conf": render_settings(settings) + extra,
        },
        "/etc/tdredis-auth": {"auth.conf": build_auth_conf(INNER), "password": INNER},
        "/data": {},
    }
    variables = {AT_START: at_start} if at_start else {}
    address = await network.run(number, files, "/etc/tdredis/start.sh", pod="pod-1", variables=variables)
    return await connected(address, INNER)


async def told(link: Link) -> tuple[str, Mapping[str, str]]:
    """What the operator hears of it: of data, and of parameters that the engine refused."""
    return said_by_the_start_script({TOLD_BY: await config(link, TOLD_BY)})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_start_has_what_the_file_says(tmp_path: Path, kind: str) -> None:
    settings: dict[str, str | None] = {
        "timeout": "300",
        "maxmemory-policy": "noeviction",
        "notify-keyspace-events": "KEA",
        "client-output-buffer-limit": "replica 1mb 512kb 10 pubsub 32mb 8mb 60",
        "save": "900 1 300 10",
        "proc-title-template": "{title} of ours",
        "hz": None,
    }
    async with pods(tmp_path) as network:
        link = await start(network, 1, kind, settings)

        assert await config(link, "timeout") == "300"
        assert await config(link, "maxmemory-policy") == "noeviction"
        assert await config(link, "notify-keyspace-events") == "AKE"
        assert await config(link, "client-output-buffer-limit") == LIMITS
        assert await config(link, "save") == "900 1 300 10"
        assert await config(link, "proc-title-template") == "{title} of ours"
        assert await config(link, "hz") == "10"
        link.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "bad",
    ["maxmemory-policy nonsense\n", "no-such-parameter 1\n", "timeout\n", 'hz "10\n', "io-threads 100000\n"],
)
async def test_a_line_that_the_engine_does_not_take_is_passed_over(tmp_path: Path, kind: str, bad: str) -> None:
    async with pods(tmp_path) as network:
        link = await start(network, 1, kind, {"timeout": "300"}, extra=bad)

        assert await config(link, "timeout") == "300"
        assert f"refuses: {bad.strip()}" in network.log("pod-1")
        link.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_start_has_what_its_pod_was_made_to_start_with(tmp_path: Path, kind: str) -> None:
    async with pods(tmp_path) as network:
        link = await start(network, 1, kind, {"timeout": "300"}, at_start=render_settings({"tcp-backlog": "100"}))

        assert (await config(link, "timeout"), await config(link, "tcp-backlog")) == ("300", "100")
        assert (await told(link))[1] == {}
        link.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tcp-backlog", "many", "argument couldn't be parsed into an integer"),
        ("io-threads", "999", "argument must be between 1 and 128 inclusive"),
        ("enable-debug-command", "maybe", "argument(s) must be one of the following: no, yes, local"),
        ("no-such-parameter", "1", "Bad directive or wrong number of arguments"),
    ],
)
async def test_what_the_engine_refuses_at_a_start_is_told_in_its_words(
    tmp_path: Path, kind: str, name: str, value: str, words: str
) -> None:
    """The pod serves without it, and with the rest."""
    async with pods(tmp_path) as network:
        lines = render_settings({name: value, "databases": "1"})
        link = await start(network, 1, kind, {"timeout": "300"}, at_start=lines)

        assert (await config(link, "timeout"), await config(link, "databases")) == ("300", "1")
        assert (await told(link))[1] == {name: words}
        link.close()


async def test_what_the_engine_ends_with_is_told_in_its_words(tmp_path: Path) -> None:
    """It takes the line, and cannot do what it says: nothing of spec.config is tried again."""
    async with pods(tmp_path) as network:
        link = await start(network, 1, "standalone", {}, at_start="unixsocket /no/such/folder/socket\n")

        assert (await told(link))[1] == {"*": "Failed opening Unix socket: bind: No such file or directory"}
        link.close()


async def test_what_is_said_of_data_and_of_parameters_is_told_apart(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await start(network, 1, "standalone on a volume", {}, at_start="tcp-backlog many\n")

        said, refused = await told(link)
        assert said == "blank: nothing was on the volume"
        assert refused == {"tcp-backlog": "argument couldn't be parsed into an integer"}
        link.close()


async def test_what_only_the_start_itself_shows_to_be_wrong_keeps_no_engine_from_starting(tmp_path: Path) -> None:
    """The engine takes the line, and cannot do what it says."""
    async with pods(tmp_path) as network:
        link = await start(network, 1, "standalone", {"timeout": "300"}, extra="unixsocket /no/such/folder/socket\n")

        assert await config(link, "timeout") == "0"
        assert "trying without spec.config" in network.log("pod-1")
        link.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_without_an_append_only_file_a_start_waits_for_nobody_to_find_it(tmp_path: Path, kind: str) -> None:
    async with pods(tmp_path) as network:
        link = await start(network, 1, kind, {"appendonly": "no"})
        link.close()
        await network.stop()

        again = await start(network, 2, kind, {"appendonly": "no"})

        assert await config(again, "appendonly") == "no"
        assert ": " not in await config(again, "syslog-ident")  # nothing is told of lost data
        assert await config(again, "replica-serve-stale-data") == "yes"
        again.close()


async def test_append_only_files_of_before_they_were_switched_off_are_not_taken_for_the_data(tmp_path: Path) -> None:
    """The pod's file for starts may be a minute behind."""
    async with pods(tmp_path) as network:
        link = await start(network, 1, "standalone on a volume", {})
        await link.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        await link.call("SET", "of", "before", timeout_s=5)
        await link.call("CONFIG", "SET", "appendonly", "no", timeout_s=5)
        await link.call("SET", "of", "later", timeout_s=5)
        assert await ready(network, 1) == 0
        assert (network.volume("pod-1", "/data") / "tdredis.unlogged").exists()
        link.close()
        await network.stop()

        again = await start(network, 2, "standalone on a volume", {})

        assert "the append-only files are old" in network.log("pod-1")
        await again.call("REPLICAOF", "NO", "ONE", timeout_s=5)
        assert await again.call("GET", "of", timeout_s=5) is None  # and not what it was before
        assert [*network.volume("pod-1", "/data").glob("unusable-*/appendonlydir")]
        again.close()


async def test_append_only_files_that_are_switched_on_again_count_when_they_are_whole(tmp_path: Path) -> None:
    async with pods(tmp_path) as network:
        link = await start(network, 1, "standalone", {})
        mark = network.volume("pod-1", "/data") / "tdredis.unlogged"
        await link.call("CONFIG", "SET", "appendonly", "no", timeout_s=5)
        assert await ready(network, 1) == 0
        assert mark.exists()
        await link.call("SET", "kept", "yes", timeout_s=5)
        await link.call("CONFIG", "SET", "appendonly", "yes", timeout_s=5)

        async def gone() -> bool:
            return await ready(network, 1) == 0 and not mark.exists()

        await eventually(gone, "the mark goes when the file is whole", pause_s=0.1)
        link.close()
        await network.stop()

        again = await start(network, 2, "standalone", {})

        assert await again.call("GET", "kept", timeout_s=5) == b"yes"
        again.close()


async def ready(network: Pods, number: int) -> int:
    """The code that the readiness probe of the pod ends with."""
    files = {
        "/etc/tdredis": {"ready.sh": READY},
        "/etc/tdredis-auth": {"password": INNER},
        "/data": {},
    }
    before = len(network.processes)
    await network.run(number, files, "/etc/tdredis/ready.sh", pod="pod-1")
    return await network.processes[before].wait()
