"""Which resources exist: their group, versions, names and subresources; built in, and added while running by CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from localkube.errors import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    group: str
    version: str  # the storage version
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    tracks_generation: bool = False
    singular: str = ""
    list_kind: str = ""
    versions: tuple[str, ...] = ()  # all served ones, the preferred first; empty: only the storage version
    custom: bool = False
    review: bool = False  # a question that is answered, never kept
    key: str = field(init=False)
    api_version: str = field(init=False)
    # Asked on every write, therefore kept as plain attributes.
    has_status: bool = field(init=False)

    def __post_init__(self) -> None:
        fill = object.__setattr__
        fill(self, "key", f"{self.plural}.{self.group}" if self.group else self.plural)
        fill(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        fill(self, "has_status", "status" in self.subresources)
        fill(self, "singular", self.singular or self.kind.lower())
        fill(self, "list_kind", self.list_kind or f"{self.kind}List")
        fill(self, "versions", self.versions or (self.version,))

    def api_version_of(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version


def _core(
    plural: str,
    kind: str,
    *short: str,
    sub: str = "",
    namespaced: bool = True,
    all_: bool = False,
    generation: bool = False,
) -> ResourceType:
    return _in("", plural, kind, *short, sub=sub, namespaced=namespaced, all_=all_, generation=generation)


def _in(
    group: str,
    plural: str,
    kind: str,
    *short: str,
    sub: str = "",
    namespaced: bool = True,
    all_: bool = False,
    generation: bool = False,
) -> ResourceType:
    return ResourceType(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        short_names=short,
        categories=("all",) if all_ else (),
        subresources=tuple(sub.split()),
        tracks_generation=generation,
    )


BUILT_IN: tuple[ResourceType, ...] = (
    _core("namespaces", "Namespace", "ns", sub="status finalize", namespaced=False),
    _core(
        "pods",
        "Pod",
        "po",
        sub="status log exec attach portforward eviction resize ephemeralcontainers",
        all_=True,
        generation=True,
    ),
    _core("services", "Service", "svc", sub="status", all_=True),
    _core("endpoints", "Endpoints", "ep"),
    _core("configmaps", "ConfigMap", "cm"),
    _core("secrets", "Secret"),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", sub="status"),
    _core("persistentvolumes", "PersistentVolume", "pv", sub="status", namespaced=False),
    _core("events", "Event", "ev"),
    _core("nodes", "Node", "no", sub="status", namespaced=False),
    _core("resourcequotas", "ResourceQuota", "quota", sub="status"),
    _core("limitranges", "LimitRange", "limits"),
    _core("serviceaccounts", "ServiceAccount", "sa"),
    _in("apps", "statefulsets", "StatefulSet", "sts", sub="status scale", all_=True, generation=True),
    _in("apps", "deployments", "Deployment", "deploy", sub="status scale", all_=True, generation=True),
    _in("apps", "replicasets", "ReplicaSet", "rs", sub="status scale", all_=True, generation=True),
    _in("apps", "controllerrevisions", "ControllerRevision"),
    _in("batch", "jobs", "Job", sub="status", all_=True, generation=True),
    _in("batch", "cronjobs", "CronJob", "cj", sub="status", all_=True, generation=True),
    _in("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", sub="status", generation=True),
    _in("coordination.k8s.io", "leases", "Lease"),
    _in("discovery.k8s.io", "endpointslices", "EndpointSlice", generation=True),
    _in("storage.k8s.io", "storageclasses", "StorageClass", "sc", namespaced=False),
    _in("scheduling.k8s.io", "priorityclasses", "PriorityClass", "pc", namespaced=False),
    _in("rbac.authorization.k8s.io", "roles", "Role"),
    _in("rbac.authorization.k8s.io", "rolebindings", "RoleBinding"),
    _in("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", namespaced=False),
    _in("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _in("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol", generation=True),
    _in(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        "crds",
        sub="status",
        namespaced=False,
        generation=True,
    ),
)


# Questions about tokens and permissions: posted, answered, forgotten.
REVIEWS: tuple[ResourceType, ...] = tuple(
    ResourceType(group=group, version="v1", plural=f"{kind.lower()}s", kind=kind, namespaced=namespaced, review=True)
    for group, kind, namespaced in (
        ("authentication.k8s.io", "TokenReview", False),
        ("authentication.k8s.io", "SelfSubjectReview", False),
        ("authorization.k8s.io", "LocalSubjectAccessReview", True),
        ("authorization.k8s.io", "SelfSubjectAccessReview", False),
        ("authorization.k8s.io", "SelfSubjectRulesReview", False),
        ("authorization.k8s.io", "SubjectAccessReview", False),
    )
)


class ResourceTable:
    """Types by key ("pods", "statefulsets.apps"). Custom ones come and go with their CRDs."""

    def __init__(self) -> None:
        self._by_key = {rtype.key: rtype for rtype in (*BUILT_IN, *REVIEWS)}

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(self._by_key.values())

    def find(self, key: str) -> ResourceType | None:
        return self._by_key.get(key)

    def get(self, key: str) -> ResourceType:
        rtype = self._by_key.get(key)
        if rtype is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        return rtype

    def add(self, rtype: ResourceType) -> None:
        self._by_key[rtype.key] = rtype

    def remove(self, key: str) -> None:
        self._by_key.pop(key, None)
