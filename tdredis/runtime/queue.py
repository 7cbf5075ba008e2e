"""Which key is worked next: equal keys merge, one pass per key at a time, waits without a timer per key."""

import asyncio
import heapq
import math
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class KeyedQueue(Generic[K]):
    """A queue of keys for one event loop.

    A key is at any time at one of four places: nowhere, waiting for a time, ready, or being worked. A key added while
    it is worked comes again after `done`. A pass supersedes every wish for a later pass that is older than itself.
    """

    def __init__(
        self,
        *,
        backoff_first_s: float = 0.5,
        backoff_most_s: float = 60.0,
        jitter: float = 0.2,
        on_wait: Callable[[float], None] | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_wait` is told the seconds each key stood ready; `jitter` 0.2 spreads a back-off over -20 % to +20 %;
        `clock` gives the seconds that back-offs are counted by.
        """
        self._backoff_first_s = backoff_first_s
        self._backoff_most_s = backoff_most_s
        self._jitter = jitter
        self._on_wait = on_wait
        self._chance = chance
        self._clock = clock
        self._ready: OrderedDict[K, float] = OrderedDict()  # key -> since when it is ready
        self._front: set[K] = set()  # of the ready ones: added to the front
        self._active: dict[K, bool] = {}  # being worked -> from the front?
        self._hurries: dict[K, asyncio.Future[None]] = {}  # done once it is added to the front while it is worked
        self._again: dict[K, bool] = {}  # added while worked -> to the front?
        self._due: dict[K, float] = {}  # key -> the earliest time asked for
        self._heap: list[tuple[float, int, K]] = []  # may hold superseded entries: `_due` says which count
        self._sequence = 0
        self._failures: dict[K, tuple[int, float]] = {}  # how often it failed, and when its back-off is over
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None  # armed only while somebody waits in `get`

    @property
    def depth(self) -> int:
        """Keys that are ready and that no worker has taken."""
        return len(self._ready)

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._due)

    @property
    def active(self) -> int:
        """Keys being worked."""
        return len(self._active)

    def was_urgent(self, key: K) -> bool:
        """It is being worked because it was added to the front."""
        return self._active.get(key, False)

    def hurry(self, key: K) -> asyncio.Future[None]:
        """Done as soon as the key, which is being worked, is added to the front: its next pass is urgent."""
        found = self._hurries.get(key)
        if found is None:
            found = self._hurries[key] = asyncio.get_running_loop().create_future()
            if self._again.get(key, False):
                found.set_result(None)
        return found

    def add(self, key: K, *, front: bool = False) -> None:
        """The key is to be worked now; `front` before all that are ready (a node died: its shard goes first)."""
        if key in self._active:
            self._again[key] = front or self._again.get(key, False)
            if front and (hurry := self._hurries.get(key)) is not None and not hurry.done():
                hurry.set_result(None)
            return
        self._make_ready(key, front=front)

    def add_after(self, key: K, delay_s: float) -> None:
        """The key is to be worked in `delay_s`, or earlier if it was already asked for earlier."""
        if delay_s <= 0:
            self.add(key)
            return
        if key in self._ready or key in self._again:
            return
        due = self._now() + delay_s
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, key))
        self._forget_superseded()
        self._arm()

    async def get(self) -> K:
        """Waits for the next ready key. Whoever gets it calls `done` when the pass is over, whatever its end."""
        while True:
            self._wake_due()
            if self._ready:
                key, since = self._ready.popitem(last=False)
                self._active[key] = key in self._front
                self._front.discard(key)
                if self._on_wait is not None:
                    self._on_wait(max(0.0, self._now() - since))
                return key
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._arm()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._ready:
                    self._wake_one()  # it was woken and then cancelled: the key is the next waiter's
                self._arm()
                raise

    def done(self, key: K) -> None:
        """The pass over `key` ended. Raises KeyError if nobody was working it: two passes would run side by side."""
        del self._active[key]
        self._hurries.pop(key, None)
        front = self._again.pop(key, None)
        if front is not None:
            self._make_ready(key, front=front)

    def retry(self, key: K, *, most_s: float | None = None) -> float:
        """Asks for `key` again after its back-off (returned), which doubles with every call until `forget`, up to
        `most_s` (None: the queue's own most).

        A pass that news brought before the back-off was over doubles nothing: else ten news in a second, while a server
        refuses, would make the key wait for a minute after it is well again.
        """
        most_s = self._backoff_most_s if most_s is None else most_s
        failures, over = self._failures.get(key, (0, -math.inf))
        left_s = over - self._clock()
        if left_s > 0:
            delay_s = min(most_s, left_s)
        else:
            # The exponent is bounded: a resource that failed for a week would overflow a float.
            delay_s = min(most_s, self._backoff_first_s * 2.0 ** min(failures, 32))
            delay_s *= 1.0 + self._jitter * (2.0 * self._chance() - 1.0)
            self._failures[key] = (failures + 1, self._clock() + delay_s)
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """The pass went well: the next failure starts from the shortest back-off."""
        self._failures.pop(key, None)

    def drop(self, key: K) -> None:
        """The resource is gone: nothing of it is to stay here. A pass that is running is not disturbed."""
        self._failures.pop(key, None)
        self._ready.pop(key, None)
        self._front.discard(key)
        self._again.pop(key, None)
        self._due.pop(key, None)
        self._forget_superseded()
        self._arm()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _make_ready(self, key: K, *, front: bool) -> None:
        self._due.pop(key, None)
        if key not in self._ready:
            self._ready[key] = self._now()
            self._wake_one()
        if front:
            self._front.add(key)
            self._ready.move_to_end(key, last=False)
        self._forget_superseded()

    def _wake_due(self) -> None:
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue
            if key in self._active:
                del self._due[key]
                self._again.setdefault(key, False)
            else:
                self._make_ready(key, front=False)

    def _forget_superseded(self) -> None:
        # Amortised O(1): a key that waits an hour and is woken a thousand times must not leave a thousand entries.
        if len(self._heap) > 64 + 2 * len(self._due):
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiters and self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake_due()
        self._arm()
