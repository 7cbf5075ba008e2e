"""What answers at an address that no pod has: nothing, as in a network of machines, where loopback would refuse.

A real one has nobody to ask for such an address, and says so to who connects after three seconds: EHOSTUNREACH. The
same here: the first SYN of a connection and its repetition after one second are lost, the next one, after three, is
answered by an ICMP message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from localkube.faults.firewall import Firewall
from localkube.faults.menu import BadFault
from localkube.kubelet.addresses import AddressBook

_PRIORITY = -10
_CONNECTION = "ip saddr . tcp sport . ip daddr . tcp dport"
_CONNECTIONS = "type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic,timeout; size 65535;"
# Between the second SYN of a connection and the third.
_FRESH_MS = 2500
_KNOWN_S = 30


class Silence:
    """Packet rules that follow the address book from `begin` to `end`. Raises BadFault where there can be none."""

    def __init__(self, book: AddressBook, ranges: Iterable[str], firewall: Firewall) -> None:
        """*ranges*: where pods may be, as 127.B.n.0/24."""
        self._book = book
        self._ranges = sorted(ranges)
        self._firewall = firewall
        self._told: set[str] = set()
        self._due = False
        self._open = False

    def begin(self) -> None:
        """Raises BadFault."""
        wall = self._firewall
        wall.acquire()
        table = wall.table
        self._told = set(self._book.used)
        try:
            wall.run(
                f"add set ip {table} used {{ type ipv4_addr; }}\n"
                f"add element ip {table} used {{ {', '.join(sorted(self._told))} }}\n"
                f"add set ip {table} known {{ {_CONNECTIONS} timeout {_KNOWN_S}s; }}\n"
                f"add set ip {table} fresh {{ {_CONNECTIONS} timeout {_FRESH_MS}ms; }}\n"
                f"add chain ip {table} silent\n"
                f"add rule ip {table} silent ip protocol != tcp drop\n"
                f"add rule ip {table} silent tcp flags & (syn|ack) != syn drop\n"
                f"add rule ip {table} silent {_CONNECTION} @fresh drop\n"
                f"add rule ip {table} silent {_CONNECTION} @known reject with icmp type host-unreachable\n"
                f"add rule ip {table} silent add @known {{ {_CONNECTION} }} add @fresh {{ {_CONNECTION} }} drop\n"
                f"add chain ip {table} gone {{ type filter hook input priority {_PRIORITY}; policy accept; }}\n"
                f'add rule ip {table} gone iifname "lo" ip daddr {{ {", ".join(self._ranges)} }} '
                "ip daddr != @used jump silent"
            )
        except BaseException:
            wall.release()
            raise
        self._open = True
        self._book.on_change = self._changed

    def end(self) -> None:
        """Nothing has to be undone one by one: the table goes with its last user."""
        if not self._open:
            return
        self._open = False
        self._book.on_change = lambda _address, _used: None
        table = self._firewall.table
        self._firewall.run(
            f"flush chain ip {table} gone\ndelete chain ip {table} gone\n"
            f"flush chain ip {table} silent\ndelete chain ip {table} silent\n"
            + "".join(f"delete set ip {table} {name}\n" for name in ("used", "known", "fresh"))
        )
        self._firewall.release()

    @contextlib.asynccontextmanager
    async def broken(self) -> AsyncIterator[None]:
        """Raises BadFault."""
        if not self._open:
            raise BadFault("addresses that are gone refuse connections already")
        self.end()
        try:
            yield
        finally:
            self.begin()

    def _changed(self, _address: str, _used: bool) -> None:
        # A pod's processes begin later than this moment; those of one moment are told to the kernel together.
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._due = False
        if not self._open:
            return
        table, now = self._firewall.table, self._book.used
        lines = []
        for verb, addresses in (("add", now - self._told), ("delete", self._told - now)):
            if addresses:
                lines.append(f"{verb} element ip {table} used {{ {', '.join(sorted(addresses))} }}")
        self._told = set(now)
        if lines:
            self._firewall.run("\n".join(lines))
