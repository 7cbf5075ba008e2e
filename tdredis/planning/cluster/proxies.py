"""Decides what the proxies of a cluster need: their objects, and which of them is recreated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tdredis.api.changes import ChangeClass
from tdredis.api.json_object import JSON, JSONObject
from tdredis.manifests.drift import difference, stamp
from tdredis.manifests.names import PROXY_CONTAINER, client_service_name, proxy_name
from tdredis.manifests.proxy import (
    build_proxy_access,
    build_proxy_budget,
    build_proxy_deployment,
    next_secret_version,
)
from tdredis.planning.change import Change, UnderWay
from tdredis.planning.cluster.world import World
from tdredis.planning.conditions import has_been_ready
from tdredis.planning.objects import keep, ref_of, remove, service_ip
from tdredis.planning.plan import Ruling
from tdredis.planning.pods import STARTING_S
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import Remove, ReplacePod


def keep_proxy(world: World) -> Ruling:
    """The proxy is there; it is told the cluster's own Service, whose address the API server gives."""
    snapshot, cluster = world.snapshot, world.instance
    seed = service_ip(snapshot, client_service_name(cluster.name))
    if not cluster.spec.proxy.enabled or seed is None:
        return Ruling()
    live = snapshot.children.get(Ref("Secret", proxy_name(cluster.name)))
    if live is None and snapshot.secret_problems:
        return Ruling()  # the password is not to be had: a proxy without one would be open to everybody

    def build() -> Iterable[JSONObject]:
        version = next_secret_version(live.json if live else None, cluster, snapshot.passwords, seed)
        return _objects(world, seed, version)

    return keep(snapshot, "proxy", (cluster, snapshot.site, snapshot.passwords, seed, _all_run(world)), build)


def proxy_changes(world: World) -> Iterator[Change]:
    """What the Deployment has, and not all of its pods do: Kubernetes replaces those."""
    cluster, name = world.instance, proxy_name(world.instance.name)
    live = world.snapshot.children.get(Ref("Deployment", name))
    if not cluster.spec.proxy.enabled or live is None or not has_been_ready(cluster.status):
        return
    view = live.deployment
    done = view.updated_replicas if view.observed_generation == live.meta.generation else 0
    if not view.observed_generation or done >= view.replicas:
        return
    wanted = world.snapshot.site.image(cluster.spec.proxy_image)
    others = sorted({pod.images.get(PROXY_CONTAINER, wanted) for pod in world.snapshot.proxies} - {wanted})
    is_image = bool(others)
    yield Change(
        field="proxyimage" if is_image else "proxy",
        old=others[0] if is_image else "",
        new=wanted if is_image else "",
        class_=ChangeClass.ROLLED,
        state=UnderWay(
            done=done, of=view.replicas, how="its Deployment replaces the others, one by one", things="proxy pods"
        ),
    )


def remove_unwanted_proxy(world: World) -> tuple[Remove, ...]:
    """Its objects go where the spec has none."""
    name = proxy_name(world.instance.name)
    if world.instance.spec.proxy.enabled or not any(ref.name == name for ref in world.snapshot.children):
        return ()
    return remove(world.snapshot, tuple(reversed(_objects(world, "", ""))), "proxy.enabled is false")


def _objects(world: World, seed: str, version: str) -> tuple[JSONObject, ...]:
    """In an order in which each finds what it needs."""
    cluster, site, passwords = world.instance, world.snapshot.site, world.snapshot.passwords
    deployment = build_proxy_deployment(cluster, site, passwords, seed, secret_version=version)
    live = world.snapshot.children.get(ref_of(deployment))
    if live is not None and _pull_secrets(deployment) != _pull_secrets(live.json):
        as_made = replace(site, pull_secret=not site.pull_secret)
        as_it_is = build_proxy_deployment(cluster, as_made, passwords, seed, secret_version=version)
        if _all_run(world) and difference(stamp(as_it_is), live.json) is None:
            # A pull secret that came or went is no reason to recreate proxies, which closes clients' connections: the
            # next change of anything else takes it along.
            deployment = as_it_is
    return (
        *build_proxy_access(cluster, site, passwords, seed, secret_version=version),
        *((build_proxy_budget(cluster),) if site.disruption_budgets else ()),
        deployment,
    )


def _pull_secrets(deployment: JSONObject) -> JSON:
    found: JSON = deployment
    for name in ("spec", "template", "spec", "imagePullSecrets"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _all_run(world: World) -> bool:
    running = [pod for pod in world.snapshot.proxies if pod.ready and not pod.deleting]
    return len(running) >= world.instance.spec.proxy.replicas


def replace_stuck_proxies(world: World) -> Ruling:
    """A proxy that answers reads with an error of its own though the cluster works is recreated.

    Envoy looks for the cluster at the addresses that it knew last, and at no other: when all of them changed at once it
    looks for ever (redis_cluster.cc, startResolveRedis). One that says nothing is only slow, as is everybody on a busy
    node: its clients would lose their connections for nothing. One at a time, because where Redis is slow, all are.
    """
    snapshot = world.snapshot
    pods = [pod for pod in snapshot.proxies if not pod.deleting and not pod.finished]
    coming = [
        pod for pod in pods if not pod.ready and pod.main_trouble is None and snapshot.now - pod.created < STARTING_S
    ]
    stuck = [pod for pod in pods if pod.name in world.stuck_proxies]
    if not stuck or coming or len(pods) < world.instance.spec.proxy.replicas:
        return Ruling()
    pod = min(stuck, key=lambda pod: pod.name)
    why = f"the cluster works, and it answers reads with: {world.stuck_proxies[pod.name].error}"
    return Ruling(steps=(ReplacePod(pod=pod.name, uid=pod.uid, why=why),))
