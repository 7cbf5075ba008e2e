"""Whoever moves slots, simulated: a batch each time that time passes, and it can be killed between any two of them.

What slots weigh and who has room is decided by the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from tdredis.planning.moving import MoveOrder, Moving, State
from tdredis.redis.loads import ShardLoad, SlotLoad
from tdredis.redis.moves import Move, NoRoom, plan_moves
from tdredis.redis.slots import SlotRange, SlotSet

KEY_BYTES = 1000


class Node(Protocol):
    """A redis-server, as far as slots are concerned."""

    id: str
    maxmemory: int
    used_mib: int
    slots: SlotSet
    primary: str | None
    migrating: dict[int, str]
    importing: dict[int, str]
    slot_keys: dict[int, dict[str, int]]


class SimulatedMover:
    """*nodes*: those that run; *bump* gives one a new epoch. *batch*: slots that are opened together. *stuck*: slots
    with a key that nobody can move.
    """

    def __init__(self, nodes: Callable[[], Sequence[Node]], bump: Callable[[Any], None]) -> None:
        self._nodes = nodes
        self._bump = bump
        self.moving: Moving | None = None
        self.batch = 500
        self.stuck: set[int] = set()
        self.begun = 0  # orders
        self._is_to_end = False
        self._is_past = False  # nothing was wanted since it ended
        self._left: list[Move] | None = None  # what was planned; None: not yet
        self._got_the_last: Node | None = None

    def order(self, order: MoveOrder | None) -> None:
        """Of a pass that went to its end. None: its plan has none. What became of the last one is known until another
        is begun.
        """
        if order is None:
            self._is_to_end = self.moving is not None and self.moving.is_under_way
            self._is_past = not self._is_to_end
        elif (
            self.moving is None
            or self._is_past
            or self.moving.order != order
            or self.moving.state in (State.STOPPED, State.FAILED)
        ):
            self._is_to_end = self._is_past = False
            self.begun += 1
            self._left = None
            self.moving = Moving(order=order, state=State.SURVEYING)

    def die(self) -> None:
        """With the operator: what is open stays open."""
        self.moving, self._is_to_end = None, False

    def refuse(self, why: str) -> None:
        """It finds that there is no room."""
        assert self.moving is not None
        self.moving = replace(self.moving, state=State.REFUSED, why=why)

    def go_on(self, seconds: float) -> None:
        """One batch."""
        if self.moving is None or not self.moving.is_under_way:
            return
        self.moving = replace(self.moving, begun_s=self.moving.begun_s + seconds)
        nodes = {node.id: node for node in self._nodes()}
        shards = {place.name: nodes.get(place.id) for place in self.moving.order.shards}
        gone = [name for name, node in shards.items() if node is None or node.primary is not None]
        if gone:
            self.moving = replace(self.moving, state=State.FAILED, why=f"{gone[0]} is not the primary any more")
            return
        places = {place.name: place.ids for place in self.moving.order.shards}
        self._one({name: node for name, node in shards.items() if node is not None}, places)

    def _one(self, shards: Mapping[str, Node], ids: Mapping[str, frozenset[str]]) -> None:
        assert self.moving is not None
        if self._finish_one(shards, ids):
            return
        if self._is_to_end:
            self.moving, self._is_to_end = replace(self.moving, state=State.STOPPED), False
            return
        if self._left is None:
            moves = plan_moves([self._load(name, node) for name, node in shards.items()], self.moving.order.leaving)
            if isinstance(moves, NoRoom):
                self.moving = replace(self.moving, state=State.REFUSED, why=moves.why)
                return
            self._left = list(moves)
        for move in self._left:
            slots = [slot for slot in move.slots if slot in shards[move.source].slots and slot not in self.stuck]
            if slots:
                self._open(shards[move.source], shards[move.target], slots[: self.batch])
                return
        kept = (slot for move in self._left for slot in move.slots if slot in self.stuck)
        stuck = tuple(f"a key of slot {slot} is too big" for slot in sorted(kept))
        self.moving = replace(self.moving, state=State.DONE, stuck=stuck)
        self._follow_the_slots([shards[name] for name in self.moving.order.leaving if not shards[name].slots])

    def _follow_the_slots(self, emptied: Sequence[Node]) -> None:
        """A primary that gave its last slot away replicates who got it, and its replicas do. Source: redis.conf,
        "cluster-allow-replica-migration".
        """
        if self._got_the_last is None:
            return
        left = {node.id for node in emptied}
        for node in self._nodes():
            if node.id in left or node.primary in left:
                node.primary = self._got_the_last.id

    def _open(self, source: Node, target: Node, slots: Iterable[int]) -> None:
        assert self.moving is not None
        assert self._left is not None
        for slot in slots:
            assert slot in source.slots, "a slot is given away by its owner"
            target.importing[slot] = source.id
            source.migrating[slot] = target.id
        self.moving = replace(
            self.moving,
            state=State.MOVING,
            slots_total=max(self.moving.slots_done, sum(len(move.slots) for move in self._left)),
            bytes_total=sum(move.size_bytes for move in self._left),
        )

    def _finish_one(self, shards: Mapping[str, Node], ids: Mapping[str, frozenset[str]]) -> bool:
        """Goes on with what is open between two of *shards*: half of the keys, the others, the slots."""
        for source_name, source in shards.items():
            for target_name, target in shards.items():
                given = {slot for slot, other in source.migrating.items() if other in ids[target_name]}
                taken = {slot for slot, other in target.importing.items() if other in ids[source_name]}
                opened = {slot for slot in given | taken if slot in source.slots}
                for slot in (given | taken) - opened:  # it went another way, or is the target's by now
                    source.migrating.pop(slot, None)
                    target.importing.pop(slot, None)
                if opened and source is not target:
                    self._finish(source, target, opened)
                    return True
        return False

    def _finish(self, source: Node, target: Node, opened: set[int]) -> None:
        assert self.moving is not None
        for slot in opened:
            target.importing[slot], source.migrating[slot] = source.id, target.id
        full = [slot for slot in sorted(opened) if source.slot_keys.get(slot)]
        if full:
            for slot in full[: max(1, len(full) // 2)]:
                keys = source.slot_keys.pop(slot)
                target.slot_keys.setdefault(slot, {}).update(keys)
            return
        taken = SlotSet.of(SlotRange(slot, slot) for slot in opened)
        assert not any(source.slot_keys.get(slot) for slot in opened), "the engine drops keys of a slot that it loses"
        source.slots -= taken
        target.slots |= taken
        self._got_the_last = target
        self._bump(target)
        for slot in opened:
            source.migrating.pop(slot, None)
            target.importing.pop(slot, None)
        done = self.moving.slots_done + len(opened)
        self.moving = replace(
            self.moving, state=State.MOVING, slots_done=done, slots_total=max(done, self.moving.slots_total)
        )

    @staticmethod
    def _load(name: str, node: Node) -> ShardLoad:
        return ShardLoad(
            name=name,
            slots={
                slot: SlotLoad(keys=len(keys), size_bytes=KEY_BYTES * len(keys))
                for slot in node.slots
                for keys in (node.slot_keys.get(slot, {}),)
            },
            used_bytes=node.used_mib * 2**20,
            maxmemory_bytes=node.maxmemory,
        )
