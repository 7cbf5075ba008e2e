"""By which connection a command goes, and how often: never by another than the question who is there, and a handover
once a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tdredis.execute.run import Executor
from tdredis.kube.client import Client
from tdredis.kube.config import ClusterConfig
from tdredis.planning.plan import Plan, Verdict
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import (
    AssignSlots,
    FailOver,
    FailOverShard,
    Follow,
    Forget,
    HandOver,
    Monitor,
    MoveKeys,
    Process,
    Promote,
    Replicate,
    ResetNode,
    SetAuthPass,
    SetConfig,
    Step,
    TakeOverShard,
)
from tdredis.redis.slots import even_split
from tdredis.redislink.access import Access
from tdredis.redislink.errors import Refused, Unreachable
from tdredis.redislink.link import Link
from tdredis.redislink.pool import Command, LinkPool
from tests.kit.servers import HOST, PASSWORD

KEY = Key("RedisCluster", "redis", "rat")
ID = "a" * 40
NODES = f"{ID} {HOST}:6379@16379 myself,master - 0 0 1 connected 0-16383\n".encode()
QUESTIONS: tuple[Command, ...] = (
    ("CLUSTER", "MYID"),
    ("CLUSTER", "NODES"),
    ("INFO", "server"),
    ("INFO", "replication"),
)
ANSWERS: dict[Command, bytes] = {
    QUESTIONS[0]: ID.encode(),
    QUESTIONS[1]: NODES,
    QUESTIONS[2]: f"run_id:{ID}\r\n".encode(),
    QUESTIONS[3]: b"role:slave\r\nslave_repl_offset:5\r\n",
}


class World(Link):
    """A process that says who it is, and takes whatever it is told; one connection to it after the other."""

    def __init__(self, world: list[World], *, breaks: bool = False, refuses: str = "") -> None:
        super().__init__()
        self.told: list[Command] = []
        self._breaks = breaks  # when it has said who it is, as where its container is started anew
        self._refuses = refuses
        self._is_open = True
        world.append(self)

    @property
    def open(self) -> bool:
        return self._is_open

    async def call_all(self, commands: Sequence[Command], *, timeout_s: float) -> list[object]:  # noqa: ARG002 a link's
        if not self._is_open:
            raise Unreachable("connection closed by Redis")
        words = [tuple(command) for command in commands]
        if all(each in QUESTIONS for each in words):
            self._is_open = not self._breaks
            return [ANSWERS[each] for each in words]
        self.told += words
        return [Refused(self._refuses) if self._refuses else b"OK" for _ in words]


def process(pod: str = "p", *, in_cluster: bool = True) -> Process:
    return Process(pod=pod, uid=f"uid of {pod}", ip=HOST, id=ID, in_cluster=in_cluster)


NODE, REDIS = process(), process(in_cluster=False)
WHY = "the test says so"
STEPS: list[Step] = [
    AssignSlots(process=NODE, shard="s", slots=even_split(3)[0], config_epoch=None, why=WHY),
    Replicate(process=NODE, primary=NODE, why=WHY),
    HandOver(process=NODE, shard="s", why=WHY),
    FailOverShard(process=NODE, shard="s", why=WHY),
    TakeOverShard(process=NODE, shard="s", why=WHY),
    Forget(process=NODE, ghost_id="b" * 40, why=WHY),
    ResetNode(process=NODE, keys=1, is_replica=False, apart=frozenset(), why=WHY),
    MoveKeys(process=NODE, target=NODE, slot=1, why=WHY),
    SetConfig(process=NODE, parameter="maxmemory", before=0, value=1, why=WHY),
    SetConfig(process=REDIS, parameter="maxmemory", before=0, value=1, why=WHY),
    Follow(process=REDIS, primary="q", host=HOST, port=1, was_primary=True, why=WHY),
    Promote(process=REDIS, why=WHY),
    FailOver(process=REDIS, master_name="m", primary=REDIS, candidates=(), why=WHY),
    FailOver(process=REDIS, master_name="m", primary=None, candidates=(), why=WHY),
    Monitor(process=REDIS, master_name="m", host=HOST, port=1, quorum=1, settings=(), user="", replaces=True, why=WHY),
    SetAuthPass(process=REDIS, master_name="m", user="", why=WHY),
]

EACH = pytest.mark.parametrize(
    "step", STEPS, ids=[f"{number} {type(step).__name__}" for number, step in enumerate(STEPS)]
)


async def carry_out(
    steps: Sequence[Step], *, at_s: Sequence[float] = (0.0,), breaks: bool = False, refuses: str = ""
) -> tuple[list[World], list[Step | None]]:
    """Each of *steps* at each instant, by one executor: the connections that there were, and what failed."""
    world: list[World] = []
    failed: list[Step | None] = []
    now_s = [0.0]

    async def connect(host: str, port: int, **_how: object) -> Link:
        # Only the first breaks: whoever asks again by the next is told who is there, and obeyed.
        return World(world, breaks=breaks and not world, refuses=refuses)

    pool: LinkPool[Key] = LinkPool(lambda _key, _address: None, connect=connect)
    pool.admit(KEY, Access((PASSWORD,)))
    async with Client(ClusterConfig(server=f"http://{HOST}:1"), deadline_s=1) as client:
        executor = Executor(client, pool, clock=lambda: now_s[0])
        for now_s[0] in at_s:
            for step in steps:
                outcome = await executor.run(KEY, Plan(verdict=Verdict.FORMING, steps=(step,)))
                failed.append(outcome.failed)
        await executor.close()
    pool.close()
    return world, failed


def told(world: list[World]) -> list[Command]:
    return [each for link in world for each in link.told]


@EACH
async def test_a_process_that_started_anew_after_it_said_who_it_is_is_told_nothing(step: Step) -> None:
    """Its address is the same, and whoever listens there now may be somebody else's primary."""
    world, failed = await carry_out([step], breaks=True)

    assert failed == [step]
    # What a handover undoes where it failed is asked for anew, with another question who is there.
    undone = (("CONFIG", "SET", "min-replicas-to-write", 0), ("CLIENT", "UNPAUSE"))
    assert [each for each in told(world) if tuple(each) not in undone] == []


