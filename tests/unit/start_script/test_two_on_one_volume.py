"""A pod that was deleted by force may live on while its successor starts on the same volume."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.containers import DEADLINE_S, INNER, connected, pods
from tests.unit.start_script.test_start_scripts import become_primary, until_it_works

TWICE_S = 6.0  # time enough for an engine to be refused twice, and for what follows from that

# As a pod runs that an older start script began: the engine, and nobody who locks anything but its nodes.conf.
BARE = """\
exec redis-server /etc/tdredis/redis.conf --bind "$POD_IP" --cluster-announce-ip "$POD_IP"
"""


@pytest.mark.parametrize(
    "former_script", [pytest.param("", id="as it is now"), pytest.param(BARE, id="of before", marks=pytest.mark.long)]
)
async def test_data_that_another_process_still_has_open_is_not_taken_for_broken(
    tmp_path: Path, former_script: str
) -> None:
    async with pods(tmp_path) as network:
        link = await network.run_redis(1)
        node_id = await become_primary(link)
        if former_script:
            link.close()
            await network.stop()
            network.processes.clear()
            await network.run(3, {"/etc/tdredis": {"bare.sh": BARE}, **mounts()}, "/etc/tdredis/bare.sh", pod="pod-1")
            link = await connected(f"{network.network}.3", INNER)
        (former,) = network.processes

        successor = asyncio.ensure_future(network.run_redis(2, pod="pod-1"))
        await asyncio.wait([successor], timeout=TWICE_S)
        assert await link.call("SET", "later", "yes", timeout_s=5) == b"OK", "the former one is left alone"
        link.close()
        former.kill()
        await former.wait()

        data = network.volume("pod-1", "/data")
        assert [each.name for each in data.glob("unusable-*")] == [], network.log("pod-1")
        if former_script:  # the container ended, and the kubelet would start it again
            successor.cancel()
            successor = asyncio.ensure_future(network.run_redis(4, pod="pod-1"))
        late = await asyncio.wait_for(successor, DEADLINE_S)
        assert await late.call("CLUSTER", "MYID", timeout_s=5) == node_id
        await until_it_works(late)
        assert await late.call("GET", "later", timeout_s=5) == b"yes"
        late.close()


def mounts() -> dict[str, dict[str, str]]:
    """Those that are there already, with what is in them."""
    return {"/etc/tdredis-auth": {}, "/data": {}}
