"""Decides how a plan becomes effects: one a step, its precondition checked again, and what a failure stops.

The steps of one plan do not build on each other (what does comes behind a barrier, in another pass). So one that is
refused does not keep the others from being done: a quota that forbids a Service must not forbid a failover.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from tdredis.api.json_object import JSONObject
from tdredis.execute.commands import PAUSE, PAUSE_WRITES, UNPAUSE, migrate, redis_commands
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, NotFound, ServerUnavailable
from tdredis.kube.resources import PODS, Resource, resource_of
from tdredis.planning.plan import Plan
from tdredis.planning.slot_steps import MoveKeys, ResetNode
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import OBJECT_STEPS, Apply, FailOver, Follow, Process, Remove, ReplacePod, ResizePod, Step
from tdredis.redis.facts import parse_info
from tdredis.redis.views import parse_cluster_nodes
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.pool import Address, Command, LinkPool

log = structlog.get_logger(__name__)

COMMAND_S = 2.0
# PAUSE_MS covers this, and the vote after it.
CATCHES_UP_S, CATCH_UP_LOOK_S = 1.5, 0.01
KEYS_A_ROUND = 20  # both nodes serve nobody else while they are moved
# A pass that moves keys sees nothing else meanwhile: not that a primary died. What is left is for the next.
MOVING_A_SLOT_S, MOVING_S = 1.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done of a plan. *failed* is the first step that did not succeed, *error* why; *server_refused*: the API
    server did, or was not to be reached, so that trying again at once would be a burden to it.
    """

    done: tuple[Step, ...] = ()
    failed: Step | None = None
    error: str = ""
    server_refused: bool = False


class PreconditionError(Exception):
    """The world is not any more what the step was planned for: nothing was done, look again."""


class LeadLostError(Exception):
    """Somebody else may be working by now: nothing may be done any more."""


