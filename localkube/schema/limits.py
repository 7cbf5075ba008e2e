"""What a built-in object must not be: wrong types, missing parts that controllers rely on, forbidden changes."""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from localkube.errors import (
    FieldError,
    bad_request,
    duplicate_value,
    forbidden_field,
    invalid_value,
    required_value,
    unsupported_value,
)
from localkube.resources import ResourceType
from localkube.schema.builtin import kind_schema
from localkube.schema.names import LABEL, LABEL_HELP, check_labels, must_match
from localkube.schema.quick import certainly_fits
from localkube.schema.structural import validate
from localkube.units import quantity_value

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
DATA_KEY_HELP = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
QUANTITY_HELP = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
CLAIM_HELP = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def check_built_in(rtype: ResourceType, new: Obj, old: Obj | None) -> list[FieldError]:
    """Types first: nothing else is asked of an object whose fields are of the wrong type."""
    check_types(rtype, new, old)
    check = _CHECKS.get(rtype.key)
    return [] if check is None else check(new, old)


def check_types(rtype: ResourceType, new: Obj, old: Obj | None) -> None:
    """Raises ApiError 400."""
    schema = _without_required(rtype.kind)
    unproven = _without_known_owners(new, old)
    if not certainly_fits(schema)(unproven) and (wrong := validate(schema, unproven)):
        # A real server fails to decode such an object before it looks at what it says.
        why = "; ".join(f"{one.field}: {one.detail}" for one in wrong)
        raise bad_request(f'{rtype.kind} in version "{rtype.version}" cannot be handled as a {rtype.kind}: {why}')


