"""Slots that were left open, that nobody owns, or whose keys lie about: closed without a lost key, whatever is written
meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tdredis.planning.plan import Verdict
from tdredis.planning.steps import AssignSlots, CloseSlot, FailOverShard, MoveKeys, OpenSlot, TakeSlot, TellOwner
from tdredis.redis.facts import NodeFacts
from tdredis.redis.slots import SlotRange, SlotSet
from tdredis.redis.views import parse_cluster_nodes
from tests.unit.planning.passes import plan, report
from tests.unit.planning.simulated_cluster import Node, SimulatedCluster

SLOT = 93  # of the first shard
ONLY = SlotSet.of([SlotRange(SLOT, SLOT)])
STEPS = (CloseSlot, OpenSlot, MoveKeys, TakeSlot)


def healthy() -> SimulatedCluster:
    world = SimulatedCluster()
    world.converge()
    return world


def primary(world: SimulatedCluster, shard: int) -> Node:
    node = world.pods[f"redis-cluster-rat-{shard}-0"].process
    assert node is not None
    return node


def owners(world: SimulatedCluster) -> list[Node]:
    return [node for node in world.nodes() if SLOT in node.slots]


class Client:
    """Follows the engine's redirections; remembers what was acknowledged."""

    def __init__(self, world: SimulatedCluster) -> None:
        self.world = world
        self.acknowledged: dict[str, int] = {}

    def served_by(self, key: str) -> Node | None:
        """None: refused, or sent to and fro."""
        if not owners(self.world):
            return None
        (owner,) = owners(self.world)
        if key in owner.slot_keys.get(SLOT, {}) or SLOT not in owner.migrating:
            return owner
        other = next((node for node in self.world.nodes() if node.id == owner.migrating[SLOT]), None)
        return other if other is not None and SLOT in other.importing else None

    def write(self, key: str, version: int) -> None:
        node = self.served_by(key)
        if node is not None:
            node.slot_keys.setdefault(SLOT, {})[key] = version
            self.acknowledged[key] = version

    def read(self, key: str) -> int | None:
        node = self.served_by(key)
        return node.slot_keys.get(SLOT, {}).get(key) if node is not None else None


def test_what_a_node_says_of_its_open_slots_is_read() -> None:
    line = f"{'a' * 40} 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-5460 [93->-{'b' * 40}] [7-<-{'c' * 40}]"

    me = parse_cluster_nodes(line).me

    assert (me.migrating, me.importing) == ({93: "b" * 40}, {7: "c" * 40})


def kinds_until_closed(world: SimulatedCluster) -> list[str]:
    kinds = []
    for _ in range(20):
        made, _ = world.run_pass()
        kinds += [type(step).__name__ for step in made.steps if isinstance(step, STEPS)]
        if made.verdict is Verdict.HEALTHY and not made.steps:
            return kinds
    raise AssertionError(f"not closed: {kinds}")


@pytest.mark.parametrize("is_there", [True, False])
def test_what_a_mover_has_left_goes_only_if_who_was_to_take_the_slot_says_that_it_has_nothing(
    *, is_there: bool
) -> None:
    """One that is not there may come back: the owner's mark says that it was given keys."""
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    first.slot_keys[SLOT] = {"k": 1}
    first.migrating[SLOT] = second.id if is_there else "f" * 40

    (step,) = [step for step in world.run_pass()[0].steps if isinstance(step, CloseSlot)]

    assert (step.process.id, step.nobody_else_has_keys) == (first.id, is_there)


