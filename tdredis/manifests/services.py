"""Decides under which addresses clients, and our own pods, find what: every Service of an instance."""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandalone import RedisStandalone
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    REDIS_COMPONENT,
    SENTINEL_COMPONENT,
    build_metadata,
    client_service_name,
    nodes_service_name,
    pod_names,
    replica_service_name,
    sentinel_name,
    sentinel_pod_names,
)
from tdredis.manifests.pods import component_selector
from tdredis.redis.ports import BUS_PORT, REDIS_PORT, RESP3_PORT, SENTINEL_PORT

# By name, as external addresses are asked for.
REDIS_PORTS: Final = {"redis": REDIS_PORT}
RESP3_PORTS: Final = {"redis-resp3": RESP3_PORT}
CLUSTER_PORTS: Final = {"redis": REDIS_PORT, "bus": BUS_PORT}
SENTINEL_PORTS: Final = {"sentinel": SENTINEL_PORT}
EXTERNAL_LABEL: Final = "cache.tongdun.net/external"  # of a pod's own Service
POD_NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"


def build_client_service(instance: Instance, primary: str = "") -> JSONObject:
    """Without a selector but for a single Redis: who is the primary, or owns slots, is Redis' to say, and the operator
    writes the endpoints. A cluster's proxy has a Service of its own for those from outside.

    A standalone's leads to the pod *primary*, "": its first. It may have another beside it, for as long as it is
    recreated.
    """
    behind_proxy = isinstance(instance, RedisCluster) and instance.spec.proxy.enabled
    selector: JSONObject | None = None
    if isinstance(instance, RedisStandalone):
        pod = primary or pod_names(instance)[0]
        selector = {**component_selector(instance, REDIS_COMPONENT), POD_NAME_LABEL: pod}
    return build_service(
        instance,
        client_service_name(instance.name),
        REDIS_COMPONENT,
        REDIS_PORTS,
        type_="ClusterIP" if behind_proxy else instance.spec.net_mode,
        is_for_clients=not behind_proxy,
        selector=selector,
    )


def build_replica_service(standby: RedisStandby) -> JSONObject:
    return build_service(standby, replica_service_name(standby.name), REDIS_COMPONENT, REDIS_PORTS)


def build_nodes_service(instance: Instance) -> JSONObject:
    ports = CLUSTER_PORTS if isinstance(instance, RedisCluster) else REDIS_PORTS
    return _build_headless(instance, nodes_service_name(instance.name), REDIS_COMPONENT, ports)


def build_sentinel_service(standby: RedisStandby) -> JSONObject:
    return build_service(
        standby,
        sentinel_name(standby),
        SENTINEL_COMPONENT,
        SENTINEL_PORTS,
        type_=standby.spec.net_mode if standby.spec.sentinel.external else "ClusterIP",
        is_for_clients=standby.spec.sentinel.external,
        selector=component_selector(standby, SENTINEL_COMPONENT),
    )


def build_sentinel_nodes_service(standby: RedisStandby) -> JSONObject:
    name = nodes_service_name(sentinel_name(standby))
    return _build_headless(standby, name, SENTINEL_COMPONENT, SENTINEL_PORTS)


def build_external_services(instance: Instance) -> tuple[JSONObject, ...]:
    """A Service for each pod whose own address clients from outside are told; none where they are not."""
    if not has_external_pods(instance):
        return ()
    ports = CLUSTER_PORTS if isinstance(instance, RedisCluster) else REDIS_PORTS
    redis = (_build_external(instance, pod, REDIS_COMPONENT, ports) for pod in pod_names(instance))
    if not isinstance(instance, RedisStandby):
        return tuple(redis)
    sentinels = (
        _build_external(instance, pod, SENTINEL_COMPONENT, SENTINEL_PORTS) for pod in sentinel_pod_names(instance)
    )
    return (*redis, *sentinels)


def has_external_pods(instance: Instance) -> bool:
    """Clients from outside are sent from pod to pod, by the cluster protocol or by Sentinels."""
    if instance.spec.net_mode == "ClusterIP":
        return False
    match instance:
        case RedisCluster():
            return not instance.spec.proxy.enabled
        case RedisStandby():
            return instance.spec.sentinel.external
        case _:
            return False


def is_external_service(service: JSONObject) -> bool:
    """Whether a Service, wanted or live, is a pod's own for clients from outside."""
    match service:
        case {"metadata": {"labels": {**labels}}}:
            return EXTERNAL_LABEL in labels
        case _:
            return False


def build_service(
    instance: Instance,
    name: str,
    component: str,
    ports: dict[str, int],
    *,
    type_: str = "ClusterIP",
    is_for_clients: bool = False,
    selector: JSONObject | None = None,
) -> JSONObject:
    """Without a *selector* the endpoints are written by the operator. What spec.service says holds where netmode gives
    the type.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _build_metadata(instance, name, component, is_for_clients=is_for_clients),
        "spec": {
            "type": type_,
            **_settings_of(instance, type_),
            **({"selector": selector} if selector is not None else {}),
            "ports": _build_ports(ports),
        },
    }


def _build_metadata(
    instance: Instance, name: str, component: str, *, is_for_clients: bool, labels: dict[str, str] | None = None
) -> JSONObject:
    metadata = build_metadata(instance, name, component, labels=labels)
    annotations = instance.spec.service.annotations if is_for_clients else {}
    return {**metadata, "annotations": {**annotations}} if annotations else metadata


def _settings_of(instance: Instance, type_: str) -> JSONObject:
    """Of spec.service what a Service of this type may have: Kubernetes refuses the rest. What is as Kubernetes has it
    by itself is not said: a Service of before is not written again for it.
    """
    settings = instance.spec.service
    found: JSONObject = {}
    if type_ != "ClusterIP" and settings.external_traffic_policy != "Cluster":
        found["externalTrafficPolicy"] = settings.external_traffic_policy
    if type_ == "LoadBalancer" and settings.load_balancer_class:
        found["loadBalancerClass"] = settings.load_balancer_class
    if type_ == "LoadBalancer" and settings.load_balancer_source_ranges:
        found["loadBalancerSourceRanges"] = list(settings.load_balancer_source_ranges)
    return found


def _build_headless(instance: Instance, name: str, component: str, ports: dict[str, int]) -> JSONObject:
    """Gives the pods of *component* their names."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(instance, name, component),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            # Nodes meet each other before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": component_selector(instance, component),
            "ports": _build_ports(ports),
        },
    }


def _build_external(instance: Instance, pod: str, component: str, ports: dict[str, int]) -> JSONObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _build_metadata(instance, pod, component, is_for_clients=True, labels={EXTERNAL_LABEL: "true"}),
        "spec": {
            "type": instance.spec.net_mode,
            **_settings_of(instance, instance.spec.net_mode),
            # Nodes know each other under these addresses, ready or not.
            "publishNotReadyAddresses": True,
            "selector": {POD_NAME_LABEL: pod},
            "ports": _build_ports(ports),
        },
    }


def _build_ports(ports: dict[str, int]) -> list[JSON]:
    return [{"name": name, "port": port, "protocol": "TCP", "targetPort": port} for name, port in ports.items()]
