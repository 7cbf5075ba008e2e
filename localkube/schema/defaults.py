"""What a built-in object gets when its author left a field out: the defaults of a real API server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from localkube.resources import ResourceType

Obj = dict[str, Any]


def default_built_in(rtype: ResourceType, new: Obj, old: Obj | None) -> None:
    """Fills *new* in place."""
    if rtype.key not in _WITHOUT_SPEC and not isinstance(new.get("spec"), dict):
        new["spec"] = {}
    if old is None and rtype.key in _STATUS_AT_BIRTH:
        new["status"] = dict(_STATUS_AT_BIRTH[rtype.key])
    fill = _DEFAULTS.get(rtype.key)
    if fill is not None:
        fill(new, old)


_WITHOUT_SPEC = frozenset(
    ("endpoints", "configmaps", "secrets", "events", "serviceaccounts", "controllerrevisions.apps",
     "endpointslices.discovery.k8s.io", "storageclasses.storage.k8s.io", "roles.rbac.authorization.k8s.io",
     "priorityclasses.scheduling.k8s.io",
     "rolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
     "clusterrolebindings.rbac.authorization.k8s.io")
)  # fmt: skip
# What a client wrote into the status of a new object is not the status: it starts like this.
_STATUS_AT_BIRTH: dict[str, Obj] = {
    "services": {"loadBalancer": {}},
    "persistentvolumeclaims": {"phase": "Pending"},
    "persistentvolumes": {"phase": "Pending"},
    "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
    "deployments.apps": {},
    "replicasets.apps": {"replicas": 0},
    "jobs.batch": {},
    "cronjobs.batch": {},
    "poddisruptionbudgets.policy": {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
}


def _default_namespace(new: Obj, old: Obj | None) -> None:
    new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"]["name"]
    if old is None:
        new["spec"] = {"finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}
    elif "finalizers" in (old.get("spec") or {}):
        # Only the finalize subresource changes them: an update without them must not free the namespace.
        new["spec"] = {**new["spec"], "finalizers": old["spec"]["finalizers"]}


def _default_secret(secret: Obj, _: Obj | None) -> None:
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None)
    if plain:
        data = secret["data"] = dict(secret.get("data") or {})
        for name, value in plain.items():
            data[name] = base64.b64encode(str(value).encode()).decode()


def _default_service(new: Obj, old: Obj | None) -> None:
    spec = new["spec"]
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if spec["type"] != "ExternalName" and port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    before = (old or {}).get("spec") or {}
    if before.get("type", "ExternalName") != "ExternalName":
        # An address once given is kept when an update leaves it out.
        for name in ("clusterIP", "clusterIPs"):
            if not spec.get(name) and before.get(name):
                spec[name] = before[name]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def _default_stateful_set(new: Obj, _: Obj | None) -> None:
    spec = new["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("serviceName", "")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    for template in spec.get("volumeClaimTemplates") or ():
        template.setdefault("apiVersion", "v1")
        template.setdefault("kind", "PersistentVolumeClaim")
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        template.setdefault("status", {"phase": "Pending"})
    _default_template(spec)


def _default_deployment(new: Obj, _: Obj | None) -> None:
    spec = new["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _default_template(spec)


def _default_job(new: Obj, _: Obj | None) -> None:
    spec = new["spec"]
    # Parallelism alone is a work queue: how many pods succeed is then nobody's business.
    if spec.get("parallelism") is None:
        spec.setdefault("completions", 1)
        spec["parallelism"] = 1
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    _default_template(spec)


def _default_cron_job(new: Obj, _: Obj | None) -> None:
    spec = new["spec"]
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job = spec.get("jobTemplate")
    if isinstance(job, dict):
        # The rest of a Job's defaults comes when one is made of it.
        job.setdefault("metadata", {})
        _default_template(job.setdefault("spec", {}))


def _default_template(spec: Obj) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        template.setdefault("metadata", {})
        default_pod_spec(template.setdefault("spec", {}))


def _default_binding(binding: Obj, _: Obj | None) -> None:
    group = "rbac.authorization.k8s.io"
    if isinstance(binding.get("roleRef"), dict):
        binding["roleRef"].setdefault("apiGroup", group)
    for subject in binding.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", group)


def default_pod_spec(spec: Obj) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if isinstance(container, dict):
            _default_container(container)
    for volume in spec.get("volumes") or ():
        if isinstance(volume, dict):
            _default_volume(volume)


def _default_container(container: Obj) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image") or ""
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    container.setdefault("imagePullPolicy", "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe:
            for field, value in (
                ("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3),
            ):  # fmt: skip
                probe.setdefault(field, value)
            _default_http(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_http(hook)
    for env in container.get("env") or ():
        field_ref = (env.get("valueFrom") or {}).get("fieldRef")
        if field_ref:
            field_ref.setdefault("apiVersion", "v1")
        resource_ref = (env.get("valueFrom") or {}).get("resourceFieldRef")
        if resource_ref:
            resource_ref.setdefault("divisor", "0")
    resources = container["resources"]
    limits = resources.get("limits")
    if limits:
        # What is limited but not requested is requested to the limit.
        requests = resources["requests"] = dict(resources.get("requests") or {})
        for name, value in limits.items():
            requests.setdefault(name, value)


def _default_http(handler: Obj) -> None:
    get = handler.get("httpGet")
    if get:
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")


def _default_volume(volume: Obj) -> None:
    sources = [name for name in volume if name != "name"]
    if not sources:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(volume.get(name), dict):
            volume[name].setdefault("defaultMode", 0o644)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    files = list((volume.get("downwardAPI") or {}).get("items") or ())
    for source in (volume.get("projected") or {}).get("sources") or ():
        files += (source.get("downwardAPI") or {}).get("items") or ()
        if isinstance(source.get("serviceAccountToken"), dict):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for file in files:
        if file.get("fieldRef"):
            file["fieldRef"].setdefault("apiVersion", "v1")


def qos_class(spec: Obj) -> str:
    """Guaranteed when all limits equal requests, BestEffort when there are none, Burstable between."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [one.get("resources") or {} for one in containers]
    kinds = ("cpu", "memory")
    if not any(
        (one.get(part) or {}).get(kind) for one in resources for part in ("requests", "limits") for kind in kinds
    ):
        return "BestEffort"
    guaranteed = all(
        (one.get("limits") or {}).get(kind)
        and (one.get("requests") or {}).get(kind, one["limits"][kind]) == one["limits"][kind]
        for one in resources
        for kind in kinds
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _default_pod(pod: Obj, old: Obj | None) -> None:
    default_pod_spec(pod["spec"])
    if old is None:
        pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}


