"""Which events a pod's story leaves behind: core/v1 events, an equal one counted instead of repeated."""

from __future__ import annotations

import datetime
import secrets
import time
from collections import OrderedDict
from typing import Any

from localkube.errors import ApiError
from localkube.registry import Registry, time_text, utc_now

Obj = dict[str, Any]
REMEMBERED = 2000
# A pod that fails its probe every second is not to cost a write every second for ever: so many events of one reason
# at once, then one in this time (a real kubelet's numbers, which it applies to all reasons of a pod together).
BURST = 25
REFILL_S = 300.0


class Allowance:
    """Tokens of one (pod, reason): full at first, refilled slowly."""

    def __init__(self, now_s: float) -> None:
        self._tokens = float(BURST)
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        self._tokens = min(BURST, self._tokens + (now_s - self._at_s) / REFILL_S)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class EventWriter:
    """Writes the events of one component on one node."""

    def __init__(self, registry: Registry, node: str) -> None:
        self._registry = registry
        self._node = node
        self._names: OrderedDict[tuple[str, ...], str] = OrderedDict()
        self._allowances: OrderedDict[tuple[str, str], Allowance] = OrderedDict()

    def write(self, pod: Obj, kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """*kind*: Normal or Warning. *field_path* names the container, as `spec.containers{redis}`."""
        metadata = pod["metadata"]
        if not self._is_allowed((metadata["uid"], reason)):
            return
        key = (metadata["uid"], kind, reason, message, field_path)
        now = utc_now()
        try:
            if not self._count(key, metadata["namespace"], now):
                self._create(key, pod, now)
        except ApiError as error:
            # The namespace is being removed: its events go with it, and nobody is left to read this one.
            if error.code not in (403, 404):
                raise

    def _is_allowed(self, whose: tuple[str, str]) -> bool:
        now_s = time.monotonic()
        allowance = self._allowances.setdefault(whose, Allowance(now_s))
        self._allowances.move_to_end(whose)
        if len(self._allowances) > REMEMBERED:
            self._allowances.popitem(last=False)
        return allowance.take(now_s)

    def _count(self, key: tuple[str, ...], namespace: str, now: datetime.datetime) -> bool:
        name = self._names.get(key)
        known = self._registry.find("events", namespace, name) if name else None
        if known is None:
            return False
        self._names.move_to_end(key)
        again = {**known, "count": known.get("count", 1) + 1, "lastTimestamp": time_text(now)}
        self._registry.update("events", again, manager="kubelet")
        return True

    def _create(self, key: tuple[str, ...], pod: Obj, now: datetime.datetime) -> None:
        _, kind, reason, message, field_path = key
        metadata = pod["metadata"]
        involved = {
            "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"],
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        }  # fmt: skip
        if field_path:
            involved["fieldPath"] = field_path
        name = f"{metadata['name']}.{secrets.token_hex(8)}"
        event = {
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": time_text(now),
            "lastTimestamp": time_text(now),
            "eventTime": None,
            "count": 1,
        }
        self._registry.create("events", event, manager="kubelet")
        self._names[key] = name
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)
