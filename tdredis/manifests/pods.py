"""Decides what every pod of ours has: as whom it runs, and where, and what its owner's settings add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.pod_settings import PodSettings, ResourceSettings
from tdredis.manifests.made_of import build_made_of
from tdredis.manifests.names import COMPONENT_LABEL, INSTANCE_LABEL, build_labels

HOSTNAME_KEY: Final = "kubernetes.io/hostname"
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
# The Go operator's name: sites with a private registry have it. Where it does not exist it must not be named: each
# kubelet writes an event about each pod once a minute, for ever (kubelet_pods.go, getPullSecretsForPod).
PULL_SECRET: Final = "harbor-secret"  # noqa: S105 a name
USER: Final = 999  # redis, in Debian's and Alpine's images alike

_RESTRICTED_POD: Final[JSONObject] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    # A volume of many files is not walked through at every start.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RESTRICTED_CONTAINER: Final[JSONObject] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def build_pod_template(
    instance: Instance,
    component: str,
    settings: PodSettings,
    *,
    containers: Sequence[JSONObject],
    volumes: Sequence[JSONObject],
    affinity: JSONObject,
    pull_secret: bool,
    annotations: Mapping[str, str] | None = None,
    shard: str | None = None,
    grace_s: int = 30,
) -> JSONObject:
    """*containers*, *volumes* and *affinity* are ours; what *settings* have is added. Where both name the same label or
    annotation, ours stays: selectors and dashboards depend on it. *pull_secret*: there is a PULL_SECRET.
    """
    metadata: JSONObject = {"labels": {**settings.labels, **build_labels(instance, component, shard=shard)}}
    both = {**settings.annotations, **(annotations or {}), **build_made_of(instance, component)}
    if both:
        metadata["annotations"] = {**both}
    restricted = settings.security == "restricted"
    named = instance.spec.image_pull_secrets
    unasked = (PULL_SECRET,) if pull_secret and named != () else ()
    pull_secrets = dict.fromkeys((*unasked, *(named or ())))
    optional: JSONObject = {
        "affinity": merge(affinity, settings.affinity),
        "securityContext": {**(_RESTRICTED_POD if restricted else {}), **settings.security_context},
        "tolerations": list(settings.tolerations),
        "nodeSelector": {**settings.node_selector},
        "topologySpreadConstraints": _spread_constraints(instance, component, settings),
        "priorityClassName": settings.priority_class_name,
        "imagePullSecrets": [{"name": name} for name in pull_secrets],
    }
    spec: JSONObject = {
        "terminationGracePeriodSeconds": grace_s,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "containers": [*(map(_restrict, containers) if restricted else containers), *settings.containers],
        "volumes": [*volumes, *settings.volumes],
        **{name: value for name, value in optional.items() if value},
    }
    return {"metadata": metadata, "spec": spec}


def _restrict(container: JSONObject) -> JSONObject:
    return {**container, "securityContext": _RESTRICTED_CONTAINER}


def _spread_constraints(instance: Instance, component: str, settings: PodSettings) -> list[JSON]:
    ours: JSONObject = {"labelSelector": {"matchLabels": component_selector(instance, component)}}
    return [{**ours, **constraint} for constraint in settings.topology_spread_constraints]


def component_selector(instance: Instance, component: str) -> JSONObject:
    """Labels that all pods of *component*, and no others, have."""
    return {INSTANCE_LABEL: instance.name, COMPONENT_LABEL: component}


def build_apart(labels: JSONObject) -> JSONObject:
    """A term for pods that should not share a node with those that have *labels*."""
    return {"labelSelector": {"matchLabels": labels}, "topologyKey": HOSTNAME_KEY}


def build_preferably_apart(labels: JSONObject) -> JSONObject:
    """An affinity: not on one node with each other, if there are nodes enough."""
    return {"podAntiAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": build_apart(labels)}]}}


def merge(ours: JSON, theirs: JSON) -> JSON:
    """Both: lists one behind the other, maps key by key; anything else is *theirs*."""
    match ours, theirs:
        case dict(), dict():
            return {**ours, **{name: merge(ours.get(name), value) for name, value in theirs.items()}}
        case list(), list():
            return [*ours, *theirs]
        case _:
            return theirs


def build_resources(settings: ResourceSettings) -> JSONObject:
    """`resources` of a container; empty where nothing is asked for. A quantity written as a number is one as text."""
    parts: JSONObject = {
        "requests": {name: str(value) for name, value in settings.requests.items()},
        "limits": {name: str(value) for name, value in settings.limits.items()},
    }
    return {name: value for name, value in parts.items() if value}


def build_field(name: str, path: str) -> JSONObject:
    """An environment variable that holds what the pod's *path* says."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
