"""How far the nodes let a resize in place go while a fault holds it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from localkube.faults.menu import HoldResize
from localkube.faults.targets import check_names_pods, is_one_of
from localkube.kubelet import Nodes
from localkube.kubelet.allocation import Hold, HoldState
from localkube.registry import Obj

_STATES: Mapping[str, HoldState] = MappingProxyType(
    {"deferred": "Deferred", "infeasible": "Infeasible", "in-progress": "InProgress", "error": "Error"}
)


class ResizeFaults:
    """Of several that concern a pod, the one that was asked for last is in force."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._held: list[HoldResize] = []
        for kubelet in nodes.all:
            kubelet.hold_of = self._hold_of

    @contextlib.asynccontextmanager
    async def held(self, fault: HoldResize) -> AsyncIterator[None]:
        """Raises BadFault."""
        check_names_pods(fault.pods)
        self._held.append(fault)
        self._look_again()
        try:
            yield
        finally:
            self._held.remove(fault)
            self._look_again()

    def _look_again(self) -> None:
        for kubelet in self._nodes.all:
            kubelet.retry_resizes()

    def _hold_of(self, pod: Obj) -> Hold | None:
        for fault in reversed(self._held):
            if is_one_of(pod, fault.pods):
                return Hold(_STATES[fault.at], fault.message)
        return None
