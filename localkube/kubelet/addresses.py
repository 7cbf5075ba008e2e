"""Which loopback address a pod gets: 127.B.n.k, so that pods of one machine never share one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PodKey = tuple[str, str]  # namespace and name


class AddressesSpent(Exception):
    """Every address of this node is in use."""


class AddressAwaited(Exception):
    """The address that is promised to this pod is still another one's."""


class AddressBook:
    """The addresses of all pods of one cluster: which are in use, and which are promised to a pod that is to come."""

    def __init__(self, block: int, *, reuse: bool = False) -> None:
        """*block* 64..127. *reuse*: an address is given out again at once, as some networks do; else as late as can be.

        *on_change* hears of every address that comes into use (True) or is gone (False).
        """
        self.block = block
        self.reuse = reuse
        self.on_change: Callable[[str, bool], object] = lambda _address, _used: None
        self.used: set[str] = set()
        self._free: dict[int, deque[str]] = {}
        self._promised: dict[PodKey, str] = {}
        self._freed = asyncio.Event()

    def add_node(self, number: int) -> None:
        """Its own address is in use from now on."""
        self._free[number] = deque(f"127.{self.block}.{number}.{last}" for last in range(2, 255))
        self._use(f"127.{self.block}.{number}.1")

    def promise(self, pod: PodKey, address: str) -> None:
        """The next pod of that name gets *address*, whichever node it is on, as soon as nobody else has it."""
        self._promised[pod] = address

    def break_promise(self, pod: PodKey) -> None:
        self._promised.pop(pod, None)

    def take(self, number: int, pod: PodKey) -> str:
        """Raises AddressesSpent, AddressAwaited."""
        promised = self._promised.get(pod)
        if promised is not None:
            if promised in self.used:
                raise AddressAwaited(f"{promised} is still in use")
            del self._promised[pod]
            self._free[_node_of(promised)].remove(promised)
            self._use(promised)
            return promised
        kept = set(self._promised.values())
        free = next((one for one in self._free[number] if one not in kept), None)
        if free is None:
            raise AddressesSpent(f"no address is free in 127.{self.block}.{number}.0/24")
        self._free[number].remove(free)
        self._use(free)
        return free

    def give_back(self, address: str) -> None:
        self.used.discard(address)
        free = self._free[_node_of(address)]
        if self.reuse:
            free.appendleft(address)
        else:
            free.append(address)
        self.on_change(address, False)
        self._freed.set()
        self._freed = asyncio.Event()

    async def until_freed(self) -> None:
        """Until some address is given back."""
        await self._freed.wait()

    def _use(self, address: str) -> None:
        self.used.add(address)
        self.on_change(address, True)


class Addresses:
    """One node's part of the book."""

    def __init__(self, book: AddressBook, node_number: int) -> None:
        """*node_number* 1..254."""
        self.book = book
        self._number = node_number
        self._prefix = f"127.{book.block}.{node_number}"
        book.add_node(node_number)

    @property
    def node(self) -> str:
        return f"{self._prefix}.1"

    @property
    def pod_range(self) -> str:
        return f"{self._prefix}.0/24"

    def take(self, pod: PodKey) -> str:
        """Raises AddressesSpent, AddressAwaited."""
        return self.book.take(self._number, pod)

    def give_back(self, address: str) -> None:
        self.book.give_back(address)


def _node_of(address: str) -> int:
    return int(address.split(".")[2])
