"""Decides who may connect to the pods of an instance, where its spec limits that.

Two policies, because a policy's ports are those of all pods it selects: behind a proxy, clients may reach 6379 of the
proxy and not 6379 of Redis.
"""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    MANAGER,
    PROXY_COMPONENT,
    REDIS_COMPONENT,
    SENTINEL_COMPONENT,
    build_metadata,
)
from tdredis.manifests.services import has_external_pods
from tdredis.redis.ports import BUS_PORT, EXPORTER_PORT, REDIS_PORT, RESP3_PORT, SENTINEL_PORT

_OPERATOR: Final[JSONObject] = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": MANAGER}},
}


def build_network_policies(instance: Instance) -> tuple[JSONObject, ...]:
    """None unless spec asks for them."""
    if not instance.spec.network_policy.enabled:
        return ()
    return build_inner_policy(instance), build_client_policy(instance)


def build_inner_policy(instance: Instance) -> JSONObject:
    """All pods of the instance: whatever they serve is for each other and for the operator, metrics for everybody."""
    ours = _selector(instance)
    peers: list[JSON] = [{"podSelector": {"matchLabels": ours}}, _OPERATOR]
    return _build_policy(instance, instance.name, {"matchLabels": ours}, [{"from": peers}, _from((), EXPORTER_PORT)])


def build_client_policy(instance: Instance) -> JSONObject:
    """The pods that clients connect to. Where these are reached under addresses outside of Kubernetes, they reach each
    other under them too, and come from the nodes' addresses: a cluster's bus is then open to the same peers, and
    allowFrom must have the nodes among them.
    """
    match instance:
        case RedisCluster() if instance.spec.proxy.enabled:
            components, ports = [PROXY_COMPONENT], [REDIS_PORT, RESP3_PORT]
        case RedisCluster() if has_external_pods(instance):
            components, ports = [REDIS_COMPONENT], [REDIS_PORT, BUS_PORT]
        case RedisStandby():
            components, ports = [REDIS_COMPONENT, SENTINEL_COMPONENT], [REDIS_PORT, SENTINEL_PORT]
        case _:
            components, ports = [REDIS_COMPONENT], [REDIS_PORT]
    selector: JSONObject = {
        "matchLabels": _selector(instance),
        "matchExpressions": [{"key": COMPONENT_LABEL, "operator": "In", "values": list(components)}],
    }
    rule = _from(instance.spec.network_policy.allow_from, *ports)
    return _build_policy(instance, f"{instance.name}-clients", selector, [rule])


def _selector(instance: Instance) -> JSONObject:
    """Labels of all pods of the instance, and of nobody's whose Helm release, say, has its name."""
    return {INSTANCE_LABEL: instance.name, KIND_LABEL: instance.KIND}


def _from(peers: tuple[JSONObject, ...], *ports: int) -> JSONObject:
    """*ports* open to *peers*; to everybody if there are none."""
    rule: JSONObject = {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}
    return {**rule, "from": list(peers)} if peers else rule


def _build_policy(instance: Instance, name: str, selector: JSONObject, ingress: list[JSON]) -> JSONObject:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(instance, name, REDIS_COMPONENT),
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress},
    }
