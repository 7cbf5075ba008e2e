"""Decides what it means to edit a field of spec: its class of change, what happens today, what clients notice.

A field is named as users write it, with dots: `sentinel.pod.labels`. What is said of a field is said of all below it
that have no line of their own. Made into docs/reference/changes.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, get_type_hints

import msgspec

from tdredis.api.fields import wire_name
from tdredis.api.kinds import KINDS


class ChangeClass(StrEnum):
    """How a field of a running instance is changed."""

    LIVE = "live"
    GUARDED = "guarded"
    ROLLED = "rolled"
    MOVED = "moved"
    PHASED = "phased"
    FIXED = "fixed"


MEANINGS: Final[Mapping[ChangeClass, str]] = {
    ChangeClass.LIVE: "set at once, nothing is restarted",
    ChangeClass.GUARDED: "set at once, after a check that can hold it with the reason",
    ChangeClass.ROLLED: "pods have to be recreated",
    ChangeClass.MOVED: "data has to move between shards",
    ChangeClass.PHASED: "old and new have to be valid side by side for a while",
    ChangeClass.FIXED: "stays as it was when the instance was made",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """*today*: what this version does with an edit. *clients*: what they notice of it."""

    class_: ChangeClass
    today: str
    clients: str = "nothing"


def _live(today: str, clients: str = "nothing") -> FieldChange:
    return FieldChange(class_=ChangeClass.LIVE, today=today, clients=clients)


def _fixed(today: str) -> FieldChange:
    return FieldChange(class_=ChangeClass.FIXED, today=today)


_ROLLED = (
    "replicas first, one pod at a time, the next when the new one has all of the data; then the primary hands over, and"
    " goes last. Where one replica, or none, is on an emptyDir, one more pod has a copy meanwhile, that of a standalone"
    " too"
)
_AS_ROLLED = (
    "a primary that hands over takes no writes for a moment, and none is lost; connections to a pod that goes end."
    " Of a standalone, or a shard without replicas: nobody serves while its pod is recreated"
)
_PROXY_GOES = "connections to a proxy that goes are closed; the next one they open works"
_NEW_REDIS_PODS = FieldChange(
    class_=ChangeClass.ROLLED,
    today=f"The StatefulSets have it at once, and pods are recreated one by one: {_ROLLED}.",
    clients=_AS_ROLLED,
)
_NEW_SENTINEL_PODS = FieldChange(
    class_=ChangeClass.ROLLED,
    today="The StatefulSet of the Sentinels has it at once, and its pods are recreated one by one, the next when all"
    " Sentinels watch and agree again.",
    clients="nothing; those who ask a Sentinel that is recreated ask another one",
)
_NEW_PROXY_PODS = FieldChange(
    class_=ChangeClass.ROLLED,
    today="The proxy's Deployment makes its pods anew at once, a new one first, then one of the old ones goes.",
    clients=_PROXY_GOES,
)
_RESOURCES = FieldChange(
    class_=ChangeClass.ROLLED,
    today="Where pods can be resized (Kubernetes 1.33), running Redis containers get CPU and memory in place: more of"
    " it before the template of new pods and maxmemory have it, less memory behind maxmemory. What a server or a node"
    " refuses is told (`resize_is_accepted`, `memory_limit_follows`). What would change the pod's quality of service,"
    f" or is not asked for any more, and all of it elsewhere, is given by new pods: {_ROLLED}.",
    clients=f"nothing in place; otherwise {_AS_ROLLED}",
)
_PASSWORD = FieldChange(
    class_=ChangeClass.PHASED,
    today="Held (`password_is_unchanged`): the previous password stays, Accepted says to write it again.",
)
_PROXY_PASSWORD = FieldChange(
    class_=ChangeClass.PHASED,
    today="The proxies are recreated at once, a new one first; a new one takes the new password only.",
    clients=f"with the previous password they are refused by new proxies; {_PROXY_GOES}",
)
_VOLUME_CLASS = _fixed(
    "Held (`volumes_are_unchanged`): volumes stay as they were made, Accepted says what to write again."
    " Before the first StatefulSet exists it may be changed."
)
_VOLUME_SIZE = FieldChange(
    class_=ChangeClass.GUARDED,
    today="More: every volume is asked to grow while its pod runs, where its class allows that (allowVolumeExpansion),"
    " and the StatefulSets are made anew around their pods, so that volumes of new pods have it too; Accepted says how"
    " many have it, and in whose words one does not (`volumes_can_grow`). Less is refused by the API server (Kubernetes"
    " 1.25 and later), or else held (`volumes_do_not_shrink`). While volumes were not given it, it may be taken back.",
)
_CAPACITY = FieldChange(
    class_=ChangeClass.GUARDED,
    today="maxmemory of every process is set, and the file for its next start. Less than the data needs and a tenth"
    " more is held (`used_memory_fits`), and so is more than a container's memory limit has room for"
    " (`memory_limit_follows`), until it has.",
    clients="nothing; less memory may evict keys sooner from then on",
)
_REPLICAS = FieldChange(
    class_=ChangeClass.GUARDED,
    today="Pods are made, or those with the highest numbers removed. One that is a primary hands over first; one that"
    " does not answer stays until it does (`no_primary_is_removed`). Accepted says how many are in sync, or gone.",
    clients="connections to a replica that goes are closed",
)

_OF_ALL: Final[Mapping[str, FieldChange]] = {
    "app": _fixed(
        "Refused by the API server (Kubernetes 1.25 and later). Where it does not know how to, labels of objects follow"
        " at once, those of pods when these are recreated."
    ),
    "capacity": _CAPACITY,
    "dc": FieldChange(
        class_=ChangeClass.ROLLED,
        today=f"Labels of objects follow at once, those of pods when these are recreated: {_ROLLED}.",
        clients=_AS_ROLLED,
    ),
    "env": FieldChange(
        class_=ChangeClass.ROLLED,
        today=f"Where pods run follows when they are recreated: {_ROLLED}. The two CPUs of production are given to"
        " running containers in place where pods can be resized (Kubernetes 1.33).",
        clients=_AS_ROLLED,
    ),
    "image": FieldChange(
        class_=ChangeClass.ROLLED,
        today=f"{_NEW_REDIS_PODS.today} An engine that by its tag cannot read the data is held"
        " (`engine_reads_the_data`): Accepted says what to write again.",
        clients=_AS_ROLLED,
    ),
    "monitorimage": _NEW_REDIS_PODS,
    "netmode": _live(
        "The Service changes its type. Where clients are sent from pod to pod, pods get Services of their own, or lose"
        " them when nobody believes in them any more, and announce other addresses one by one.",
        "those inside nothing; those outside have another address (status.externalip), or none",
    ),
    "realname": _live("Nothing is made of it; the console shows it."),
    "secret": _PASSWORD,
    "secretRef": _PASSWORD,
    "storageclass": _VOLUME_CLASS,
    "storage.size": _VOLUME_SIZE,
    "storage.retain": _live("The claims get the resource as their owner, or lose it."),
    "vip": _live(
        "status.externalip follows at once; where clients are sent from pod to pod, pods announce it one by one.",
        "those outside have another address",
    ),
    "paused": _live("The operator stops changing anything, or goes on.", "nothing, as long as nothing fails"),
    "resources": _RESOURCES,
    "memoryOverheadPercent": _RESOURCES,
    "imagePullSecrets": FieldChange(
        class_=ChangeClass.ROLLED,
        today="A proxy's Deployment recreates its pods at once; those of Redis and Sentinels are recreated one by one:"
        f" {_ROLLED}.",
        clients=f"{_AS_ROLLED}; of a proxy: {_PROXY_GOES}",
    ),
    "pod": _NEW_REDIS_PODS,
    "config": _live(
        "A parameter that is live is tried on one process and then set on all, and kept in the file for their next"
        " start when all have taken it. One that an engine refuses is told in its words (`engine_takes_the_value`,"
        " `parameter_is_known`) and changes nothing. One that is read only when a process starts is given by"
        f" new pods: {_ROLLED}. A value that the engine is known to refuse then (`engine_takes_the_value`), or that it"
        " would end with (`databases_fit_the_memory`, `databases_have_the_keys`), costs no pod. Where the first of them"
        " starts without it, its engine refused the value: no other goes (`engine_starts_with_the_value`). One that is"
        " not named any more gets its default.",
        f"what the parameter does; where it needs new pods: {_AS_ROLLED}",
    ),
    "exporter.resources": _NEW_REDIS_PODS,
    "service.annotations": _live(
        "The Services that netmode is about follow.", "what the controller that reads them does"
    ),
    "service.loadBalancerClass": FieldChange(
        class_=ChangeClass.FIXED,
        today="While netmode is LoadBalancer a change is refused by the API server (Kubernetes 1.25 and later): a"
        " Service gets it when it becomes a LoadBalancer. While netmode is another it may be changed.",
    ),
    "service.loadBalancerSourceRanges": _live(
        "The Services follow, while netmode is LoadBalancer.", "those who are not in it cannot connect any more"
    ),
    "service.externalTrafficPolicy": _live(
        "The Services follow, while netmode is NodePort or LoadBalancer.",
        "with Local, an address of a node where no pod serves does not answer; a pod sees its clients' own addresses",
    ),
    "rollout": _live("The next step of a roll goes by it."),
    "rollout.rollback": _live(
        "auto: an edit that does not come up is given up (`new_pods_come_up`). off: one that was given up is tried"
        " again, and waits."
    ),
    "outside.verify": _live("The next look at the addresses for outside goes by it."),
    "networkPolicy.enabled": _live(
        "The policies are made, or removed.", "those who are not in allowFrom cannot connect any more, or can again"
    ),
    "networkPolicy.allowFrom": _live("The policies follow.", "those who are not in it cannot connect any more"),
    "podMonitor": _live("The PodMonitor is made, or removed."),
}
_OF_CLUSTER: Final[Mapping[str, FieldChange]] = {
    "size": FieldChange(
        class_=ChangeClass.MOVED,
        today="More: new shards are made at once, and get their share of the slots by bytes when all of their pods are"
        " up and in sync (else `new_shards_can_start`). Less: the last shards are emptied, verified empty, forgotten by"
        " all nodes and then removed; their volumes stay. Fewer shards than have room for the data are held with the"
        " numbers (`shards_have_room`). Rolls come first, memory rises before slots come and falls after they went."
        " Accepted says how far it is. Written back half way it is taken back.",
        clients="those that speak the cluster protocol are sent on (MOVED, ASK); the proxies follow by themselves",
    ),
    "scale.rebalance": _live(
        "auto: new shards get slots. manual: they stay empty until the annotation cache.tongdun.net/rebalance has a new"
        " value; what moves stops."
    ),
    "scale.pace": _live("What moves goes on at the new pace.", "fast: longer waits while slots move"),
    "replicas": _REPLICAS,
    "proxyimage": _NEW_PROXY_PODS,
    "proxysecret": _PROXY_PASSWORD,
    "proxySecretRef": _PROXY_PASSWORD,
    "proxy.enabled": _live(
        "The proxy is made, or removed with its Service.",
        "who goes by the proxy needs it: without it they must speak the cluster protocol, at another address",
    ),
    "proxy.kind": _NEW_PROXY_PODS,
    "proxy.replicas": _live(
        "The Deployment makes or removes pods. Accepted says how many are ready, or gone.", _PROXY_GOES
    ),
    "proxy.resources": _NEW_PROXY_PODS,
    "proxy.pod": _NEW_PROXY_PODS,
}
_OF_STANDBY: Final[Mapping[str, FieldChange]] = {
    "app": _fixed(
        "Refused by the API server (Kubernetes 1.25 and later). Where it does not know how to: Held"
        " (`app_is_unchanged`), Sentinels and labels stay as they were made, Accepted says what to write again."
    ),
    "replicas": _REPLICAS,
    "sentinelimage": _NEW_SENTINEL_PODS,
    "writePolicy": _live(
        "Set on the primary, when it has replicas in sync.",
        "with consistency, writes are refused while no replica is in sync",
    ),
    "sentinel.replicas": FieldChange(
        class_=ChangeClass.GUARDED,
        today="Sentinels are made, and all are told the new quorum; or removed, two at a time, the next when those that"
        " stay have forgotten the ones before (`sentinels_keep_a_majority`). Accepted says how many watch, or go.",
        clients="nothing; those who ask a Sentinel that goes ask another one",
    ),
    "sentinel.masterName": _live(
        "Every Sentinel watches under the new name, and no longer under the previous one.",
        "those who ask Sentinels by the previous name get no answer",
    ),
    "sentinel.auth": FieldChange(
        class_=ChangeClass.ROLLED,
        today="The file for the Sentinels' next start has it at once, and their pods are recreated one by one.",
        clients="a Sentinel that was recreated asks them for the password, or no more; the others do not change",
    ),
    "sentinel.external": _live(
        "Pods get Services of their own, or lose them, and announce other addresses one by one.",
        "those who ask Sentinels are told other addresses",
    ),
    "sentinel.downAfterMilliseconds": _live("Every Sentinel is told."),
    "sentinel.failoverTimeoutMilliseconds": _live("Every Sentinel is told."),
    "sentinel.resources": _NEW_SENTINEL_PODS,
    "sentinel.pod": _NEW_SENTINEL_PODS,
}
_SAID: Final[Mapping[str, Mapping[str, FieldChange]]] = {
    "RedisCluster": {**_OF_ALL, **_OF_CLUSTER},
    "RedisStandby": {**_OF_ALL, **_OF_STANDBY},
    "RedisStandalone": _OF_ALL,
}


def change_of(kind: str, path: str) -> FieldChange:
    """What it means to edit the field *path* of spec. Raises KeyError for a field that *kind* does not have."""
    said = _SAID[kind]
    words = path.split(".")
    for length in range(len(words), 0, -1):
        if (found := said.get(".".join(words[:length]))) is not None:
            return found
    raise KeyError(path)


def field_paths(kind: str) -> tuple[str, ...]:
    """Every field of spec that holds no further fields of ours, as users write it."""
    return tuple(_paths(get_type_hints(KINDS[kind])["spec"], ""))


def lines_of(kind: str) -> tuple[str, ...]:
    """The paths that have a line of their own."""
    return tuple(_SAID[kind])


def render_changes() -> str:
    """docs/reference/changes.md."""
    lines = [
        "# What an edit does",
        "",
        "Made from `tdredis/api/changes.py` by `make generated`; do not edit.",
        "",
        "Each field of spec has a class of change: what it takes to change it in a running instance. What this version"
        " does with an edit may be less, and stands beside it.",
        "",
        "| class | means |",
        "|---|---|",
        *(f"| {class_} | {meaning} |" for class_, meaning in MEANINGS.items()),
    ]
    for kind in KINDS:
        lines += [
            "",
            f"## {kind}",
            "",
            "| field | class | what happens today | what clients notice |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {', '.join(paths)} | {change.class_} | {change.today} | {change.clients} |"
            for change, paths in _by_change(kind).items()
        ]
    return "\n".join(lines) + "\n"


def _by_change(kind: str) -> dict[FieldChange, list[str]]:
    """Fields of which the same is to be said, in the order of their names."""
    found: dict[FieldChange, list[str]] = {}
    for path in sorted(field_paths(kind), key=str.lower):
        found.setdefault(change_of(kind, path), []).append(path)
    return found


def _paths(type_: type[msgspec.Struct], above: str) -> Iterator[str]:
    for attribute, hint in get_type_hints(type_).items():
        path = f"{above}{wire_name(attribute)}"
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _paths(hint, f"{path}.")
        else:
            yield path
