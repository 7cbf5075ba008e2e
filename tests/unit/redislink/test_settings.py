"""What is remembered of parameters that processes were told: forms, refusals, and no more than there is room for."""

from __future__ import annotations

from tdredis.redis.settings import Refusal
from tdredis.redislink.settings import MOST, TRIED_AGAIN_S, SettingsMemory


def test_a_refusal_is_due_again_after_a_minute_and_ends_when_the_value_is_taken() -> None:
    now = [0.0]
    memory: SettingsMemory[str] = SettingsMemory(lambda: now[0])
    memory.refused("rat", "process", "timeout", "x", "ERR no")

    assert memory.answers("rat").refusals == {("process", "timeout", "x"): Refusal("ERR no", is_due=False)}
    now[0] = TRIED_AGAIN_S
    assert memory.answers("rat").refusals["process", "timeout", "x"].is_due
    memory.took("rat", "redis 7.0.15", "process", "timeout", wanted="x", value="y")

    assert memory.answers("rat").refusals == {}
    assert memory.answers("rat").has("redis 7.0.15", "timeout", "y", "x")
    assert not memory.answers("tom").has("redis 7.0.15", "timeout", "y", "x")


def test_of_who_is_gone_nothing_is_kept_and_of_nobody_more_than_there_is_room_for() -> None:
    memory: SettingsMemory[str] = SettingsMemory()
    for number in range(MOST + 10):
        memory.refused("rat", "process", "timeout", str(number), "ERR no")
        memory.took("rat", "redis 7.0.15", "other", "hz", wanted=str(number), value="y")

    assert len(memory.answers("rat").refusals) == len(memory.answers("rat").forms) == MOST
    memory.drop("rat")
    assert (memory.answers("rat").refusals, memory.answers("rat").forms) == ({}, {})
