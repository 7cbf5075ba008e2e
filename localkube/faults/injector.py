"""Begins faults, knows which are in force, and undoes every one of them, whoever asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, assert_never

from localkube.errors import ApiError
from localkube.faults import addresses, files, processes, volumes
from localkube.faults.api import ApiFaults
from localkube.faults.firewall import Firewall
from localkube.faults.menu import (
    BadFault,
    BreakFile,
    Delay,
    DelayWatch,
    DropWatch,
    ExchangeAddresses,
    FailNode,
    Fault,
    FillVolume,
    ForgetHistory,
    Freeze,
    Hang,
    HoldResize,
    Kill,
    Lasting,
    Lose,
    PartitionNode,
    Refuse,
    RefuseGone,
    SlowScripts,
    StopApi,
    Strike,
    describe,
)
from localkube.faults.network import NetworkFaults
from localkube.faults.nodes import NodeFaults
from localkube.faults.resizes import ResizeFaults
from localkube.faults.scripts import ScriptFaults
from localkube.faults.silence import Silence
from localkube.faults.targets import Sides
from localkube.faults.uplink import Uplink
from localkube.kubelet import Nodes
from localkube.registry import Registry
from localkube.server.app import ApiServer

ResizeStage = Literal["deferred", "infeasible", "in-progress", "error"]
Damage = Literal["truncate", "nuls", "delete", "last-line", "garbage"]
Words = str | Sequence[str]  # one side of a conversation, see menu.py


class Standing:
    """A fault in force. `undo` may be called by anybody and any number of times."""

    def __init__(self, number: int, fault: Lasting, effect: contextlib.AbstractAsyncContextManager[None]) -> None:
        self.number = number
        self.fault = fault
        self.undone = asyncio.Event()
        self._effect = effect
        self._undoing: asyncio.Task[None] | None = None

    async def undo(self) -> None:
        if self._undoing is None:
            self._undoing = asyncio.create_task(self._undo(), name=f"undo {describe(self.fault)}")
        # Whoever waits for it may be cancelled; the fault is undone all the same.
        await asyncio.shield(self._undoing)

    async def _undo(self) -> None:
        try:
            await self._effect.__aexit__(None, None, None)
        finally:
            self.undone.set()


class Faults:
    """`async with cluster.faults.frozen("redis-0"):`. What it raises when a fault is not possible is BadFault."""

    def __init__(
        self,
        registry: Registry,
        nodes: Nodes,
        server: ApiServer,
        uplinks: Mapping[str, Uplink],
        *,
        firewall: Firewall,
        silence: Silence,
    ) -> None:
        self._registry = registry
        self._kubelets = nodes
        self.api = ApiFaults(server)
        self._network = NetworkFaults(registry, Sides(registry, nodes.block, nodes.ranges), firewall)
        self.nodes = NodeFaults(registry, nodes, self._network, uplinks)
        self._resizes = ResizeFaults(nodes)
        self._scripts = ScriptFaults(nodes)
        self._silence = silence
        self._numbers = itertools.count(1)
        self._standing: dict[int, Standing] = {}

    @property
    def standing(self) -> list[Standing]:
        return [self._standing[number] for number in sorted(self._standing)]

    async def begin(self, fault: Lasting) -> Standing:
        """Puts *fault* in force until it is undone. Raises BadFault."""
        effect = self._effect(fault)
        try:
            await effect.__aenter__()
        except ApiError as error:
            raise BadFault(error.message) from error
        standing = Standing(next(self._numbers), fault, effect)
        self._standing[standing.number] = standing
        return standing

    async def end(self, standing: Standing) -> None:
        try:
            await standing.undo()
        finally:
            self._standing.pop(standing.number, None)

    async def clear(self) -> int:
        """Undoes everything, the latest first. Returns how many faults there were."""
        found = self.standing
        for one in reversed(found):
            await self.end(one)
        return len(found)

    @contextlib.asynccontextmanager
    async def held(self, fault: Lasting) -> AsyncIterator[Standing]:
        standing = await self.begin(fault)
        try:
            yield standing
        finally:
            await self.end(standing)

    def strike(self, fault: Strike) -> None:
        """A fault that leaves nothing to undo. Raises BadFault."""
        match fault:
            case Kill():
                processes.kill(self._registry, self._kubelets, fault)
            case ForgetHistory():
                self.api.forget_history()
            case BreakFile():
                files.break_file(self._registry, self._kubelets, fault)
            case ExchangeAddresses():
                addresses.exchange(self._registry, self._kubelets.addresses, fault)
            case other:
                assert_never(other)

    def _effect(self, fault: Lasting) -> contextlib.AbstractAsyncContextManager[None]:
        match fault:
            case Freeze():
                return processes.frozen(self._registry, self._kubelets, fault)
            case StopApi() | Refuse() | Hang() | DelayWatch() | DropWatch():
                return self.api.effect(fault)
            case Lose():
                return self._network.losing(fault)
            case Delay():
                return self._network.delaying(fault)
            case FailNode():
                return self.nodes.failed(fault)
            case PartitionNode():
                return self.nodes.partitioned(fault)
            case FillVolume():
                return volumes.filled(self._registry, self._kubelets, fault)
            case SlowScripts():
                return self._scripts.slowed(fault)
            case RefuseGone():
                return self._silence.broken()
            case HoldResize():
                return self._resizes.held(fault)
            case other:
                assert_never(other)

    # ---- the same in the words of a test

    def kill(
        self,
        pod: str,
        *,
        container: str | None = None,
        signal: str = "KILL",
        process: str | None = None,
        oom: bool = False,
    ) -> None:
        self.strike(Kill(pod=pod, container=container, signal=signal, process=process, oom=oom))

    def forget_history(self) -> None:
        self.strike(ForgetHistory())

    def exchange_addresses(self, pod: str, other: str, *, grace_s: int | None = None) -> None:
        self.strike(ExchangeAddresses(pod=pod, other=other, grace_s=grace_s))

    def break_file(
        self,
        pod: str,
        volume: str,
        file: str,
        how: Damage,
        *,
        size_bytes: int = 100,
        text: str = "nonsense",
        kill: str | None = None,
    ) -> None:
        self.strike(BreakFile(pod=pod, volume=volume, file=file, how=how, size_bytes=size_bytes, text=text, kill=kill))

    def scripts_slowed(
        self, pods: Words, delay_s: float, *, container: str | None = None, text: str = "", start: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(SlowScripts(pods=_side(pods), delay_s=delay_s, container=container, text=text, start=start))

    def requests_hanging(
        self,
        *,
        verbs: tuple[str, ...] = (),
        path: str = "",
        count: int = 0,
        each_s: float | None = None,
        after: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(Hang(verbs=verbs, path=path, count=count, each_s=each_s, after=after))

    def frozen(self, pod: str, *, container: str | None = None) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(Freeze(pod=pod, container=container))

    def volume_filled(
        self, pod: str, volume: str, *, leave_bytes: int = 0
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(FillVolume(pod=pod, volume=volume, leave_bytes=leave_bytes))

    def gone_addresses_refused(self) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(RefuseGone())

    def resize_held(
        self, pods: Words, at: ResizeStage, *, message: str = ""
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(HoldResize(pods=_side(pods), at=at, message=message))

    def cut(
        self, between: Words, and_: Words = "others", *, one_way: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(Lose(between=_side(between), and_=_side(and_), one_way=one_way))

    def dropping(
        self, percent: float, between: Words, and_: Words = "others", *, one_way: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(Lose(between=_side(between), and_=_side(and_), one_way=one_way, percent=percent))

    def delaying(
        self, delay_s: float, between: Words, and_: Words = "others", *, jitter_s: float = 0.0, one_way: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        near, far = _side(between), _side(and_)
        return self.held(Delay(between=near, and_=far, delay_s=delay_s, jitter_s=jitter_s, one_way=one_way))

    def node_failed(self, node: str, *, noticed_after_s: int = 40) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(FailNode(node=node, noticed_after_s=noticed_after_s))

    def node_partitioned(
        self, node: str, *, noticed_after_s: int = 40, api_only: bool = False
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(PartitionNode(node=node, noticed_after_s=noticed_after_s, api_only=api_only))

    def api_stopped(self, *, forget: bool = False) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(StopApi(forget=forget))

    def refusing(
        self,
        *,
        percent: float = 100.0,
        code: int = 503,
        verbs: tuple[str, ...] = (),
        path: str = "",
        after: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(Refuse(percent=percent, code=code, verbs=verbs, path=path, after=after))

    def watches_delayed(self, delay_s: float, *, path: str = "") -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(DelayWatch(delay_s=delay_s, path=path))

    def watches_losing(
        self, percent: float = 100.0, *, path: str = ""
    ) -> contextlib.AbstractAsyncContextManager[Standing]:
        return self.held(DropWatch(percent=percent, path=path))


def _side(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


__all__ = ["Fault", "Faults", "Standing"]
