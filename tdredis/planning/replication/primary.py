"""Decides who the primary is, and with it whom everybody else follows."""

from __future__ import annotations

from collections.abc import Sequence, Set

from tdredis.manifests.claims import CLAIM
from tdredis.planning.disks import may_take_over, no_candidate_has_room
from tdredis.planning.loss import wants_to_begin_anew
from tdredis.planning.plan import Ruling, held
from tdredis.planning.pods import silence_hold
from tdredis.planning.proof import is_proven_dead
from tdredis.planning.replication.members import Member, Place, Watcher
from tdredis.planning.replication.passing import handover_ends, pass_on
from tdredis.planning.replication.world import World
from tdredis.planning.sentences import list_names
from tdredis.planning.steps import FailOver, Follow, Promote, SetConfig
from tdredis.planning.surplus import condemned_pods, surplus_pod
from tdredis.redis.histories import bytes_alone

PRIORITY = "replica-priority"
# Of those that are in sync a Sentinel chooses the one with the lowest, whatever their offsets are. Source: sentinel.c,
# compareSlavesForPromotion.
CHOICE, LAST_CHOICE = 100, 200


def have_a_primary(world: World) -> Ruling:
    """There is a primary: the Sentinels' own failover where one died, the operator's choice where nobody can vote."""
    if world.primary is not None:
        return Ruling()
    if world.in_failover:
        return held("no_failover_in_progress", _failover_under_way(world))
    if (ruling := handover_ends(world)) is not None:
        return ruling
    if len(world.primaries) > 1:
        return _choose_among(world, world.primaries)
    if world.agreed is not None and (sentinel := _failover_leader(world)) is not None:
        return _fail_over(world, sentinel)
    return _take_over(world) or _elect(world)


def _fail_over(world: World, sentinel: Watcher) -> Ruling:
    """Order of the guards is meaning: the first that refuses is the reason in status."""
    if proof := _proof_of_death(world):
        if sentinel.facts.in_tilt:
            return _held_by_tilt(world, proof)
        return Ruling(steps=(failover_step(world, sentinel, why=proof),))
    pod = world.agreed_pod
    name = pod.name if pod else "the primary"
    return held("primary_is_proven_dead", f"{name} does not answer, which is no proof that it died")


def _failover_under_way(world: World) -> str:
    at_it = [each.name for each in world.watchers if each.watch and each.watch.in_failover and each.facts.in_tilt]
    return "a Sentinel is carrying out a failover" + (f", and waits: {list_names(at_it)} is in TILT" if at_it else "")


def _held_by_tilt(world: World, why: str) -> Ruling:
    """A Sentinel in TILT answers OK to SENTINEL FAILOVER, and begins when TILT ends (sentinel.c,
    sentinelHandleRedisInstance): another one would have done it by then.
    """
    names = list_names([watcher.name for watcher in world.watchers if watcher.facts.in_tilt])
    return held(
        "some_sentinel_is_not_in_tilt",
        f"{why}, and no Sentinel can fail over before TILT ends, 30 s after it was stalled last: {names}."
        " Their nodes are too busy, or their clocks were set",
    )


def failover_step(
    world: World, sentinel: Watcher, *, why: str, primary: Member | None = None, candidates: Sequence[Member] = ()
) -> FailOver:
    return FailOver(
        process=sentinel.process,
        master_name=world.master_name,
        primary=primary.process if primary else None,
        candidates=tuple(candidate.process for candidate in candidates),
        least=(primary.facts.min_replicas_to_write or 0) if primary else 0,
        why=why,
    )


def _proof_of_death(world: World) -> str:
    """Why the process that the Sentinels took for the primary is certainly no more; "": there is no proof."""
    pod = world.agreed_pod
    if world.agreed is None:
        return ""
    if pod is None:
        return f"the pod of the primary, at {world.agreed[0]}, is gone"
    if world.chosen is not None:
        return f"{pod.name} was restarted, and is a replica of nobody"
    lost = sum(watcher.watch is not None and _has_lost(watcher) for watcher in world.watchers)
    losers = f"{lost} of {len(world.watchers)} Sentinels"
    unknown = world.redis.unresponsive.get(pod.name)
    return is_proven_dead(pod, unknown, lost=lost, observers=len(world.watchers), losers=losers)


