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
from functools import partial
from typing import Final

import structlog

from tdredis.api.json_object import JSONObject
from tdredis.execute.objects import ObjectWriter, PreconditionError
from tdredis.execute.outcome import Outcome, Tally
from tdredis.execute.slot_marks import drop_marks
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.planning.moving import MoveOrder
from tdredis.planning.plan import Plan
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import (
    FailOver,
    Follow,
    MoveKeys,
    MoveSlots,
    ObjectStep,
    PassOn,
    Process,
    RedisStep,
    ResetNode,
    SetParameter,
    Step,
    TakeSlot,
    is_object_step,
)
from tdredis.planning.steps.primaries import CATCHES_UP_MS, fence, least_in_reach
from tdredis.redis.facts import parse_info
from tdredis.redis.views import parse_cluster_nodes
from tdredis.redislink.errors import LinkError, Refused
from tdredis.redislink.link import Link
from tdredis.redislink.pool import Address, Command, LinkPool

log = structlog.get_logger(__name__)

COMMAND_S = 2.0
PAUSE_MS: Final = 3000  # longer than a handover takes; ends by itself if none comes
# PAUSE_MS covers this, and the vote after it.
CATCHES_UP_S, CATCH_UP_LOOK_S = CATCHES_UP_MS / 1000, 0.01
KEYS_A_ROUND = 20  # both nodes serve nobody else while they are moved
# A pass that moves keys sees nothing else meanwhile: not that a primary died. What is left is for the next.
MOVING_A_SLOT_S, MOVING_S = 1.0, 3.0
PAUSE: Final[Command] = ("CLIENT", "PAUSE", PAUSE_MS)
PAUSE_WRITES: Final[Command] = (*PAUSE, "WRITE")
UNPAUSE: Final[Command] = ("CLIENT", "UNPAUSE")
# Who a process is and where it stands. One section a question: servers before 7.0 take no more.
WHO_AND_WHERE: tuple[Command, ...] = (("INFO", "server"), ("INFO", "replication"))


class LeadLostError(Exception):
    """Somebody else may be working by now: nothing may be done any more."""


