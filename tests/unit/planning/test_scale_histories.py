"""Histories of edits, deaths and interruptions while the number of shards changes: whatever comes, every key is where
clients look for it in the end, and the cluster is as spec says.
"""

from __future__ import annotations

import random

import pytest

from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.test_scale import edit, finish, full, is_whole

EVENTS = 10
IMAGES = ("redis:7.0", "redis:7.0.15")


def has_two_copies(world: SimulatedCluster) -> bool:
    """Whoever dies now, somebody has its data."""
    nodes = world.nodes()
    by_id = {node.id: node for node in nodes}
    if any(node.primary and node.primary not in by_id for node in nodes):
        return False
    copied = {node.primary for node in nodes if node.primary and node.slot_keys == by_id[node.primary].slot_keys}
    return all(node.primary or node.id in copied for node in nodes if node.slots or any(node.slot_keys.values()))


def happens(world: SimulatedCluster, choice: random.Random) -> None:
    """One thing that comes in between."""
    match choice.choice(("size", "size", "image", "capacity", "death", "death", "interrupted", "restart", "time")):
        case "size":
            edit(world, size=choice.choice((3, 4, 5)))
        case "image":
            edit(world, image=choice.choice(IMAGES))
        case "capacity":
            edit(world, capacity=choice.choice((384, 480, 600)))
        case "death":
            running = [name for name, pod in sorted(world.pods.items()) if pod.process and not pod.deleting]
            if running and has_two_copies(world):
                world.lose(choice.choice(running))
        case "interrupted":
            world.run_pass(interrupt_after=choice.randrange(6))
        case "restart":
            world.operator_died()
        case "time":
            world.settle(choice.choice((0.1, 1.0, 5.0)))


def history(seed: int) -> None:
    choice = random.Random(seed)  # noqa: S311 no secret: a history
    world = full(choice.choice((3, 4)), keys=30)
    world.mover.batch = choice.choice((300, 1000, 2500))
    for _ in range(EVENTS):
        happens(world, choice)
        for _ in range(choice.randrange(6)):
            world.run_pass()
    size = world.cluster.spec.size
    finish(world)
    is_whole(world, size, with_keys=31)


@pytest.mark.parametrize("seed", range(5))
def test_no_key_is_lost_and_spec_is_reached_in_the_end(seed: int) -> None:
    history(seed)
