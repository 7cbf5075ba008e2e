"""Decides which ways in status.addresses names: every Service and port that clients use, inside and outside."""

from __future__ import annotations

from tdredis.api.instance import Instance
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.names import (
    client_service_name,
    proxy_name,
    replica_service_name,
    sentinel_name,
)
from tdredis.manifests.proxy import proxy_kind
from tdredis.planning.live import Live
from tdredis.planning.snapshot import ClusterSnapshot, Ref, ReplicationSnapshot, Snapshot
from tdredis.redis.facts import ProxyFacts
from tdredis.redis.ports import REDIS_PORT, RESP3_PORT, SENTINEL_PORT


def cluster_service(snapshot: ClusterSnapshot) -> str:
    """The Service that clients of a cluster use."""
    name = snapshot.cluster.name
    return proxy_name(name) if snapshot.cluster.spec.proxy.enabled else client_service_name(name)


def cluster_entrances(snapshot: ClusterSnapshot) -> dict[str, str]:
    service = cluster_service(snapshot)
    found = _both(snapshot, snapshot.cluster, service, "redis")
    if serves_resp3(snapshot):
        found |= _both(snapshot, snapshot.cluster, service, "redis-resp3", RESP3_PORT)
    return _known(found)


def serves_resp3(snapshot: ClusterSnapshot) -> bool:
    """Some proxy does. While none says whether, it is as it was: a proxy that is slow for a moment changes nothing."""
    cluster = snapshot.cluster
    if not cluster.spec.proxy.enabled or proxy_kind(cluster, snapshot.site) != "envoy":
        return False
    said = [read.resp3 for read in snapshot.reads.values() if isinstance(read, ProxyFacts) and read.resp3 is not None]
    return any(said) if said else "redis-resp3" in cluster.status.addresses


def replication_entrances(snapshot: ReplicationSnapshot) -> dict[str, str]:
    instance = snapshot.instance
    found = _both(snapshot, instance, client_service_name(instance.name), "redis")
    if isinstance(instance, RedisStandby):
        found["redis-ro"] = client_address(snapshot, replica_service_name(instance.name))
        found["sentinel"] = client_address(snapshot, sentinel_name(instance), SENTINEL_PORT)
    return _known(found)


def _both(snapshot: Snapshot, instance: Instance, service: str, name: str, port: int = REDIS_PORT) -> dict[str, str]:
    live = snapshot.children.get(Ref("Service", service))
    return {
        name: client_address(snapshot, service, port),
        f"{name}-outside": external_address(instance, live, name=name, port=port),
    }


def _known(found: dict[str, str]) -> dict[str, str]:
    return {name: address for name, address in sorted(found.items()) if address}


def client_address(snapshot: Snapshot, service: str, port: int = REDIS_PORT) -> str:
    """ "ip:6379" of *service*; "" while it has none."""
    live = snapshot.children.get(Ref("Service", service))
    return endpoint(live.cluster_ip, port) if live and live.cluster_ip else ""


def endpoint(host: str, port: int = REDIS_PORT) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def external_address(instance: Instance, service: Live | None, *, name: str = "redis", port: int = REDIS_PORT) -> str:
    """vip:nodePort, or the balancer's address, of the port *name*, which is *port*; "" where there is none (yet)."""
    if service is None:
        return ""
    if instance.spec.net_mode == "NodePort":
        opened = service.node_port(name)
        return endpoint(instance.spec.vip, opened) if opened and instance.spec.vip else ""
    if instance.spec.net_mode == "LoadBalancer":
        return endpoint(service.balancer_address, port) if service.balancer_address else ""
    return ""