class Executor:
    """Carries out plans. *on_applied* is given what the API server answered to an apply: the caches are to know it.
    *may_act* is asked directly before every effect: False, and nothing is done any more. *hurry* gives a future that is
    done when a process of the resource dies: a pass waits for no object any longer. *on_late* is told of a resource of
    which an object was written, or refused, after its pass. *on_order* gets each plan's order to move slots, or None.
    """

    def __init__(
        self,
        client: Client,
        links: LinkPool[Key],
        *,
        on_applied: Callable[[JSONObject], None] = lambda _answer: None,
        may_act: Callable[[], bool] = lambda: True,
        hurry: Callable[[Key], asyncio.Future[None] | None] = lambda _key: None,
        on_late: Callable[[Key], None] = lambda _key: None,
        on_order: Callable[[Key, MoveOrder | None], bool] = lambda _key, _order: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*clock*: seconds, never set back."""
        self._links = links
        self._clock = clock
        self._may_act = may_act
        self._on_order = on_order
        self._objects = ObjectWriter(
            client, on_applied=on_applied, require_lead=self.require_lead, hurry=hurry, on_late=on_late, clock=clock
        )
        self._paced: dict[tuple[Key, str, str], float] = {}  # until when what was done to a process is not repeated

    def require_lead(self) -> None:
        """Raises LeadLostError. Between this and a command to Redis nothing may be awaited: a process can be stopped
        there, and go on when another one leads. A request to the API server may still wait for a connection behind it;
        what it changes is checked by uid.
        """
        if not self._may_act():
            raise LeadLostError("the lease has run out: another operator may be working")

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._objects.forget(key)

    async def close(self) -> None:
        """Gives up what is under way, and waits until it has ended."""
        await self._objects.close()
        self._paced.clear()

    async def run(self, key: Key, plan: Plan) -> Outcome:
        """Carries out *plan* step by step. Never raises for what the world may answer: that is in the outcome. Raises
        LeadLostError.

        Redis waits for no object: where the API server is slow, or somebody died, the remaining steps that need it are
        left for another pass.
        """
        tally = Tally()
        for ended, error in self._objects.late(key):
            tally.add(ended, error)
        moving_until = math.inf
        if not any(isinstance(step, MoveSlots) for step in plan.steps):
            self._on_order(key, None)
        waits = not any(isinstance(step, RedisStep) for step in plan.steps)
        for step in self._in_order(key, plan.steps):
            if isinstance(step, MoveKeys):
                now = self._clock()
                moving_until = min(moving_until, now + MOVING_S)
                if now > moving_until:
                    continue
            try:
                if await self._carry_out(key, step, tally, waits=waits):
                    tally.add(step, None)
            except (ApiError, LinkError, PreconditionError) as error:
                tally.add(step, error)
        if not any(step.barrier for step in plan.steps):
            self._objects.keep(key, tuple(filter(is_object_step, plan.steps)))
        return tally.outcome(self._objects.wait_s(key))

    async def _carry_out(self, key: Key, step: Step, tally: Tally, *, waits: bool) -> bool:
        """False: nothing was done. Raises ApiError, LinkError, PreconditionError or LeadLostError."""
        if isinstance(step, RedisStep):
            return not self._is_paced(key, step) and await self.run_step(key, step)
        if isinstance(step, MoveSlots):
            self.require_lead()
            return self._on_order(key, step.order)
        if tally.objects_wait:
            return False
        if refusal := self._objects.refusal(key, step):
            tally.still_refused(refusal.step, refusal.words, refusal.kind)
            return False
        is_done = await self.write(key, step, waits=waits)
        tally.objects_wait = tally.is_cut_short = not is_done
        return is_done

    def _in_order(self, key: Key, steps: Sequence[Step]) -> list[Step]:
        """As planned, but for objects that were refused: others are not to wait for a server that takes its time to
        refuse them again.
        """
        return sorted(steps, key=lambda step: is_object_step(step) and self._objects.was_refused(key, step))

    def _is_paced(self, key: Key, step: RedisStep) -> bool:
        """The same was done to the same process a moment ago, and doing it again would undo what comes of it."""
        if not step.pace_s:
            return False
        now = self._clock()
        self._paced = {done: until for done, until in self._paced.items() if now < until}
        return (key, str(step), step.process.id) in self._paced

    async def write(self, key: Key, step: ObjectStep, *, waits: bool) -> bool:
        """One object. False: it is left for another pass. Raises ApiError, PreconditionError or LeadLostError."""
        return await self._objects.write(key, step, waits=waits)

    async def run_step(self, key: Key, step: RedisStep) -> bool:
        """One effect on a Redis process. False: it refuses a value that a user wrote; the next pass says so.
        Raises LinkError, PreconditionError or LeadLostError.
        """
        self.require_lead()
        await drop_marks(partial(self._try, key), step)
        match step:
            case SetParameter():
                return await self._set(key, step)
            case FailOver(primary=Process() as primary):
                await self._hand_over(key, step, primary)
            case PassOn():
                await self._pass_on(key, step)
            case Follow():
                await self._follow(key, step)
            case ResetNode():
                await self._reset(key, step)
            case MoveKeys():
                await self._move_keys(key, step)
            case _:
                await self._do(key, step.process, self._commands(key, step))
        if isinstance(step, TakeSlot):  # a slot that nobody owned took no command before
            await drop_marks(partial(self._try, key), step)
        if step.pace_s:
            self._paced[key, str(step), step.process.id] = self._clock() + step.pace_s
        return True

    async def _set(self, key: Key, step: SetParameter) -> bool:
        """Whether the process took it. Raises LinkError, PreconditionError or LeadLostError."""
        memory = self._links.settings
        try:
            _, answer = await self._do(key, step.process, self._commands(key, step))
        except Refused as error:
            memory.refused(key, step.process.id, step.name, step.value, str(error))
            log.warning("parameter refused", step=str(step), error=str(error))
            return False
        value = answer[1] if isinstance(answer, list) and len(answer) == 2 else b""
        if isinstance(value, bytes):
            told = value.decode("utf-8", "replace")
            memory.took(key, step.engine, step.process.id, step.name, wanted=step.value, value=told)
        return True

    async def _hand_over(self, key: Key, step: FailOver, primary: Process) -> None:
        """Raises PreconditionError when a candidate does not get all that the primary has; it goes on as it was. A
        Sentinel that does not answer may be failing over, and one that says so is: the writes stay stopped as long as
        that takes, or the primary would acknowledge some that its successor does not have. When the pause is over, and
        nobody leads, the fence still holds.
        """
        answers = await self._pause(key, primary, step.least)
        is_asked = False
        try:
            if answers:
                await self._until_candidates_have_all(key, step.candidates, primary)
            is_asked = True
            await self._do(key, step.process, self._commands(key, step))
        except (LinkError, PreconditionError) as error:
            if not is_asked or (isinstance(error, Refused | PreconditionError) and not _is_under_way(error)):
                with contextlib.suppress(LinkError, PreconditionError):  # it ends by itself too
                    await self._do(key, primary, [least_in_reach(step.least), UNPAUSE])
            raise

    async def _pass_on(self, key: Key, step: PassOn) -> None:
        """Its clients wait until the replica says what it has, which it does once a second unless it is asked (source:
        replication.c, replconfCommand). Raises PreconditionError when it is another by now.
        """
        candidate = step.candidate
        link = await self._open(key, candidate)
        await self._do(key, step.process, self._commands(key, step))
        until = self._clock() + CATCHES_UP_S
        while (await self._info(candidate, link)).get("role") != "master" and self._clock() < until:
            self.require_lead()
            link.tell("REPLCONF", "GETACK", "*")
            await asyncio.sleep(CATCH_UP_LOOK_S)

    async def _until_candidates_have_all(self, key: Key, candidates: Sequence[Process], primary: Process) -> None:
        end_bytes = await self._offset_bytes(key, primary)
        until = self._clock() + CATCHES_UP_S
        for candidate in candidates:
            while await self._offset_bytes(key, candidate) < end_bytes:
                if self._clock() > until:
                    raise PreconditionError(f"{candidate.pod} does not have all that {primary.pod} has: looking again")
                await asyncio.sleep(CATCH_UP_LOOK_S)

    async def _offset_bytes(self, key: Key, process: Process) -> int:
        """How much of the stream of writes *process* has. Raises PreconditionError when it is another by now."""
        found = await self._info(process, await self._open(key, process))
        return int(found.get("slave_repl_offset") or found.get("master_repl_offset") or 0)

    async def _pause(self, key: Key, primary: Process, least: int) -> bool:
        """*least*: its fence is no lower. False: it answers nothing any more. Before 6.2 reads wait too, our own among
        them: so what holds for longer than the pause comes first.
        """
        link = await self._open(key, primary)
        found = await self._info(primary, link)
        await self.ask(link, [fence(max(least, int(found.get("connected_slaves", 0))))])
        try:
            await self.ask(link, [PAUSE_WRITES])
        except Refused:
            await self.ask(link, [PAUSE])
            return False
        return True

    async def _follow(self, key: Key, step: Follow) -> None:
        """Raises PreconditionError when it was made a primary meanwhile, by a vote that we have not seen."""
        process = step.process
        link = await self._open(key, process)
        found = await self._info(process, link)
        if found.get("role") == "master" and not step.was_primary:
            raise PreconditionError(f"{process.pod} is a primary by now: looking again")
        await self.ask(link, self._commands(key, step))

    async def _reset(self, key: Key, step: ResetNode) -> None:
        """Steps before it may have waited for the API server. Raises PreconditionError when *step* is no more right."""
        process = step.process
        link = await self._open(key, process)
        (nodes,) = await self.ask(link, [("CLUSTER", "NODES")])
        view = parse_cluster_nodes(nodes.decode("utf-8", "replace") if isinstance(nodes, bytes) else "")
        if view.me.id != process.id:
            raise PreconditionError(f"{process.pod} is another process by now")
        if reached := [node_id for node_id in step.apart if view.reaches(node_id)]:
            raise PreconditionError(f"{process.pod} reaches {len(reached)} nodes by now that it did not: looking again")
        await self.ask(link, self._commands(key, step))

    async def _move_keys(self, key: Key, step: MoveKeys) -> None:
        """Raises Refused when the target does not take them."""
        until = self._clock() + MOVING_A_SLOT_S
        password = self._links.password(key)
        while True:
            (keys,) = await self._do(key, step.process, [step.look(KEYS_A_ROUND)])
            if not isinstance(keys, list) or not keys:
                return
            await self._do(key, step.process, [step.migrate(keys, password)])
            if self._clock() > until:
                return

    def _commands(self, key: Key, step: RedisStep) -> tuple[Command, ...]:
        return step.commands(self._links.password(key))

    async def _do(self, key: Key, process: Process, commands: Sequence[Command]) -> list[object]:
        """The replies to the commands, in one round trip, after the process has said that it is the one we mean.

        Raises PreconditionError when it is another, Refused when it refuses one of them.
        """
        return _require(await self._try(key, process, commands))

    async def _try(self, key: Key, process: Process, commands: Sequence[Command]) -> list[object]:
        """As `_do`, but that what is refused is a Refused in the list."""
        link = await self._open(key, process)
        if process.in_cluster:
            (found,) = await self.ask(link, [("CLUSTER", "MYID")])
        else:
            (info,) = await self.ask(link, [("INFO", "server")])
            found = parse_info(info.decode()).get("run_id", "").encode() if isinstance(info, bytes) else None
        if found != process.id.encode():
            raise PreconditionError(f"{process.pod} is another process by now")
        self.require_lead()
        return await link.call_all(commands, timeout_s=COMMAND_S)

    async def _info(self, process: Process, link: Link) -> dict[str, str]:
        """Raises PreconditionError when *process* is another by now."""
        texts = await self.ask(link, WHO_AND_WHERE)
        found: dict[str, str] = {}
        for text in texts:
            found |= parse_info(text.decode("utf-8", "replace") if isinstance(text, bytes) else "")
        if found.get("run_id") != process.id:
            raise PreconditionError(f"{process.pod} is another process by now")
        return found

    async def _open(self, key: Key, process: Process) -> Link:
        """The connection to whoever is at the address of *process*: a command goes by the same one as the question who
        that is. Between two connections a container may have started anew.
        """
        address = Address(process.uid, process.ip, process.port, process.pod)
        return await self._links.open(key, address, timeout_s=COMMAND_S)

    async def ask(self, link: Link, commands: Sequence[Command]) -> list[object]:
        """The replies. Raises LeadLostError, Unreachable, NoAnswer, or Refused when one of *commands* is refused."""
        self.require_lead()
        return _require(await link.call_all(commands, timeout_s=COMMAND_S))


def _require(replies: list[object]) -> list[object]:
    """Raises the first Refused of them."""
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
    return replies


def _is_under_way(error: Exception) -> bool:
    """Source: sentinel.c, sentinelCommand: it says so while a failover that it was asked for before goes on."""
    return isinstance(error, Refused) and error.code == "INPROG"