@pytest.mark.parametrize(
    ("here", "there", "gives", "takes", "expected", "owner"),
    [
        (0, 0, True, True, ["CloseSlot", "CloseSlot"], 0),
        (3, 0, True, True, ["CloseSlot", "CloseSlot"], 0),
        (3, 0, True, False, ["CloseSlot"], 0),
        (3, 0, False, True, ["CloseSlot"], 0),
        (0, 2, True, True, ["TakeSlot", "CloseSlot"], 1),
        (0, 2, False, True, ["OpenSlot", "TakeSlot", "CloseSlot"], 1),
        (0, 2, True, False, ["OpenSlot", "TakeSlot", "CloseSlot"], 1),
        (3, 2, True, True, ["MoveKeys", "TakeSlot", "CloseSlot"], 1),
        (3, 2, False, True, ["OpenSlot", "MoveKeys", "TakeSlot", "CloseSlot"], 1),
        (3, 2, True, False, ["OpenSlot", "MoveKeys", "TakeSlot", "CloseSlot"], 1),
    ],
)
def test_an_open_slot_is_closed_where_its_keys_are(
    here: int, there: int, *, gives: bool, takes: bool, expected: list[str], owner: int
) -> None:
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    first.slot_keys[SLOT] = {f"k{n}": 1 for n in range(here)}
    second.slot_keys[SLOT] = {f"k{n}": 0 for n in range(here + there - 1, here - 1, -1)}
    if gives:
        first.migrating[SLOT] = second.id
    if takes:
        second.importing[SLOT] = first.id

    assert kinds_until_closed(world) == expected

    assert owners(world) == [primary(world, owner)]
    assert len(owners(world)[0].slot_keys.get(SLOT, {})) == here + there
    recorded = world.cluster.status.slots
    assert f"redis-cluster-rat-{owner}" in {name for name, ranges in recorded.items() if any(_has(r) for r in ranges)}


def _has(text: str) -> bool:
    first, _, last = text.partition("-")
    return int(first) <= SLOT <= int(last or first)


KEYS = st.sampled_from(["a", "b", "c"])


@settings(max_examples=100, deadline=None)
@example(owner=None, gives=None, takes={0}, held=[{"a"}, set(), {"b"}], writes=[], dies_after=None)
@example(owner=2, gives=0, takes={0}, held=[set(), {"a"}, set()], writes=[[], ["a"]], dies_after=None)
@given(
    owner=st.one_of(st.none(), st.integers(0, 2)),
    gives=st.one_of(st.none(), st.integers(0, 2)),
    takes=st.sets(st.integers(0, 2)),
    held=st.lists(st.sets(KEYS), min_size=3, max_size=3),
    writes=st.lists(st.lists(KEYS, max_size=2), max_size=8),
    dies_after=st.one_of(st.none(), st.integers(0, 3)),
)
def test_whatever_was_left_open_no_write_is_lost(
    *,
    owner: int | None,
    gives: int | None,
    takes: set[int],
    held: list[set[str]],
    writes: list[list[str]],
    dies_after: int | None,
) -> None:
    """Any owner, any flags, keys on any node; clients write while it is planned, and the operator dies once."""
    world = healthy()
    nodes = [primary(world, shard) for shard in range(3)]
    nodes[0].slots -= ONLY
    client = Client(world)
    for number, node in enumerate(nodes):
        others = [each for each in nodes if each is not node]
        if number == owner:
            node.slots |= ONLY
            if gives is not None and gives != number:
                node.migrating[SLOT] = nodes[gives].id
        elif number in takes:
            node.importing[SLOT] = others[0].id
        node.slot_keys[SLOT] = dict.fromkeys(held[number], number)
    is_open = any(node.migrating or node.importing for node in nodes)
    if is_open and owner is not None:
        # Where several have a copy, the owner's is the one that clients knew; else either is better than none.
        client.acknowledged = dict(nodes[owner].slot_keys[SLOT])
    version = 10
    for keys in writes:
        made = plan(world.snapshot())
        for key in keys:
            # After it was looked, and before anything is done.
            version += 1
            client.write(key, version)
        for step in made.steps[:dies_after]:
            world.apply(step)
        dies_after = None
        world.settle()

    world.converge()

    assert not any(node.migrating or node.importing for node in world.nodes())
    assert {key: client.read(key) for key in client.acknowledged} == client.acknowledged
    if is_open:
        assert {key for keys in held for key in keys} <= set(owners(world)[0].slot_keys.get(SLOT, {}))


