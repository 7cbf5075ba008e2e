"""Kubernetes as the planner meets it, as plain data: objects as they were applied, and the pods of StatefulSets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import structs

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.manifests.asked import ASKED, Asked, parse_asked
from tdredis.manifests.drift import difference, parse_quantity
from tdredis.manifests.made_of import parse_made_of
from tdredis.manifests.names import ROLE_LABEL, SURPLUS
from tdredis.manifests.redis_config import build_redis_conf
from tdredis.manifests.settings_file import parse_settings
from tdredis.manifests.site import Site
from tdredis.planning.decide import assess, plan, report
from tdredis.planning.identity import names_of
from tdredis.planning.live import RESTARTED_AT, Live
from tdredis.planning.memo import Memo
from tdredis.planning.plan import Plan
from tdredis.planning.settings import named_settings
from tdredis.planning.snapshot import PodFacts, Ref, Snapshot, Trial, Trouble
from tdredis.planning.steps import (
    Apply,
    ObjectStep,
    Release,
    Remove,
    ReplacePod,
    ResizePod,
    ResizeVolume,
    RestoreLabels,
    Step,
)
from tdredis.redis.facts import NodeFacts, Unknown
from tests.unit.planning.simulated_settings import SimulatedSettings

ProcessT = TypeVar("ProcessT")
KeyT = TypeVar("KeyT")
FAILED_CREATE = "FailedCreate"  # no pod's own trouble: none is made
ENDS_IN_S, STARTED_AGAIN_S = 2.0, 12.0  # of what flaps
ENDS = ("CrashLoopBackOff", "OOMKilled")  # of a process that began


@dataclass
class SimulatedPod(Generic[ProcessT]):
    name: str
    uid: str
    ip: str
    revision: str
    process: ProcessT | None  # None: it never ran
    trouble: Trouble | None = None
    main_trouble: Trouble | None = None
    stopped: bool = False  # its container ended, or ends over and over
    deleting: bool = False  # of one that its StatefulSet sends away: its process ends in the next pass, then it is gone
    age_s: float = 0.0
    created: float | None = None  # by the clock of its world; None: it is as old as age_s says
    role: str = ""
    lost_labels: Mapping[str, str] = field(default_factory=dict)
    made_of: Mapping[str, str] = field(default_factory=dict)
    asked: Asked | None = None
    earlier: str = ""
    unready: bool = False  # something beside its process does not run
    unprobed: bool = False  # something beside it has no readiness probe
    flaps: Trouble | None = None  # that ends over and over
    restarted_at: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    resources: dict[str, dict[str, str]] = field(default_factory=dict)  # of its first container
    given: dict[str, dict[str, str]] = field(default_factory=dict)  # what that has

    def read(self, template: Any) -> None:
        """What it has of the *template* that it is made from."""
        containers, annotations = template["spec"]["containers"], template["metadata"].get("annotations", {})
        self.resources = json.loads(json.dumps(containers[0].get("resources", {})))
        self.given = self.resources
        self.made_of = parse_made_of(annotations)
        self.asked = parse_asked(annotations)
        self.restarted_at = annotations.get(RESTARTED_AT, "")
        self.images = {each["name"]: each["image"] for each in containers}


class _Tried(Mapping[str, Trial]):
    """Every address there may be, with what came of trying it."""

    def __init__(self, others: Trial, some: Mapping[str, Trial]) -> None:
        self._others, self._some = others, some

    def __getitem__(self, place: str) -> Trial:
        return self._some.get(place, self._others)

    def __iter__(self) -> Iterator[str]:
        return iter(self._some)

    def __len__(self) -> int:
        return len(self._some)


class SimulatedKubernetes(Generic[ProcessT]):
    """*start* in a subclass makes the process of a new pod; *snapshot* is what a pass sees, *settle* lets time pass."""

    def __init__(self, name: str, uid: str, spec: JSONObject) -> None:
        self.resource: JSONObject = {
            "metadata": {
                "name": name,
                "namespace": "redis",
                "uid": uid,
                "generation": 1,
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": spec,
            "status": {},
        }
        self.now = 1_000_000.0
        self.settings = SimulatedSettings(lambda: self.now)
        self.site = Site()
        self.children: dict[Ref, JSONObject] = {}
        self.claims: dict[str, JSONObject] = {}
        self.pods: dict[str, SimulatedPod[ProcessT]] = {}
        self.volumes: dict[str, ProcessT] = {}  # by pod, with the data of who was on it last
        self.late: set[str] = set()  # pods that were lost, and are not made again yet
        self.bad_images: set[str] = set()
        self.unschedulable: set[str] = set()
        self.breaks_beside: dict[str, Trouble] = {}  # likewise, of a container beside a process that runs
        self.unprobed: set[str] = set()  # words of a template: a container has no readiness probe
        self.flaps: dict[str, Trouble] = {}  # likewise, of such a one that is started again and again, and ends
        self.breaks: dict[str, Trouble] = {}  # by a word of the template: what is wrong with a pod that is made from it
        self.forbidden: set[str] = set()  # pods that a quota keeps from being made
        self.sees_slowly = False  # the controller of StatefulSets sees a change of one in the next pass
        self.goes_slowly = False  # pods that are sent away take their time: deleting, ended, gone; a pass each
        self.orphans: set[str] = set()  # pods of a StatefulSet that was deleted without them
        self.of_the_resource: set[str] = set()  # uids of pods that no StatefulSet's deletion takes along
        self.refuses_growth: set[str] = set()  # claims of which a quota, or their class, refuses it
        self.grows_slowly = False  # volumes grow when they are told to: grow_volumes
        self.admission: Callable[[Any], None] | None = None  # what it makes of a new pod, or of one that is resized
        self.refuses_resizes = False  # 403, by admission
        self.holds_resizes: Trouble | None = None  # the kubelet does not carry them out, for that reason
        self.leads = Trial(verdict="leads")  # what comes of trying addresses for outside, and of some others
        self.leads_of: dict[str, Trial] = {}
        self.balancers = False  # Services of type LoadBalancer get addresses
        self.known_pods: dict[str, str] = {}  # as the operator remembers them
        self.failed_writes: dict[str, float] = {}  # when each pod's disk was last seen to take nothing, by uid
        self.status_writes = 0
        self._memo = Memo()
        self._listed: dict[object, tuple[bytes, Live]] = {}
        self._counter = 0
        self._node_ports: dict[str, int] = {}
        self._balancers: dict[str, str] = {}

    def start(self, pod: SimulatedPod[ProcessT]) -> ProcessT:
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        raise NotImplementedError

    def apply(self, step: Step) -> None:
        raise NotImplementedError

    def settle(self, seconds: float = 0.1) -> None:
        raise NotImplementedError

    def comes_back(self, pod: str) -> None:
        """*pod* was lost and is made again: its process, if it begins, finds what is in volumes."""
        raise NotImplementedError

    def plan_is_done(self, made: Plan) -> None:
        """All steps of *made* were carried out."""

    def operator_died(self) -> None:
        """What it did beside its passes ends too, and what it remembers of them."""
        self._memo = Memo()
        self._listed.clear()

    def goes_for_good(self, pod: SimulatedPod[ProcessT]) -> None:
        """*pod* is not wanted any more. Asserts that nothing is lost with it."""

    # -- passes of the operator ---------------------------------------------------------------------------------------

    def run_pass(self, *, interrupt_after: int | None = None) -> tuple[Plan, int]:
        """One pass; with *interrupt_after*, the operator dies after so many steps. Returns the plan and steps done."""
        snapshot = self.snapshot()
        self._see_statefulsets()
        assessment = assess(snapshot)
        made = plan(assessment)
        done = 0
        for step in made.steps:
            if interrupt_after is not None and done >= interrupt_after:
                self.operator_died()
                return made, done
            self.apply(step)
            done += 1
        self.plan_is_done(made)
        status = report(assessment, made)
        if status != snapshot.resource.status:
            self.status_writes += 1
            self.resource["status"] = msgspec.to_builtins(status)
        self.go_on_leaving()
        self.settle()
        return made, done

    def converge(self, *, passes: int = 60) -> Plan:
        """Passes until nothing is left to do and all is well, at most *passes*."""
        for _ in range(passes):
            made, done = self.run_pass()
            if not done and made.verdict == "healthy":
                return made
        raise AssertionError(f"not healthy after {passes} passes: {made.verdict}, {made.holds}, {made.steps}")

    def memo(self) -> Memo:
        """What a pass that begins now knows of the one before."""
        self._memo.begin()
        return self._memo

    def listed(self, objects: Mapping[KeyT, JSONObject]) -> dict[KeyT, Live]:
        """As the operator has them: of what has not changed since the pass before, the same. What happens to *objects*
        later changes none of them.
        """
        return {key: self._as_listed(key, msgspec.json.encode(live)) for key, live in objects.items()}

    def _as_listed(self, key: object, text: bytes) -> Live:
        before = self._listed.get(key)
        if before is None or before[0] != text:
            before = self._listed[key] = text, Live.of(msgspec.json.decode(text))
        return before[1]

    def settings_file(self) -> dict[str, str | None]:
        """What pods find for their start."""
        name = str(self.resource["metadata"]["name"])  # type: ignore[index, call-overload]
        return parse_settings(self.children.get(Ref("ConfigMap", name), {}))

    def with_settings(
        self, instance: Instance, nodes: dict[str, NodeFacts | Unknown]
    ) -> dict[str, NodeFacts | Unknown]:
        """*nodes* with what they answer of the parameters that a pass asks for."""
        children = self.listed(self.children)
        names = named_settings(instance, children)
        lines = (line.partition(" ") for line in build_redis_conf(instance).splitlines())
        self.settings.own = {name: value.strip('"') for name, _, value in lines}
        return {
            pod: structs.replace(
                node,
                engine=self.settings.engine_of(pod),
                settings=self.settings.get(pod, names),
                refused_at_start=self.settings.refused_at_start.get(pod, {}),
            )
            if isinstance(node, NodeFacts)
            else node
            for pod, node in nodes.items()
        }

    def remember(self, nodes: Mapping[str, NodeFacts | Unknown]) -> Mapping[str, str]:
        """What the operator knows of the passes before one that sees *nodes*."""
        before = dict(self.known_pods)
        for name, node in nodes.items():
            if isinstance(node, NodeFacts):
                self.known_pods |= dict.fromkeys(names_of(node, self.pods[name].ip), self.pods[name].uid)
        return before

    def with_memory(self, nodes: dict[str, NodeFacts | Unknown]) -> dict[str, NodeFacts | Unknown]:
        """*nodes* with what the operator knows of the passes before."""
        return {name: self._with_memory(name, node) for name, node in nodes.items()}

    def _with_memory(self, name: str, node: NodeFacts | Unknown) -> NodeFacts | Unknown:
        if isinstance(node, Unknown):
            return node
        uid = self.pods[name].uid
        if node.write_error:
            self.failed_writes[uid] = self.now
        when = self.failed_writes.get(uid)
        return structs.replace(node, heard_s=3600.0, write_failed_s=None if when is None else self.now - when)

    def write_failures(self) -> dict[str, float]:
        return {uid: self.now - when for uid, when in self.failed_writes.items()}

    def trials(self) -> Mapping[str, Trial]:
        """Of every address that a pod's Service may have."""
        return _Tried(self.leads, self.leads_of)

    # -- the API server and its controllers ---------------------------------------------------------------------------

    def next_number(self) -> int:
        self._counter += 1
        return self._counter

    def apply_object(self, step: ObjectStep) -> None:
        match step:
            case Remove():
                del self.children[step.ref]
            case Release():
                self._release(step)
            case ResizeVolume():
                self._resize_volume(step)
            case ReplacePod():
                self.pods.pop(step.pod)
            case ResizePod():
                pod = self.pods[step.pod]
                asked = {"requests": dict(step.requests), "limits": dict(step.limits)}
                assert _is_room_kept(pod.given, asked, self.snapshot().nodes.get(step.pod)), "a limit below maxmemory"
                if not self.refuses_resizes:
                    pod.resources = self._admitted({"metadata": {}, "spec": {"containers": [{"resources": asked}]}})[
                        "spec"
                    ]["containers"][0]["resources"]
                    pod.asked = parse_asked({ASKED: step.record})
                if not self.refuses_resizes and self.holds_resizes is None:
                    pod.given = pod.resources
            case RestoreLabels():
                assert step.uid == self.pods[step.pod].uid, "labels for another pod"
                self.pods[step.pod].lost_labels = {}
            case Apply() if step.ref.kind == "Pod":
                metadata: Any = step.manifest["metadata"]
                assert metadata["uid"] == self.pods[step.ref.name].uid, "a label for another pod"
                self.pods[step.ref.name].role = metadata["labels"][ROLE_LABEL]
            case Apply() if step.ref.kind == "PersistentVolumeClaim":
                self._apply_claim(step.ref.name, step.manifest)
            case Apply():
                self.children[step.ref] = self._live(step)
        self.run_statefulsets()

    def _release(self, step: Release) -> None:
        live: Any = self.children.pop(step.ref)
        assert step.uid == live["metadata"]["uid"], "another StatefulSet"
        assert SURPLUS not in live["metadata"].get("annotations", {}), "a surplus pod is forgotten"
        theirs = {name: pod.uid for name, pod in self.pods.items() if name.rpartition("-")[0] == step.ref.name}
        assert dict(step.pods) == theirs, "a pod would go with nobody"
        for name, text in step.notes:
            self.pods[name].earlier = text
        self.orphans |= set(theirs)
        self.of_the_resource |= set(theirs.values())

    def _apply_claim(self, name: str, manifest: Any) -> None:
        """Server-side apply of metadata alone."""
        live = self.claims.get(name, {"metadata": {}})
        metadata = {**live["metadata"], **manifest["metadata"]}  # type: ignore[dict-item]
        self.claims[name] = {**live, "metadata": metadata}

    def _resize_volume(self, step: ResizeVolume) -> None:
        live: Any = self.claims[step.claim]
        assert step.uid == live["metadata"]["uid"], "another claim"
        has, asked = (parse_quantity(each) for each in (live["status"]["capacity"]["storage"], step.size))
        assert has is not None and asked is not None and asked > has, "field can not be less than status.capacity"
        if step.claim not in self.refuses_growth:
            live["spec"]["resources"]["requests"]["storage"] = step.size
        if not self.grows_slowly:
            self.grow_volumes()

    def grow_volumes(self) -> None:
        """Each gets what its claim asks for."""
        claims: Any = self.claims
        for live in claims.values():
            if "spec" in live:
                live["status"]["capacity"] = dict(live["spec"]["resources"]["requests"])

    def _make_claims(self, pod: str, spec: Any) -> None:
        for template in spec.get("volumeClaimTemplates") or ():
            name = f"{template['metadata']['name']}-{pod}"
            made = json.loads(json.dumps(template))
            made["metadata"] |= {"name": name, "uid": f"uid-{name}"}
            made["status"] = {"phase": "Bound", "capacity": dict(made["spec"]["resources"]["requests"])}
            self.claims.setdefault(name, made)

    def _live(self, step: Apply) -> JSONObject:
        live: JSONObject = json.loads(json.dumps(step.manifest))
        metadata, spec = live["metadata"], live.get("spec")
        assert isinstance(metadata, dict)
        assert "stringData" not in live, "stringData is not sent: its ownership cannot be applied"
        metadata["uid"] = f"uid-{step.ref}"
        metadata["generation"] = self.next_number()
        metadata["resourceVersion"] = str(metadata["generation"])
        if step.ref.kind == "Service" and isinstance(spec, dict):
            spec.setdefault("clusterIP", f"10.96.0.{self.next_number()}")
            if spec["type"] == "NodePort":
                self._give_node_ports(step.ref, spec)
            if spec["type"] == "LoadBalancer" and self.balancers:
                address = f"203.0.113.{len(self._balancers)}"
                ingress: list[JSON] = [{"ip": self._balancers.setdefault(step.ref.name, address)}]
                live["status"] = {"loadBalancer": {"ingress": ingress}}
        if step.ref.kind == "Deployment":
            live["status"] = {"availableReplicas": 2}
        if step.ref.kind == "StatefulSet" and isinstance(spec, dict):
            former = self.children.get(step.ref, {}).get("spec", spec)
            assert isinstance(former, dict)
            fixed: JSONObject = {"volumeClaimTemplates": former.get("volumeClaimTemplates")}
            assert difference(fixed, spec) is None, "422: templates are fixed"
            self.orphans -= {name for name in self.orphans if name.rpartition("-")[0] == step.ref.name}
            self._keep_restart(step.ref, spec)
            revision = _revision(spec["template"])
            seen: JSON = 0 if self.sees_slowly else metadata["generation"]
            live["status"] = {"observedGeneration": seen, "updateRevision": revision}
        return live

    def _keep_restart(self, ref: Ref, spec: Any) -> None:
        """Another manager's annotation stays. Source: kubernetes.io, "Server-Side Apply"."""
        former: Any = self.children.get(ref, {}).get("spec") or {"template": {"metadata": {}}}
        when = former["template"]["metadata"].get("annotations", {}).get(RESTARTED_AT)
        if when is not None:
            spec["template"]["metadata"].setdefault("annotations", {})[RESTARTED_AT] = when

    def rollout_restart(self, name: str, when: str) -> None:
        """`kubectl rollout restart statefulset/NAME`"""
        live: Any = self.children[Ref("StatefulSet", name)]
        live["spec"]["template"]["metadata"].setdefault("annotations", {})[RESTARTED_AT] = when
        self._observe(live)

    def rollout_undo(self, name: str) -> None:
        """`kubectl rollout undo statefulset/NAME`, where a restart was the last revision."""
        live: Any = self.children[Ref("StatefulSet", name)]
        del live["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
        self._observe(live)

    def _observe(self, live: Any) -> None:
        live["metadata"]["generation"] = self.next_number()
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "updateRevision": _revision(live["spec"]["template"]),
        }

    def made_earlier(self, statefulsets: Iterable[JSONObject]) -> None:
        """As if an earlier version of the operator had made *statefulsets*, and their pods from these templates."""
        for given in statefulsets:
            live: Any = json.loads(json.dumps(given))
            name, template = live["metadata"]["name"], live["spec"]["template"]
            live["metadata"]["generation"] = self.next_number()
            revision = _revision(template)
            live["status"] = {"observedGeneration": live["metadata"]["generation"], "updateRevision": revision}
            self.children[Ref("StatefulSet", name)] = live
            for ordinal in _ordinals(live["spec"]):
                pod = self.pods[f"{name}-{ordinal}"]
                pod.revision = revision
                pod.read(template)

    def _give_node_ports(self, ref: Ref, spec: JSONObject) -> None:
        ports, number = spec["ports"], self._node_ports.setdefault(ref.name, 30000 + 10 * len(self._node_ports))
        assert isinstance(ports, list)
        for offset, port in enumerate(ports):
            assert isinstance(port, dict)
            port["nodePort"] = number + offset

    def run_statefulsets(self) -> None:
        wanted = set()
        for ref, live in self.children.items():
            if ref.kind != "StatefulSet":
                continue
            spec, status = live["spec"], live["status"]
            assert isinstance(spec, dict)
            assert isinstance(status, dict)
            for ordinal in _ordinals(spec):
                name = f"{ref.name}-{ordinal}"
                wanted.add(name)
                if name not in self.pods:
                    self._make_claims(name, spec)
                if name not in self.pods and name not in self.forbidden and not self._refusal(spec["template"]):
                    self.pods[name] = self._new_pod(name, str(status["updateRevision"]), json.dumps(spec["template"]))
                    if name in self.late:
                        self.late.remove(name)
                        self.comes_back(name)
        left = {
            name
            for name, pod in self.pods.items()
            if pod.uid in self.of_the_resource and Ref("StatefulSet", name.rpartition("-")[0]) not in self.children
        }
        for name in set(self.pods) - wanted - self.orphans - left:
            self.goes_for_good(self.pods[name])
            if self.goes_slowly:
                self.pods[name].deleting = True
            else:
                del self.pods[name]

    def creation_failures(self) -> dict[str, str]:
        """As events tell of StatefulSets with fewer pods than they are to have."""
        found = {}
        for ref, live in self.children.items():
            spec: Any = live.get("spec")
            if ref.kind != "StatefulSet" or all(f"{ref.name}-{ordinal}" in self.pods for ordinal in _ordinals(spec)):
                continue
            if words := self._refusal(spec["template"]):
                found[ref.name] = words
        return found

    def _refusal(self, template: JSON) -> str:
        """In whose words no pod is made from *template*; "": one is."""
        trouble = self._trouble_with(json.dumps(template), self.breaks)
        return trouble.message if trouble is not None and trouble.reason == FAILED_CREATE else ""

    def _trouble_with(self, template: str, breaks: Mapping[str, Trouble]) -> Trouble | None:
        return next((trouble for word, trouble in breaks.items() if f'"{word}"' in template), None)

    def take_away(self, pod: str, *, keeps_data: bool) -> None:
        """The pod is made again, now or when that is possible; its new process finds what is on its volume."""
        old = self.pods.pop(pod).process
        if keeps_data and old is not None:
            self.volumes[pod] = old
        if not keeps_data:
            self.volumes.pop(pod, None)
        self.late.add(pod)
        self.run_statefulsets()

    def _see_statefulsets(self) -> None:
        children: Any = self.children
        for ref, live in children.items():
            if ref.kind == "StatefulSet":
                live["status"]["observedGeneration"] = live["metadata"]["generation"]

    def go_on_leaving(self) -> None:
        """Of pods that were sent away slowly: a process ends, one that has ended goes."""
        for name, pod in list(self.pods.items()):
            if self.goes_slowly and pod.deleting:
                if pod.stopped:
                    del self.pods[name]
                pod.stopped = True
        self.run_statefulsets()

    def _new_pod(self, name: str, revision: str, template: str) -> SimulatedPod[ProcessT]:
        number = self.next_number()
        ip = f"10.88.{number // 250}.{number % 250}"
        trouble = None
        if any(f'"{image}"' in template for image in self.bad_images):
            trouble = Trouble(reason="ErrImagePull", message="no such image")
        elif name in self.unschedulable:
            trouble = Trouble(reason="Unschedulable", message="0/3 nodes are available")
        else:
            trouble = self._trouble_with(template, self.breaks)
        pod: SimulatedPod[ProcessT] = SimulatedPod(
            name=name,
            uid=f"uid-{name}-{number}",
            ip=ip,
            revision=revision,
            process=None,
            trouble=trouble,
            main_trouble=trouble,
            created=self.now,
        )
        pod.read(self._admitted(json.loads(template)))
        if trouble is None or trouble.reason in ENDS:
            pod.process = self.start(pod)
            pod.stopped = trouble is not None
        if trouble is None:
            pod.trouble = self._trouble_with(template, self.breaks_beside)
            pod.unready = pod.trouble is not None
            pod.flaps = self._trouble_with(template, self.flaps)
            pod.unprobed = pod.flaps is not None or any(word in template for word in self.unprobed)
        return pod

    def comes_up(self, name: str) -> None:
        """What kept *name* from running is no more, and the kubelet starts it."""
        pod = self.pods[name]
        pod.trouble = pod.main_trouble = None
        if pod.process is None:
            pod.process = self.start(pod)
            self.comes_back(name)
        pod.stopped = False

    def _admitted(self, pod: Any) -> Any:
        if self.admission is not None:
            self.admission(pod)
        return pod

    def pod_facts(self, pod: SimulatedPod[ProcessT], *, answers: bool) -> PodFacts:
        ran = pod.process is not None
        created = self.now - pod.age_s if pod.created is None or pod.age_s else pod.created
        runs_s = (self.now - created) % STARTED_AGAIN_S if pod.flaps else self.now - created
        is_down = pod.flaps is not None and runs_s >= ENDS_IN_S
        return PodFacts(
            name=pod.name,
            uid=pod.uid,
            created=created,
            ip=pod.ip if ran else None,
            node="node-1",
            ready=ran and answers and not pod.stopped and not pod.unready and not is_down,
            unproven_since=self.now - runs_s if pod.unprobed and not is_down else None,
            running=ran and not pod.stopped,
            ever_ran=ran,
            deleting=pod.deleting,
            revision=pod.revision,
            made_of=pod.made_of,
            asked=pod.asked,
            earlier=pod.earlier,
            restarted_at=pod.restarted_at,
            images=pod.images,
            host_ip="192.168.0.1",
            role=pod.role,
            lost_labels=pod.lost_labels,
            requests=pod.resources.get("requests", {}),
            limits=pod.resources.get("limits", {}),
            given_requests=pod.given.get("requests", {}),
            given_limits=pod.given.get("limits", {}),
            resize_trouble=self.holds_resizes if pod.given != pod.resources else None,
            trouble=pod.flaps if is_down else pod.trouble,
            main_trouble=pod.main_trouble,
        )


def _revision(template: JSON) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _ordinals(spec: JSONObject) -> range:
    """Source: kubernetes.io, "StatefulSets" (start ordinal)."""
    ordinals = spec.get("ordinals")
    start = int(str(ordinals.get("start", 0))) if isinstance(ordinals, dict) else 0
    return range(start, start + int(str(spec["replicas"])))


def _is_room_kept(given: Mapping[str, Mapping[str, str]], asked: Mapping[str, Mapping[str, str]], node: object) -> bool:
    """A container whose limit falls has a process that uses less already."""
    before, after = (parse_quantity(each.get("limits", {}).get("memory")) for each in (given, asked))
    if before is None or after is None or after >= before or not isinstance(node, NodeFacts):
        return True
    return 0 < node.maxmemory_bytes <= after
