"""Which object a protobuf body holds: kubectl's typed commands (`create namespace` …) send nothing else,
and what is written with Kubernetes' own typed client (Helm's releases) deletes by it.

The messages and field numbers are those of the Kubernetes API's published definitions; only what those commands can
send is known. A field that is not known is refused by its number, never dropped.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from localkube.errors import ApiError

MAGIC = b"k8s\x00"

# One message a line: `number name type`. s string, i integer, b boolean, x bytes, t time, is integer or string,
# []T list, {}s and {}x maps; * marks what is sent only when set (a zero there is a value, elsewhere it is nothing).
_TABLE = """
Meta: 1 name s, 2 generateName s, 3 namespace s, 4 selfLink s, 5 uid s, 6 resourceVersion s, 7 generation i, 8 creationTimestamp t
Meta: 9 deletionTimestamp t, 10 deletionGracePeriodSeconds i*, 11 labels {}s, 12 annotations {}s, 13 ownerReferences []OwnerRef, 14 finalizers []s
OwnerRef: 1 kind s, 3 name s, 4 uid s, 5 apiVersion s, 6 controller b*, 7 blockOwnerDeletion b*
Namespace: 1 metadata Meta, 2 spec NamespaceSpec, 3 status NamespaceStatus
NamespaceSpec: 1 finalizers []s
NamespaceStatus: 1 phase s
ConfigMap: 1 metadata Meta, 2 data {}s, 3 binaryData {}x, 4 immutable b*
Secret: 1 metadata Meta, 2 data {}x, 3 type s, 4 stringData {}s, 5 immutable b*
ServiceAccount: 1 metadata Meta, 2 secrets []ObjectRef, 3 imagePullSecrets []LocalRef, 4 automountServiceAccountToken b*
ObjectRef: 1 kind s, 2 namespace s, 3 name s, 4 uid s, 5 apiVersion s, 6 resourceVersion s, 7 fieldPath s
LocalRef: 1 name s
Service: 1 metadata Meta, 2 spec ServiceSpec, 3 status ServiceStatus
ServiceStatus: 1 loadBalancer LoadBalancer
LoadBalancer: 1 ingress []Nothing
Nothing:
ServiceSpec: 1 ports []ServicePort, 2 selector {}s, 3 clusterIP s, 4 type s, 5 externalIPs []s, 7 sessionAffinity s, 8 loadBalancerIP s
ServiceSpec: 9 loadBalancerSourceRanges []s, 10 externalName s, 11 externalTrafficPolicy s, 12 healthCheckNodePort i, 13 publishNotReadyAddresses b
ServiceSpec: 17 ipFamilyPolicy s*, 18 clusterIPs []s, 19 ipFamilies []s, 20 allocateLoadBalancerNodePorts b*, 22 internalTrafficPolicy s*
ServicePort: 1 name s, 2 protocol s, 3 port i, 4 targetPort is, 5 nodePort i, 6 appProtocol s*
Deployment: 1 metadata Meta, 2 spec DeploymentSpec, 3 status DeploymentStatus
DeploymentSpec: 1 replicas i*, 2 selector Selector*, 3 template Template, 4 strategy Strategy, 5 minReadySeconds i, 6 revisionHistoryLimit i*
DeploymentSpec: 7 paused b, 9 progressDeadlineSeconds i*
DeploymentStatus: 1 observedGeneration i, 2 replicas i, 3 updatedReplicas i, 4 availableReplicas i, 5 unavailableReplicas i, 7 readyReplicas i
Strategy: 1 type s, 2 rollingUpdate Rolling
Rolling: 1 maxUnavailable is, 2 maxSurge is
Selector: 1 matchLabels {}s, 2 matchExpressions []Requirement
Requirement: 1 key s, 2 operator s, 3 values []s
Template: 1 metadata Meta, 2 spec PodSpec
PodSpec: 2 containers []Container, 3 restartPolicy s, 4 terminationGracePeriodSeconds i*, 6 dnsPolicy s, 7 nodeSelector {}s, 8 serviceAccountName s
PodSpec: 9 serviceAccount s, 10 nodeName s, 11 hostNetwork b, 12 hostPID b, 13 hostIPC b, 14 securityContext Nothing, 16 hostname s, 17 subdomain s
PodSpec: 19 schedulerName s, 20 initContainers []Container, 24 priorityClassName s
Container: 1 name s, 2 image s, 3 command []s, 4 args []s, 5 workingDir s, 6 ports []ContainerPort, 7 env []EnvVar, 8 resources Nothing
Container: 13 terminationMessagePath s, 14 imagePullPolicy s, 16 stdin b, 17 stdinOnce b, 18 tty b, 20 terminationMessagePolicy s
ContainerPort: 1 name s, 2 hostPort i, 3 containerPort i, 4 protocol s, 5 hostIP s
EnvVar: 1 name s, 2 value s
Job: 1 metadata Meta, 2 spec JobSpec, 3 status JobStatus
JobStatus: 4 active i, 5 succeeded i, 6 failed i, 7 completedIndexes s
JobSpec: 1 parallelism i*, 2 completions i*, 3 activeDeadlineSeconds i*, 4 selector Selector*, 5 manualSelector b*, 6 template Template, 7 backoffLimit i*
JobSpec: 8 ttlSecondsAfterFinished i*, 9 completionMode s*, 10 suspend b*
PodDisruptionBudget: 1 metadata Meta, 2 spec BudgetSpec, 3 status BudgetStatus
BudgetSpec: 1 minAvailable is, 2 selector Selector*, 3 maxUnavailable is
BudgetStatus: 1 observedGeneration i, 3 disruptionsAllowed i, 4 currentHealthy i, 5 desiredHealthy i, 6 expectedPods i
Role: 1 metadata Meta, 2 rules []Rule
ClusterRole: 1 metadata Meta, 2 rules []Rule
Rule: 1 verbs []s, 2 apiGroups []s, 3 resources []s, 4 resourceNames []s, 5 nonResourceURLs []s
RoleBinding: 1 metadata Meta, 2 subjects []Subject, 3 roleRef RoleRef
ClusterRoleBinding: 1 metadata Meta, 2 subjects []Subject, 3 roleRef RoleRef
Subject: 1 kind s, 2 apiGroup s, 3 name s, 4 namespace s
RoleRef: 1 apiGroup s, 2 kind s, 3 name s
Eviction: 1 metadata Meta, 2 deleteOptions DeleteOptions*
DeleteOptions: 1 gracePeriodSeconds i*, 2 preconditions Preconditions*, 3 orphanDependents b*, 4 propagationPolicy s*, 5 dryRun []s
Preconditions: 1 uid s*, 2 resourceVersion s*
Scale: 1 metadata Meta, 2 spec ScaleSpec, 3 status ScaleStatus
ScaleSpec: 1 replicas i
ScaleStatus: 1 replicas i, 2 selector s
SelfSubjectAccessReview: 1 metadata Meta, 2 spec AccessSpec, 3 status AccessStatus
AccessSpec: 1 resourceAttributes ResourceAccess*, 2 nonResourceAttributes PathAccess*
ResourceAccess: 1 namespace s, 2 verb s, 3 group s, 4 version s, 5 resource s, 6 subresource s, 7 name s
PathAccess: 1 path s, 2 verb s
SelfSubjectReview: 1 metadata Meta, 2 status ReviewedUser
ReviewedUser: 1 userInfo UserInfo
UserInfo: 1 username s, 2 uid s, 3 groups []s
SelfSubjectRulesReview: 1 metadata Meta, 2 spec RulesSpec, 3 status RulesStatus
RulesSpec: 1 namespace s
RulesStatus: 1 resourceRules []Nothing, 2 nonResourceRules []Nothing, 3 incomplete b, 4 evaluationError s
CronJob: 1 metadata Meta, 2 spec CronJobSpec, 3 status CronJobStatus
CronJobSpec: 1 schedule s, 2 startingDeadlineSeconds i*, 3 concurrencyPolicy s, 4 suspend b*, 5 jobTemplate JobTemplate
CronJobSpec: 6 successfulJobsHistoryLimit i*, 7 failedJobsHistoryLimit i*, 8 timeZone s*
CronJobStatus: 1 active []ObjectRef, 4 lastScheduleTime t, 5 lastSuccessfulTime t
JobTemplate: 1 metadata Meta, 2 spec JobSpec
AccessStatus: 1 allowed b, 2 reason s, 3 evaluationError s, 4 denied b
Unknown: 1 typeMeta TypeMeta, 2 raw x, 3 contentEncoding s, 4 contentType s
TypeMeta: 1 apiVersion s, 2 kind s
Time: 1 seconds i, 2 nanos i
IntOrString: 1 type i, 2 intVal i, 3 strVal s
"""  # noqa: E501 - a table reads best with a message's fields together


def _parse_table() -> dict[str, dict[int, tuple[str, str, bool]]]:
    messages: dict[str, dict[int, tuple[str, str, bool]]] = {}
    for line in _TABLE.strip().splitlines():
        name, _, listed = line.partition(":")
        fields = messages.setdefault(name, {})
        for field in filter(None, (one.strip() for one in listed.split(","))):
            number, field_name, kind = field.split()
            fields[int(number)] = (field_name, kind.removesuffix("*"), kind.endswith("*"))
    return messages


_MESSAGES = _parse_table()


def parse_protobuf(raw: bytes) -> dict[str, Any]:
    """The object of one request body. Raises ApiError 415 for a message or field this does not know."""
    if not raw.startswith(MAGIC):
        raise _unknown("a body without the Kubernetes protobuf prefix")
    envelope = _message("Unknown", raw[len(MAGIC) :], keep_bytes=True)
    meta = envelope.get("typeMeta") or {}
    kind = meta.get("kind", "")
    if kind not in _MESSAGES:
        raise _unknown(f"kind {kind}")
    return {"apiVersion": meta.get("apiVersion", ""), "kind": kind, **_message(kind, envelope.get("raw") or b"")}


def _unknown(what: str) -> ApiError:
    message = f"localkube does not decode {what} from protobuf: send JSON (application/json)"
    return ApiError(415, "UnsupportedMediaType", message, {})


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        match key & 7:
            case 0:
                value, at = _varint(raw, at)
                yield key >> 3, value
            case 2:
                length, at = _varint(raw, at)
                if at + length > len(raw):
                    raise _unknown("a body that is cut short")
                yield key >> 3, raw[at : at + length]
                at += length
            case wire:
                raise _unknown(f"wire type {wire}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(raw):
            raise _unknown("a body that is cut short")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(name: str, raw: bytes, *, keep_bytes: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number not in _MESSAGES[name]:
            raise _unknown(f"field {number} of {name}")
        field, kind, explicit = _MESSAGES[name][number]
        if kind.startswith("[]"):
            found.setdefault(field, []).append(_value(kind[2:], value))
        elif kind.startswith("{}"):
            entry = dict(_fields(value if isinstance(value, bytes) else b""))
            found.setdefault(field, {})[_text(entry.get(1, b""))] = _value(kind[2:], entry.get(2, b""))
        else:
            decoded = value if keep_bytes and kind == "x" else _value(kind, value)
            # Fields without presence are sent empty, too: there, empty is absent.
            if explicit or decoded not in ("", 0, False, None, {}):
                found[field] = decoded
    return found


def _text(value: int | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _value(kind: str, value: int | bytes) -> Any:
    if isinstance(value, int):
        if kind == "b":
            return bool(value)
        return value - (1 << 64) if value >= 1 << 63 else value
    match kind:
        case "s":
            return value.decode()
        case "x":
            return base64.b64encode(value).decode()
        case "t":
            moment = _message("Time", value)
            if "seconds" not in moment:
                return None
            return datetime.datetime.fromtimestamp(moment["seconds"], datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "is":
            either = _message("IntOrString", value)
            return either.get("strVal", "") if either.get("type") else either.get("intVal", 0)
        case _:
            return _message(kind, value)
