"""Decides how long a pass waits for the API server, and when an object that it refused is tried again.

Redis waits for no object: one request of a resource is under way at a time, it is left to itself as soon as somebody
died or Redis has something to go on with, and its end brings another pass. A refusal holds up the object that it is
about and nothing else; a server that is not to be reached holds up all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, Invalid, NotFound, ServerUnavailable, TooManyRequests, is_namespace_going
from tdredis.kube.request import Propagation
from tdredis.kube.resources import PERSISTENTVOLUMECLAIMS, PODS, Resource, resource_of
from tdredis.manifests.asked import ASKED
from tdredis.planning.snapshot import EARLIER, Key
from tdredis.planning.steps import (
    Apply,
    ObjectStep,
    Release,
    Remove,
    ReplacePod,
    ResizePod,
    ResizeVolume,
    RestoreLabels,
)
from tdredis.redislink.errors import LinkError, Refused
from tdredis.runtime.backoff import Backoff

WAIT_S = 0.1  # ten times what a request takes; Redis is not kept longer from what it needs next
NAMESPACE_GOES = "NamespaceTerminating"  # the kind of refusal that nobody need be told of
SERVER = ""  # under this name it is kept that the server, and not one object, refuses


class PreconditionError(Exception):
    """The world is not any more what the step was planned for: nothing was done, look again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object step that was refused, and with which words. *kind*: those of them that do not change."""

    step: ObjectStep
    words: str
    kind: str


@dataclass(slots=True)
class _Lane:
    """Of one resource."""

    backoff: Backoff[str]
    under_way: asyncio.Task[None] | None = None
    is_left: bool = False  # its pass does not wait for it any more
    ended: list[tuple[ObjectStep, Exception | None]] = field(default_factory=list)  # and no pass has heard of it yet
    refused: dict[str, Refusal] = field(default_factory=dict)


class ObjectWriter:
    """*on_applied* is given what the server answered to an apply. *hurry* gives a future that is done as soon as a
    process of the resource died. *on_late* is told of a resource whose request ended after its pass.
    """

    def __init__(
        self,
        client: Client,
        *,
        on_applied: Callable[[JSONObject], None],
        require_lead: Callable[[], None],
        hurry: Callable[[Key], asyncio.Future[None] | None],
        on_late: Callable[[Key], None],
        clock: Callable[[], float],
    ) -> None:
        """*clock*: seconds, never set back."""
        self._client = client
        self._on_applied = on_applied
        self._require_lead = require_lead
        self._hurry = hurry
        self._on_late = on_late
        self._clock = clock
        self._lanes: dict[Key, _Lane] = {}

    def late(self, key: Key) -> list[tuple[ObjectStep, Exception | None]]:
        """Steps that ended since a pass left them, and what they failed with; each is told once."""
        lane = self._lanes.get(key)
        if lane is None:
            return []
        ended, lane.ended = lane.ended, []
        return ended

    def refusal(self, key: Key, step: ObjectStep) -> Refusal | None:
        """Why *step* is not tried yet, where it was refused and its time has not come. One that asks for something
        else by now is tried.
        """
        lane = self._lanes.get(key)
        if lane is None:
            return None
        if lane.backoff.wait_s(SERVER):
            return lane.refused.get(SERVER)
        name = str(step)
        refused = lane.refused.get(name)
        if refused is None or not _asks_the_same(refused.step, step):
            return None
        return refused if lane.backoff.wait_s(name) else None

    def was_refused(self, key: Key, step: ObjectStep) -> bool:
        """It was, when it was last tried: others go first, for a server that needs ten seconds to refuse it."""
        lane = self._lanes.get(key)
        return lane is not None and str(step) in lane.refused

    def wait_s(self, key: Key) -> float | None:
        """Until the first of what is refused is to be tried again; None: nothing is."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        if server_s := lane.backoff.wait_s(SERVER):
            return server_s
        return min((lane.backoff.wait_s(name) for name in lane.refused if name != SERVER), default=None)

    async def write(self, key: Key, step: ObjectStep, *, waits: bool) -> bool:
        """False: it is left for another pass, because it, or one before it, is still under way. Raises ApiError,
        PreconditionError, or what *require_lead* does. *waits*: as long as the server takes, if nobody dies.
        """
        lane = self._lanes.setdefault(key, _Lane(backoff=Backoff(clock=self._clock)))
        if lane.under_way is not None:
            if not await self._ends(key, lane.under_way, waits=waits):
                return False
            if _is_done(lane, step):
                return True
            if self.refusal(key, step):
                return False
        task = asyncio.create_task(self.carry_out(key, step))
        lane.under_way, lane.is_left = task, False
        task.add_done_callback(lambda ended: self._ended(key, lane, step, ended))
        lane.is_left = not await self._ends(key, task, waits=waits)
        if lane.is_left:
            return False
        task.result()
        return True

    async def _ends(self, key: Key, task: asyncio.Task[None], *, waits: bool) -> bool:
        hurry = self._hurry(key)
        awaited: set[asyncio.Future[None]] = {task} if hurry is None else {task, hurry}
        await asyncio.wait(awaited, timeout=None if waits else WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        return task.done()

    def _ended(self, key: Key, lane: _Lane, step: ObjectStep, task: asyncio.Task[None]) -> None:
        lane.under_way = None
        if task.cancelled():
            return
        error = task.exception()
        self._remember(lane, step, error)
        if lane.is_left and self._lanes.get(key) is lane:
            lane.ended.append((step, error if isinstance(error, Exception) else None))
            self._on_late(key)

    def _remember(self, lane: _Lane, step: ObjectStep, error: BaseException | None) -> None:
        name = str(step)
        if error is None:
            for each in (name, SERVER):
                lane.backoff.succeeded(each)
                lane.refused.pop(each, None)
            return
        if not isinstance(error, ApiError | PreconditionError):
            return
        asked_s = error.retry_after_s if isinstance(error, TooManyRequests | ServerUnavailable) else None
        for each in (name, SERVER) if is_of_the_server(error) else (name,):
            lane.refused[each] = Refusal(step=step, words=f"{step}: {error}", kind=kind_of(error))
            lane.backoff.failed(each, at_least_s=asked_s or 0.0)

    def keep(self, key: Key, steps: tuple[ObjectStep, ...]) -> None:
        """*steps* are all that is asked for now: what was refused and is not among them is no matter any more."""
        lane = self._lanes.get(key)
        if lane is None:
            return
        for name in set(lane.refused) - {SERVER, *map(str, steps)}:
            del lane.refused[name]
            lane.backoff.succeeded(name)
        if not steps:
            lane.refused.pop(SERVER, None)
            lane.backoff.succeeded(SERVER)

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        lane = self._lanes.pop(key, None)
        if lane is not None and lane.under_way is not None:
            lane.under_way.cancel()

    async def close(self) -> None:
        """Gives up what is under way, and waits until it has ended."""
        tasks = [lane.under_way for lane in self._lanes.values() if lane.under_way is not None]
        self._lanes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def carry_out(self, key: Key, step: ObjectStep) -> None:
        """Raises ApiError, PreconditionError, or what *require_lead* does."""
        self._require_lead()
        match step:
            case Apply():
                await self._apply(key, step)
            case Remove():
                resource = resource_of(step.api_version, step.ref.kind)
                await self._delete(resource, key, step.ref.name, uid=step.uid, propagation="Background")
            case Release():
                await self._release(key, step)
            case ReplacePod():
                await self._delete(PODS, key, step.pod, uid=step.uid, grace_s=step.grace_s)
            case ResizePod():
                await self._resize(key, step)
            case ResizeVolume():
                spec: JSONObject = {"resources": {"requests": {"storage": step.size}}}
                asked: JSONObject = {"metadata": {"uid": step.uid}, "spec": spec}
                self._on_applied(await self._client.patch(PERSISTENTVOLUMECLAIMS, key.namespace, step.claim, asked))
            case RestoreLabels():
                patch: JSONObject = {"metadata": {"uid": step.uid, "labels": dict(step.labels)}}
                self._on_applied(await self._client.patch(PODS, key.namespace, step.pod, patch))
            case _:
                assert_never(step)

    async def _apply(self, key: Key, step: Apply) -> None:
        """Raises PreconditionError when the name is taken by an object that our resource does not control."""
        resource = resource_of(str(step.manifest["apiVersion"]), str(step.manifest["kind"]))
        if step.is_new:
            found = await self._client.find(resource, key.namespace, step.ref.name)
            if found is not None and _controller_uid(found) != _controller_uid(step.manifest):
                raise PreconditionError("there is one that is not ours: rename or delete it")
            self._require_lead()
        try:
            self._on_applied(await self._apply_or_without_address(resource, step))
        except ServerUnavailable:
            raise
        except ApiError as error:
            if step.ref.kind == "Secret" and not is_namespace_going(error):
                # What the server says of it may quote it.
                raise PreconditionError(f"refused with {error.status} {error.reason}") from None
            raise

    async def _apply_or_without_address(self, resource: Resource, step: Apply) -> JSONObject:
        """Somebody else may have the address by now that a new Service is to have again: then any other will do."""
        spec = step.manifest.get("spec")
        try:
            return await self._client.apply(resource, step.manifest)
        except Invalid:
            if step.ref.kind != "Service" or not step.is_new or not isinstance(spec, dict):
                raise
            if spec.get("clusterIP") in (None, "None"):
                raise
        self._require_lead()
        rest = {name: value for name, value in spec.items() if name != "clusterIP"}
        return await self._client.apply(resource, {**step.manifest, "spec": rest})

    async def _delete(
        self,
        resource: Resource,
        key: Key,
        name: str,
        *,
        uid: str,
        propagation: Propagation | None = None,
        grace_s: int | None = None,
    ) -> None:
        try:
            await self._client.delete(resource, key.namespace, name, propagation=propagation, uid=uid, grace_s=grace_s)
        except NotFound:
            return  # somebody was quicker

    async def _release(self, key: Key, step: Release) -> None:
        """Raises ApiError, Conflict among them when a pod is another by now; LeadLostError."""
        notes = dict(step.notes)
        for pod, uid in step.pods:
            noted: JSONObject = {"annotations": {EARLIER: notes[pod]}} if pod in notes else {}
            owned: JSONObject = {"metadata": {"uid": uid, "ownerReferences": [step.owner], **noted}}
            self._on_applied(await self._client.patch(PODS, key.namespace, pod, owned, kind="strategic"))
            self._require_lead()
        resource = resource_of(step.api_version, step.ref.kind)
        await self._delete(resource, key, step.ref.name, uid=step.uid, propagation="Orphan")

    async def _resize(self, key: Key, step: ResizePod) -> None:
        """Raises ApiError, Conflict among them when the pod is another by now. Who dies in the middle asks again."""
        container: JSONObject = {
            "name": step.container,
            "resources": {"requests": dict(step.requests), "limits": dict(step.limits)},
        }
        patch: JSONObject = {"metadata": {"uid": step.uid}, "spec": {"containers": [container]}}
        answer = await self._client.patch(PODS, key.namespace, step.pod, patch, kind="strategic", subresource="resize")
        self._on_applied(answer)
        self._require_lead()
        record: JSONObject = {"metadata": {"uid": step.uid, "annotations": {ASKED: step.record}}}
        self._on_applied(await self._client.patch(PODS, key.namespace, step.pod, record))


def _is_done(lane: _Lane, step: ObjectStep) -> bool:
    """The request that has just ended was the same; it is told by who waits for it."""
    for ended, error in lane.ended:
        if error is None and _asks_the_same(ended, step):
            lane.ended.remove((ended, error))
            return True
    return False


def kind_of(error: ApiError | PreconditionError | LinkError) -> str:
    """What of a refusal stays the same while its words differ, by a request's number or a duration."""
    match error:
        case ApiError():
            return NAMESPACE_GOES if is_namespace_going(error) else f"{error.status} {error.reason}"
        case Refused():
            return error.code
        case _:
            return type(error).__name__


def is_of_the_server(error: ApiError | PreconditionError) -> bool:
    """No other request would fare better. A 500 is about its object: a webhook of it failed."""
    if isinstance(error, ApiError) and is_namespace_going(error):
        return True
    return isinstance(error, TooManyRequests) or (isinstance(error, ServerUnavailable) and error.status != 500)


def _asks_the_same(one: ObjectStep, other: ObjectStep) -> bool:
    return replace(one, why="") == replace(other, why="")


def _controller_uid(manifest: JSONObject) -> object:
    metadata = manifest.get("metadata")
    owners = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller"):
            return owner.get("uid")
    return None
