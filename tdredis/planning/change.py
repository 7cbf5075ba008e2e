"""Decides in which form it is said what of spec is not effective yet, and what a pod or a process lacks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tdredis.api.changes import ChangeClass
from tdredis.planning.plan import Hold
from tdredis.planning.sentences import roughly

SIZE: Final = "storage.size"
COUNTS: Final = ("replicas", "sentinel.replicas", "proxy.replicas")
TEMPLATE: Final = "operatorTemplate"  # no field of spec: what another version of this operator makes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A guard refuses it for now."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Cannot:
    """This version does not do it."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """*done* of so many *things* have it, or what else they *are*; *how*: what gives it to the others. *left_s*: how
    long that takes at the pace that was seen; None: none was.
    """

    done: int
    of: int
    how: str
    things: str = "pods"
    are: str = "have it"
    left_s: float | None = None


State: TypeAlias = Waits | Cannot | UnderWay
HeldFields: TypeAlias = tuple[dict[str, Any], Hold]  # attributes of spec as they stay effective, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of spec, by its path. *old* and *new* are for people; both empty where values are not shown."""

    field: str
    old: str
    new: str
    class_: ChangeClass
    state: State

    @property
    def hold(self) -> Hold | None:
        """What keeps it from being done."""
        return None if isinstance(self.state, UnderWay) else self.state.hold

    @property
    def is_rolling(self) -> bool:
        """Pods are replaced for it, or wait for that."""
        return self.class_ is ChangeClass.ROLLED and self.field != TEMPLATE and isinstance(self.state, UnderWay)

    @property
    def is_moving(self) -> bool:
        """Shards are filled or emptied for it, or wait for that."""
        return self.class_ is ChangeClass.MOVED and isinstance(self.state, UnderWay)

    @property
    def is_told(self) -> bool:
        """It takes its time, and Accepted says how far it is."""
        return self.is_rolling or self.is_moving or self.is_growing or self.is_scaling

    @property
    def is_growing(self) -> bool:
        """Volumes get another size."""
        return self.field == SIZE and isinstance(self.state, UnderWay)

    @property
    def is_scaling(self) -> bool:
        """Pods come, or go."""
        return self.field in COUNTS and isinstance(self.state, UnderWay)

    @property
    def sentence(self) -> str:
        what = f"{self.field} {self.old} -> {self.new}" if self.old or self.new else self.field
        match self.state:
            case UnderWay(done=done, of=of, how=how, things=things, are=are, left_s=left_s):
                left = "" if left_s is None else f"; {roughly(left_s)} left at the pace so far"
                return f"{what}: {done} of {of} {things} {are}; {how}{left}"
            case Waits(hold=hold) | Cannot(hold=hold):
                return f"{what}: {hold.why}"


@dataclass(frozen=True, slots=True)
class Lack:
    """What one pod has of the field *path*, and what it is to have."""

    path: str
    has: str
    wants: str