def _default_claim(claim: Obj, _: Obj | None) -> None:
    claim["spec"].setdefault("volumeMode", "Filesystem")


def _default_persistent_volume(volume: Obj, _: Obj | None) -> None:
    volume["spec"].setdefault("volumeMode", "Filesystem")
    volume["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")


def _default_replica_set(new: Obj, _: Obj | None) -> None:
    new["spec"].setdefault("replicas", 1)
    _default_template(new["spec"])


def _default_endpoints(endpoints: Obj, _: Obj | None) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _default_slice(piece: Obj, _: Obj | None) -> None:
    for port in piece.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("name", "")


def _default_storage_class(storage: Obj, _: Obj | None) -> None:
    storage.setdefault("reclaimPolicy", "Delete")
    storage.setdefault("volumeBindingMode", "Immediate")


def _default_network_policy(policy: Obj, _: Obj | None) -> None:
    spec = policy["spec"]
    spec.setdefault("podSelector", {})
    spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")


_DEFAULTS: Mapping[str, Callable[[Obj, Obj | None], None]] = {
    "namespaces": _default_namespace,
    "pods": _default_pod,
    "services": _default_service,
    "secrets": _default_secret,
    "persistentvolumeclaims": _default_claim,
    "persistentvolumes": _default_persistent_volume,
    "statefulsets.apps": _default_stateful_set,
    "deployments.apps": _default_deployment,
    "replicasets.apps": _default_replica_set,
    "jobs.batch": _default_job,
    "cronjobs.batch": _default_cron_job,
    "endpoints": _default_endpoints,
    "endpointslices.discovery.k8s.io": _default_slice,
    "storageclasses.storage.k8s.io": _default_storage_class,
    "rolebindings.rbac.authorization.k8s.io": _default_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _default_binding,
    "networkpolicies.networking.k8s.io": _default_network_policy,
}