def _has_lost(watcher: Watcher) -> bool:
    """In TILT only its connections are news: what it considers down is what it did when TILT began."""
    signs = {"disconnected"} if watcher.facts.in_tilt else {"disconnected", "s_down", "o_down"}
    return watcher.watch is not None and bool(watcher.watch.flags & signs)


def _failover_leader(world: World) -> Watcher | None:
    """The Sentinel to ask: one that knows a replica that could take over; not in TILT, if there is one; that knows the
    most of them, then one that reaches the most others, then the last by name: clients ask the first before the others,
    and who carries out a failover is the last to tell of the new primary.
    """
    candidates = _heirs(world)

    def known(watcher: Watcher) -> int:
        if watcher.watch is None or (watcher.watch.host, watcher.watch.port) != world.agreed:
            return 0
        places = {(replica.host, replica.port) for replica in watcher.watch.replicas if not replica.is_down}
        return sum(member.place in places for member in candidates)

    able = [watcher for watcher in world.watchers if known(watcher)]
    return max(
        able,
        key=lambda watcher: (not watcher.facts.in_tilt, known(watcher), _peers(watcher), watcher.name),
        default=None,
    )


def _heirs(world: World) -> list[Member]:
    """Replicas that may take the place of whom the Sentinels agree on.

    Beside a primary whose data is there, or comes back, what a replica has on its own disk does not count: it may
    have been away for a day. Only who has been in sync since its start has it all.
    """
    is_left = _its_data_is_left(world)
    others = [member for member in world.members if member.may_be_chosen and _may_lead(member)]
    able = [member for member in others if (member.has_synced if is_left else member.has_data)]
    return [member for member in able if world.agreed is None or not member.is_at(world.agreed)]


def _take_over(world: World) -> Ruling | None:
    """The operator's word in place of the failover that the Sentinels would carry out if they knew a replica. They have
    forgotten it by SENTINEL RESET, or began to watch too late, and only the primary could tell them of it.

    None: that is not so; or the process that they take for the primary is back with its data, and is it again; or it is
    not the one that was the primary last, who may live.
    """
    chosen, pod = world.chosen, world.agreed_pod
    if pod is None or world.recorded not in ("", pod.name):
        return None
    if chosen is not None and chosen.has_data and _may_lead(chosen):
        return None
    proof = _proof_of_death(world) or (f"most Sentinels find {pod.name} down" if world.is_voted_out else "")
    heirs = _heirs(world)
    if not proof or not heirs:
        return None
    best = min(heirs, key=lambda heir: (-heir.facts.replication.offset_bytes, -heir.facts.keys, heir.name))
    return Ruling(steps=(Promote(process=best.process, why=f"{proof}, and no Sentinel knows a replica to choose"),))


def _peers(watcher: Watcher) -> int:
    """Other Sentinels that it reaches."""
    return sum(not known.is_down for known in watcher.watch.sentinels) if watcher.watch else 0


def _its_data_is_left(world: World) -> bool:
    """What the process had that the Sentinels took for the primary is not lost for certain."""
    if world.chosen is not None:
        return world.chosen.has_data or world.chosen.facts.loading
    return world.agreed_pod is not None or bool(world.instance.spec.storage_class)


def _may_lead(member: Member) -> bool:
    return not member.pod.deleting and not member.facts.loading


def _elect(world: World) -> Ruling:
    """The operator chooses: nobody watches (yet), or those who watch know nobody who could take over."""
    able = tuple(member for member in world.members if _may_lead(member))
    loading = [member.name for member in world.members if member.facts.loading]
    if loading:
        return held("everybody_has_loaded", f"{list_names(loading)} still loads data, perhaps the newest there is")
    nobody_has_data = not world.instance.spec.storage_class and not any(member.has_data for member in able)
    if not world.recorded and nobody_has_data and not world.redis.has_unknown:
        # A new instance: nobody can have data, so the first pod need not wait for the others.
        first = world.redis.wanted[0]
        if first in world.redis.starting:
            return held("pods_have_started", f"waiting for {first} to start")
        return _begin_anew(world, able)
    if world.redis.unresponsive:
        return Ruling(
            holds=(silence_hold(world.redis.unresponsive, "a primary is chosen only when every process answers"),)
        )
    leaving = [member.name for member in world.members if member.pod.deleting and member.has_data]
    late = (*world.redis.without_process, *_may_bring_data(world), *leaving)
    if late:
        return held("pods_have_started", f"a primary is chosen only when all have answered: {list_names(late)}")
    return _begin_anew(world, able)


