"""A cluster's pulse: what changes is told once, and who is silent is noticed."""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.observe.pulse import Pulse
from tdredis.planning.snapshot import Key
from tdredis.redislink.errors import LinkError, NoAnswer
from tdredis.redislink.pool import Address, Command, LinkPool

KEY = Key("RedisCluster", "redis", "rat")
NODES = tuple(Address(f"uid-{number}", f"10.0.0.{number}") for number in range(3))


class Nodes(LinkPool[Key]):
    """Each answers what *says* has for it."""

    def __init__(self) -> None:
        super().__init__(lambda _key, _address: None)
        self.says: dict[Address, bytes | LinkError] = dict.fromkeys(NODES, info())
        self.asked: list[Address] = []

    async def ask(
        self, owner: Key, address: Address, commands: Sequence[Command], *, password: str, timeout_s: float
    ) -> list[object]:
        assert (owner, list(commands), password, timeout_s) == (KEY, [("CLUSTER", "INFO")], "vault", 1.0)
        self.asked.append(address)
        said = self.says[address]
        if isinstance(said, LinkError):
            raise said
        return [said]


def info(*, pfail: int = 0, epoch: int = 3) -> bytes:
    text = (
        f"cluster_state:ok\r\ncluster_slots_pfail:{pfail}\r\ncluster_slots_fail:0\r\ncluster_current_epoch:{epoch}\r\n"
    )
    return text.encode() + b"cluster_stats_messages_sent:4711\r\n"


def followed(nodes: Nodes) -> tuple[Pulse, list[Key]]:
    told: list[Key] = []
    pulse = Pulse(nodes, told.append)
    pulse.follow(KEY, NODES, "vault")
    return pulse, told


async def beats(pulse: Pulse, count: int) -> None:
    for _ in range(count):
        await pulse.beat(KEY)


async def test_all_are_asked_in_turn_and_nothing_new_is_no_news() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)

    await beats(pulse, 6)

    assert (told, set(nodes.asked), len(nodes.asked)) == ([], set(NODES), 6)


async def test_a_node_that_is_missed_and_a_failover_are_told_once_each() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 3)

    nodes.says = dict.fromkeys(NODES, info(pfail=5461))
    await beats(pulse, 3)
    nodes.says = dict.fromkeys(NODES, info(epoch=4))
    await beats(pulse, 3)

    assert told == [KEY, KEY]


async def test_a_silent_node_is_noticed_by_its_silence() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    await beats(pulse, 3)

    nodes.says[NODES[1]] = NoAnswer("no answer within 1 s")
    await beats(pulse, 3)

    assert told


async def test_what_is_gone_is_not_asked() -> None:
    nodes = Nodes()
    pulse, told = followed(nodes)
    pulse.drop(KEY)

    await beats(pulse, 3)

    assert (nodes.asked, told) == ([], [])
