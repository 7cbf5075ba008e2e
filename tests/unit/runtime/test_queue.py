"""Claims about which key is worked when."""

import asyncio
from collections import Counter

import pytest

from tdredis.runtime.queue import KeyedQueue

SOON = 5.0


async def take(queue: KeyedQueue[str]) -> str:
    async with asyncio.timeout(SOON):
        return await queue.get()


def is_idle(queue: KeyedQueue[str]) -> bool:
    return queue.depth == 0


async def test_keys_come_in_the_order_they_were_added() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for key in ("b", "a", "c"):
        queue.add(key)

    assert [await take(queue) for _ in range(3)] == ["b", "a", "c"]


async def test_equal_keys_merge() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for _ in range(1000):
        queue.add("a")

    assert await take(queue) == "a"
    assert is_idle(queue)


async def test_the_front_is_before_all_that_are_ready() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    queue.add("b")
    queue.add("b", front=True)

    assert [await take(queue), await take(queue)] == ["b", "a"]


async def test_a_key_added_while_it_is_worked_comes_again_after_done_and_not_before() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    await take(queue)
    queue.add("a")
    queue.add("a")

    assert is_idle(queue)
    queue.done("a")
    assert await take(queue) == "a"
    queue.done("a")
    assert is_idle(queue)


async def test_a_key_added_to_the_front_while_it_is_worked_comes_again_to_the_front() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    await take(queue)
    queue.add("b")
    queue.add("a", front=True)
    queue.add("a")
    queue.done("a")

    assert await take(queue) == "a"


async def test_done_without_get_is_a_bug_that_shows() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    with pytest.raises(KeyError):
        queue.done("a")


async def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    queue.add_after("a", 0.05)

    assert (queue.depth, queue.delayed) == (0, 1)
    assert await take(queue) == "a"
    assert loop.time() - started_at >= 0.05
    assert queue.delayed == 0


async def test_the_earliest_wish_wins() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 3600)
    queue.add_after("a", 0.01)
    queue.add_after("a", 3600)

    assert await take(queue) == "a"
    queue.done("a")
    assert queue.delayed == 0


async def test_a_key_that_is_added_now_does_not_come_a_second_time_later() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 0.01)
    queue.add("a")
    queue.add_after("b", 0.02)

    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert (queue.depth, queue.delayed) == (0, 0)


async def test_a_time_that_comes_while_the_key_is_worked_waits_for_done() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    await take(queue)
    queue.add_after("a", 0.01)
    queue.add_after("b", 0.02)

    assert await take(queue) == "b"
    assert is_idle(queue)
    queue.done("a")
    assert await take(queue) == "a"


async def test_a_waiting_worker_is_woken_by_an_earlier_time_than_it_knew() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("late", 3600)
    worker = asyncio.create_task(take(queue))
    await asyncio.sleep(0)
    queue.add_after("early", 0.01)

    assert await worker == "early"


def backing_off(*, first_s: float, most_s: float) -> tuple[KeyedQueue[str], list[float]]:
    """A queue and the time that it goes by."""
    clock = [0.0]
    return KeyedQueue(backoff_first_s=first_s, backoff_most_s=most_s, chance=lambda: 0.5, clock=lambda: clock[0]), clock


def fail_again(queue: KeyedQueue[str], key: str, clock: list[float]) -> float:
    """It fails, waits until it may try again, and is about to."""
    delay_s = queue.retry(key)
    clock[0] += delay_s
    return delay_s


async def test_back_off_doubles_up_to_the_most_and_starts_over_after_forget() -> None:
    queue, clock = backing_off(first_s=1, most_s=5)

    assert [fail_again(queue, "a", clock) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert queue.retry("b") == 1
    queue.forget("a")
    assert queue.retry("a") == 1


async def test_a_pass_that_news_brought_does_not_lengthen_the_back_off() -> None:
    queue, clock = backing_off(first_s=1, most_s=60)
    assert fail_again(queue, "a", clock) == 1
    assert queue.retry("a") == 2

    clock[0] += 1.5
    assert [queue.retry("a") for _ in range(10)] == [0.5] * 10
    clock[0] += 0.5
    assert queue.retry("a") == 4


async def test_back_off_is_spread() -> None:
    dice = iter([0.0, 0.5, 1.0])
    queue: KeyedQueue[str] = KeyedQueue(backoff_first_s=10, jitter=0.2, chance=lambda: next(dice))

    assert [queue.retry(key) for key in "abc"] == [8, 10, 12]


async def test_a_key_that_failed_for_a_week_still_has_a_back_off() -> None:
    queue, clock = backing_off(first_s=0.5, most_s=60)
    for _ in range(5000):
        fail_again(queue, "a", clock)

    assert queue.retry("a") == 60


async def test_a_worker_that_is_cancelled_loses_no_key() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    first, second = (asyncio.create_task(take(queue)) for _ in range(2))
    await asyncio.sleep(0)
    queue.add("a")  # wakes the first, which is cancelled before it runs
    first.cancel()

    assert await second == "a"
    assert first.cancelled()


async def test_nothing_is_left_behind_when_the_workers_are_gone() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 3600)
    worker = asyncio.create_task(take(queue))
    await asyncio.sleep(0)
    assert queue._timer is not None

    worker.cancel()
    await asyncio.wait({worker})

    assert queue._timer is None


async def test_a_key_that_is_woken_again_and_again_while_it_waits_does_not_fill_the_heap() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for _ in range(10_000):
        queue.add_after("a", 3600)
        queue.add("a")
        queue.done(await take(queue))

    assert len(queue._heap) < 100


async def test_a_dropped_key_is_nowhere() -> None:
    queue: KeyedQueue[str] = KeyedQueue(chance=lambda: 0.5)
    queue.add("ready")
    queue.retry("late")
    for key in ("ready", "late"):
        queue.drop(key)

    assert (queue.depth, queue.delayed, queue.retry("late")) == (0, 0, 0.5)


async def test_the_time_a_key_stood_ready_is_told() -> None:
    waits: list[float] = []
    queue: KeyedQueue[str] = KeyedQueue(on_wait=waits.append)
    queue.add("a")
    await take(queue)

    assert len(waits) == 1
    assert 0 <= waits[0] < SOON


async def test_many_workers_never_work_one_key_at_the_same_time_and_forget_none() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    active: set[int] = set()
    passes: Counter[int] = Counter()
    wanted = 200

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in active
            active.add(key)
            for _ in range(key % 4):
                await asyncio.sleep(0)
            passes[key] += 1
            active.remove(key)
            if passes[key] < 5:
                (queue.add if key % 2 else lambda again: queue.add_after(again, 0.001))(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(16)]
    for key in range(wanted):
        queue.add(key, front=key % 3 == 0)
    async with asyncio.timeout(SOON):
        while sum(passes.values()) < 5 * wanted:
            await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)

    assert passes == dict.fromkeys(range(wanted), 5)
    assert all(worker.cancelled() for worker in workers)
