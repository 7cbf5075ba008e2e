"""Whom a pass over a large cluster asks what they believe of all others."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from tdredis.observe.views import IN_TURN, Views
from tdredis.redis.facts import Announced, NodeFacts, Replication, Unknown
from tdredis.redis.views import ClusterView, KnownNode
from tdredis.redislink.pool import Address

MANY = 3 * IN_TURN


def addresses(count: int) -> list[Address]:
    return [Address(f"uid-{number:03}", f"10.0.0.{number}") for number in range(count)]


def line(address: Address, *flags: str) -> KnownNode:
    return KnownNode(
        id=address.uid,
        ip=address.ip,
        port=6379,
        flags=frozenset(flags),
        primary_id=None,
        config_epoch=1,
        link_connected=True,
    )


def node(address: Address) -> NodeFacts:
    return NodeFacts(
        version="7.0.15",
        uptime_s=100,
        loading=False,
        used_memory_bytes=1,
        maxmemory_bytes=0,
        keys=0,
        replication=Replication(role="master", offset_bytes=0),
        view=ClusterView(me=line(address, "myself", "master")),
        cluster_ok=True,
        cluster_counts=("ok", "16384", "16384", "0", "0", "96", "48", "48", "1"),
        run_id=f"run-{address.uid}",
    )


def learned(count: int) -> Views:
    views = Views()
    views.learn((address, node(address)) for address in addresses(count))
    return views


def without_views(count: int) -> dict[Address, NodeFacts | Unknown]:
    return {address: structs.replace(node(address), view=None) for address in addresses(count)}


def test_all_nodes_of_a_small_cluster_are_asked_in_every_pass() -> None:
    assert learned(IN_TURN).due(addresses(IN_TURN)) == frozenset(addresses(IN_TURN))


def test_all_nodes_are_asked_while_one_never_was() -> None:
    assert learned(MANY - 1).due(addresses(MANY)) == frozenset(addresses(MANY))


def test_every_node_of_a_large_cluster_has_its_turn() -> None:
    views, asked = learned(MANY + 5), set[Address]()

    turns = [views.due(addresses(MANY + 5)) for _ in range(4)]

    for turn in turns:
        assert len(turn) == IN_TURN
        asked |= turn
    assert asked == set(addresses(MANY + 5))


def test_while_nothing_changes_nodes_believe_what_they_believed() -> None:
    found = learned(MANY).complete(without_views(MANY))

    assert found == {address: node(address).view for address in addresses(MANY)}


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "another"},
        {"cluster_counts": ("ok", "16384", "16383", "1", "0", "96", "48", "48", "1")},
        {"announced": Announced(host="203.0.113.1", port=30001)},
        {"replication": Replication(role="slave", offset_bytes=0, primary_host="10.0.0.1", primary_port=6379)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_nodes_are_asked_when_one_says_something_else_of_itself(change: dict[str, Any]) -> None:
    nodes = without_views(MANY)
    changed = addresses(MANY)[7]
    nodes[changed] = structs.replace(node(changed), view=None, **change)

    assert learned(MANY).complete(nodes) is None


def test_all_nodes_are_asked_when_one_does_not_answer() -> None:
    nodes = without_views(MANY)
    nodes[addresses(MANY)[7]] = Unknown(since=1.0, error="no answer within 1 s")

    assert learned(MANY).complete(nodes) is None


def test_all_nodes_are_asked_when_one_whose_turn_it_is_believes_something_else() -> None:
    nodes = without_views(MANY)
    first, other = addresses(MANY)[:2]
    missed = {other.uid: line(other, "master", "fail?")}
    nodes[first] = structs.replace(node(first), view=ClusterView(me=line(first, "myself", "master"), others=missed))

    assert learned(MANY).complete(nodes) is None
