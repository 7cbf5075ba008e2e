"""Claims about the whole: `localkube up` is ready at once, ends cleanly, and finds its state again after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from localkube.cluster import Cluster

LOCALKUBE = Path(sys.executable).with_name("localkube")
KUBECTL = Path(sys.executable).with_name("kubectl")
DEADLINE_S = 30.0
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "redis:7", "command": ["sh", "-c", "echo started; exec sleep 1000"]}],
    },
}


@dataclass(frozen=True, slots=True)
class Running:
    process: asyncio.subprocess.Process
    kubeconfig: Path
    cpu_s: float  # until it was ready; what a clock says depends on who else is busy
    line: str

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def up(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    kubeconfig = folder / "kubeconfig"
    process = await asyncio.create_subprocess_exec(
        LOCALKUBE,
        "up",
        "--kubeconfig",
        kubeconfig,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = (await process.stdout.readline()).decode()
        yield Running(process, kubeconfig, cpu_s(process.pid), line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def kubectl(kubeconfig: Path, *arguments: str, stdin: str = "") -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        KUBECTL,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)},
    )
    async with asyncio.timeout(DEADLINE_S):
        said, _ = await process.communicate(stdin.encode())
    return process.returncode, said.decode()


def leftovers(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if one.name.startswith("localkube-")]


async def test_it_is_ready_soon_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with up(tmp_path) as running:
        nodes = await kubectl(running.kubeconfig, "get", "nodes", "-o", "name")
        code = await running.end(signal.SIGTERM)

    assert running.line.endswith(f"export KUBECONFIG={running.kubeconfig}\n")
    assert nodes == (0, "node/node-1\nnode/node-2\nnode/node-3\n")
    assert code == 0
    assert running.cpu_s < 2
    assert leftovers(tmp_path) == []


async def test_a_kept_state_survives_a_kill_and_clients_need_not_notice(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    async with up(tmp_path, "--state", state) as running:
        await kubectl(running.kubeconfig, "create", "configmap", "a", "--from-literal=k=v")
        first = running.kubeconfig.read_bytes()
        await running.end(signal.SIGKILL)

    async with up(tmp_path, "--state", state) as running:
        found = await kubectl(running.kubeconfig, "get", "configmap", "a", "-o", "jsonpath={.data.k}")
        second = running.kubeconfig.read_bytes()

    assert found == (0, "v")
    assert second == first


async def test_two_clusters_share_a_machine() -> None:
    async with Cluster(nodes=1) as one, Cluster(nodes=1) as other:
        blocks, ports = {one.block, other.block}, {one.server.port, other.server.port}

    assert (len(blocks), len(ports)) == (2, 2)


async def test_kubectl_runs_commands_in_pods_and_reads_their_logs() -> None:
    async with Cluster(nodes=1) as cluster:
        await kubectl(cluster.kubeconfig, "apply", "-f", "-", stdin=json.dumps(POD))
        waited = await kubectl(cluster.kubeconfig, "wait", "--for=condition=Ready", "pod/p", "--timeout=20s")
        logs = await kubectl(cluster.kubeconfig, "logs", "p")
        failed = await kubectl(cluster.kubeconfig, "exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
        piped = await kubectl(cluster.kubeconfig, "exec", "-i", "p", "--", "cat", stdin="from here\n")
        deleted = await kubectl(cluster.kubeconfig, "delete", "pod", "p")

    assert waited == (0, "pod/p condition met\n")
    assert logs == (0, "started\n")
    assert (failed[0], sorted(failed[1].splitlines())) == (3, ["command terminated with exit code 3", "err", "out"])
    assert piped == (0, "from here\n")
    assert deleted == (0, 'pod "p" deleted from default namespace\n')


async def test_the_server_may_go_and_come_back_under_the_same_address() -> None:
    async with Cluster(nodes=1) as cluster:
        await cluster.server.stop()
        refused = await kubectl(cluster.kubeconfig, "get", "nodes", "-o", "name")
        await cluster.server.start()
        again = await kubectl(cluster.kubeconfig, "get", "nodes", "-o", "name")

    assert refused[0] == 1
    assert again == (0, "node/node-1\n")
