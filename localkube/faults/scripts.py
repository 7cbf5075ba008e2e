"""How late commands begin in the containers of some pods while a fault slows them down."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from localkube.faults.menu import SlowScripts
from localkube.faults.targets import check_names_pods, is_one_of
from localkube.kubelet import Nodes
from localkube.registry import Obj


class ScriptFaults:
    """Several that concern a command add up."""

    def __init__(self, nodes: Nodes) -> None:
        self._slow: list[SlowScripts] = []
        for kubelet in nodes.all:
            kubelet.delay_of = self._delay_of

    @contextlib.asynccontextmanager
    async def slowed(self, fault: SlowScripts) -> AsyncIterator[None]:
        """Raises BadFault."""
        check_names_pods(fault.pods)
        self._slow.append(fault)
        try:
            yield
        finally:
            self._slow.remove(fault)

    def _delay_of(self, pod: Obj, container: str, command: Sequence[str], start: bool) -> float:
        return sum(
            fault.delay_s
            for fault in self._slow
            if (fault.start or not start)
            and fault.container in (None, container)
            and fault.text in " ".join(command)
            and is_one_of(pod, fault.pods)
        )