def _without_known_owners(new: Obj, old: Obj | None) -> Obj:
    """Who owns which field is a good part of most objects, and on most writes it is still the server's own text."""
    metadata = new["metadata"]
    if old is None or "managedFields" not in metadata:
        return new
    if metadata["managedFields"] != old["metadata"].get("managedFields"):
        return new
    return {**new, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


@functools.cache
def _without_required(kind: str) -> Mapping[str, Any]:
    """Types only; what is required is said below, in the words of each kind's own validation."""

    def relax(schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        dropped = ("required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys")
        left = {name: value for name, value in schema.items() if name not in dropped}
        if "properties" in left:
            # A null counts as absent in a built-in type.
            left["properties"] = {name: {**relax(one), "nullable": True} for name, one in left["properties"].items()}
        for name in ("items", "additionalProperties"):
            if name in left:
                left[name] = relax(left[name])
        return left

    relaxed: Mapping[str, Any] = relax(kind_schema(kind))
    return relaxed


def check_pod_spec(spec: Obj, path: str, claims: Iterable[str] = ()) -> list[FieldError]:
    """*claims*: volumes that come from elsewhere, a StatefulSet's claim templates."""
    found: list[FieldError] = []
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        where = f"{path}.volumes[{index}]"
        name = volume.get("name") or ""
        if not name:
            found.append(required_value(f"{where}.name"))
        else:
            found += must_match(LABEL, name, 63, LABEL_HELP, f"{where}.name")
        if name in volumes:
            found.append(duplicate_value(f"{where}.name", name))
        volumes.add(name)
        sources = [one for one, value in volume.items() if one != "name" and value is not None]
        if len(sources) > 1:
            found.append(forbidden_field(f"{where}.{sources[1]}", "may not specify more than 1 volume type"))
    volumes.update(claims)
    containers = spec.get("containers") or ()
    if not containers:
        found.append(required_value(f"{path}.containers"))
    names: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            found += _check_container(container, f"{path}.{field}[{index}]", volumes, names)
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        found.append(
            unsupported_value(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
        )
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        found.append(_negative(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"]))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            found += must_match(LABEL, spec[name], 63, LABEL_HELP, f"{path}.{name}")
    return found


def _check_container(container: Obj, where: str, volumes: set[str], names: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    name = container.get("name") or ""
    if not name:
        found.append(required_value(f"{where}.name"))
    else:
        found += must_match(LABEL, name, 63, LABEL_HELP, f"{where}.name")
        if name in names:
            found.append(duplicate_value(f"{where}.name", name))
        names.add(name)
    if not container.get("image"):
        found.append(required_value(f"{where}.image"))
    policy = container.get("imagePullPolicy")
    if policy not in (None, "Always", "IfNotPresent", "Never"):
        found.append(unsupported_value(f"{where}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never")))
    found += _check_mounts(container, where, volumes)
    for index, port in enumerate(container.get("ports") or ()):
        found += _check_port(port.get("containerPort"), f"{where}.ports[{index}].containerPort")
    for index, env in enumerate(container.get("env") or ()):
        if not env.get("name"):
            found.append(required_value(f"{where}.env[{index}].name"))
        if env.get("valueFrom") and env.get("value"):
            found.append(
                invalid_value(f"{where}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
            )
    found += _check_resources(container.get("resources") or _NOTHING, f"{where}.resources")
    return found


def _check_mounts(container: Obj, where: str, volumes: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    mounted: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        here = f"{where}.volumeMounts[{index}]"
        if not mount.get("name"):
            found.append(required_value(f"{here}.name"))
        elif mount["name"] not in volumes:
            found.append(FieldError(f"{here}.name", "FieldValueNotFound", f'Not found: "{mount["name"]}"'))
        if not mount.get("mountPath"):
            found.append(required_value(f"{here}.mountPath"))
        elif mount["mountPath"] in mounted:
            found.append(invalid_value(f"{here}.mountPath", mount["mountPath"], "must be unique"))
        mounted.add(mount.get("mountPath", ""))
    return found


def _check_ip(text: str | None, path: str) -> list[FieldError]:
    try:
        ipaddress.ip_address(text or "")
    except ValueError:
        return [invalid_value(path, text or "", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def _check_port(port: Any, path: str) -> list[FieldError]:
    if port is None:
        return [required_value(path)]
    if not 0 < port < 65536:
        return [invalid_value(path, port, "must be between 1 and 65535, inclusive")]
    return []


def _check_resources(resources: Mapping[str, Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    values: dict[tuple[str, str], float] = {}
    for part in ("limits", "requests"):
        for name, text in (resources.get(part) or _NOTHING).items():
            value = quantity_value(text)
            if value is None:
                found.append(invalid_value(f"{path}.{part}[{name}]", text, QUANTITY_HELP))
            elif value < 0:
                found.append(invalid_value(f"{path}.{part}[{name}]", text, "must be greater than or equal to 0"))
            else:
                values[part, name] = value
    for (part, name), value in values.items():
        limit = values.get(("limits", name))
        if part == "requests" and limit is not None and value > limit:
            text = resources["requests"][name]
            advice = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            found.append(invalid_value(f"{path}.requests", text, advice))
    return found


def _check_workload(spec: Obj) -> list[FieldError]:
    found: list[FieldError] = []
    if spec.get("replicas", 0) < 0:
        found.append(invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    selector = spec.get("selector")
    if not selector:
        found.append(required_value("spec.selector"))
    found += _check_template(spec, restart=("Always",))
    if selector and not found:
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        wanted = selector.get("matchLabels") or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            text = _go_map(labels)
            why = f"Invalid value: {text}: `selector` does not match template `labels`"
            found.append(FieldError("spec.template.metadata.labels", "FieldValueInvalid", why))
    return found


def _go_map(labels: Mapping[str, str]) -> str:
    inner = ", ".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in sorted(labels.items()))
    return f"map[string]string{{{inner}}}" if labels else "map[string]string(nil)"


def _go_selector(selector: Mapping[str, Any]) -> str:
    expressions = "[]v1.LabelSelectorRequirement(nil)"
    return (
        f"v1.LabelSelector{{MatchLabels:{_go_map(selector.get('matchLabels') or {})}, MatchExpressions:{expressions}}}"
    )


def _check_template(spec: Obj, restart: Sequence[str], path: str = "spec.template") -> list[FieldError]:
    template = spec.get("template")
    if not isinstance(template, dict):
        return [required_value(path)]
    found = check_labels((template.get("metadata") or {}).get("labels"), f"{path}.labels")
    pod = template.get("spec") or {}
    claims = [(one.get("metadata") or {}).get("name", "") for one in spec.get("volumeClaimTemplates") or ()]
    found += check_pod_spec(pod, f"{path}.spec", claims)
    if pod.get("restartPolicy") not in restart and pod.get("restartPolicy") in ("Always", "OnFailure", "Never"):
        where = f"{path}.spec.restartPolicy"
        if restart == _RESTART_OF_JOBS:
            # "Always" is the default: whoever sees this has said nothing.
            found.append(required_value(where, 'valid values: "OnFailure", "Never"'))
        else:
            found.append(unsupported_value(where, pod.get("restartPolicy"), restart))
    return found


_RESTART_OF_JOBS = ("OnFailure", "Never")


_STATEFUL_SET_MUTABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                         "persistentVolumeClaimRetentionPolicy", "minReadySeconds")  # fmt: skip


def _check_stateful_set(created: Obj, former: Obj | None) -> list[FieldError]:
    found = _check_workload(created["spec"])
    if former is None:
        return found
    new, old = created["spec"], former["spec"]
    names = (new.keys() | old.keys()) - set(_STATEFUL_SET_MUTABLE)
    if all(_without_status(new.get(name)) == _without_status(old.get(name)) for name in names):
        return found
    listed = ", ".join(f"'{name}'" for name in _STATEFUL_SET_MUTABLE[:-1])
    advice = (
        f"updates to statefulset spec for fields other than {listed} and '{_STATEFUL_SET_MUTABLE[-1]}' are forbidden"
    )
    return [*found, forbidden_field("spec", advice)]


def _without_status(value: Any) -> Any:
    """Claim templates carry a status and a null creationTimestamp in some clients' writing; neither is a change."""
    if isinstance(value, list):
        return [_without_status(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_status(one) for key, one in value.items() if key != "status" and one is not None}
    return value


def _check_pod(new: Obj, old: Obj | None) -> list[FieldError]:
    return _check_pod_update(new, old) if old else check_pod_spec(new["spec"], "spec")


def _check_pod_update(new: Obj, old: Obj) -> list[FieldError]:
    def frozen(spec: Obj) -> Obj:
        left = {name: value for name, value in spec.items() if name not in _POD_MUTABLE}
        for field in ("containers", "initContainers"):
            if field in left:
                left[field] = [{name: value for name, value in one.items() if name != "image"} for one in left[field]]
        return left

    before, after = frozen(old["spec"]), frozen(new["spec"])
    if "nodeName" not in before:
        after.pop("nodeName", None)  # binding: the scheduler's one write
    if before == after:
        return []
    advice = (
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [forbidden_field("spec", advice)]


_POD_MUTABLE = frozenset(("activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers"))


def _check_service(new: Obj, former: Obj | None) -> list[FieldError]:
    spec, old = new["spec"], (former or {}).get("spec")
    found: list[FieldError] = []
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec.get("type") not in kinds:
        found.append(unsupported_value("spec.type", spec.get("type"), kinds))
    ports = spec.get("ports") or ()
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        found.append(required_value("spec.ports"))
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        found += _check_port(port.get("port"), f"{where}.port")
        name = port.get("name") or ""
        if not name and len(ports) > 1:
            found.append(required_value(f"{where}.name"))
        if name and name in seen_names:
            found.append(duplicate_value(f"{where}.name", name))
        seen_names.add(name)
        if name:
            found += must_match(LABEL, name, 63, LABEL_HELP, f"{where}.name")
        key = (port.get("protocol"), port.get("port"))
        if key in seen_ports:
            found.append(duplicate_value(where, {"protocol": key[0], "port": key[1]}))
        seen_ports.add(key)
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            found.append(unsupported_value(f"{where}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))
    found += check_labels(spec.get("selector"), "spec.selector")
    if old and "ExternalName" not in (old.get("type"), spec.get("type")):
        before, after = old.get("clusterIP"), spec.get("clusterIP")
        if before and after != before:
            found.append(invalid_value("spec.clusterIPs[0]", [after] if after else None, "may not change once set"))
    return found


def _check_data(new: Obj, old: Obj | None) -> list[FieldError]:
    found: list[FieldError] = []
    size = 0
    for part in ("data", "binaryData"):
        for key, value in (new.get(part) or _NOTHING).items():
            size += len(value or "")
            if not _DATA_KEY.fullmatch(key) or key in (".", ".."):
                found.append(invalid_value(f"{part}[{key}]", key, DATA_KEY_HELP))
    limit = 1048576 if new["kind"] == "ConfigMap" else 1048576 * 4 // 3
    if size > limit:
        field = "data" if new["kind"] == "Secret" else ""
        found.append(FieldError(field, "FieldValueTooLong", "Too long: may not be more than 1048576 bytes"))
    if old and old.get("immutable"):
        if not new.get("immutable"):
            found.append(forbidden_field("immutable", "field is immutable when `immutable` is set"))
        found += [
            forbidden_field(part, "field is immutable when `immutable` is set")
            for part in ("data", "binaryData")
            if new.get(part) != old.get(part)
        ]
    if new["kind"] == "Secret" and old and new.get("type") != old.get("type"):
        found.append(invalid_value("type", new.get("type"), "field is immutable"))
    return found


def _check_claim(new: Obj, old: Obj | None) -> list[FieldError]:
    spec = new["spec"]
    found: list[FieldError] = []
    if not spec.get("accessModes"):
        found.append(required_value("spec.accessModes", "at least 1 access mode is required"))
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        found.append(required_value("spec.resources[storage]"))
    found += _check_resources(spec.get("resources") or _NOTHING, "spec.resources")
    if old and not found:
        before = old["spec"]
        changed = {name for name in spec.keys() | before.keys() if spec.get(name) != before.get(name)}
        if (old.get("status") or {}).get("phase") == "Bound":
            if changed - {"resources", "volumeAttributesClassName"}:
                found.append(forbidden_field("spec", CLAIM_HELP))
        elif changed - {"volumeName", "storageClassName"}:
            found.append(forbidden_field("spec", CLAIM_HELP))
        was = quantity_value(((before.get("resources") or {}).get("requests") or {}).get("storage"))
        now = quantity_value(requests.get("storage"))
        has = quantity_value(((old.get("status") or {}).get("capacity") or {}).get("storage"))
        # What has not been given yet may be asked for no more (RecoverVolumeExpansionFailure).
        if was is not None and now is not None and now < was and (has is None or now <= has):
            found.append(
                forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")
            )
    return found


def _check_endpoints(new: Obj, _: Obj | None) -> list[FieldError]:
    found: list[FieldError] = []
    for index, subset in enumerate(new.get("subsets") or ()):
        where = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required_value(where, "must specify `addresses` or `notReadyAddresses`"))
        for at, address in enumerate(subset.get("addresses") or ()):
            found += _check_ip(address.get("ip"), f"{where}.addresses[{at}].ip")
        ports = subset.get("ports") or ()
        for at, port in enumerate(ports):
            found += _check_port(port.get("port"), f"{where}.ports[{at}].port")
            if len(ports) > 1 and not port.get("name"):
                found.append(required_value(f"{where}.ports[{at}].name"))
    return found


def _negative(path: str, value: int) -> FieldError:
    return invalid_value(path, value, "must be greater than or equal to 0")


def _check_replicated(new: Obj, old: Obj | None) -> list[FieldError]:
    found = _check_workload(new["spec"])
    if old and new["spec"].get("selector") != old["spec"].get("selector"):
        selector = _go_selector(new["spec"].get("selector") or {})
        found.append(FieldError("spec.selector", "FieldValueInvalid", f"Invalid value: {selector}: field is immutable"))
    return found


def _check_job(new: Obj, _: Obj | None) -> list[FieldError]:
    spec = new["spec"]
    found: list[FieldError] = []
    mode, modes = spec.get("completionMode"), ("Indexed", "NonIndexed")
    if mode not in (None, *modes):
        found.append(unsupported_value("spec.completionMode", mode, modes))
    if mode == "Indexed" and spec.get("completions") is None:
        found.append(required_value("spec.completions", "when completion mode is Indexed"))
    counts = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    found += [_negative(f"spec.{name}", spec[name]) for name in counts if (spec.get(name) or 0) < 0]
    return found + _check_template(spec, _RESTART_OF_JOBS)


def _check_cron_job(new: Obj, _: Obj | None) -> list[FieldError]:
    spec = new["spec"]
    schedule = spec.get("schedule") or ""
    found: list[FieldError] = []
    if not schedule:
        found.append(required_value("spec.schedule"))
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        count = len(schedule.split())
        found.append(
            invalid_value("spec.schedule", schedule, f"expected exactly 5 fields, found {count}: [{schedule}]")
        )
    policies = ("Allow", "Forbid", "Replace")
    if spec.get("concurrencyPolicy") not in policies:
        found.append(unsupported_value("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), policies))
    counts = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found += [_negative(f"spec.{name}", spec[name]) for name in counts if (spec.get(name) or 0) < 0]
    job = (spec.get("jobTemplate") or _NOTHING).get("spec") or {}
    return found + _check_template(job, _RESTART_OF_JOBS, "spec.jobTemplate.spec.template")


def _check_role_binding(new: Obj, old: Obj | None) -> list[FieldError]:
    role: Obj = new.get("roleRef") or {}
    kinds = ("ClusterRole",) if new["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")
    found: list[FieldError] = []
    if role.get("kind") not in kinds:
        found.append(unsupported_value("roleRef.kind", role.get("kind"), kinds))
    if not role.get("name"):
        found.append(required_value("roleRef.name"))
    if old is not None and old.get("roleRef") != role:
        found.append(invalid_value("roleRef", role, "cannot change roleRef"))
    for index, subject in enumerate(new.get("subjects") or ()):
        where = f"subjects[{index}]"
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            known = ("ServiceAccount", "User", "Group")
            found.append(unsupported_value(f"{where}.kind", subject.get("kind"), known))
        if not subject.get("name"):
            found.append(required_value(f"{where}.name"))
        elsewhere = subject.get("kind") == "ServiceAccount" and new["kind"] == "ClusterRoleBinding"
        if elsewhere and not subject.get("namespace"):
            found.append(required_value(f"{where}.namespace"))
    return found


def _check_role(new: Obj, _: Obj | None) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(new.get("rules") or ()):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(required_value(f"{where}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if new["kind"] == "Role":
                why = "namespaced rules cannot apply to non-resource URLs"
                found.append(invalid_value(f"{where}.nonResourceURLs", rule["nonResourceURLs"], why))
            continue
        if not rule.get("apiGroups"):
            found.append(required_value(f"{where}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            found.append(required_value(f"{where}.resources", "resource rules must supply at least one resource"))
    return found


def _check_storage_class(new: Obj, _: Obj | None) -> list[FieldError]:
    return [] if new.get("provisioner") else [required_value("provisioner")]


def _check_lease(new: Obj, _: Obj | None) -> list[FieldError]:
    seconds = (new.get("spec") or {}).get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        return [invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0")]
    return []


def _check_budget(new: Obj, _: Obj | None) -> list[FieldError]:
    if new["spec"].get("minAvailable") is not None and new["spec"].get("maxUnavailable") is not None:
        return [invalid_value("spec", new["spec"], "minAvailable and maxUnavailable cannot be both set")]
    return []


def _check_event(new: Obj, _: Obj | None) -> list[FieldError]:
    about = (new.get("involvedObject") or {}).get("namespace", "")
    if new["metadata"].get("namespace") != (about or "default"):
        return [invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    return []


_CHECKS: Mapping[str, Callable[[Obj, Obj | None], list[FieldError]]] = {
    "pods": _check_pod,
    "statefulsets.apps": _check_stateful_set,
    "deployments.apps": _check_replicated,
    "replicasets.apps": _check_replicated,
    "jobs.batch": _check_job,
    "cronjobs.batch": _check_cron_job,
    "roles.rbac.authorization.k8s.io": _check_role,
    "clusterroles.rbac.authorization.k8s.io": _check_role,
    "rolebindings.rbac.authorization.k8s.io": _check_role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _check_role_binding,
    "services": _check_service,
    "configmaps": _check_data,
    "secrets": _check_data,
    "persistentvolumeclaims": _check_claim,
    "storageclasses.storage.k8s.io": _check_storage_class,
    "leases.coordination.k8s.io": _check_lease,
    "poddisruptionbudgets.policy": _check_budget,
    "endpoints": _check_endpoints,
    "events": _check_event,
}
