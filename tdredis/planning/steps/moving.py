"""Decides what can be done that takes longer than a pass: it is handed over, and goes on beside the passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tdredis.planning.moving import MoveOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveSlots:
    """Have *order* carried out. It is in each plan as long as it is wanted: nothing happens where it is under way."""

    barrier: ClassVar[bool] = False
    order: MoveOrder
    why: str

    def __str__(self) -> str:
        names = [shard.name for shard in self.order.shards]
        staying = [name for name in names if name not in self.order.leaving]
        if self.order.leaving:
            return f"move the slots of {', '.join(sorted(self.order.leaving))} to {', '.join(staying)}"
        return f"spread slots evenly over {', '.join(staying)}"
