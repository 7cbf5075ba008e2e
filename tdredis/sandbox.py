"""Decides what a newcomer sees: a Kubernetes of one process, the operator, a manifest becoming Redis, all of it gone.

Everything runs as processes of this machine on loopback addresses; nothing outlives this one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from localkube.kubelet.lifeline import tied_to
from tdredis.api.crd import render_crds
from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance
from tdredis.api.kinds import KINDS, parse
from tdredis.api.rediscluster import RedisCluster, RedisClusterStatus
from tdredis.api.redisstandby import RedisStandby
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.kubeconfig import load_config
from tdredis.kube.objects import parse_pod
from tdredis.kube.resources import PODS, SECRETS, resource_of
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    MANAGED_BY_SELECTOR,
    PASSWORD_KEY,
    PROXY_PASSWORD_KEY,
    REDIS_COMPONENT,
    auth_secret_name,
    pod_names,
    proxy_name,
)
from tdredis.observe.caches import CHILDREN
from tdredis.redislink.access import Access
from tdredis.redislink.errors import LinkError
from tdredis.redislink.link import connect

BIN = Path(sys.executable).parent
# No published image runs here; the names of the sample are kept, and predixy's place is taken by a real Envoy.
IMAGE_MAP = "tongduncloud/predixy:1.0=envoyproxy/envoy:v1.40"
KEYS = 1000
START_S, READY_S, GONE_S, STOP_S = 30.0, 120.0, 60.0, 20.0


class SandboxError(Exception):
    """The sandbox did not do what it promises; the message says what was seen."""


async def run_sandbox(manifest: Path, *, nodes: int, once: bool) -> int:
    """Shows *manifest* becoming Redis on *nodes* nodes. Returns the exit code: 0, or 1 after saying why."""
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="tdredis-sandbox-"))
    addresses: set[str] = set()
    story = asyncio.create_task(_tell(console, manifest, folder, addresses, nodes=nodes, once=once))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, story.cancel)
    code = 0
    try:
        await story
    except (SandboxError, ApiError, LinkError) as error:
        console.print(f"[red]sandbox:[/red] {error}")
        code = 1
    except asyncio.CancelledError:
        console.print("\nStopped.")
        code = 130 if once else 0  # Ctrl-C is how a sandbox that stays up is meant to end
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    left = _what_is_left(folder, addresses)
    if left:
        console.print(f"[red]sandbox:[/red] left behind: {'; '.join(left)}")
        return 1
    console.print("No process, address or directory is left behind.")
    return code


async def _tell(console: Console, manifest: Path, folder: Path, addresses: set[str], *, nodes: int, once: bool) -> None:
    """The whole story. *addresses* is filled with those that must be free again afterwards."""
    wanted = _read_manifest(manifest)
    console.print(f"[bold]1.[/bold] A Kubernetes of one process with {nodes} nodes, and the operator")
    async with _running(folder, nodes) as sandbox:
        console.print(f"[bold]2.[/bold] kubectl apply -f {manifest}")
        predixy = IMAGE_MAP.partition("=")[0]
        if isinstance(wanted, RedisCluster) and wanted.spec.proxy_image == predixy:
            console.print(f"   This machine has no {predixy}: the operator is told to use Envoy instead.")
        await sandbox.kubectl("create", "namespace", wanted.namespace)
        started = time.monotonic()
        await sandbox.kubectl("apply", "-f", str(manifest))
        ready = await _follow(console, sandbox, wanted, started)
        console.print(f"[bold]3.[/bold] Ready {time.monotonic() - started:.1f} s after kubectl apply\n")
        addresses |= await _show(console, sandbox, ready)
        if not once:
            console.print("\nIt stays up until Ctrl-C.")
            await asyncio.Event().wait()
        await _write_and_read(console, sandbox, ready)
        await _delete(console, sandbox, ready)


# ---- what runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A running Kubernetes with the operator in it. *news* are the lines of the operator's log, as they come."""

    kubeconfig: Path
    client: Client
    news: asyncio.Queue[dict[str, object]]

    async def kubectl(self, *arguments: str) -> str:
        """Runs the real kubectl. Raises SandboxError with what it said."""
        process = await asyncio.create_subprocess_exec(
            str(BIN / "kubectl"),
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), START_S)
        if process.returncode:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {err.decode().strip()}")
        return out.decode()


@asynccontextmanager
async def _running(folder: Path, nodes: int) -> AsyncIterator[Sandbox]:
    kubeconfig = folder / "kubeconfig"
    async with AsyncExitStack() as stack:
        state = ("--state", str(folder / "state"), "--kubeconfig", str(kubeconfig))
        kubernetes = await stack.enter_async_context(_process("localkube", "up", "--nodes", str(nodes), *state))
        await _first_line(kubernetes)
        client = await stack.enter_async_context(Client(load_config(kubeconfig)))
        crds = folder / "crds.yaml"
        crds.write_text(render_crds())
        news: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        sandbox = Sandbox(kubeconfig=kubeconfig, client=client, news=news)
        await sandbox.kubectl("apply", "--server-side", "-f", str(crds))
        await sandbox.kubectl("wait", "--for=condition=Established", f"--timeout={START_S:.0f}s", "-f", str(crds))
        options = ("--kubeconfig", str(kubeconfig), "--listen", "", "--image-map", IMAGE_MAP)
        operator = await stack.enter_async_context(_process("tdredis", "--log-format", "json", "run", *options))
        reading = asyncio.create_task(_read_news(operator, news, folder / "operator.log"))
        stack.callback(reading.cancel)
        yield sandbox


