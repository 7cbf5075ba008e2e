"""Decides which address each node tells the others and its clients: its pod's own, or that of its pod's Service.

One node goes first: the address is the site's, and if nodes do not reach each other under it, one replica that is not
reached is the whole damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tdredis.manifests.services import build_external_services, has_external_pods
from tdredis.planning.addresses import resting_place
from tdredis.planning.cluster.members import Member
from tdredis.planning.cluster.world import World
from tdredis.planning.objects import ref_of, remove_unwanted_external
from tdredis.planning.plan import Hold, Ruling
from tdredis.planning.sentences import list_names
from tdredis.planning.status_addresses import endpoint
from tdredis.planning.steps import Remove, SetConfig
from tdredis.planning.trials import may_be_announced
from tdredis.redis.facts import Announced


def announce_addresses(world: World) -> Ruling:
    """Every node announces the address at which it is to be reached."""
    late = _late(world)
    holds = tuple(member.target for member in world.members if isinstance(member.target, Hold))[:1]
    if not late:
        return Ruling(holds=holds)
    late, refused = _tried(world, late)
    holds = (*holds, *refused[:1])
    if not late:
        return Ruling(holds=holds)
    if not has_external_pods(world.snapshot.cluster):
        # Going back is always allowed: pods reach each other under their own addresses.
        return Ruling(steps=tuple(step for each in late for step in each.steps()))
    if not world.is_whole:
        # What does not work as it is may be all that keeps the cluster from working; the others' addresses do.
        lost = [each for each in late if _is_outside(each.member) and not _is_reached(world, each.member)]
        why = "nodes get addresses for outside when the cluster works"
        waiting = () if lost else (Hold(guard="cluster_works", why=why),)
        steps = (step for each in lost for step in each.steps())
        return Ruling(steps=tuple(steps), holds=(*holds, *waiting))
    settled = [member for member in world.members if member.announces == member.target]
    if hold := _all_are_reached(world, settled):
        return Ruling(holds=(*holds, hold))
    chosen = late if settled else [_first(late)]
    return Ruling(steps=tuple(step for each in chosen for step in each.steps()), holds=holds)


def remove_unannounced(world: World) -> tuple[Remove, ...]:
    """Pods' own Services that are not wanted any more, once no node believes in their addresses."""
    snapshot = world.snapshot
    wanted = build_external_services(world.instance)
    return tuple(step for step in remove_unwanted_external(snapshot, wanted) if _is_unused(world, step.ref.name))


def is_moving(world: World) -> bool:
    """Some node does not announce yet, or is not known yet, by what it is to be: nobody sends news of that."""
    wanted = {ref_of(service) for service in build_external_services(world.instance)}
    children = world.snapshot.children
    live = {ref for ref in children if ref.kind == "Service" and children[ref].is_external_service}
    late = _late(world)
    return len(late) > len(_tried(world, late)[1]) or not live <= wanted


@dataclass(frozen=True, slots=True)
class _Late:
    """A node that does not announce yet what it is to announce."""

    member: Member
    target: Announced

    def steps(self) -> Iterator[SetConfig]:
        """The ports before the address: it is by the address that others notice."""
        target, own = self.target, self.target == resting_place(self.member.pod)
        place = endpoint(target.host, target.port)
        why = "it is reached at its pod's address" if own else f"others reach it at {place}"
        now = self.member.announces
        values: tuple[tuple[str, int | str, int | str], ...] = (
            ("cluster-announce-port", now.port, 0 if own else target.port),
            ("cluster-announce-bus-port", now.bus_port, 0 if own else target.bus_port),
            ("cluster-announce-ip", now.host, target.host),
        )
        for parameter, before, value in values:
            yield SetConfig(process=self.member.process, parameter=parameter, before=before, value=value, why=why)


def _late(world: World) -> list[_Late]:
    return [
        _Late(member, member.target)
        for member in world.members
        if isinstance(member.target, Announced) and member.announces != member.target and not member.pod.deleting
    ]


def _tried(world: World, late: list[_Late]) -> tuple[list[_Late], list[Hold]]:
    """Those of *late* that may be told their address now, and why others may not. Going back is always allowed."""
    if not has_external_pods(world.snapshot.cluster):
        return late, []
    found = [(each, may_be_announced(world.snapshot, each.member.name, each.target)) for each in late]
    return [each for each, may in found if may is True], [may for _, may in found if isinstance(may, Hold)]


def _first(late: list[_Late]) -> _Late:
    """A replica if there is one: that it is not reached costs no slot."""
    return min(late, key=lambda each: (not each.member.is_replica, each.member.name))


def _all_are_reached(world: World, settled: list[Member]) -> Hold | None:
    """Guard: whoever has its new address is reached by all others there."""
    for member in settled:
        deaf = [other for other in _others(world, member) if not _reaches(other, member)]
        if not deaf:
            continue
        where, whom = endpoint(member.announces.host, member.announces.port), list_names([each.name for each in deaf])
        if any({"fail", "fail?"} & _flags(other, member) for other in deaf):
            why = (
                f"{whom} cannot reach {member.name} at {where}: pods must reach what clients are told, bus port and all"
            )
            return Hold(guard="announced_addresses_are_reached", about="spec", why=why)
        why = f"{whom} has not heard yet that {member.name} is at {where}"
        return Hold(guard="announced_addresses_are_known", why=why)
    return None


def _is_reached(world: World, member: Member) -> bool:
    """By all others, at the address that it announces."""
    return all(_reaches(other, member) for other in _others(world, member))


def _others(world: World, member: Member) -> list[Member]:
    return [other for other in world.members if other is not member]


def _is_outside(member: Member) -> bool:
    return member.announces != resting_place(member.pod)


def _reaches(other: Member, member: Member) -> bool:
    known = other.view.others.get(member.id)
    announced = (member.announces.host, member.announces.port)
    return known is not None and known.link_connected and (known.ip, known.port) == announced


def _flags(other: Member, member: Member) -> frozenset[str]:
    known = other.view.others.get(member.id)
    return known.flags if known else frozenset()


def _is_unused(world: World, pod: str) -> bool:
    """Its node announces another address, and all that answer have heard of it; or there is no such pod."""
    if pod not in world.snapshot.pods:
        return True
    member = next((each for each in world.members if each.name == pod), None)
    return member is not None and not _is_outside(member) and _is_reached(world, member)
