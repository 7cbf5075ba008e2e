"""The life of one pod on its node: volumes, init containers, containers, its status, and its end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from localkube.errors import ApiError
from localkube.kubelet.addresses import AddressAwaited, Addresses, AddressesSpent
from localkube.kubelet.allocation import Allocations, Hold, Refusal, restarting
from localkube.kubelet.backoff import Pace
from localkube.kubelet.container import Container
from localkube.kubelet.environment import build_service_links
from localkube.kubelet.images import Catalogue
from localkube.kubelet.pod_events import EventWriter
from localkube.kubelet.pod_status import (
    RESIZE_IN_PROGRESS,
    RESIZE_PENDING,
    ContainerFacts,
    build_conditions,
    build_container_status,
    phase_of,
    restore_facts,
)
from localkube.kubelet.probes import unsupported
from localkube.kubelet.volumes import PodVolumes, kind_of
from localkube.registry import Registry, time_text, utc_now

Obj = dict[str, Any]
MOUNT_RETRY_FIRST_S = 0.5
MOUNT_RETRY_LONGEST_S = 120.0
SYNC_S = 60.0  # how often a pod to which nothing happens is looked at
# For the address that a fault promised it; then any other will do: the pod that has it may be waiting for this one.
ADDRESS_WAIT_S = 15.0
RESIZE_TAKES_S = 0.05  # from the promise to what the container has


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """What all pods of one node share."""

    registry: Registry
    node: str
    node_ip: str
    state_dir: Path
    memory_dir: Path
    addresses: Addresses
    catalogue: Catalogue
    pace: Pace
    events: EventWriter
    http: aiohttp.ClientSession
    allocatable: Mapping[str, str]
    allocations: Allocations
    on_room: Callable[[], None]  # to be called when a pod needs less than before
    empty_dir_bytes: int | None
    delay_of: Callable[[Obj, str, Sequence[str], bool], float]  # see Kubelet.delay_of
    hold_of: Callable[[Obj], Hold | None]  # how far a fault lets the pod's resize go


class PodWorker:
    """Runs one pod from its binding to its removal."""

    def __init__(self, node: NodeContext, pod: Obj) -> None:
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.key: tuple[str, str] = (metadata["namespace"], metadata["name"])
        self.folder = node.state_dir / "pods" / self.uid
        self.log_folder = log_folder(node.state_dir, pod)
        self.hostname: str = pod["spec"].get("hostname") or metadata["name"][:63].rstrip("-.")
        self.ip = ""
        self.node_ip = node.node_ip
        self.pace = node.pace
        self.catalogue = node.catalogue
        self.http = node.http
        self.allocatable = node.allocatable
        self.volumes = PodVolumes(
            self.folder / "volumes",
            node.memory_dir / self.uid,
            self.lookup,
            node.allocatable,
            empty_dir_bytes=node.empty_dir_bytes,
        )
        self._node = node
        self._pod = pod
        self._refers = references(pod)
        self._specs = _specs_by_name(pod)
        node.allocations.admit(pod)
        self._resize_refused: Refusal | None = None
        self._actuation: asyncio.TimerHandle | None = None
        self._start_time: str = (pod.get("status") or {}).get("startTime") or time_text(utc_now())
        self._init = [self._container(spec, init=True) for spec in pod["spec"].get("initContainers") or []]
        self._main = [self._container(spec, init=False) for spec in pod["spec"]["containers"]]
        self._over = False  # no container will be started again
        self._verdict: tuple[str, str] | None = None  # reason and message that the pod as a whole has
        self._pending_reason: tuple[str, str] | None = None
        self._poked = asyncio.Event()
        self._write_due = False
        self._gone = False
        self._chore: asyncio.Task[None] | None = None
        self._life = asyncio.create_task(self._live(), name=f"pod {self.key}")
        self._life.add_done_callback(self._report)
        self._end: asyncio.Task[None] | None = None
        self._on_finished: Callable[[], object] = lambda: None
        self.resize()  # what was asked for while the node was down

    # ---- what happens to it

    def update(self, pod: Obj) -> None:
        """The object changed: its spec, labels, or that it is to be deleted."""
        old, self._pod = self._pod, pod
        if "deletionTimestamp" in pod["metadata"]:
            self._begin_end(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
            return
        if pod["spec"] != old["spec"]:
            self._specs = _specs_by_name(pod)
            self.resize()
            self._poke()
            for container in (*self._init, *self._main):
                container.check_image()
            self.changed()  # at least that it was seen
        if pod["metadata"] != old["metadata"] and self.ip:
            self.volumes.refresh(self.view)
        if (pod.get("status") or {}).get("conditions") != (old.get("status") or {}).get("conditions"):
            self.changed()

    def resize(self) -> None:
        """Promises the containers what the spec asks for now, if there is room; asked again when there may be."""
        if self._over or self._end is not None:
            return
        before = self._node.allocations.of(self.uid)
        refused = self._node.allocations.resize(self._pod, self._node.hold_of(self._pod))
        given = self._node.allocations.of(self.uid)
        for container in (*self._init, *self._main):
            container.facts.allocated = dict(given.get(container.name, {}))
            if container.process is None:
                container.facts.resources = container.facts.allocated
        if given != before or refused != self._resize_refused:
            self._resize_refused = refused
            self.changed()
        if self._resize_is_under_way and self._actuation is None:
            # Whoever watches sees a resize begin before it is done, as a real kubelet's runtime takes its time.
            self._actuation = asyncio.get_running_loop().call_later(RESIZE_TAKES_S, self._actuate)
        if given != before:
            self._node.on_room()

    def _actuate(self) -> None:
        """Gives the containers what they were promised, unless a fault holds it back."""
        self._actuation = None
        if self._over or self._gone:
            return
        if self._node.hold_of(self._pod) is None:
            for container in (*self._init, *self._main):
                was, now = container.facts.resources, container.facts.allocated
                container.facts.resources = now
                if restarting(self._specs[container.name], was, now):
                    container.restart("resize requires restart")
        self.changed()

    @property
    def _resize_is_under_way(self) -> bool:
        return any(one.facts.resources != one.facts.allocated for one in (*self._init, *self._main))

    def _resize_conditions(self) -> dict[str, tuple[str, str]]:
        said: dict[str, tuple[str, str]] = {}
        if (refused := self._resize_refused) is not None:
            said[RESIZE_PENDING] = (refused.reason, refused.message)
        if self._resize_is_under_way:
            hold = self._node.hold_of(self._pod)
            failed = hold is not None and hold.state == "Error" and self._actuation is None
            words = (hold.message if hold is not None else "") or "the runtime did not change the resources"
            said[RESIZE_IN_PROGRESS] = ("Error", words) if failed else ("", "")
        return said

    @property
    def waits_for_room(self) -> bool:
        return self._resize_refused is not None

    def vanish(self) -> None:
        """The object was removed from under us: a forced deletion."""
        self._gone = True
        self._begin_end(0.0)

    def config_changed(self, resource: str, name: str) -> None:
        """A ConfigMap, Secret or claim of its namespace changed."""
        if (resource, name) not in self._refers or self._end is not None:
            return
        if self.ip:
            self.volumes.refresh(self.view)
        self._poke()

    async def abort(self) -> None:
        """The node goes down: everything ends now, and nothing is written about it."""
        self._gone = True
        self._forget_actuation()
        for task in (self._life, self._end, self._chore):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(container.abort() for container in (*self._main, *self._init)))
        self.volumes.remove_memory()

    def on_finished(self, callback: Callable[[], object]) -> None:
        """*callback* is called when nothing of the pod is left on this node."""
        self._on_finished = callback

    def container(self, name: str) -> Container | None:
        return next((one for one in (*self._main, *self._init) if one.name == name), None)

    # ---- what its containers ask

    @property
    def view(self) -> Obj:
        status = {**(self._pod.get("status") or {}), "hostIP": self._node.node_ip, "podIP": self.ip}
        status["podIPs"] = [{"ip": self.ip}] if self.ip else []
        return {**self._pod, "status": status}

    def spec_of(self, name: str) -> Obj:
        return self._specs[name]

    def lookup(self, resource: str, name: str) -> Obj | None:
        namespace = None if resource == "persistentvolumes" else self.key[0]
        return self._node.registry.find(resource, namespace, name)

    def delay_of(self, container: str, command: Sequence[str], *, start: bool) -> float:
        return self._node.delay_of(self._pod, container, command, start)

    def service_links(self) -> Mapping[str, str]:
        registry = self._node.registry
        services = [one for one in registry.list("services", "default") if one["metadata"]["name"] == "kubernetes"]
        if self._pod["spec"].get("enableServiceLinks", True):
            services += registry.list("services", self.key[0])
        return build_service_links(services)

    def event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        path = ""
        if container:
            group = "initContainers" if any(one.name == container for one in self._init) else "containers"
            path = f"spec.{group}{{{container}}}"
        if not self._gone:
            self._node.events.write(self._pod, kind, reason, message, field_path=path)

    async def pause(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._poked.wait()
        except TimeoutError:
            return

    def changed(self) -> None:
        """Writes the status soon; several changes of one moment are one write."""
        if not self._write_due and not self._gone:
            self._write_due = True
            asyncio.get_running_loop().call_soon(self._write_status)

    # ---- life

    def _container(self, spec: Obj, *, init: bool) -> Container:
        policy = self._pod["spec"].get("restartPolicy", "Always")
        sidecar = init and spec.get("restartPolicy") == "Always"
        if init:
            policy = "Always" if sidecar else ("Never" if policy == "Never" else "OnFailure")
        promised = dict(self._node.allocations.of(self.uid).get(spec["name"], {}))
        waiting = "PodInitializing" if self._pod["spec"].get("initContainers") else "ContainerCreating"
        facts = ContainerFacts(
            name=spec["name"],
            image=spec["image"],
            restartable_init=sidecar,
            state={"waiting": {"reason": waiting}},
            allocated=promised,
            resources=promised,
        )
        before = restore_facts(self._pod.get("status") or {}, spec["name"])
        if before is not None and ("running" in before["state"] or "terminated" in before["state"]):
            # The node went down under it: its processes ended, and it begins again.
            facts.restart_count = before["restartCount"] + 1
            facts.last_state = _lost(before)
        return Container(self, facts, restart=policy)

    async def _live(self) -> None:
        missing = _unsupported(self._pod)
        if missing is not None:
            # Saying so beats running something that only looks right.
            self._pending_reason = ("NotSupported", f"localkube does not provide {missing}")
            self.event("Warning", "NotSupported", f"localkube does not provide {missing}")
            self.changed()
            return
        await self._take_address()
        self.changed()
        self._write_own_files()
        if self._pod["spec"].get("imagePullSecrets"):
            self._chore = asyncio.create_task(self._miss_pull_secrets(), name=f"pull secrets of {self.key}")
            self._chore.add_done_callback(self._report)
        await self._mount()
        deadline_s = self._pod["spec"].get("activeDeadlineSeconds")
        try:
            async with asyncio.timeout(deadline_s):
                await self._run_containers()
        except TimeoutError:
            message = "Pod was active on the node longer than the specified deadline"
            self._verdict = ("DeadlineExceeded", message)
            self.event("Normal", "DeadlineExceeded", message)
            await self._stop_containers(self._grace_s())
        self._over = True
        self._leave_room()
        self.changed()

    async def _take_address(self) -> None:
        if self._pod["spec"].get("hostNetwork"):
            self.ip = self._node.node_ip
            return
        give_up_at = asyncio.get_running_loop().time() + ADDRESS_WAIT_S
        while not self.ip:
            try:
                self.ip = self._node.addresses.take(self.key)
            except AddressAwaited:
                try:
                    async with asyncio.timeout_at(give_up_at):
                        await self._node.addresses.book.until_freed()
                except TimeoutError:
                    self._node.addresses.book.break_promise(self.key)
            except AddressesSpent as problem:
                self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {problem}")
                await self.pause(self.pace.first_s)

    async def _miss_pull_secrets(self) -> None:
        """A kubelet looks for them whenever it looks at the pod, and says each time what is not there."""
        while not self._over:
            names = [one["name"] for one in self._pod["spec"].get("imagePullSecrets") or () if one.get("name")]
            missing = [name for name in names if self.lookup("secrets", name) is None]
            if missing:
                words = f"({', '.join(missing)}); attempting to pull the image may not succeed."
                self.event(
                    "Warning", "FailedToRetrieveImagePullSecret", f"Unable to retrieve some image pull secrets {words}"
                )
            await asyncio.sleep(SYNC_S)

    def _write_own_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        spec = self._pod["spec"]
        names = [self.hostname]
        if spec.get("subdomain"):
            names.insert(0, f"{self.hostname}.{spec['subdomain']}.{self.key[0]}.svc.cluster.local")
        # In a pod, localhost is the pod itself. Here that is the pod's address, for 127.0.0.1 is the whole machine's.
        lines = ["# Kubernetes-managed hosts file.", f"{self.ip}\tlocalhost", f"{self.ip}\t{' '.join(names)}"]
        lines += [f"{alias['ip']}\t{' '.join(alias.get('hostnames') or [])}" for alias in spec.get("hostAliases") or []]
        (self.folder / "etc-hosts").write_text("\n".join(lines) + "\n")
        (self.folder / "etc-hostname").write_text(self.hostname + "\n")

    async def _mount(self) -> None:
        wait_s = MOUNT_RETRY_FIRST_S
        while True:
            problems = self.volumes.prepare(self.view)
            if not problems:
                return
            for problem in problems:
                self.event("Warning", "FailedMount", problem)
            await self.pause(wait_s)
            wait_s = min(2 * wait_s, MOUNT_RETRY_LONGEST_S)

    async def _run_containers(self) -> None:
        for container in self._init:
            task = container.start()
            task.add_done_callback(self._report)
            if container.facts.restartable_init:
                await container.up.wait()
                continue
            await asyncio.wait((task,))
            if not container.facts.succeeded:
                await self._stop_sidecars(self._grace_s())
                return
        tasks = [container.start() for container in self._main]
        for task in tasks:
            task.add_done_callback(self._report)
        await asyncio.wait(tasks)
        await self._stop_sidecars(self._grace_s())

    def _grace_s(self) -> float:
        grace: float = self._pod["spec"].get("terminationGracePeriodSeconds", 30)
        return grace

    # ---- end

    def _begin_end(self, grace_s: float) -> None:
        if self._end is None:
            self._end = asyncio.create_task(self._finish(grace_s), name=f"end of pod {self.key}")
            self._end.add_done_callback(self._report)
        else:
            for container in (*self._main, *self._init):
                container.shorten(grace_s)

    async def _finish(self, grace_s: float) -> None:
        self._forget_actuation()
        if self._chore is not None:
            self._chore.cancel()
        self._life.cancel()
        await asyncio.wait((self._life,))
        await self._stop_containers(grace_s)
        self._over = True
        if not self._gone:
            self._write_status()
        await asyncio.get_running_loop().run_in_executor(None, self._clean_up)
        if self.ip and self.ip != self._node.node_ip:
            self._node.addresses.give_back(self.ip)
        self._on_finished()
        self._leave_room()
        if not self._gone:
            self._gone = True
            try:
                self._node.registry.delete("pods", *self.key, grace_s=0, uid=self.uid)
            except ApiError as error:
                if error.code not in (404, 409):  # 409: another pod has the name by now
                    raise

    async def _stop_containers(self, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        by = loop.time() + grace_s
        plain_init = [one for one in self._init if not one.facts.restartable_init]
        await asyncio.gather(*(container.stop(grace_s) for container in (*self._main, *plain_init)))
        await self._stop_sidecars(by - loop.time())

    async def _stop_sidecars(self, grace_s: float) -> None:
        # Last started, first stopped: an earlier sidecar may serve a later one.
        for container in reversed(self._init):
            if container.facts.restartable_init:
                await container.stop(max(grace_s, 0))

    def _clean_up(self) -> None:
        self.volumes.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.log_folder, ignore_errors=True)

    # ---- status

    def _write_status(self) -> None:
        self._write_due = False
        if self._gone:
            return
        registry = self._node.registry
        pod = registry.find("pods", *self.key)
        if pod is None or pod["metadata"]["uid"] != self.uid:
            return
        before: Obj = pod.get("status") or {}
        status = self._build_status(before)
        if status != before:
            registry.update("pods", {**pod, "status": status}, subresource="status", manager="kubelet")

    def _build_status(self, before: Obj) -> Obj:
        spec = self._pod["spec"]
        init, main = [one.facts for one in self._init], [one.facts for one in self._main]
        phase = phase_of(init, main, spec.get("restartPolicy", "Always"), over=self._over)
        if self._verdict is not None:
            phase = "Failed"
        gates = [gate["conditionType"] for gate in spec.get("readinessGates") or []]
        conditions = build_conditions(
            init,
            main,
            phase,
            before=before.get("conditions") or [],
            gates=gates,
            now=time_text(utc_now()),
            resize=self._resize_conditions(),
            generation=self._pod["metadata"].get("generation"),
        )
        said = self._verdict or self._pending_reason
        status: Obj = {**before, "phase": phase, "conditions": conditions, "startTime": self._start_time}
        status |= {"hostIP": self._node.node_ip, "observedGeneration": self._pod["metadata"].get("generation", 1)}
        if self.ip:
            status |= {"podIP": self.ip, "podIPs": [{"ip": self.ip}]}
        if said is not None:
            status |= {"reason": said[0], "message": said[1]}
        if init:
            status["initContainerStatuses"] = [build_container_status(facts, init=True) for facts in init]
        status["containerStatuses"] = [build_container_status(facts) for facts in main]
        return status

    # ---- inside

    def _forget_actuation(self) -> None:
        if self._actuation is not None:
            self._actuation.cancel()
            self._actuation = None

    def _leave_room(self) -> None:
        self._node.allocations.release(self.uid)
        self._node.on_room()

    def _poke(self) -> None:
        self._poked.set()
        self._poked = asyncio.Event()

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._verdict = ("KubeletFault", f"{type(error).__name__}: {error}")
            task.get_loop().call_exception_handler(
                {"message": f"pod {self.key} failed in the kubelet", "exception": error}
            )
            self.changed()


def log_folder(state_dir: Path, pod: Obj) -> Path:
    metadata = pod["metadata"]
    return state_dir / "logs" / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def references(pod: Obj) -> frozenset[tuple[str, str]]:
    """(resource, name) of every ConfigMap, Secret and claim that the pod refers to."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or []:
        kind = kind_of(volume)
        parts = volume[kind].get("sources") or [] if kind == "projected" else [{kind: volume.get(kind) or {}}]
        for part in parts:
            found |= {("configmaps", part["configMap"].get("name", ""))} if "configMap" in part else set()
            secret = part.get("secret") or {}
            found |= {("secrets", secret.get("secretName") or secret.get("name", ""))} if secret else set()
            claim = part.get("persistentVolumeClaim")
            found |= {("persistentvolumeclaims", claim["claimName"])} if claim else set()
    for container in (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]):
        for source in container.get("envFrom") or []:
            found |= {("configmaps", source["configMapRef"]["name"])} if "configMapRef" in source else set()
            found |= {("secrets", source["secretRef"]["name"])} if "secretRef" in source else set()
        for variable in container.get("env") or []:
            source = variable.get("valueFrom") or {}
            found |= {("configmaps", source["configMapKeyRef"]["name"])} if "configMapKeyRef" in source else set()
            found |= {("secrets", source["secretKeyRef"]["name"])} if "secretKeyRef" in source else set()
    return frozenset(found)


def _specs_by_name(pod: Obj) -> dict[str, Obj]:
    both = (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"])
    return {spec["name"]: spec for spec in both}


def _unsupported(pod: Obj) -> str | None:
    """What the pod asks for that this kubelet lacks, or None."""
    spec = pod["spec"]
    for switch in ("hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(switch):
            return switch
    containers: Sequence[Obj] = (*(spec.get("initContainers") or []), *spec["containers"])
    for container in containers:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            kind = unsupported(container.get(name) or {})
            if kind is not None:
                return f"{kind} in a {name}"
        if container.get("volumeDevices"):
            return "volumeDevices"
        if any(port.get("hostPort") for port in container.get("ports") or []) and not spec.get("hostNetwork"):
            return "hostPort"
        if any(port.get("protocol", "TCP") == "SCTP" for port in container.get("ports") or []):
            return "SCTP ports"
    return None


def _lost(before: Obj) -> Obj:
    """The last state of a container whose end nobody saw."""
    if "terminated" in before["state"]:
        ended: Obj = before["state"]
        return ended
    return {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was resumed",
            "startedAt": before["state"]["running"].get("startedAt"),
            "finishedAt": time_text(utc_now()),
            "containerID": before.get("containerID", ""),
        }
    }
