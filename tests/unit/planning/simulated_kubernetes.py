"""Kubernetes as the planner meets it, as plain data: objects as they were applied, and the pods of StatefulSets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tdredis.api.json_object import JSONObject
from tdredis.manifests.names import ROLE_LABEL
from tdredis.planning.snapshot import PodFacts, Ref, Trouble
from tdredis.planning.steps import Apply, Remove, ReplacePod

ProcessT = TypeVar("ProcessT")


@dataclass
class SimulatedPod(Generic[ProcessT]):
    name: str
    uid: str
    ip: str
    revision: str
    process: ProcessT | None  # None: it never ran
    trouble: Trouble | None = None
    stopped: bool = False  # its container ended, or ends over and over
    deleting: bool = False
    age_s: float = 0.0
    role: str = ""


class SimulatedKubernetes(Generic[ProcessT]):
    """*start* in a subclass makes the process of a new pod."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.children: dict[Ref, JSONObject] = {}
        self.pods: dict[str, SimulatedPod[ProcessT]] = {}
        self.bad_images: set[str] = set()
        self.unschedulable: set[str] = set()
        self._counter = 0

    def start(self, pod: str) -> ProcessT:
        raise NotImplementedError

    def next_number(self) -> int:
        self._counter += 1
        return self._counter

    def apply_object(self, step: Apply | Remove | ReplacePod) -> None:
        match step:
            case Remove():
                del self.children[step.ref]
            case ReplacePod():
                self.pods.pop(step.pod)
            case Apply() if step.ref.kind == "Pod":
                metadata: Any = step.manifest["metadata"]
                self.pods[step.ref.name].role = metadata["labels"][ROLE_LABEL]
            case Apply():
                self.children[step.ref] = self._live(step)
        self.run_statefulsets()

    def _live(self, step: Apply) -> JSONObject:
        live: JSONObject = json.loads(json.dumps(step.manifest))
        metadata, spec = live["metadata"], live.get("spec")
        assert isinstance(metadata, dict)
        metadata["uid"] = f"uid-{step.ref}"
        metadata["generation"] = self.next_number()
        metadata["resourceVersion"] = str(metadata["generation"])
        if step.ref.kind == "Service" and isinstance(spec, dict):
            spec.setdefault("clusterIP", f"10.96.0.{self.next_number()}")
        if step.ref.kind == "StatefulSet" and isinstance(spec, dict):
            revision = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
            live["status"] = {"observedGeneration": metadata["generation"], "updateRevision": revision}
        return live

    def run_statefulsets(self) -> None:
        wanted = set()
        for ref, live in self.children.items():
            if ref.kind != "StatefulSet":
                continue
            spec, status = live["spec"], live["status"]
            assert isinstance(spec, dict)
            assert isinstance(status, dict)
            for ordinal in range(int(str(spec["replicas"]))):
                name = f"{ref.name}-{ordinal}"
                wanted.add(name)
                if name not in self.pods:
                    self.pods[name] = self._new_pod(name, str(status["updateRevision"]), json.dumps(spec["template"]))
        for name in set(self.pods) - wanted:
            del self.pods[name]

    def _new_pod(self, name: str, revision: str, template: str) -> SimulatedPod[ProcessT]:
        number = self.next_number()
        ip = f"10.88.{number // 250}.{number % 250}"
        trouble = None
        if any(f'"{image}"' in template for image in self.bad_images):
            trouble = Trouble(reason="ErrImagePull", message="no such image")
        elif name in self.unschedulable:
            trouble = Trouble(reason="Unschedulable", message="0/3 nodes are available")
        process = None if trouble else self.start(name)
        return SimulatedPod(
            name=name, uid=f"uid-{name}-{number}", ip=ip, revision=revision, process=process, trouble=trouble
        )

    def pod_facts(self, pod: SimulatedPod[ProcessT], *, answers: bool) -> PodFacts:
        ran = pod.process is not None
        return PodFacts(
            name=pod.name,
            uid=pod.uid,
            created=self.now - pod.age_s,
            ip=pod.ip if ran else None,
            node="node-1",
            ready=ran and answers and not pod.stopped,
            running=ran and not pod.stopped,
            ever_ran=ran,
            deleting=pod.deleting,
            revision=pod.revision,
            role=pod.role,
            trouble=pod.trouble,
        )
