"""Decides where a Service without a selector leads: to the pods that Redis' answers name, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    MANAGER,
    REDIS_COMPONENT,
    build_metadata,
    client_service_name,
    replica_service_name,
)
from tdredis.manifests.site import Site
from tdredis.redis.ports import REDIS_PORT as PORT

PORT_NAME = "redis"
# Of one EndpointSlice; a cluster of the largest size has as many primaries, and for a moment more. Source:
# k8s.io/api/discovery/v1, EndpointSlice.
MOST_ENDPOINTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod that clients may be sent to."""

    pod: str
    ip: str
    node: str | None
    uid: str


def build_endpoints(cluster: RedisCluster, site: Site, targets: Sequence[Target], *, ipv6: bool = False) -> JSONObject:
    """Where clients of a cluster are led: *targets*, in any order, own slots."""
    service = client_service_name(cluster.name)
    return _build(cluster, site, service, f"{service}-slots", targets, ipv6=ipv6)


def build_standby_endpoints(
    instance: RedisStandby, site: Site, service: str, targets: Sequence[Target], *, ipv6: bool = False
) -> JSONObject:
    """Where clients of a standby are led: by its client *service* to the primary, by that for reading to replicas."""
    role = "replicas" if service == replica_service_name(instance.name) else "primary"
    return _build(instance, site, service, f"{service}-{role}", targets, ipv6=ipv6)


def _build(
    instance: Instance, site: Site, service: str, slice_name: str, targets: Sequence[Target], *, ipv6: bool
) -> JSONObject:
    """An EndpointSlice, or Endpoints where the server is too old for those."""
    ordered = sorted(targets, key=lambda target: target.pod)[:MOST_ENDPOINTS]
    ports: list[JSON] = [{"name": PORT_NAME, "port": PORT, "protocol": "TCP"}]
    if site.endpoint_slices:
        # The label managed-by of the slice is what keeps Kubernetes' own controller away from it.
        labels = {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": MANAGER,
        }
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": build_metadata(instance, slice_name, REDIS_COMPONENT, labels=labels),
            "addressType": "IPv6" if ipv6 else "IPv4",
            "ports": ports,
            "endpoints": [_slice_endpoint(instance, target) for target in ordered],
        }
    addresses: list[JSON] = [_address(instance, target) for target in ordered]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": build_metadata(instance, service, REDIS_COMPONENT),
        "subsets": [{"addresses": addresses, "ports": ports}] if addresses else [],
    }


def _reference(instance: Instance, target: Target) -> JSONObject:
    return {"kind": "Pod", "namespace": instance.namespace, "name": target.pod, "uid": target.uid}


def _slice_endpoint(instance: Instance, target: Target) -> JSONObject:
    found: JSONObject = {
        "addresses": [target.ip],
        "conditions": {"ready": True},
        "targetRef": _reference(instance, target),
    }
    if target.node:
        found["nodeName"] = target.node
    return found


def _address(instance: Instance, target: Target) -> JSONObject:
    found: JSONObject = {"ip": target.ip, "targetRef": _reference(instance, target)}
    if target.node:
        found["nodeName"] = target.node
    return found
