"""Decides what of ours is there though the caches do not show it: who vanished from them is asked for by name.

Caches are filtered by our label, which anybody may remove. That a pod is gone is the proof that its process is, so what
vanished is taken for what it was until the API server says that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TypeVar

import msgspec

from tdredis.kube.client import Client
from tdredis.kube.objects import Child, Pod, parse_child, parse_pod
from tdredis.kube.resources import PERSISTENTVOLUMECLAIMS, PODS, SECRETS, STATEFULSETS, Resource
from tdredis.observe.lookups import Answer, Lookups
from tdredis.planning.snapshot import Key

WAIT_S = 0.1  # ten times what a question takes: then the pass goes on without the answer
FRESH_S = 2.0
StoredT = TypeVar("StoredT", Pod, Child)
BY_KIND = {each.kind: each for each in (STATEFULSETS, SECRETS, PERSISTENTVOLUMECLAIMS)}


class _Gone(Enum):
    """The API server said that there is no such object: what was seen under the name before will not come back."""

    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayPods:
    """By name. *found* are there. Of *unclear* nobody knows: the pod as it was last seen, None if it never was, and why
    it is not known.
    """

    found: Mapping[str, Pod] = field(default_factory=dict)
    unclear: Mapping[str, tuple[Pod | None, str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    """Of one resource: what was ours when it was last seen, by name."""

    pods: dict[str, Pod] = field(default_factory=dict)
    statefulsets: dict[str, Child] = field(default_factory=dict)


class Strays:
    """Waits for the API server, a moment, only where something vanished, or is not there that was recorded."""

    def __init__(self, client: Client, lookups: Lookups) -> None:
        self._client = client
        self._lookups = lookups
        self._seen: dict[Key, _Seen] = {}
        self.asked = 0  # for how many names, of all resources

    def drop(self, key: Key) -> None:
        """The resource is gone."""
        self._seen.pop(key, None)

    def forget(self) -> None:
        """Another has led meanwhile."""
        self._seen.clear()

    async def statefulsets(
        self, key: Key, names: Iterable[str], cached: Mapping[str, Child], is_ours: Callable[[Child], bool]
    ) -> tuple[dict[str, Child], tuple[str, ...]]:
        """Those that *cached* lacks, as they were last seen if that is all that is known; and the names of those of
        which nothing is known. *names*: those that there should be.
        """
        seen = self._seen.setdefault(key, _Seen()).statefulsets
        seen.update(cached)
        missing = sorted({*names, *seen} - cached.keys())
        found: dict[str, Child] = {}
        unclear = []
        for name, answer in (await self._ask_all(key, STATEFULSETS, missing, seen)).items():
            last = seen.get(name)
            there = _read(answer, parse_child(STATEFULSETS))
            if there is _Gone.GONE:
                continue
            if there is None and last is None:
                unclear.append(name)
            elif there is None:
                found[name] = seen[name]
            elif is_ours(there):
                found[name] = there
        self._keep(seen, names, cached, found)
        return found, tuple(unclear)

    async def pods(
        self, key: Key, names: Iterable[str], cached: Mapping[str, Pod], is_ours: Callable[[Pod], bool]
    ) -> StrayPods:
        """*names*: of the pods that there should be; *cached*: those that are ours by the cache."""
        seen = self._seen.setdefault(key, _Seen()).pods
        seen.update(cached)
        missing = sorted({*names, *seen} - cached.keys())
        found: dict[str, Pod] = {}
        unclear: dict[str, tuple[Pod | None, str]] = {}
        for name, answer in (await self._ask_all(key, PODS, missing, seen)).items():
            last = seen.get(name)
            there = _read(answer, parse_pod)
            if there is _Gone.GONE:
                continue
            if there is None:
                why = answer.error if answer is not None and answer.error else "it has not answered yet"
                unclear[name] = last, why
            elif is_ours(there) or (last is not None and last.metadata.uid == there.metadata.uid):
                found[name] = there
        self._keep(seen, names, cached, {**found, **unclear})
        return StrayPods(found=found, unclear=unclear)

    async def others(self, key: Key, kind: str, names: Iterable[str]) -> dict[str, Child]:
        """Objects with these *names*, whosever they are, as far as they are known."""
        resource = BY_KIND[kind]
        answers = await self._ask_all(key, resource, names, {})
        found = {name: _read(answer, parse_child(resource)) for name, answer in answers.items()}
        return {name: there for name, there in found.items() if there is not None and not isinstance(there, _Gone)}

    async def _ask_all(
        self, key: Key, resource: Resource, names: Iterable[str], seen: Mapping[str, Pod | Child]
    ) -> dict[str, Answer | None]:
        asked = {name: self._what(resource, name, seen.get(name)) for name in names}
        self.asked += len(asked)
        for name, what in asked.items():
            known = self._lookups.peek(key, what)
            is_final = known is not None and known.found is _Gone.GONE
            fetch = partial(self._fetch, resource, key.namespace, name)
            self._lookups.look(key, what, fetch, fresh_s=math.inf if is_final else FRESH_S)
        await self._lookups.wait(
            key, [what for what in asked.values() if self._lookups.peek(key, what) is None], WAIT_S
        )
        return {name: self._lookups.peek(key, what) for name, what in asked.items()}

    def _what(self, resource: Resource, name: str, last: Pod | Child | None) -> tuple[str, str, str, str]:
        """What is asked once: whether this very one is there."""
        return "stray", resource.kind, name, last.metadata.uid if last is not None else ""

    async def _fetch(self, resource: Resource, namespace: str, name: str) -> object:
        """By list: pods are watched, and no right to get one of them is needed."""
        found = await self._client.list(resource, namespace, field_selector=f"metadata.name={name}")
        return found[0] if found else _Gone.GONE

    def _keep(
        self, seen: dict[str, Pod] | dict[str, Child], names: Iterable[str], cached: Iterable[str], found: Iterable[str]
    ) -> None:
        """Who is gone, and has no place to come back to, is forgotten."""
        kept = {*names, *cached, *found}
        for name in [name for name in seen if name not in kept]:
            del seen[name]


def _read(answer: Answer | None, parse: Callable[[bytes], StoredT]) -> StoredT | _Gone | None:
    """None: nobody knows."""
    match answer:
        case Answer(found=_Gone() as gone):
            return gone
        case Answer(found=dict() as found):
            return parse(msgspec.json.encode(found))
        case _:
            return None
