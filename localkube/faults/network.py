"""Which packets between which pods are lost or late, for as long as a fault is in force."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from localkube.faults.firewall import Firewall
from localkube.faults.held_packets import HeldPackets
from localkube.faults.menu import BadFault, Delay, Lose
from localkube.faults.targets import Sides
from localkube.registry import Event, Registry

# Before the rules of anybody else, so that these cannot accept what is to be lost.
_PRIORITY = -10
# Marks of delayed packets. None of the bits that Kubernetes' own rules look at (0x4000, 0x8000).
_MARK = 0x4B000000
_PASS = 0x3FFF
_WIDE = ("others", "everyone")


class NetworkFaults:
    """All packets between pods of one machine go over its loopback interface; there they are told apart by address."""

    def __init__(self, registry: Registry, sides: Sides, firewall: Firewall) -> None:
        self._registry = registry
        self._sides = sides
        self._firewall = firewall

    @contextlib.asynccontextmanager
    async def losing(self, fault: Lose) -> AsyncIterator[None]:
        """Raises BadFault."""
        with self._between(fault) as (number, matches):
            chance = "" if fault.percent >= 100 else f"numgen random mod 100000 < {round(fault.percent * 1000)} "
            hook = f"type filter hook input priority {_PRIORITY}; policy accept;"
            rules = [f'iifname "lo" {match} {chance}drop' for match in matches]
            with self._chain(f"lost{number}", hook, rules):
                yield

    @contextlib.asynccontextmanager
    async def delaying(self, fault: Delay) -> AsyncIterator[None]:
        """Raises BadFault."""
        with self._between(fault) as (number, matches):
            ours = _MARK | self._firewall.block << 16
            mark, pass_mark = ours | number % _PASS, ours | _PASS
            try:
                held = HeldPackets(mark=mark, pass_mark=pass_mark, delay_s=fault.delay_s, jitter_s=fault.jitter_s)
            except OSError as error:
                raise BadFault(f"this kernel does not let packets be held back: {error.strerror}") from error
            going = f"type filter hook output priority {_PRIORITY}; policy accept;"
            coming = f"type filter hook input priority {_PRIORITY}; policy accept;"
            marking = [f'oifname "lo" meta mark != {pass_mark} {match} meta mark set {mark}' for match in matches]
            try:
                with (
                    self._chain(f"lost{number}", coming, [f'iifname "lo" meta mark {mark} drop']),
                    self._chain(f"late{number}", going, marking),
                ):
                    yield
            finally:
                held.close()

    @contextlib.contextmanager
    def _between(self, fault: Lose | Delay) -> Iterator[tuple[int, list[str]]]:
        """Sets of addresses that follow the pods, and what matches a packet from one to the other. Raises BadFault."""
        a, b = self._addresses(fault)
        wall = self._firewall
        number = wall.acquire()
        try:
            near, far = f"a{number}", f"b{number}"
            for name, addresses in ((near, a), (far, b)):
                wall.run(f"add set ip {wall.table} {name} {{ type ipv4_addr; flags interval; auto-merge; }}")
                wall.run(_fill(wall.table, name, addresses))
            last = {near: a, far: b}

            def on_pod(_: Event) -> None:
                for name, addresses in zip((near, far), self._addresses(fault), strict=True):
                    if addresses != last[name]:
                        last[name] = addresses
                        wall.run(f"flush set ip {wall.table} {name}\n" + _fill(wall.table, name, addresses))

            end = self._registry.subscribe("pods", on_pod, replay=False)
            try:
                # Pods on one side of a cut still hear each other.
                beyond = [f"ip daddr != @{near} ", f"ip saddr != @{near} "]
                wide = fault.and_[0] in _WIDE
                there = f"{beyond[0] if wide else ''}ip saddr @{near} ip daddr @{far}"
                back = f"{beyond[1] if wide else ''}ip saddr @{far} ip daddr @{near}"
                yield number, [there] if fault.one_way else [there, back]
            finally:
                end()
                wall.run("".join(f"delete set ip {wall.table} {name}\n" for name in (near, far)))
        finally:
            wall.release()

    @contextlib.contextmanager
    def _chain(self, name: str, hook: str, rules: list[str]) -> Iterator[None]:
        table = self._firewall.table
        lines = [f"add chain ip {table} {name} {{ {hook} }}", *(f"add rule ip {table} {name} {rule}" for rule in rules)]
        self._firewall.run("\n".join(lines))
        try:
            yield
        finally:
            self._firewall.run(f"flush chain ip {table} {name}\ndelete chain ip {table} {name}")

    def _addresses(self, fault: Lose | Delay) -> tuple[list[str], list[str]]:
        if not fault.between or not fault.and_:
            raise BadFault("a side without pods: say who is meant")
        if any(word in _WIDE for word in fault.between):
            raise BadFault("the first side names pods or nodes; others and everyone are for the second")
        return self._sides.addresses(fault.between, fault.and_), self._sides.addresses(fault.and_, fault.between)


def _fill(table: str, name: str, addresses: list[str]) -> str:
    return f"add element ip {table} {name} {{ {', '.join(addresses)} }}" if addresses else ""