def _begin_anew(world: World, able: tuple[Member, ...]) -> Ruling:
    """Nobody is made the primary because all are empty, where there was data."""
    if world.lost and not wants_to_begin_anew(world.snapshot.instance):
        return held("data_is_not_lost", world.lost)
    return _choose_among(world, able)


def _may_bring_data(world: World) -> list[str]:
    """Pods that start. One that is not even made, because a quota forbids it, say, has no data but on a volume."""
    snapshot = world.snapshot
    return [name for name in world.redis.starting if name in snapshot.pods or f"{CLAIM}-{name}" in snapshot.claims]


def _choose_among(world: World, members: tuple[Member, ...]) -> Ruling:
    """The one with the data: who has any, then the last primary (as the Sentinels know it, as status does), then the
    furthest, the most keys, the lowest name. A standalone's own pod and the one beside it: the furthest before others.
    """
    if not members:
        return held("some_process_runs", "no Redis process runs that could be the primary")
    if len(world.primaries) > 1 and (world.redis.has_unknown):
        return held("every_process_answers", "of two primaries one is chosen only when every process answers")
    best = min(
        members,
        key=lambda member: (
            not member.has_data,
            world.standby is None and -member.facts.replication.offset_bytes,
            member is not world.chosen,
            member.name != world.recorded,
            -member.facts.replication.offset_bytes,
            -member.facts.keys,
            member.name,
        ),
    )
    if not best.is_primary:
        if wrong := [member for member in members if member.is_primary]:
            # It takes writes that would be lost: first it takes none.
            why = f"{best.name} has the data, and it has none"
            return Ruling(steps=tuple(_follow(member, best, why) for member in wrong))
        why = "it has the data" if best.has_data else "nobody has data, and it is the first"
        return Ruling(steps=(Promote(process=best.process, why=f"there is no primary; {why}"),))
    return Ruling(
        steps=tuple(_follow(member, best, f"{best.name} is the primary") for member in members if member is not best)
    )


# ---- a primary that still lives


def hand_over_leaving(world: World) -> Ruling:
    """A primary whose pod is being deleted hands over first: its container waits for that before it ends (stop.sh)."""
    primary = world.primary
    if primary is None or not primary.pod.deleting or world.in_failover:
        return Ruling()
    candidates = [member for member in world.replicas_in_sync() if not member.pod.deleting]
    if world.standby is None:
        return pass_on(primary, candidates, f"{primary.name} is being deleted")
    return hand_over(world, primary, candidates, f"{primary.name} is being deleted")


def hand_over_full(world: World) -> Ruling:
    """A primary that cannot write to its disk refuses writes: it hands over, once, to a replica that can."""
    primary = world.primary
    if world.standby is None or primary is None or primary.pod.deleting or world.in_failover:
        return Ruling()
    if not primary.facts.write_error:
        return Ruling()
    able = [each for each in world.replicas_in_sync() if not each.pod.deleting and each.may_be_chosen]
    candidates = [each for each in able if may_take_over(each.facts)]
    if not candidates:
        return Ruling(holds=(no_candidate_has_room(primary.name, primary.facts),))
    why = f"{primary.name} cannot write to its disk ({primary.facts.write_error})"
    return hand_over(world, primary, candidates, why)


def hand_over(world: World, primary: Member, candidates: Sequence[Member], why: str) -> Ruling:
    """The Sentinels' failover while the primary's writes are stopped, so that its candidate has them all."""
    if world.in_failover:
        return held("no_failover_in_progress", _failover_under_way(world))
    able = [watcher for watcher in reversed(world.watchers) if can_hand_over(watcher, world, primary, candidates)]
    awake = [watcher for watcher in able if not watcher.facts.in_tilt]
    if awake:
        why = f"{why}; {list_names([candidate.name for candidate in candidates])} has its data"
        return Ruling(steps=(failover_step(world, awake[0], why=why, primary=primary, candidates=candidates),))
    return _held_by_tilt(world, why) if able else Ruling()