class Executor:
    """Carries out plans. *on_applied* is given what the API server answered to an apply: the caches are to know it.
    *may_act* is asked directly before every effect: False, and nothing is done any more. *is_urgent* is asked whether a
    process died meanwhile: then a pass keeps no more than one request to the API server before it.
    """

    def __init__(
        self,
        client: Client,
        links: LinkPool[Key],
        *,
        on_applied: Callable[[JSONObject], None] = lambda _answer: None,
        may_act: Callable[[], bool] = lambda: True,
        is_urgent: Callable[[Key], bool] = lambda _key: False,
    ) -> None:
        self._client = client
        self._links = links
        self._on_applied = on_applied
        self._may_act = may_act
        self._is_urgent = is_urgent

    def require_lead(self) -> None:
        """Raises LeadLostError. Between this and the effect nothing may be awaited: a process can be stopped there, and
        go on when another one leads.
        """
        if not self._may_act():
            raise LeadLostError("the lease has run out: another operator may be working")

    async def run(self, key: Key, plan: Plan, *, password: str) -> Outcome:
        """Carries out *plan* step by step. Never raises for what the world may answer: that is in the outcome. Raises
        LeadLostError.

        When the API server cannot be reached, or somebody died, the remaining steps that need it are left for another
        pass: it may take ten seconds for each.
        """
        done: list[Step] = []
        failures: list[tuple[Step, str]] = []
        server_is_there = True
        server_refused = False
        moving_until = math.inf
        for step in plan.steps:
            if isinstance(step, MoveKeys):
                now = time.monotonic()
                moving_until = min(moving_until, now + MOVING_S)
                if now > moving_until:
                    continue
            if isinstance(step, OBJECT_STEPS):
                # One is always done: deaths can come without end.
                waits = self._is_urgent(key) and any(isinstance(each, OBJECT_STEPS) for each in done)
                if waits or not server_is_there:
                    continue
            try:
                await self.run_step(key, step, password=password)
            except (ApiError, LinkError, PreconditionError) as error:
                server_is_there = server_is_there and not isinstance(error, ServerUnavailable)
                server_refused = server_refused or isinstance(error, ApiError)
                failures.append((step, f"{step}: {error}"))
                log.warning("step failed", resource=str(key), namespace=key.namespace, step=str(step), error=str(error))
            else:
                log.info("step done", resource=str(key), namespace=key.namespace, step=str(step), why=step.why)
                done.append(step)
        failed, error_text = failures[0] if failures else (None, "")
        return Outcome(done=tuple(done), failed=failed, error=error_text, server_refused=server_refused)

    async def run_step(self, key: Key, step: Step, *, password: str) -> None:
        """One effect. Raises ApiError, LinkError, PreconditionError or LeadLostError."""
        self.require_lead()
        match step:
            case Apply():
                await self._apply(key, step)
            case Remove():
                await self._remove(key, step)
            case ReplacePod():
                await self._replace_pod(key, step)
            case ResizePod():
                await self._resize(key, step)
            case FailOver(primary=Process() as primary):
                await self._hand_over(key, step, primary, password)
            case Follow():
                await self._follow(key, step, password)
            case ResetNode():
                await self._reset(key, step, password)
            case MoveKeys():
                await self._move_keys(key, step, password)
            case _:
                process, commands = redis_commands(step, password)
                await self._do(key, process, commands, password)

    async def _apply(self, key: Key, step: Apply) -> None:
        """Raises PreconditionError when the name is taken by an object that our resource does not control."""
        resource = _resource(step.manifest)
        if step.is_new:
            found = await self._client.find(resource, key.namespace, step.ref.name)
            if found is not None and _controller_uid(found) != _controller_uid(step.manifest):
                raise PreconditionError("there is one that is not ours: rename or delete it")
            self.require_lead()
        try:
            self._on_applied(await self._client.apply(resource, step.manifest))
        except ServerUnavailable:
            raise
        except ApiError as error:
            if step.ref.kind == "Secret":
                # What the server says of it may quote it.
                raise PreconditionError(f"refused with {error.status} {error.reason}") from None
            raise

    async def _remove(self, key: Key, step: Remove) -> None:
        resource = resource_of(step.api_version, step.ref.kind)
        try:
            await self._client.delete(resource, key.namespace, step.ref.name, propagation="Background", uid=step.uid)
        except NotFound:
            return  # somebody was quicker

    async def _replace_pod(self, key: Key, step: ReplacePod) -> None:
        try:
            await self._client.delete(PODS, key.namespace, step.pod, uid=step.uid)
        except NotFound:
            return

    async def _hand_over(self, key: Key, step: FailOver, primary: Process, password: str) -> None:
        """Raises PreconditionError when an heir does not get all that the primary has; it goes on as it was. A Sentinel
        that does not answer may be failing over: the writes stay stopped as long as that takes.
        """
        answers = await self._pause(key, primary, password)
        is_asked = False
        try:
            if answers:
                await self._until_heirs_have_all(key, step.heirs, primary, password)
            is_asked = True
            await self._do(key, *redis_commands(step, password), password)
        except (LinkError, PreconditionError) as error:
            if not is_asked or isinstance(error, Refused | PreconditionError):
                with contextlib.suppress(LinkError, PreconditionError):  # it ends by itself too
                    await self._do(key, primary, [UNPAUSE], password)
            raise

    async def _until_heirs_have_all(self, key: Key, heirs: Sequence[Process], primary: Process, password: str) -> None:
        end_bytes = await self._offset_bytes(key, primary, password)
        until = time.monotonic() + CATCHES_UP_S
        for heir in heirs:
            while await self._offset_bytes(key, heir, password) < end_bytes:
                if time.monotonic() > until:
                    raise PreconditionError(f"{heir.pod} does not have all that {primary.pod} has: looking again")
                await asyncio.sleep(CATCH_UP_LOOK_S)

    async def _offset_bytes(self, key: Key, process: Process, password: str) -> int:
        """How much of the stream of writes *process* has. Raises PreconditionError when it is another by now."""
        (info,) = await self._ask(key, process, [("INFO",)], password)
        found = parse_info(info.decode("utf-8", "replace") if isinstance(info, bytes) else "")
        if found.get("run_id") != process.id:
            raise PreconditionError(f"{process.pod} is another process by now")
        return int(found.get("slave_repl_offset") or found.get("master_repl_offset") or 0)

    async def _pause(self, key: Key, primary: Process, password: str) -> bool:
        """False: it answers nothing any more. Before 6.2 reads wait too, our own among them."""
        try:
            await self._do(key, primary, [PAUSE_WRITES], password)
        except Refused:
            await self._do(key, primary, [PAUSE], password)
            return False
        return True

    async def _follow(self, key: Key, step: Follow, password: str) -> None:
        """Raises PreconditionError when it was made a primary meanwhile, by a vote that we have not seen."""
        process, commands = redis_commands(step, password)
        (info,) = await self._ask(key, process, [("INFO",)], password)
        found = parse_info(info.decode("utf-8", "replace") if isinstance(info, bytes) else "")
        if found.get("run_id") != process.id:
            raise PreconditionError(f"{process.pod} is another process by now")
        if found.get("role") == "master" and not step.was_primary:
            raise PreconditionError(f"{process.pod} is a primary by now: looking again")
        await self._ask(key, process, commands, password)

    async def _reset(self, key: Key, step: ResetNode, password: str) -> None:
        """Steps before it may have waited for the API server. Raises PreconditionError when *step* is no more right."""
        process, commands = redis_commands(step, password)
        (nodes,) = await self._ask(key, process, [("CLUSTER", "NODES")], password)
        view = parse_cluster_nodes(nodes.decode("utf-8", "replace") if isinstance(nodes, bytes) else "")
        if view.me.id != process.id:
            raise PreconditionError(f"{process.pod} is another process by now")
        if reached := [node_id for node_id in step.apart if view.reaches(node_id)]:
            raise PreconditionError(f"{process.pod} reaches {len(reached)} nodes by now that it did not: looking again")
        await self._ask(key, process, commands, password)

    async def _move_keys(self, key: Key, step: MoveKeys, password: str) -> None:
        """Raises Refused when the target does not take them."""
        until = time.monotonic() + MOVING_A_SLOT_S
        while True:
            (keys,) = await self._do(
                key, step.process, [("CLUSTER", "GETKEYSINSLOT", step.slot, KEYS_A_ROUND)], password
            )
            if not isinstance(keys, list) or not keys:
                return
            await self._do(key, step.process, [migrate(step, keys, password)], password)
            if time.monotonic() > until:
                return

    async def _resize(self, key: Key, step: ResizePod) -> None:
        """Raises ApiError, Conflict among them when the pod is another by now."""
        container: JSONObject = {
            "name": step.container,
            "resources": {"requests": dict(step.requests), "limits": dict(step.limits)},
        }
        patch: JSONObject = {"metadata": {"uid": step.uid}, "spec": {"containers": [container]}}
        answer = await self._client.patch(PODS, key.namespace, step.pod, patch, kind="strategic", subresource="resize")
        self._on_applied(answer)

    async def _do(self, key: Key, process: Process, commands: Sequence[Command], password: str) -> list[object]:
        """The replies to the commands, in one round trip, after the process has said that it is the one we mean.

        Raises PreconditionError when it is another, Refused when it refuses one of them.
        """
        if process.in_cluster:
            (found,) = await self._ask(key, process, [("CLUSTER", "MYID")], password)
        else:
            (info,) = await self._ask(key, process, [("INFO", "server")], password)
            found = parse_info(info.decode()).get("run_id", "").encode() if isinstance(info, bytes) else None
        if found != process.id.encode():
            raise PreconditionError(f"{process.pod} is another process by now")
        return await self._ask(key, process, commands, password)

    async def _ask(self, key: Key, process: Process, commands: Sequence[Command], password: str) -> list[object]:
        """Whoever is at the address of *process*. Raises Refused when it refuses one of *commands*."""
        address = Address(process.uid, process.ip, process.port)
        replies = await self._links.ask(
            key, address, commands, password=password, timeout_s=COMMAND_S, before_sending=self.require_lead
        )
        for reply in replies:
            if isinstance(reply, Refused):
                raise reply
        return replies


def _controller_uid(manifest: JSONObject) -> object:
    metadata = manifest.get("metadata")
    owners = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller"):
            return owner.get("uid")
    return None


def _resource(manifest: JSONObject) -> Resource:
    return resource_of(str(manifest["apiVersion"]), str(manifest["kind"]))
