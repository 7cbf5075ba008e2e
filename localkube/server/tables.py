"""What `kubectl get` shows: the columns of each resource and how an object fills them."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localkube.registry import Obj, utc_now
from localkube.resources import ResourceType
from localkube.schema.jsonpath import find_values

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    cell: Callable[[Obj], Cell]
    wide: bool = False  # shown with -o wide only
    type: str = "string"
    format: str = ""
    description: str = ""

    def definition(self) -> Obj:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description or self.name,
            "priority": 1 if self.wide else 0,
        }


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[Column]
    include: str = "Metadata"  # None, Metadata or Object: what of the object each row carries

    def of(self, objs: Sequence[Obj], list_metadata: Mapping[str, Any]) -> Obj:
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": dict(list_metadata),
            "columnDefinitions": [column.definition() for column in self.columns],
            "rows": [self._row(obj) for obj in objs],
        }

    def _row(self, obj: Obj) -> Obj:
        row: Obj = {"cells": [column.cell(obj) for column in self.columns]}
        if self.include == "Object":
            row["object"] = obj
        elif self.include == "Metadata":
            row["object"] = partial_metadata(obj)
        return row


def partial_metadata(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


# ---- how cells are made


def _at(obj: Any, *path: str) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return obj


def _text(*path: str, absent: str = "") -> Callable[[Obj], Cell]:
    def cell(obj: Obj) -> Cell:
        value = _at(obj, *path)
        return absent if value in (None, "") else value if isinstance(value, str | int) else str(value)

    return cell


def _count(*path: str) -> Callable[[Obj], Cell]:
    return lambda obj: _at(obj, *path) or 0


def _size(*path: str) -> Callable[[Obj], Cell]:
    return lambda obj: len(_at(obj, *path) or ())


def _ratio(done: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[Obj], Cell]:
    return lambda obj: f"{_at(obj, *done) or 0}/{_at(obj, *wanted) or 0}"


def _completions(job: Obj) -> Cell:
    done, wanted, parallelism = (
        _at(job, "status", "succeeded") or 0,
        _at(job, "spec", "completions"),
        _at(job, "spec", "parallelism") or 0,
    )
    if wanted is not None:
        return f"{done}/{wanted}"
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def age_text(timestamp: str | None) -> str:
    """How long ago, as kubectl prints it: 5s, 3m12s, 47m, 2h5m, 3d4h."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    seconds = int((utc_now() - then).total_seconds())
    return duration_text(seconds)


def duration_text(seconds: int) -> str:
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"


def _age(*path: str) -> Callable[[Obj], Cell]:
    return lambda obj: age_text(_at(obj, *path))


def _job_duration(job: Obj) -> Cell:
    began, ended = _at(job, "status", "startTime"), _at(job, "status", "completionTime")
    if not began:
        return ""
    if not ended:
        return age_text(began)
    took = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(began)
    return duration_text(int(took.total_seconds()))


def _selector_text(*path: str) -> Callable[[Obj], Cell]:
    def cell(obj: Obj) -> Cell:
        selector = _at(obj, *path) or {}
        labels = (
            selector.get("matchLabels", {}) if "matchLabels" in selector or "matchExpressions" in selector else selector
        )
        texts = [f"{key}={value}" for key, value in sorted(labels.items())]
        for one in selector.get("matchExpressions", ()) if isinstance(selector.get("matchExpressions"), list) else ():
            values = ",".join(one.get("values") or ())
            texts.append({"In": f"{one['key']} in ({values})", "NotIn": f"{one['key']} notin ({values})",
                          "Exists": one["key"]}.get(one["operator"], f"!{one['key']}"))  # fmt: skip
        return ",".join(texts) or "<none>"

    return cell


def _containers(what: str, *path: str) -> Callable[[Obj], Cell]:
    return lambda obj: ",".join(str(one.get(what)) for one in _at(obj, *path) or ())