@EACH
async def test_the_same_connection_carries_the_command(step: Step) -> None:
    """Else the test above would say nothing."""
    world, failed = await carry_out([step])

    assert (len(world), failed) == (1, [None])
    assert told(world)


async def test_a_candidate_is_asked_to_take_over_once_in_five_seconds_however_many_passes_there_are() -> None:
    """Asked again meanwhile, the engine forgets how far it was, and clients wait for longer (resetManualFailover)."""
    step = HandOver(process=NODE, shard="s", why=WHY)

    world, failed = await carry_out([step], at_s=(0.0, 0.02, 0.04, 2.5, 4.98))
    assert told(world) == [("CLUSTER", "FAILOVER")]
    assert failed == [None] * 5
    world, _ = await carry_out([step], at_s=(0.0, 0.02, 5.0, 5.02, 9.98, 10.0))
    assert len(told(world)) == 3


async def test_another_candidate_need_not_wait_for_the_first_nor_one_that_refused() -> None:
    first, second = (HandOver(process=process(pod), shard="s", why=WHY) for pod in ("first", "second"))

    world, failed = await carry_out([first, second], at_s=(0.0, 0.02))
    assert [len(link.told) for link in world] == [1, 1]
    assert failed == [None] * 4
    world, failed = await carry_out(
        [first], at_s=(0.0, 0.02), refuses="ERR You should send CLUSTER FAILOVER to a replica"
    )
    assert failed == [first] * 2
    assert len(told(world)) == 2, "nothing had begun that could be disturbed"


async def test_the_other_words_of_a_failover_are_repeated_as_often_as_they_are_planned() -> None:
    """A vote that was refused or timed out is asked for again: the planner has its own pace for that."""
    step = FailOverShard(process=NODE, shard="s", why=WHY)

    world, _ = await carry_out([step], at_s=(0.0, 0.02, 0.04))

    assert len(told(world)) == 3