@asynccontextmanager
async def _process(program: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of ours, with its output in pipes; ended when the context ends, or when we die."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / program),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if program == "tdredis" else None,
        start_new_session=True,  # Ctrl-C is for us: we end them in order
        preexec_fn=tied_to(os.getpid(), signal.SIGTERM),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _first_line(process: asyncio.subprocess.Process) -> None:
    """Waits for the line that localkube prints when it is up."""
    line = await asyncio.wait_for(process.stdout.readline(), START_S) if process.stdout else b""
    if not line:
        raise SandboxError(f"localkube ended at once with exit code {await process.wait()}")


async def _read_news(operator: asyncio.subprocess.Process, news: asyncio.Queue[dict[str, object]], log: Path) -> None:
    if operator.stderr is None:
        raise SandboxError("the operator was started without a pipe for its log")
    with log.open("ab") as kept:
        async for line in operator.stderr:
            kept.write(line)
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": line.decode("utf-8", "replace").rstrip(), "level": "error"}
            news.put_nowait(said)
    news.put_nowait({"event": "the operator ended", "level": "error"})


# ---- the story


def _read_manifest(path: Path) -> Instance:
    for document in yaml.safe_load_all(path.read_text()):
        if isinstance(document, dict) and document.get("kind") in KINDS:
            return parse(KINDS[document["kind"]], document)
    raise SandboxError(f"{path} holds none of {', '.join(KINDS)}")


async def _follow(console: Console, sandbox: Sandbox, wanted: Instance, started: float) -> Instance:
    """One line for every step the operator takes, and a bar for the whole, until Ready."""
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    resource = resource_of(API_VERSION, wanted.KIND)
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(wanted.name, total=1.0)
        while time.monotonic() - started < READY_S:
            try:
                said = await asyncio.wait_for(sandbox.news.get(), 0.1)
            except TimeoutError:
                said = None
            if said is not None:
                _print_news(progress.console, said, time.monotonic() - started)
                if sandbox.news.qsize():
                    continue
            now = parse(type(wanted), await sandbox.client.get(resource, wanted.namespace, wanted.name))
            progress.update(bar, completed=await _share_done(sandbox, now))
            if now.status.phase == "Ready":
                return now
    status = await sandbox.kubectl("get", wanted.KIND.lower(), "-n", wanted.namespace, wanted.name, "-o", "yaml")
    raise SandboxError(f"{wanted.name} is not Ready within {READY_S:g} s:\n{status}")


def _print_news(console: Console, said: dict[str, object], elapsed_s: float) -> None:
    level = said.get("level")
    if said.get("event") == "step done":
        console.print(f"   {elapsed_s:5.1f} s  {said['step']} [dim]- {said['why']}[/dim]")
    elif level in ("warning", "error"):
        facts = ", ".join(f"{name}={value}" for name, value in said.items() if name not in ("event", "level", "time"))
        console.print(f"   {elapsed_s:5.1f} s  [yellow]{said.get('event')}[/yellow] [dim]{facts}[/dim]")


async def _share_done(sandbox: Sandbox, instance: Instance) -> float:
    """0 to 1: pods ready, primaries that serve, replicas in sync and the verdict weigh alike."""
    selector = f"{MANAGED_BY_SELECTOR},{INSTANCE_LABEL}={instance.name}"
    pods = await sandbox.client.list(PODS, instance.namespace, label_selector=selector)
    ready = sum('"type": "Ready", "status": "True"' in json.dumps(pod) for pod in pods)
    shards = instance.status.shards
    size, others = 1, 0
    match instance:
        case RedisCluster():
            size, others = instance.spec.size, instance.spec.proxy.replicas
        case RedisStandby():
            others = instance.spec.sentinel.replicas
    redis = len(pod_names(instance))
    replicas = sum(shard.replicas_ready for shard in shards) / max(1, redis - size)
    done = (ready / (redis + others), instance.status.size / size, replicas, instance.status.phase == "Ready")
    return sum(done) / len(done)


async def _show(console: Console, sandbox: Sandbox, instance: Instance) -> set[str]:
    """The table of nodes and the lines to paste. Returns the addresses in use."""
    selector = f"{MANAGED_BY_SELECTOR},{INSTANCE_LABEL}={instance.name}"
    items, _ = await sandbox.client.list_raw(PODS, instance.namespace, label_selector=selector)
    pods = sorted((parse_pod(item) for item in items), key=lambda pod: pod.metadata.name)
    status = instance.status
    primaries = {shard.primary: shard for shard in instance.status.shards}
    table = Table("pod", "node", "address", "role", "slots")
    for pod in pods:
        component = pod.metadata.labels.get(COMPONENT_LABEL, "")
        shard = primaries.get(pod.metadata.name)
        role = component if component != REDIS_COMPONENT else "primary" if shard else "replica"
        slots = ", ".join(status.slots.get(shard.name, ())) if shard and isinstance(status, RedisClusterStatus) else ""
        table.add_row(pod.metadata.name, pod.spec.node_name, pod.status.pod_ip, role, slots)
    console.print(table)
    host, port = _client_address(instance)
    secret, key = _password_place(instance)
    console.print(f"{_door(instance)}: [bold]{host}:{port}[/bold]. To paste:")
    console.print(f"  export KUBECONFIG={sandbox.kubeconfig} PATH={BIN}:$PATH")
    console.print(f"  kubectl get -n {instance.namespace} redis,pods,services")
    console.print(
        f"  REDISCLI_AUTH=$(kubectl get -n {instance.namespace} secret/{secret} -o go-template='{{{{index .data"
        f' "{key}" | base64decode}}}}\') redis-cli -h {host} -p {port}',
        markup=False,
    )
    return {host} | {pod.status.pod_ip for pod in pods}


def _has_proxy(instance: Instance) -> bool:
    return isinstance(instance, RedisCluster) and instance.spec.proxy.enabled


def _door(instance: Instance) -> str:
    return "Proxy" if _has_proxy(instance) else "Service"


def _password_place(instance: Instance) -> tuple[str, str]:
    """Name of the Secret, and its key, with what clients say at the door."""
    if _has_proxy(instance):
        return proxy_name(instance.name), PROXY_PASSWORD_KEY
    return auth_secret_name(instance.name), PASSWORD_KEY


def _client_address(instance: Instance) -> tuple[str, int]:
    host, _, port = instance.status.cluster_ip.rpartition(":")
    return host, int(port)


async def _write_and_read(console: Console, sandbox: Sandbox, instance: Instance) -> None:
    """Writes KEYS keys by the address that clients use, in a cluster all over the slots, and reads them back."""
    host, port = _client_address(instance)
    name, key = _password_place(instance)
    secret: dict[str, Any] = await sandbox.client.get(SECRETS, instance.namespace, name)
    password = base64.b64decode(secret["data"][key]).decode()
    link = await connect(host, port, access=Access((password,)), timeout_s=START_S)
    names = [f"key:{number}" for number in range(KEYS)]
    await link.call_all([("SET", name, f"value of {name}") for name in names], timeout_s=START_S)
    values = await link.call_all([("GET", name) for name in names], timeout_s=START_S)
    link.close()
    wrong = sum(value != f"value of {name}".encode() for name, value in zip(names, values, strict=True))
    if wrong:
        raise SandboxError(f"{wrong} of {KEYS} keys did not come back as they were written")
    console.print(f"\n[bold]4.[/bold] {KEYS} keys written and read through the {_door(instance).lower()}")


async def _delete(console: Console, sandbox: Sandbox, instance: Instance) -> None:
    """Deletes the resource and waits until Kubernetes has nothing of it any more."""
    console.print(f"[bold]5.[/bold] kubectl delete {instance.KIND.lower()} {instance.name}")
    await sandbox.kubectl("delete", instance.KIND.lower(), "-n", instance.namespace, instance.name)
    selector = f"{MANAGED_BY_SELECTOR},{INSTANCE_LABEL}={instance.name}"
    deadline = time.monotonic() + GONE_S
    while True:
        lists = [
            sandbox.client.list_raw(kind, instance.namespace, label_selector=selector) for kind in (PODS, *CHILDREN)
        ]
        left = [len(items) for items, _ in await asyncio.gather(*lists)]
        if not any(left):
            console.print("   nothing of it is left in Kubernetes")
            return
        if time.monotonic() > deadline:
            names = [str(kind) for kind, count in zip((PODS, *CHILDREN), left, strict=True) if count]
            raise SandboxError(f"still there {GONE_S:g} s after the deletion: {', '.join(names)}")
        await asyncio.sleep(0.1)  # between two looks, under the deadline above


# ---- afterwards


def _what_is_left(folder: Path, addresses: set[str]) -> list[str]:
    """Processes that name our folder, listeners on our addresses, the folder itself."""
    left = [f"directory {folder}"] if folder.exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it ended while we looked
        if str(folder) in command and int(process.name) != os.getpid():
            left.append(f"process {process.name} ({command.strip()[:60]})")
    left += [f"listener on {address}" for address in sorted(_listening() & addresses)]
    return left


def _listening() -> set[str]:
    """IPv4 addresses with a TCP listener. Source: proc(5), /proc/net/tcp (state 0A; address in host byte order)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            found.add(socket.inet_ntoa(int(words[1].partition(":")[0], 16).to_bytes(4, sys.byteorder)))
    return found
