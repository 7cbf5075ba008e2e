"""Decides where the client Service leads: to the pods that own slots, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdredis.api.json_object import JSON, JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.names import MANAGER, REDIS_COMPONENT, build_metadata, client_service_name
from tdredis.manifests.site import Site

PORT = 6379
PORT_NAME = "redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod that clients may be sent to."""

    pod: str
    ip: str
    node: str | None
    uid: str


def build_endpoints(cluster: RedisCluster, site: Site, targets: Sequence[Target], *, ipv6: bool = False) -> JSONObject:
    """An EndpointSlice, or Endpoints where the server is too old for the former. *targets* in any order."""
    ordered = sorted(targets, key=lambda target: target.pod)
    service = client_service_name(cluster.name)
    if site.endpoint_slices:
        # The label managed-by of the slice is what keeps Kubernetes' own controller away from it.
        labels = {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": MANAGER,
        }
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": build_metadata(cluster, f"{service}-slots", REDIS_COMPONENT, labels=labels),
            "addressType": "IPv6" if ipv6 else "IPv4",
            "ports": [{"name": PORT_NAME, "port": PORT, "protocol": "TCP"}],
            "endpoints": [_slice_endpoint(cluster, target) for target in ordered],
        }
    addresses: list[JSON] = [_address(cluster, target) for target in ordered]
    ports: list[JSON] = [{"name": PORT_NAME, "port": PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": build_metadata(cluster, service, REDIS_COMPONENT),
        "subsets": [{"addresses": addresses, "ports": ports}] if addresses else [],
    }


def _reference(cluster: RedisCluster, target: Target) -> JSONObject:
    return {"kind": "Pod", "namespace": cluster.namespace, "name": target.pod, "uid": target.uid}


def _slice_endpoint(cluster: RedisCluster, target: Target) -> JSONObject:
    found: JSONObject = {
        "addresses": [target.ip],
        "conditions": {"ready": True},
        "targetRef": _reference(cluster, target),
    }
    if target.node:
        found["nodeName"] = target.node
    return found


def _address(cluster: RedisCluster, target: Target) -> JSONObject:
    found: JSONObject = {"ip": target.ip, "targetRef": _reference(cluster, target)}
    if target.node:
        found["nodeName"] = target.node
    return found
