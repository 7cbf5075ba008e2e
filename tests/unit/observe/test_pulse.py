"""A cluster's pulse: what changes is told once, and who is silent is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from msgspec import structs

from tdredis.observe.pulse import ROLE, Pulse, role_signs
from tdredis.planning.snapshot import Key
from tdredis.redis.facts import AOF_ERROR, Replication
from tdredis.redislink.errors import NoAnswer
from tdredis.redislink.pool import Address, Command, LinkPool
from tests.unit.planning.test_objects import node

KEY = Key("RedisCluster", "redis", "rat")
NODES = tuple(Address(f"uid-{number}", f"10.0.0.{number}") for number in range(3))


class Nodes(LinkPool[Key]):
    """Each answers what *says* has for it."""

    def __init__(self, question: Command = ("CLUSTER", "INFO")) -> None:
        super().__init__(lambda _key, _address: None)
        self.question = question
        self.says: dict[Address, bytes | list[object] | Exception] = dict.fromkeys(NODES, info())
        self.asked: list[Address] = []
        self.full: set[Address] = set()

    async def ask(
        self,
        owner: Key,
        address: Address,
        commands: Sequence[Command],
        *,
        timeout_s: float,
        before_sending: Callable[[], None] = lambda: None,  # noqa: ARG002 the signature of a pool
    ) -> list[object]:
        assert (owner, list(commands), timeout_s) == (KEY, [self.question, ("INFO", "persistence")], 1.0)
        self.asked.append(address)
        said = self.says[address]
        if isinstance(said, Exception):
            raise said
        status = b"err" if address in self.full else b"ok"
        return [said, b"aof_enabled:1\r\naof_current_size:4711\r\naof_last_write_status:" + status + b"\r\n"]


def signs_of(link: Replication) -> tuple[str, ...]:
    return role_signs(structs.replace(node(), replication=link))


def info(*, pfail: int = 0, epoch: int = 3) -> bytes:
    text = (
        f"cluster_state:ok\r\ncluster_slots_pfail:{pfail}\r\ncluster_slots_fail:0\r\ncluster_current_epoch:{epoch}\r\n"
    )
    return text.encode() + b"cluster_stats_messages_sent:4711\r\n"


def followed(nodes: Nodes) -> tuple[Pulse, list[Key]]:
    told: list[Key] = []
    pulse = Pulse(nodes, told.append)
    pulse.follow(KEY, NODES)
    return pulse, told


async def beats(pulse: Pulse, count: int) -> None:
    for _ in range(count):
        for each in NODES:
            await pulse.beat(KEY, each)


async def test_nothing_new_is_no_news() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)

    await beats(pulse, 2)

    assert (told, nodes.asked) == ([], [*NODES, *NODES])


async def test_a_node_that_is_missed_and_a_failover_are_told_once_by_each() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 1)

    nodes.says = dict.fromkeys(NODES, info(pfail=5461))
    await beats(pulse, 1)
    nodes.says = dict.fromkeys(NODES, info(epoch=4))
    await beats(pulse, 1)

    assert told == [KEY] * 6


async def test_a_silent_node_is_noticed_by_its_silence() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 1)

    nodes.says[NODES[1]] = NoAnswer("no answer within 1 s")
    await beats(pulse, 1)

    assert told == [KEY]


async def test_what_is_followed_still_is_no_news_when_it_is_said_again() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 1)
    pulse.follow(KEY, NODES[:2])

    nodes.says = dict.fromkeys(NODES, info(epoch=4))
    await beats(pulse, 1)

    assert told == [KEY, KEY]


async def test_a_replica_that_was_made_a_second_primary_is_told_and_its_offset_is_no_news() -> None:
    nodes, told = Nodes(question=("ROLE",)), list[Key]()
    pulse = Pulse(nodes, told.append)
    pulse.follow(KEY, NODES, ROLE)
    for offset in (100, 200):
        nodes.says = {node: [b"slave", b"10.0.0.9", 6379, b"connected", offset] for node in NODES}
        nodes.says[NODES[0]] = [b"master", offset, []]
        await beats(pulse, 1)
    assert told == []

    nodes.says[NODES[2]] = [b"master", 200, []]
    await beats(pulse, 1)

    assert told == [KEY]


async def test_what_a_pass_saw_is_what_news_are_measured_by() -> None:
    nodes, told = Nodes(question=("ROLE",)), list[Key]()
    nodes.says = {node: [b"master", 7, []] for node in NODES}
    pulse = Pulse(nodes, told.append)
    replica = Replication(role="slave", offset_bytes=7, primary_host="10.0.0.9", primary_port=6379, link_up=True)
    seen = (Replication(role="master", offset_bytes=7), replica)
    pulse.follow(KEY, NODES[:2], ROLE, dict(zip(NODES, map(signs_of, seen), strict=False)))

    await beats(pulse, 1)

    assert told == [KEY]


async def test_a_host_that_is_no_text_ends_nothing() -> None:
    """Whoever may send commands to one Redis can make it follow any bytes; the operator of all others lives on."""
    nodes, told = Nodes(question=("ROLE",)), list[Key]()
    nodes.says = {node: [b"slave", b"\xff", 6379, b"\xfe", -1] for node in NODES}
    pulse = Pulse(nodes, told.append)
    seen = Replication(role="slave", offset_bytes=7, primary_host="10.0.0.9", primary_port=6379, link_up=True)
    pulse.follow(KEY, NODES, ROLE, dict.fromkeys(NODES, signs_of(seen)))

    await beats(pulse, 1)

    assert told == [KEY] * 3


async def test_a_bug_in_one_beat_is_none_of_the_others() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 1)

    nodes.says[NODES[1]] = ValueError("a bug")
    nodes.says[NODES[2]] = info(epoch=4)
    await beats(pulse, 2)

    assert told == [KEY, KEY]


async def test_the_pulse_goes_on_until_it_is_cancelled() -> None:
    nodes = Nodes()
    pulse, _ = followed(nodes)
    running = asyncio.create_task(pulse.run())
    while len(nodes.asked) < 2:
        await asyncio.sleep(0.01)  # the pace of looking; the test's own deadline ends it

    running.cancel()

    await asyncio.wait({running})
    assert running.cancelled()


async def test_what_is_gone_is_not_asked() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    pulse.drop(KEY)

    await beats(pulse, 1)

    assert (nodes.asked, told) == ([], [])


@pytest.mark.parametrize("question", [("CLUSTER", "INFO"), ROLE])
async def test_a_disk_that_is_full_is_noticed_and_room_too(question: Command) -> None:
    nodes, told = Nodes(question), list[Key]()
    pulse = Pulse(nodes, told.append)
    pulse.follow(KEY, NODES, question)
    await beats(pulse, 2)
    assert told == []

    nodes.full = {NODES[1]}
    await beats(pulse, 2)
    assert told == [KEY]

    nodes.full = set()
    await beats(pulse, 2)
    assert told == [KEY, KEY]


async def test_a_full_disk_that_a_pass_has_seen_is_no_news() -> None:
    nodes, told = Nodes(question=ROLE), list[Key]()
    nodes.says = {each: [b"master", 7, []] for each in NODES}
    nodes.full = set(NODES)
    pulse = Pulse(nodes, told.append)
    primary = structs.replace(node(), replication=Replication(role="master", offset_bytes=7), write_error=AOF_ERROR)
    pulse.follow(KEY, NODES, ROLE, dict.fromkeys(NODES, role_signs(primary)))

    await beats(pulse, 1)

    assert told == []
