"""Decides how spec.rollout is written, and when the window in it is open."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Meta

from tdredis.api.fields import Bounds, wire_name

_CRON: Final[Bounds] = {
    "maxLength": 128,
    "pattern": "^[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4}$",
    "x-write": "five fields: minute, hour, day of the month, month, day of the week ('0 2 * * SUN')",
}
_ZONE: Final[Bounds] = {
    "maxLength": 64,
    "pattern": "^[A-Za-z][-A-Za-z0-9_+/]*$",
    "x-write": "a name of the IANA time zone database ('Europe/Paris')",
}


class RolloutWindow(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.rollout.window: when primaries hand over."""

    cron: Annotated[
        str,
        Meta(
            description="When it opens: minute, hour, day of the month, month, day of the week, as cron has them.",
            extra_json_schema=_CRON,
        ),
    ]
    minutes: Annotated[
        int, Meta(description="For how long it is open.", extra_json_schema={"minimum": 1, "maximum": 10080})
    ]
    time_zone: Annotated[
        str, Meta(description="By whose clock: a name of the IANA time zone database.", extra_json_schema=_ZONE)
    ] = "UTC"


class RolloutSpec(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """spec.rollout: how pods are recreated when what they are made of has changed."""

    primaries: Annotated[
        str,
        Meta(
            description="auto: a primary hands over when its replicas are new. onRequest: it does when somebody asks"
            " for it, by the annotation cache.tongdun.net/handover; its replicas are new by then.",
            extra_json_schema={"enum": ["auto", "onRequest"]},
        ),
    ] = "auto"
    window: Annotated[
        RolloutWindow | None,
        Meta(
            description="When given: a primary hands over, or goes where it is alone, while the window is open, or when"
            " somebody asks for it; its replicas are new by then."
        ),
    ] = None
    max_unavailable_shards: Annotated[
        int,
        Meta(
            description="In how many shards of a cluster a pod may be recreated at the same time.",
            extra_json_schema={"minimum": 1, "maximum": 1000},
        ),
    ] = 1
    surge: Annotated[
        str,
        Meta(
            description="Where a pod's going would leave one copy of its data (one replica, on an emptyDir), another"
            " pod has one meanwhile. always: without that nothing goes. whenPossible: where that pod has no room, the"
            " roll goes on with one copy.",
            extra_json_schema={"enum": ["always", "whenPossible"]},
        ),
    ] = "always"
    rollback: Annotated[
        str,
        Meta(
            description="What becomes of an edit whose first new pod does not come up (no image, no room, refused, it"
            " ends over and over). auto: after progressDeadlineSeconds pods are made again as all of them were when all"
            " was well, and the edit is not tried again before it is another one. off: it is tried until spec is edited"
            " back.",
            extra_json_schema={"enum": ["auto", "off"]},
        ),
    ] = "auto"
    progress_deadline_seconds: Annotated[
        int,
        Meta(
            description="How long the first new pod may take, with something that is wrong with it, before that.",
            extra_json_schema={"minimum": 1, "maximum": 86400},
        ),
    ] = 600


class RolloutStatus(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status.rollout: what pods would go back to, and what became of the edit since."""

    last_good: Annotated[
        str,
        Meta(description="What pods were made from when all was well: JSON, fields of spec by path, but for defaults."),
    ] = ""
    tried: Annotated[str, Meta(description="A digest of what spec says otherwise since. Empty: nothing.")] = ""
    came_up: Annotated[bool, Meta(description="A pod that was made from it did: nothing goes back any more.")] = False
    failed: Annotated[str, Meta(description="Why no pod that was made from it came up. Empty: it is not given up.")] = (
        ""
    )
    generation: Annotated[int, Meta(description="The generation of spec that was given up.")] = 0
    failing_since: Annotated[
        str, Meta(description="Since when no pod can be made from it.", extra_json_schema={"format": "date-time"})
    ] = ""


def is_cron(expression: str) -> bool:
    """There is a time that it names: 30 February is none."""
    return _opens(expression, "UTC", 0) is not None


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: it is a folder of the database
        return False
    return True


def opens_at(window: RolloutWindow, now: float) -> float | None:
    """When *window* opens next, in epoch seconds as *now*; None: it is open, or what it says is no window."""
    if not is_zone(window.time_zone):
        return None
    # Whole minutes, as cron counts: all passes of a minute ask the same.
    opens = _opens(window.cron, window.time_zone, int(now) // 60 - window.minutes)
    return None if opens is None or opens <= now else opens


@lru_cache(maxsize=1024)
def _opens(expression: str, zone: str, minute: int) -> float | None:
    """The first time after that minute (since the epoch) that *expression* names; None: none, in the next 50 years."""
    try:
        return next(CronSim(expression, datetime.fromtimestamp(minute * 60, ZoneInfo(zone)))).timestamp()
    except (CronSimError, StopIteration):
        return None