def _ready_containers(pod: Obj) -> Cell:
    statuses = _at(pod, "status", "containerStatuses") or ()
    sidecars = {one["name"] for one in _at(pod, "spec", "initContainers") or () if one.get("restartPolicy") == "Always"}
    initial = [one for one in _at(pod, "status", "initContainerStatuses") or () if one["name"] in sidecars]
    ready = sum(1 for one in (*statuses, *initial) if one.get("ready"))
    return f"{ready}/{len(_at(pod, 'spec', 'containers') or ()) + len(sidecars)}"


def _init_reason(pod: Obj) -> str | None:
    specs = _at(pod, "spec", "initContainers") or []
    sidecars = {one["name"] for one in specs if one.get("restartPolicy") == "Always"}
    for index, status in enumerate(_at(pod, "status", "initContainerStatuses") or ()):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated and terminated.get("exitCode") == 0:
            continue
        if status.get("name") in sidecars and status.get("started"):
            continue
        if terminated:
            why = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}"
            return f"Init:{why}"
        if waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(specs)}"
    return None


def _pod_status(pod: Obj) -> Cell:
    status = pod.get("status") or {}
    reason: str = status.get("reason") or status.get("phase") or "Unknown"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initial = _init_reason(pod)
    if initial:
        reason = initial
    else:
        any_running = False
        for one in reversed(status.get("containerStatuses") or []):
            state = one.get("state") or {}
            waiting, terminated = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                reason = waiting["reason"]
            elif terminated is not None:
                signal = terminated.get("signal")
                reason = terminated.get("reason") or (
                    f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode')}"
                )
            elif one.get("ready") and state.get("running") is not None:
                any_running = True
        if reason == "Completed" and any_running:
            ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
            reason = "Running" if ready else "NotReady"
    if "deletionTimestamp" in pod["metadata"]:
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _restarts(pod: Obj) -> Cell:
    statuses = _at(pod, "status", "containerStatuses") or ()
    total = sum(one.get("restartCount") or 0 for one in statuses)
    last = max((_at(one, "lastState", "terminated", "finishedAt") or "" for one in statuses), default="")
    return f"{total} ({age_text(last)} ago)" if total and last else str(total)


def _service_ports(service: Obj) -> Cell:
    texts = []
    for port in _at(service, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or "<none>"


def _external_ip(service: Obj) -> Cell:
    ingress = _at(service, "status", "loadBalancer", "ingress") or ()
    found = [one.get("ip") or one.get("hostname") for one in ingress] + list(_at(service, "spec", "externalIPs") or ())
    if found:
        return ",".join(found)
    return "<pending>" if _at(service, "spec", "type") == "LoadBalancer" else "<none>"


def _endpoints_text(endpoints: Obj) -> Cell:
    shown = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in endpoints.get("subsets") or ()
        for port in subset.get("ports") or ({"port": ""},)
        for address in subset.get("addresses") or ()
    ]
    extra = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + extra or "<none>"


def _slice_endpoints(piece: Obj) -> Cell:
    shown = [address for one in piece.get("endpoints") or () for address in one.get("addresses") or ()]
    extra = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + extra or "<unset>"


def _slice_ports(piece: Obj) -> Cell:
    return ",".join(str(port.get("port", "*")) for port in piece.get("ports") or ()) or "<unset>"


def _node_status(node: Obj) -> Cell:
    ready = [one for one in _at(node, "status", "conditions") or () if one.get("type") == "Ready"]
    text = "Unknown" if not ready else "Ready" if ready[0].get("status") == "True" else "NotReady"
    return text + (",SchedulingDisabled" if _at(node, "spec", "unschedulable") else "")


def _node_roles(node: Obj) -> Cell:
    prefix = "node-role.kubernetes.io/"
    roles = sorted(key.removeprefix(prefix) for key in node["metadata"].get("labels") or () if key.startswith(prefix))
    return ",".join(roles) or "<none>"