def can_hand_over(watcher: Watcher, world: World, primary: Member, candidates: Sequence[Member]) -> bool:
    """It watches *primary*, and knows one of *candidates*.

    Sentinels consider a primary down that answers PING with an error, as one does that cannot write to its disk. One
    that would choose a replica whose disk is full is not asked.
    """
    watch = watcher.watch
    if watch is None or (watch.is_down and not primary.facts.write_error):
        return False
    if (watch.host, watch.port) != primary.place:
        return False
    may_be_chosen = {(known.host, known.port) for known in watch.replicas if known.priority and not known.is_down}
    unfit = {each.place for each in world.members if each.facts.write_error}
    return not may_be_chosen & unfit and bool(may_be_chosen & {candidate.place for candidate in candidates})


# ---- replicas


def vouch_for_replicas(world: World) -> Ruling:
    """Sentinels may choose a replica once it has everything, and not before: they would choose an empty one too, and
    the primary would be emptied after it.
    """
    if world.standby is None or world.primary is None or world.in_failover:
        return Ruling()
    synced = world.replicas_in_sync()
    wanted = world.redis.wanted
    surplus = surplus_pod(world.snapshot, world.instance.name, len(wanted))
    passing = condemned_pods(world.snapshot, wanted) | ({surplus} if surplus else set())
    steps = [
        _priority(
            member,
            LAST_CHOICE if member.name in passing else CHOICE,
            "it is in sync and may take over"
            + (", if nobody else can: it is not here for long" if member.name in passing else ""),
        )
        for member in synced
        if not member.facts.write_error and _is_another_choice(member, passing)
    ]
    steps += [
        _priority(member, 0, "it cannot write to its disk and may not take over")
        for member in synced
        if member.may_be_chosen and member.facts.write_error
    ]
    steps += [
        _priority(member, 0, "it has no copy and may not take over")
        for member in world.members
        if member.may_be_chosen and member not in synced and not member.facts.replication.was_linked
    ]
    return Ruling(steps=tuple(steps))


def _is_another_choice(member: Member, passing: Set[str]) -> bool:
    """What a person set, other than the two values that are ours, stays."""
    now, wanted = member.facts.replication.priority, LAST_CHOICE if member.name in passing else CHOICE
    return not member.may_be_chosen or (now in (CHOICE, LAST_CHOICE) and now != wanted)


def _priority(member: Member, value: int, why: str) -> SetConfig:
    before = member.facts.replication.priority
    return SetConfig(process=member.process, parameter=PRIORITY, before=before, value=value, why=why)


def follow_the_primary(world: World) -> Ruling:
    """Everybody else replicates the primary, under the address that it has now. Second primaries are demoted first,
    unless the Sentinels may be making one of them the primary at this very moment. Whom they have just replaced is not
    spared until they are done: its clients wait, or write what will not count.
    """
    primary = world.primary
    if primary is None:
        return Ruling()
    others = [
        member
        for member in world.members
        # One that still loads its data refuses to follow anybody.
        if member is not primary and not world.is_attached(member) and not member.facts.loading
    ]
    wrong = [member for member in others if member.is_primary]
    is_promoted = world.is_promoted(primary) and not any(map(world.is_promoted, wrong))
    if wrong and not is_promoted and not _is_settled(world):
        return held("no_failover_in_progress", "the Sentinels may be about to replace the primary")
    steps = [_follow(member, primary, f"{primary.name} is the primary, and there is only one") for member in wrong]
    steps += [
        _follow(member, primary, f"{primary.name} is the primary, and it follows {_shown(member.follows)}")
        for member in others
        if not member.is_primary
    ]
    return Ruling(steps=tuple(steps))


def _is_settled(world: World) -> bool:
    """No Sentinel carries out a failover, and most of them find that the primary they chose is well."""
    watches = [watcher.watch for watcher in world.watchers if watcher.watch is not None]
    at_ease = [watch for watch in watches if not watch.is_down and not watch.in_failover]
    return not world.in_failover and (not watches or 2 * len(at_ease) > len(watches))


def _follow(member: Member, primary: Member, why: str) -> Follow:
    host, port = primary.place
    given_up = bytes_alone(member.facts.replication, primary.facts.replication) if member.is_primary else None
    return Follow(
        process=member.process,
        primary=primary.name,
        host=host,
        port=port,
        was_primary=member.is_primary,
        given_up_bytes=given_up,
        why=why,
    )


def _shown(place: Place | None) -> str:
    return "nobody" if place is None or place[0] == "127.0.0.1" else f"{place[0]}:{place[1]}"
