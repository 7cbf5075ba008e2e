"""One node: it exists as a Node object, runs the pods bound to it, and answers for their logs and processes."""

from __future__ import annotations

import asyncio
import datetime
import platform
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType

from localkube.errors import ApiError, bad_request
from localkube.kubelet.addresses import AddressBook, Addresses
from localkube.kubelet.allocation import Allocations, Hold
from localkube.kubelet.backoff import Pace
from localkube.kubelet.container import Container
from localkube.kubelet.images import Catalogue
from localkube.kubelet.logs import Line, read_lines, render, select_lines
from localkube.kubelet.pod import NodeContext, PodWorker, log_folder
from localkube.kubelet.pod_events import EventWriter
from localkube.kubelet.probes import bind_to_node
from localkube.kubelet.process import ExecProcess, SandboxedProcess
from localkube.registry import Event, Registry, time_text, utc_now

Obj = dict[str, Any]
VERSION = "v1.36.0+localkube"
LEASE_PERIOD_S = 10.0
LEASE_DURATION_S = 40
HEARTBEAT_PERIODS = 30  # the Node object itself says that it lives every five minutes
CONFIG_RESOURCES = ("configmaps", "secrets", "persistentvolumeclaims")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """*capacity* is what the node claims to have, not what this machine has."""

    name: str
    number: int  # 1..254
    block: int  # 64..127, the cluster's own second byte of the pods' addresses
    state_dir: Path
    memory_dir: Path
    zone: str = "zone-1"
    cpu: str = "16"
    memory: str = "64Gi"
    pods: int = 110
    pace: Pace = field(default_factory=Pace)
    empty_dir_bytes: int | None = None  # None: emptyDirs are directories, without a size


