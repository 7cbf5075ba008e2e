"""Decides what a RedisCluster needs next: the rules, in their order, and why they stand in it.

1. objects first: without its ConfigMap and Secret a pod does not start
2. pods that can never run are replaced when the template has changed since: nothing is lost with them
3. clients' endpoints, before anything disruptive: they follow who owns slots now
4. ghosts are forgotten before slots are assigned: a ghost with a higher epoch would take the slots back
5. slots before introductions: the first epoch can only be set on a node that has met nobody
6. introductions before attaching: a replica must know its primary
7. memory limits and timeouts last: they need no particular place
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdredis.api.json_object import JSONObject
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.children import build_children
from tdredis.manifests.drift import difference
from tdredis.manifests.endpoints import Target, build_endpoints
from tdredis.manifests.names import client_service_name, proxy_name
from tdredis.manifests.proxy import build_proxy_access, build_proxy_deployment
from tdredis.manifests.redis_config import NODE_TIMEOUT_MS
from tdredis.planning.cluster.picture import Member, Picture, Shard
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Ref
from tdredis.planning.steps import (
    Apply,
    AssignSlots,
    Forget,
    Meet,
    Remove,
    ReplacePod,
    Replicate,
    SetConfig,
    Step,
)
from tdredis.redis.slots import SlotSet

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule says: steps to take, holds on what it would not do."""

    steps: tuple[Step, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a rule looks at: the picture, and the resource with the values in force."""

    picture: Picture
    cluster: RedisCluster


Rule = Callable[[World], Ruling]


# ---- objects


def keep_children(world: World) -> Ruling:
    """Every object is there and says what the spec wants."""
    snapshot = world.picture.snapshot
    return _keep(world, build_children(world.cluster, snapshot.site, snapshot.passwords))


def keep_proxy(world: World) -> Ruling:
    """The proxy is there; it is told the cluster's own Service, whose address the API server gives."""
    snapshot, cluster = world.picture.snapshot, world.cluster
    seed = service_ip(snapshot.children.get(Ref("Service", client_service_name(cluster.name))))
    if not cluster.spec.proxy.enabled or seed is None:
        return Ruling()
    access = _keep(world, build_proxy_access(cluster, snapshot.site, snapshot.passwords, seed))
    version = _metadata(snapshot.children.get(Ref("Secret", proxy_name(cluster.name)))).get("resourceVersion")
    if access.steps or not isinstance(version, str):
        return access  # the pods are made of these: first they are right
    deployment = build_proxy_deployment(cluster, snapshot.site, snapshot.passwords, seed, secret_version=version)
    return _keep(world, (deployment,))


def remove_unwanted(world: World) -> Ruling:
    """What the spec no longer asks for goes: the proxy's objects when it is switched off. Never a StatefulSet."""
    snapshot, cluster = world.picture.snapshot, world.cluster
    if cluster.spec.proxy.enabled:
        return Ruling()
    passwords, site = snapshot.passwords, snapshot.site
    deployment = build_proxy_deployment(cluster, site, passwords, "", secret_version="")
    steps = []
    for manifest in (deployment, *build_proxy_access(cluster, site, passwords, "")):
        ref = ref_of(manifest)
        live = snapshot.children.get(ref)
        if live is not None:
            version, uid = str(manifest["apiVersion"]), str(_metadata(live).get("uid", ""))
            steps.append(Remove(ref=ref, api_version=version, uid=uid, why="proxy.enabled is false"))
    return Ruling(steps=tuple(steps))


def _keep(world: World, wanted: tuple[JSONObject, ...]) -> Ruling:
    steps = []
    for manifest in wanted:
        ref = ref_of(manifest)
        live = world.picture.snapshot.children.get(ref)
        if live is None:
            steps.append(Apply(ref=ref, manifest=manifest, why="it does not exist"))
        elif (path := difference(manifest, live)) is not None:
            steps.append(Apply(ref=ref, manifest=manifest, why=f"{path} is not as the spec wants it"))
    return Ruling(steps=tuple(steps))


def publish_endpoints(world: World) -> Ruling:
    """The client Service leads to the processes that own slots, and to no other.

    One that runs and does not answer keeps its place: silence is no proof that it lost its slots.
    """
    snapshot = world.picture.snapshot
    owners = {member.name for member in world.picture.members if member.slots}
    placed = _published_pods(world)
    names = sorted(owners | (placed & set(world.picture.silent)))
    targets = [
        Target(pod=pod.name, ip=pod.ip, node=pod.node, uid=pod.uid)
        for pod in (snapshot.pods[name] for name in names)
        if pod.ip and not pod.deleting
    ]
    return _keep(world, (build_endpoints(world.cluster, snapshot.site, tuple(targets)),))


def _published_pods(world: World) -> set[str]:
    manifest = build_endpoints(world.cluster, world.picture.snapshot.site, ())
    live = world.picture.snapshot.children.get(ref_of(manifest)) or {}
    return set(_target_names(live))


def _target_names(node: object) -> list[str]:
    """Names of the pods that endpoints, of either API, refer to."""
    if isinstance(node, dict):
        target = node.get("targetRef")
        own = [str(target.get("name"))] if isinstance(target, dict) else []
        return own + [name for value in node.values() for name in _target_names(value)]
    if isinstance(node, list):
        return [name for value in node for name in _target_names(value)]
    return []


# ---- pods


def replace_stuck_pods(world: World) -> Ruling:
    """A pod that never ran and cannot, made from a template that has changed since, is made anew.

    With OnDelete nobody else would: correcting a bad image must be enough to heal.
    """
    snapshot = world.picture.snapshot
    steps = []
    for shard in world.picture.shards:
        revision = _update_revision(snapshot.children.get(Ref("StatefulSet", shard.name)))
        for name in shard.wanted:
            pod = snapshot.pods.get(name)
            if pod is None or pod.trouble is None or pod.ever_ran or pod.deleting or not revision:
                continue
            if pod.revision != revision:
                why = f"it never ran ({pod.trouble.reason}) and its template has changed since"
                steps.append(ReplacePod(pod=name, uid=pod.uid, why=why))
    return Ruling(steps=tuple(steps))


def _update_revision(statefulset: JSONObject | None) -> str | None:
    """The revision of the present template; None while the StatefulSet's controller has not seen it yet."""
    if statefulset is None:
        return None
    status, metadata = statefulset.get("status"), statefulset.get("metadata")
    if not isinstance(status, dict) or not isinstance(metadata, dict):
        return None
    if status.get("observedGeneration") != metadata.get("generation"):
        return None
    revision = status.get("updateRevision")
    return revision if isinstance(revision, str) else None


# ---- membership


def forget_ghosts(world: World) -> Ruling:
    """Ids that no process has any more are forgotten by all who know them, at once: gossip would bring them back."""
    picture = world.picture
    if not picture.ghosts:
        return Ruling()
    if hold := _everybody_has_answered(picture, "nodes that are gone are forgotten only when every process answers"):
        return Ruling(holds=(hold,))
    steps: list[Step] = []
    holds = []
    for ghost in picture.ghosts:
        heirs = [member.name for member in picture.members if member.view.me.primary_id == ghost]
        if heirs:
            why = f"{', '.join(heirs)} still replicates the lost node {ghost[:8]}: the engine's vote comes first"
            holds.append(Hold(guard="no_replica_follows_the_ghost", why=why))
            continue
        steps += [
            Forget(process=member.process, ghost_id=ghost, why=f"no pod has the node id {ghost[:8]}")
            for member in picture.members
            if ghost in member.view.others
        ]
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def assign_free_slots(world: World) -> Ruling:
    """Slots that nobody owns go to the shard they are recorded for; a new cluster's are split evenly.

    Order of the guards is meaning: the first that refuses is the reason in status.
    """
    picture = world.picture
    if not picture.unowned:
        return Ruling()
    if _is_new(world):
        return _assign_first_slots(world)
    if hold := _everybody_has_answered(picture, "slots are assigned only when every process answers"):
        return Ruling(holds=(hold,))
    steps: list[Step] = []
    for shard, intended in zip(picture.shards, picture.intended, strict=True):
        free = intended & picture.unowned
        if not free:
            continue
        if hold := _may_own_more(picture, shard):
            return Ruling(holds=(hold,))  # all or nothing: a part of the data is not the data
        assert shard.primary_to_be is not None  # noqa: S101 _may_own_more has looked
        steps.append(_assign(picture, shard, shard.primary_to_be, free))
    return Ruling(steps=tuple(steps))


def _is_new(world: World) -> bool:
    """It never was whole, and no volume can bring back what an older cluster knew."""
    return not world.picture.was_whole and not world.cluster.spec.storage_class


def _assign_first_slots(world: World) -> Ruling:
    """The first pod of each new shard gets its slots as soon as it answers, without waiting for the other shards.

    A primary that sees no slots at all for more than two seconds after its start counts itself to a minority, and then
    takes no write for another cluster-node-timeout (cluster.c, clusterUpdateState). Nobody can write to the half of a
    cluster meanwhile: it demands full coverage.
    """
    picture = world.picture
    if picture.silent:
        return Ruling(holds=(_silence(picture, "slots are assigned only when every process answers"),))
    steps: list[Step] = []
    holds: list[Hold] = []
    for shard, intended in zip(picture.shards, picture.intended, strict=True):
        free = intended & picture.unowned
        if not free:
            continue
        if hold := _first_pod_is_awaited(picture, shard) or _may_own_more(picture, shard):
            holds.append(hold)
            continue
        assert shard.primary_to_be is not None  # noqa: S101 _may_own_more has looked
        steps.append(_assign(picture, shard, shard.primary_to_be, free))
    return Ruling(steps=tuple(steps), holds=tuple(holds))


def _first_pod_is_awaited(picture: Picture, shard: Shard) -> Hold | None:
    """The first pod is the primary while it can be; one that ran before and does not answer may own the slots."""
    answered = {member.name for member in shard.members}
    first = shard.wanted[0]
    if first not in answered and first in picture.starting_pods:
        return Hold(guard="pods_have_started", why=f"waiting for {first} to start")
    pods = picture.snapshot.pods
    unheard = [name for name in shard.wanted if name in pods and pods[name].ever_ran and name not in answered]
    if unheard:
        return Hold(guard="every_process_answers", why=f"{unheard[0]} ran before and may own slots; it does not answer")
    return None


def _assign(picture: Picture, shard: Shard, owner: Member, free: SlotSet) -> AssignSlots:
    return AssignSlots(
        process=owner.process,
        shard=shard.name,
        slots=free,
        config_epoch=shard.index + 1 if owner.met_nobody and owner.view.me.config_epoch == 0 else None,
        why=f"{len(free)} slots of shard {shard.name} belong to nobody"
        + (" and status.slots records them here" if picture.was_whole else ""),
    )


def _everybody_has_answered(picture: Picture, why: str) -> Hold | None:
    if picture.silent:
        return _silence(picture, why)
    if picture.starting_pods:
        return Hold(guard="pods_have_started", why=f"waiting for {_names(picture.starting_pods)} to start")
    loading = [member.name for member in picture.members if member.facts.loading]
    if loading:
        return Hold(guard="data_is_loaded", why=f"{_names(tuple(loading))} still loads its data")
    return None


def _silence(picture: Picture, why: str) -> Hold:
    pod, unknown = next(iter(picture.silent.items()))
    return Hold(guard="every_process_answers", why=f"{why}; {pod} is silent: {unknown.error}")


def _may_own_more(picture: Picture, shard: Shard) -> Hold | None:
    if not shard.members:
        return Hold(guard="every_shard_has_a_process", why=f"no process of shard {shard.name} runs")
    orphans = [
        member.name for member in shard.members if member.is_replica and member.view.me.primary_id not in picture.by_id
    ]
    if orphans:
        why = f"{_names(tuple(orphans))} may hold the data of shard {shard.name}: the engine's vote comes first"
        return Hold(guard="no_replica_holds_the_data", why=why)
    if shard.primary_to_be is None:
        return Hold(guard="a_primary_is_there", why=f"every process of shard {shard.name} is a replica")
    return None


def introduce(world: World) -> Ruling:
    """Every process knows every other under its present address.

    Each is introduced to those 1, 2, 3, 4, 8, 16, ... places further on that it does not know: all pairs of a small
    cluster, and enough for gossip to do the rest quickly in a large one.
    """
    picture = world.picture
    members = picture.members
    if picture.unowned and not picture.was_whole and picture.starting_pods:
        # A new cluster is put together in one go; who comes first would only be introduced to nobody.
        return Ruling()
    if picture.twice_owned:
        why = f"slots {picture.twice_owned} have two owners: joining them would lose one side's keys"
        return Ruling(holds=(Hold(guard="no_slot_has_two_owners", why=why),))
    steps = []
    for place, member in enumerate(members):
        near = {(place + distance) % len(members) for distance in _distances(len(members))}
        peers = tuple(members[other] for other in sorted(near) if other != place and not member.knows(members[other]))
        if peers:
            steps.append(
                Meet(
                    process=member.process,
                    peers=tuple(peer.process for peer in peers),
                    why=f"{member.name} does not know them under their present address",
                )
            )
    return Ruling(steps=tuple(steps))


def _distances(count: int) -> list[int]:
    distances = [3]
    step = 1
    while step < count:
        distances.append(step)
        step *= 2
    return distances


def attach_replicas(world: World) -> Ruling:
    """Every process of a shard that owns no slots replicates the one that does."""
    steps = []
    for shard in world.picture.shards:
        primary = shard.owner
        if primary is None:
            continue
        steps += [
            Replicate(process=member.process, primary=primary.process, why=_why_attach(member, shard))
            for member in shard.members
            if member is not primary and _should_follow(member, primary) and member.knows(primary)
        ]
    return Ruling(steps=tuple(steps))


def _should_follow(member: Member, primary: Member) -> bool:
    return not member.slots and member.view.me.primary_id != primary.id


def _why_attach(member: Member, shard: Shard) -> str:
    if member.is_replica:
        return f"it replicates a node outside shard {shard.name}"
    return f"it owns no slots and replicates nobody, and shard {shard.name} has its primary"


# ---- configuration


def limit_memory(world: World) -> Ruling:
    """maxmemory of every process is what capacity gives it."""
    wanted = world.cluster.spec.maxmemory_mib * MIB
    steps = [
        SetConfig(process=member.process, parameter="maxmemory", value=wanted, why=_why_limit(member, world.cluster))
        for member in world.picture.members
        if member.facts.maxmemory_bytes != wanted
    ]
    return Ruling(steps=tuple(steps))


def set_node_timeout(world: World) -> Ruling:
    """Blank nodes start with a short node timeout, so that a new cluster takes writes at once; then it is raised.

    Only in a cluster that works: until then the timeout is also how long a primary waits before it takes writes.
    """
    if not world.picture.is_whole:
        return Ruling()
    why = "the cluster works; the short timeout was for its beginning"
    steps = [
        SetConfig(process=member.process, parameter="cluster-node-timeout", value=NODE_TIMEOUT_MS, why=why)
        for member in world.picture.members
        if member.facts.node_timeout_ms != NODE_TIMEOUT_MS
    ]
    return Ruling(steps=tuple(steps))


def _why_limit(member: Member, cluster: RedisCluster) -> str:
    now = member.facts.maxmemory_bytes // MIB
    return f"capacity {cluster.spec.capacity} over {cluster.spec.size} shards; it has {now} MiB"


RULES: tuple[Rule, ...] = (
    keep_children,
    keep_proxy,
    remove_unwanted,
    replace_stuck_pods,
    publish_endpoints,
    forget_ghosts,
    assign_free_slots,
    introduce,
    attach_replicas,
    limit_memory,
    set_node_timeout,
)


def ref_of(manifest: JSONObject) -> Ref:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 our own builders made it
    return Ref(str(manifest["kind"]), str(metadata["name"]))


def service_ip(service: JSONObject | None) -> str | None:
    """clusterIP of a Service as the API server gave it; None: no such Service, or headless."""
    spec = service.get("spec") if service else None
    address = spec.get("clusterIP") if isinstance(spec, dict) else None
    return address if isinstance(address, str) and address not in ("", "None") else None


def _metadata(live: JSONObject | None) -> JSONObject:
    metadata = live.get("metadata") if live else None
    return metadata if isinstance(metadata, dict) else {}


def _names(pods: tuple[str, ...]) -> str:
    """A few names, and how many more: a sentence stays a sentence with 200 pods."""
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