def told(world: SimulatedCluster) -> list[tuple[str, str, SlotSet]]:
    steps = [step for step in plan(world.snapshot()).steps if isinstance(step, TellOwner)]
    return [(step.process.id, step.owner.id, step.slots) for step in steps]


@pytest.mark.parametrize("keys_there", [0, 2], ids=["nothing came", "keys came"])
def test_who_imports_a_slot_is_told_who_took_over_for_its_owner(keys_there: int) -> None:
    """It would believe nobody to own the slot when the dead one is back as a replica, and refuse everything."""
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    second.importing[SLOT] = "f" * 40  # who is gone
    second.unheard[first.id] = first.slots
    second.slot_keys[SLOT] = {f"k{n}": 1 for n in range(keys_there)}

    assert told(world) == [(second.id, first.id, ONLY)]

    world.run_pass()
    assert told(world) == [], "once is enough"
    world.converge()
    assert not any(node.migrating or node.importing for node in world.nodes())


def test_who_took_over_while_slots_moved_is_made_known_in_the_pass_after() -> None:
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    first.migrating[SLOT], second.importing[SLOT] = second.id, first.id
    world.settle()
    world.lose("redis-cluster-rat-0-0")
    passes = iter(range(30))
    while not any(isinstance(step, FailOverShard) for step in world.run_pass()[0].steps):
        assert next(passes) < 29
    assert [(to, slots) for to, _, slots in told(world)] == [(second.id, ONLY)]


def test_nobody_is_told_of_an_owner_who_may_not_be_it() -> None:
    world = healthy()
    first, second, third = (primary(world, shard) for shard in range(3))
    second.importing[SLOT] = first.id
    assert told(world) == [], "it has heard"

    second.unheard[first.id] = ONLY
    assert told(world)
    third.slots |= ONLY
    assert told(world) == [], "two own it"


def test_nobody_is_told_of_an_owner_whom_he_takes_for_a_replica() -> None:
    """The engine would refuse it."""
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    second.importing[SLOT] = first.id
    second.unheard[first.id] = ONLY
    snapshot = world.snapshot()
    facts = snapshot.nodes["redis-cluster-rat-1-0"]
    assert isinstance(facts, NodeFacts) and facts.view is not None
    known = replace(facts.view.others[first.id], flags=frozenset({"slave"}), primary_id="f" * 40)
    view = replace(facts.view, others={**facts.view.others, first.id: known})
    nodes = {**snapshot.nodes, "redis-cluster-rat-1-0": structs.replace(facts, view=view)}

    made = plan(replace(snapshot, nodes=nodes))

    assert not any(isinstance(step, TellOwner) for step in made.steps)


def test_a_write_that_goes_to_the_other_side_while_it_is_planned_is_not_lost() -> None:
    world = healthy()
    client = Client(world)
    primary(world, 0).migrating[SLOT], primary(world, 1).importing[SLOT] = primary(world, 1).id, primary(world, 0).id
    made = plan(world.snapshot())

    client.write("new", 1)
    for step in made.steps:
        world.apply(step)

    world.converge()
    assert client.acknowledged == {"new": 1}
    assert client.read("new") == 1


def test_nothing_is_closed_while_somebody_is_silent() -> None:
    world = healthy()
    primary(world, 0).migrating[SLOT] = primary(world, 1).id
    primary(world, 2).silent = True

    made = plan(world.snapshot())

    assert not [step for step in made.steps if isinstance(step, STEPS)]
    assert "every_process_answers" in {hold.guard for hold in made.holds}


def test_a_node_that_did_not_count_its_keys_is_waited_for() -> None:
    world = healthy()
    primary(world, 0).migrating[SLOT] = primary(world, 1).id
    snapshot = world.snapshot()
    facts = snapshot.nodes["redis-cluster-rat-1-0"]
    assert isinstance(facts, NodeFacts)

    made = plan(
        replace(snapshot, nodes={**snapshot.nodes, "redis-cluster-rat-1-0": structs.replace(facts, slot_keys={})})
    )

    assert made.steps == ()
    assert "did not say how many keys" in made.holds[0].why