class Kubelet:
    """Lives on the loop's thread; its processes die when that thread does."""

    def __init__(
        self, registry: Registry, settings: NodeSettings, *, addresses: AddressBook, catalogue: Catalogue | None = None
    ) -> None:
        self.name = settings.name
        self._registry = registry
        self._settings = settings
        self._catalogue = catalogue or Catalogue()
        self._addresses = Addresses(addresses, settings.number)
        self._workers: dict[str, PodWorker] = {}
        self._unsubscribe: list[Callable[[], None]] = []
        self._lease_task: asyncio.Task[None] | None = None
        self._context: NodeContext | None = None
        # For faults: how many seconds later than asked a command begins in a container (of that name) of a pod, as the
        # container's own (True) or beside it; and how far the resize of a pod may go.
        self.delay_of: Callable[[Obj, str, Sequence[str], bool], float] = lambda *_: 0.0
        self.hold_of: Callable[[Obj], Hold | None] = lambda _: None

    def start(self) -> None:
        self._context = NodeContext(
            registry=self._registry,
            node=self.name,
            node_ip=self._addresses.node,
            state_dir=self._settings.state_dir,
            memory_dir=self._settings.memory_dir,
            addresses=self._addresses,
            catalogue=self._catalogue,
            pace=self._settings.pace,
            events=EventWriter(self._registry, self.name),
            http=aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=self._own_socket),
                trust_env=False,
            ),
            allocatable=self._capacity(),
            allocations=Allocations(self._capacity()),
            on_room=self._retry_resizes,
            empty_dir_bytes=self._settings.empty_dir_bytes,
            delay_of=self._delay,
            hold_of=self._hold,
        )
        self._register()
        self._unsubscribe.append(self._registry.subscribe("pods", self._on_pod))
        for resource in CONFIG_RESOURCES:
            self._unsubscribe.append(self._registry.subscribe(resource, self._config_handler(resource), replay=False))
        self._lease_task = asyncio.create_task(self._renew(), name=f"lease of {self.name}")

    async def stop(self) -> None:
        """Ends every process at once; the pods' objects stay as they are, as when a machine is switched off."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        if self._lease_task is not None:
            self._lease_task.cancel()
        await asyncio.gather(*(worker.abort() for worker in self._workers.values()))
        for worker in self._workers.values():
            if worker.ip and worker.ip != self._addresses.node:
                self._addresses.give_back(worker.ip)
        self._workers.clear()
        if self._context is not None:
            await self._context.http.close()

    # ---- for the API server, and for faults

    def volume_path(self, namespace: str, pod: str, volume: str) -> Path:
        """Where a volume of a running pod is on this machine. Raises ApiError."""
        found = self._registry.get("pods", namespace, pod)
        worker = self._workers.get(found["metadata"]["uid"])
        if worker is None or volume not in worker.volumes.names:
            raise bad_request(f"pod {pod} has no volume {volume} on {self.name}")
        return worker.volumes.path(volume)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
        timestamps: bool = False,
        since_seconds: int | None = None,
        since_time: str | None = None,
        limit_bytes: int | None = None,
    ) -> AsyncIterator[bytes]:
        """What a container said, line by line. Raises ApiError at once, before the first line."""
        found = self._registry.get("pods", namespace, pod)
        name = _container_name(found, container)
        path = self._log_path(found, name, previous=previous)
        worker = self._workers.get(found["metadata"]["uid"])
        live = worker.container(name) if worker is not None and follow and not previous else None
        since = _since_text(since_seconds, since_time)
        lines = select_lines(read_lines(path), tail=tail_lines, since=since)
        return _limited(_told(lines, live, timestamps=timestamps), limit_bytes)

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        command: list[str],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> ExecProcess:
        """Starts a command inside a running container. Raises ApiError."""
        process = self._running(namespace, pod, container)
        try:
            return ExecProcess(process, command, stdin=stdin, tty=tty)
        except ProcessLookupError as error:
            raise bad_request(f"container not running ({container or pod})") from error

    def pid(self, namespace: str, pod: str, container: str | None = None) -> int:
        """The process id, on this machine, of the container's process 1. Raises ApiError."""
        pid = self._running(namespace, pod, container).known_pid
        if pid is None:
            raise bad_request(f"container not running ({container or pod})")
        return pid

    def signal(self, namespace: str, pod: str, container: str | None, number: signal.Signals) -> None:
        """Sends any signal to the container's process 1, also those that it could not send itself: KILL, STOP."""
        self._running(namespace, pod, container).signal(number)

    def kill_for_memory(self, namespace: str, pod: str, container: str | None) -> None:
        """As the kernel ends a container that is over its memory limit: the reason is OOMKilled. Raises ApiError."""
        self._live(namespace, pod, container)[0].kill_for_memory()

    def report(self) -> None:
        """Tells the API server everything again, as after a time when nobody heard."""
        self._renew_lease()
        node = self._registry.find("nodes", None, self.name)
        if node is not None:
            self._write_status(node)
        for worker in self._workers.values():
            worker.changed()

    def retry_resizes(self) -> None:
        """Looks again at what every pod asks for, as after a fault that held it back."""
        for worker in tuple(self._workers.values()):
            worker.resize()

    # ---- pods

    def _delay(self, pod: Obj, container: str, command: Sequence[str], start: bool) -> float:
        return self.delay_of(pod, container, command, start)

    def _hold(self, pod: Obj) -> Hold | None:
        return self.hold_of(pod)  # asked each time: a fault may put another one there

    def _own_socket(self, target: AddrInfoType) -> socket.socket:
        """Probes come from the node's address: whoever is cut off from this machine still hears its own node."""
        family, kind, protocol, _, address = target
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        bind_to_node(made, address, self._addresses.node)
        return made

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if event.type == "DELETED":
            if worker is not None:
                worker.vanish()
            return
        if worker is not None:
            worker.update(pod)
            return
        if pod["spec"].get("nodeName") != self.name or self._context is None:
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._forget_stranger(pod)
        elif (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            worker = self._workers[uid] = PodWorker(self._context, pod)
            worker.on_finished(lambda: self._workers.pop(uid, None))

    def _retry_resizes(self) -> None:
        for worker in tuple(self._workers.values()):
            if worker.waits_for_room:
                worker.resize()

    def _forget_stranger(self, pod: Obj) -> None:
        """A pod that is to go and has no processes here: from an earlier life of this node, or long completed."""
        metadata = pod["metadata"]
        if not metadata.get("deletionGracePeriodSeconds"):
            return  # only finalizers hold it
        current = self._registry.find("pods", metadata["namespace"], metadata["name"])
        if current is not None and current["metadata"]["uid"] == metadata["uid"]:
            self._registry.delete("pods", metadata["namespace"], metadata["name"], grace_s=0, uid=metadata["uid"])

    def _config_handler(self, resource: str) -> Callable[[Event], None]:
        def on_config(event: Event) -> None:
            metadata = event.object["metadata"]
            for worker in tuple(self._workers.values()):
                if worker.key[0] == metadata["namespace"]:
                    worker.config_changed(resource, metadata["name"])

        return on_config

    def _running(self, namespace: str, pod: str, container: str | None) -> SandboxedProcess:
        return self._live(namespace, pod, container)[1]

    def _live(self, namespace: str, pod: str, container: str | None) -> tuple[Container, SandboxedProcess]:
        found = self._registry.get("pods", namespace, pod)
        name = _container_name(found, container)
        worker = self._workers.get(found["metadata"]["uid"])
        running = worker.container(name) if worker is not None else None
        if running is None or running.process is None:
            raise bad_request(f"container not running ({name})")
        return running, running.process

    def _log_path(self, pod: Obj, container: str, *, previous: bool) -> Path:
        folder = log_folder(self._settings.state_dir, pod) / container
        kept = sorted(int(path.stem) for path in folder.glob("*.log"))
        name = pod["metadata"]["name"]
        if previous:
            if len(kept) < 2:
                raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
            return folder / f"{kept[-2]}.log"
        if not kept:
            reason = "ContainerCreating"
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                if status["name"] == container and "waiting" in status["state"]:
                    reason = status["state"]["waiting"].get("reason", reason)
            if reason in ("ErrImagePull", "ImagePullBackOff"):
                reason = "trying and failing to pull image"
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        return folder / f"{kept[-1]}.log"

    # ---- the node itself

    def _capacity(self) -> dict[str, str]:
        settings = self._settings
        return {
            "cpu": settings.cpu,
            "memory": settings.memory,
            "pods": str(settings.pods),
            "ephemeral-storage": "100Gi",
        }

    def _register(self) -> None:
        known = self._registry.find("nodes", None, self.name)
        if known is None:
            metadata = {"name": self.name, "labels": self._labels()}
            spec = {"podCIDR": self._addresses.pod_range, "podCIDRs": [self._addresses.pod_range]}
            known = self._registry.create("nodes", {"metadata": metadata, "spec": spec}, manager="kubelet")
        self._write_status(known)

    def _labels(self) -> dict[str, str]:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        return {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine,
            "topology.kubernetes.io/region": "local",
            "topology.kubernetes.io/zone": self._settings.zone,
        }

    def _write_status(self, node: Obj) -> None:
        now = time_text(utc_now())
        before = {one["type"]: one for one in (node.get("status") or {}).get("conditions") or []}
        conditions = []
        for kind, status, reason, message in (
            ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ):
            old = before.get(kind)
            since = old["lastTransitionTime"] if old is not None and old["status"] == status else now
            conditions.append(
                {
                    "type": kind, "status": status, "reason": reason, "message": message,
                    "lastHeartbeatTime": now, "lastTransitionTime": since,
                }
            )  # fmt: skip
        status_now = {
            **(node.get("status") or {}),
            "capacity": self._capacity(),
            "allocatable": self._capacity(),
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": self._addresses.node},
                {"type": "Hostname", "address": self.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": _node_info(self.name),
        }
        self._registry.update("nodes", {**node, "status": status_now}, subresource="status", manager="kubelet")

    async def _renew(self) -> None:
        beats = 0
        while True:
            self._renew_lease()
            if beats and beats % HEARTBEAT_PERIODS == 0:
                node = self._registry.find("nodes", None, self.name)
                if node is None:
                    self._register()
                else:
                    self._write_status(node)
            beats += 1
            await asyncio.sleep(LEASE_PERIOD_S)

    def _renew_lease(self) -> None:
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = self._registry.find("leases.coordination.k8s.io", "kube-node-lease", self.name)
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": LEASE_DURATION_S, "renewTime": now}
        try:
            if lease is None:
                metadata = {"name": self.name, "namespace": "kube-node-lease"}
                self._registry.create("leases.coordination.k8s.io", {"metadata": metadata, "spec": spec})
            else:
                self._registry.update("leases.coordination.k8s.io", {**lease, "spec": spec})
        except ApiError as error:
            if error.code not in (403, 404):  # the namespace is not there yet, or no longer
                raise


def _node_info(name: str) -> Obj:
    return {
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
        "kernelVersion": platform.release(),
        "osImage": "localkube",
        "containerRuntimeVersion": "bubblewrap://localkube",
        "kubeletVersion": VERSION,
        "kubeProxyVersion": VERSION,
        "operatingSystem": "linux",
        "architecture": "amd64" if platform.machine() == "x86_64" else platform.machine(),
    }


def _container_name(pod: Obj, wanted: str | None) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    names = [one["name"] for one in spec["containers"]]
    every = [*names, *(one["name"] for one in spec.get("initContainers") or [])]
    if wanted is None:
        preferred = (metadata.get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
        if preferred in every:
            return str(preferred)
        if len(names) == 1:
            return str(names[0])
        listed = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {metadata['name']}, choose one of: [{listed}]")
    if wanted not in every:
        raise bad_request(f"container {wanted} is not valid for pod {metadata['name']}")
    return wanted


def _since_text(seconds: int | None, moment: str | None) -> str | None:
    if seconds is None:
        return moment
    edge = utc_now() - datetime.timedelta(seconds=seconds)
    return edge.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _told(lines: Iterator[Line], live: Container | None, *, timestamps: bool) -> AsyncIterator[bytes]:
    # Nothing is awaited between what is read and what is followed: no line is lost or told twice.
    follower = live.log.follow() if live is not None and live.log is not None else None
    told = list(lines) if follower is not None else lines
    for line in told:
        yield render(line, timestamps=timestamps)
    if follower is not None:
        async for line in follower.lines():
            yield render(line, timestamps=timestamps)


async def _limited(chunks: AsyncIterator[bytes], limit_bytes: int | None) -> AsyncIterator[bytes]:
    left = limit_bytes
    async for chunk in chunks:
        if left is None:
            yield chunk
            continue
        if chunk[:left]:
            yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