def _node_address(kind: str) -> Callable[[Obj], Cell]:
    def cell(node: Obj) -> Cell:
        for one in _at(node, "status", "addresses") or ():
            if one.get("type") == kind:
                return str(one.get("address"))
        return "<none>"

    return cell


def _access_modes(*path: str) -> Callable[[Obj], Cell]:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return lambda obj: ",".join(short.get(mode, mode) for mode in _at(obj, *path) or ())


def _claim_status(claim: Obj) -> Cell:
    if "deletionTimestamp" in claim["metadata"]:
        return "Terminating"
    return str(_at(claim, "status", "phase") or "Pending")


def _claim_of(volume: Obj) -> Cell:
    ref = _at(volume, "spec", "claimRef")
    return f"{ref.get('namespace')}/{ref.get('name')}" if ref else ""


def _event_object(event: Obj) -> Cell:
    involved = event.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_seen(event: Obj) -> Cell:
    return age_text(
        _at(event, "series", "lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )  # fmt: skip


def _event_message(event: Obj) -> Cell:
    return str(event.get("message") or "").strip()


def _job_status(job: Obj) -> Cell:
    conditions = {one["type"]: one.get("status") for one in _at(job, "status", "conditions") or ()}
    for shown, kind in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if conditions.get(kind) == "True":
            return shown
    return "Terminating" if "deletionTimestamp" in job["metadata"] else "Running"


def _last_schedule(job: Obj) -> Cell:
    last = _at(job, "status", "lastScheduleTime")
    return age_text(last) if last else "<none>"


def _role_ref(binding: Obj) -> Cell:
    ref = binding.get("roleRef") or {}
    return f"{ref.get('kind')}/{ref.get('name')}"


def _quota_text(*, limits: bool) -> Callable[[Obj], Cell]:
    def cell(quota: Obj) -> Cell:
        hard, used = (_at(quota, "status", one) or {} for one in ("hard", "used"))
        return ", ".join(
            f"{name}: {used.get(name, '')}/{hard[name]}"
            for name in sorted(hard)
            if name.startswith("limits.") == limits
        )

    return cell


def _data_count(obj: Obj) -> Cell:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


def _controller_of(obj: Obj) -> Cell:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner['kind'].lower()}/{owner['name']}"
    return "<none>"


def _storage_class_name(obj: Obj) -> Cell:
    default = (obj["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    return str(obj["metadata"]["name"]) + (" (default)" if default else "")


NAME = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
AGE = Column("Age", _age("metadata", "creationTimestamp"))
_TEMPLATE = ("spec", "template", "spec", "containers")

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "namespaces": (NAME, Column("Status", _text("status", "phase")), AGE),
    "pods": (
        NAME,
        Column("Ready", _ready_containers),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", _text("status", "podIP", absent="<none>"), wide=True),
        Column("Node", _text("spec", "nodeName", absent="<none>"), wide=True),
        Column("Nominated Node", _text("status", "nominatedNodeName", absent="<none>"), wide=True),
        Column("Readiness Gates", lambda _: "<none>", wide=True),
    ),
    "services": (
        NAME,
        Column("Type", _text("spec", "type")),
        Column("Cluster-IP", _text("spec", "clusterIP", absent="<none>")),
        Column("External-IP", _external_ip),
        Column("Port(s)", _service_ports),
        AGE,
        Column("Selector", _selector_text("spec", "selector"), wide=True),
    ),
    "endpoints": (NAME, Column("Endpoints", _endpoints_text), AGE),
    "configmaps": (NAME, Column("Data", _data_count, type="integer"), AGE),
    "secrets": (NAME, Column("Type", _text("type")), Column("Data", _size("data"), type="integer"), AGE),
    "persistentvolumeclaims": (
        NAME,
        Column("Status", _claim_status),
        Column("Volume", _text("spec", "volumeName")),
        Column("Capacity", _text("status", "capacity", "storage")),
        Column("Access Modes", _access_modes("status", "accessModes")),
        Column("StorageClass", _text("spec", "storageClassName")),
        Column("VolumeAttributesClass", _text("spec", "volumeAttributesClassName", absent="<unset>")),
        AGE,
        Column("VolumeMode", _text("spec", "volumeMode"), wide=True),
    ),
    "persistentvolumes": (
        NAME,
        Column("Capacity", _text("spec", "capacity", "storage")),
        Column("Access Modes", _access_modes("spec", "accessModes")),
        Column("Reclaim Policy", _text("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", _text("status", "phase")),
        Column("Claim", _claim_of),
        Column("StorageClass", _text("spec", "storageClassName")),
        Column("VolumeAttributesClass", _text("spec", "volumeAttributesClassName", absent="<unset>")),
        Column("Reason", _text("status", "reason")),
        AGE,
        Column("VolumeMode", _text("spec", "volumeMode"), wide=True),
    ),
    "events": (
        Column("Last Seen", _event_seen),
        Column("Type", _text("type")),
        Column("Reason", _text("reason")),
        Column("Object", _event_object),
        Column("Subobject", _text("involvedObject", "fieldPath"), wide=True),
        Column("Source", _text("source", "component"), wide=True),
        Column("Message", _event_message),
        Column("First Seen", _age("firstTimestamp"), wide=True),
        Column("Count", _text("count", absent="1"), wide=True),
        Column("Name", lambda obj: obj["metadata"]["name"], wide=True, format="name"),
    ),
    "nodes": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        AGE,
        Column("Version", _text("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address("InternalIP"), wide=True),
        Column("External-IP", _node_address("ExternalIP"), wide=True),
        Column("OS-Image", _text("status", "nodeInfo", "osImage", absent="<unknown>"), wide=True),
        Column("Kernel-Version", _text("status", "nodeInfo", "kernelVersion", absent="<unknown>"), wide=True),
        Column("Container-Runtime", _text("status", "nodeInfo", "containerRuntimeVersion"), wide=True),
    ),
    "serviceaccounts": (NAME, Column("Secrets", _size("secrets"), type="integer"), AGE),
    "statefulsets.apps": (
        NAME,
        Column("Ready", _ratio(("status", "readyReplicas"), ("spec", "replicas"))),
        AGE,
        Column("Containers", _containers("name", *_TEMPLATE), wide=True),
        Column("Images", _containers("image", *_TEMPLATE), wide=True),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", _ratio(("status", "readyReplicas"), ("spec", "replicas"))),
        Column("Up-to-date", _count("status", "updatedReplicas"), type="integer"),
        Column("Available", _count("status", "availableReplicas"), type="integer"),
        AGE,
        Column("Containers", _containers("name", *_TEMPLATE), wide=True),
        Column("Images", _containers("image", *_TEMPLATE), wide=True),
        Column("Selector", _selector_text("spec", "selector"), wide=True),
    ),
    "replicasets.apps": (
        NAME,
        Column("Desired", _count("spec", "replicas"), type="integer"),
        Column("Current", _count("status", "replicas"), type="integer"),
        Column("Ready", _count("status", "readyReplicas"), type="integer"),
        AGE,
        Column("Containers", _containers("name", *_TEMPLATE), wide=True),
        Column("Images", _containers("image", *_TEMPLATE), wide=True),
        Column("Selector", _selector_text("spec", "selector"), wide=True),
    ),
    "controllerrevisions.apps": (
        NAME,
        Column("Controller", _controller_of),
        Column("Revision", _count("revision"), type="integer"),
        AGE,
    ),
    "jobs.batch": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _completions),
        Column("Duration", _job_duration),
        AGE,
        Column("Containers", _containers("name", *_TEMPLATE), wide=True),
        Column("Images", _containers("image", *_TEMPLATE), wide=True),
        Column("Selector", _selector_text("spec", "selector"), wide=True),
    ),
    "cronjobs.batch": (
        NAME,
        Column("Schedule", _text("spec", "schedule")),
        Column("Timezone", _text("spec", "timeZone", absent="<none>")),
        Column("Suspend", lambda obj: "True" if obj["spec"].get("suspend") else "False", type="boolean"),
        Column("Active", _size("status", "active"), type="integer"),
        Column("Last Schedule", _last_schedule),
        AGE,
        Column("Containers", _containers("name", "spec", "jobTemplate", *_TEMPLATE), wide=True),
        Column("Images", _containers("image", "spec", "jobTemplate", *_TEMPLATE), wide=True),
    ),
    "poddisruptionbudgets.policy": (
        NAME,
        Column("Min Available", _text("spec", "minAvailable", absent="N/A")),
        Column("Max Unavailable", _text("spec", "maxUnavailable", absent="N/A")),
        Column("Allowed Disruptions", _count("status", "disruptionsAllowed"), type="integer"),
        AGE,
    ),
    "resourcequotas": (
        NAME,
        Column("Request", _quota_text(limits=False)),
        Column("Limit", _quota_text(limits=True)),
        AGE,
    ),
    "limitranges": (NAME, Column("Created At", _text("metadata", "creationTimestamp"))),
    "leases.coordination.k8s.io": (NAME, Column("Holder", _text("spec", "holderIdentity")), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        Column("AddressType", _text("addressType")),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_endpoints),
        AGE,
    ),
    "storageclasses.storage.k8s.io": (
        Column("Name", _storage_class_name, format="name"),
        Column("Provisioner", _text("provisioner")),
        Column("ReclaimPolicy", _text("reclaimPolicy", absent="Delete")),
        Column("VolumeBindingMode", _text("volumeBindingMode", absent="Immediate")),
        Column("AllowVolumeExpansion", lambda obj: "true" if obj.get("allowVolumeExpansion") else "false"),
        AGE,
    ),
    "roles.rbac.authorization.k8s.io": (NAME, Column("Created At", _text("metadata", "creationTimestamp"))),
    "clusterroles.rbac.authorization.k8s.io": (NAME, Column("Created At", _text("metadata", "creationTimestamp"))),
    "rolebindings.rbac.authorization.k8s.io": (NAME, Column("Role", _role_ref), AGE),
    "clusterrolebindings.rbac.authorization.k8s.io": (NAME, Column("Role", _role_ref), AGE),
    "networkpolicies.networking.k8s.io": (NAME, Column("Pod-Selector", _selector_text("spec", "podSelector")), AGE),
    "customresourcedefinitions.apiextensions.k8s.io": (
        NAME,
        Column("Created At", _text("metadata", "creationTimestamp")),
    ),
}  # fmt: skip


def custom_columns(declared: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Columns from a CRD's additionalPrinterColumns; the name first, and the age if nothing is declared."""
    if not declared:
        return (NAME, AGE)
    return (NAME, *(_declared_column(one) for one in declared))


def _declared_column(one: Mapping[str, Any]) -> Column:
    return Column(
        one["name"],
        functools.partial(_declared_cell, one["jsonPath"], one["type"]),
        wide=bool(one.get("priority")),
        type=one["type"],
        format=one.get("format", ""),
        description=one.get("description", ""),
    )


def _declared_cell(path: str, kind: str, obj: Obj) -> Cell:
    values = find_values(path, obj)
    if not values or values[0] is None:
        return None
    value = values[0]
    match kind:
        case "date":
            return age_text(value) if isinstance(value, str) else None
        case "integer":
            return int(value) if isinstance(value, int | float) else None
        case "number":
            return float(value) if isinstance(value, int | float) else None
        case "boolean":
            return value if isinstance(value, bool) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _compact(value)


def _compact(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else str(value).replace("'", '"')


def columns_of(rtype: ResourceType) -> tuple[Column, ...]:
    return COLUMNS.get(rtype.key, (NAME, AGE))