def test_a_slot_that_nobody_owns_and_somebody_did_not_count_is_not_given_away() -> None:
    """So many are counted in a pass. Clients would write there what is somewhere else, and lose that or this."""
    world = healthy()
    primary(world, 0).slots -= ONLY
    primary(world, 1).importing[SLOT] = primary(world, 0).id
    snapshot = world.snapshot()
    found = {name: node for name, node in snapshot.nodes.items() if isinstance(node, NodeFacts)}
    uncounted = {name: structs.replace(node, slot_keys={}) for name, node in found.items()}

    made = plan(replace(snapshot, nodes=uncounted))

    assert made.steps == ()
    assert "did not say how many keys" in made.holds[0].why


def test_what_a_replica_repeats_of_its_primary_s_open_slots_is_its_primary_s() -> None:
    """Valkey 8 tells replicas of a moving, so that who is promoted goes on with it; SETSLOT they refuse."""
    world = healthy()
    first, second = primary(world, 0), primary(world, 1)
    first.migrating[SLOT], second.importing[SLOT] = second.id, first.id
    replicas = [node for node in world.nodes() if node.primary in (first.id, second.id)]
    for replica in replicas:
        leader = first if replica.primary == first.id else second
        replica.migrating, replica.importing = leader.migrating, leader.importing

    assert kinds_until_closed(world) == ["CloseSlot", "CloseSlot"]


def test_an_open_slot_is_named() -> None:
    world = healthy()
    primary(world, 0).migrating[SLOT] = primary(world, 1).id
    snapshot = world.snapshot()

    ready = next(each for each in report(snapshot, plan(snapshot)).conditions if each.type == "Ready")

    assert (ready.status, ready.reason) == ("False", "SlotsOpen")
    assert "slot 93 is not finished on redis-cluster-rat-0-0" in ready.message


@pytest.mark.parametrize("shard", [0, 1])
def test_slots_that_nobody_owns_go_to_the_recorded_owner(shard: int) -> None:
    """Where the record names another than its nodes believe, its claim is made newer than what they believe."""
    world = healthy()
    record = {"0": ["0-5460"], "1": ["5461-10922"], "2": ["10923-16383"]}
    if shard == 1:
        record["0"], record["1"] = ["0-92", "94-5460"], ["93", "5461-10922"]
    slots = {f"redis-cluster-rat-{n}": ranges for n, ranges in record.items()}
    world.resource["status"]["slots"] = slots  # type: ignore[index, call-overload, assignment]
    primary(world, 0).slots -= ONLY

    made, _ = world.run_pass()

    assert [step.slots for step in made.steps if isinstance(step, AssignSlots)] == [ONLY]
    assert owners(world) == [primary(world, shard)]


@pytest.mark.parametrize("dies", ["source", "target"])
def test_keys_on_their_way_are_not_forgotten_with_the_node_that_a_mark_names(dies: str) -> None:
    """Redis 7 tells replicas nothing of a moving: where the others are, only the mark of the one that lives says."""
    world = healthy()
    source, target = primary(world, 0), primary(world, 1)
    source.migrating[SLOT], target.importing[SLOT] = target.id, source.id
    source.slot_keys[SLOT], target.slot_keys[SLOT] = {"left": 1}, {"moved": 1}
    victim, shard = (source, 0) if dies == "source" else (target, 1)
    replica = world.pods[f"redis-cluster-rat-{shard}-1"].process
    assert replica is not None
    replica.slot_keys[SLOT] = dict(victim.slot_keys[SLOT])

    world.lose(f"redis-cluster-rat-{shard}-0")
    world.converge()

    client = Client(world)
    assert (client.read("left"), client.read("moved")) == (1, 1)
    assert not any(node.migrating or node.importing for node in world.nodes())
    assert victim.id not in {node_id for node in world.nodes() for node_id in node.known}
