"""Writes status, one write a resource at a time, and does not let a slow API server hold up a pass.

What a pass sees and does has to do with Redis; what it says of that is for people. So the next pass may begin while
the server takes its time with a status, and looks once more when it has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from tdredis.api.fields import API_VERSION
from tdredis.api.instance import Instance, InstanceStatus
from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, Conflict, NotFound
from tdredis.kube.resources import resource_of
from tdredis.planning.snapshot import Key

log = structlog.get_logger(__name__)

WAIT_S = 0.1  # ten times what a write takes; a failover is to be seen by its clients in 0.5 s
AT_ONCE = 16  # statuses of other resources leave the server's connections to the lease, to watches and to endpoints


class StatusWriter:
    """*on_status* hears the object as the server has it after a write. *on_late* is told of a key whose write was not
    waited for and needs another pass, and whether it was written. *require_lead* is called directly before every write,
    and raises where nothing may be written any more.
    """

    def __init__(
        self,
        client: Client,
        *,
        on_status: Callable[[JSONObject], None] = lambda _answer: None,
        on_late: Callable[[Key, bool], None] = lambda _key, _written: None,
        require_lead: Callable[[], None] = lambda: None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._client = client
        self._on_status = on_status
        self._on_late = on_late
        self._require_lead = require_lead
        self._wait_s = wait_s
        self._under_way: dict[Key, asyncio.Task[bool]] = {}
        self._turned_away: set[Key] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def is_under_way(self, key: Key) -> bool:
        """Whether it is written is not known yet."""
        return key in self._under_way

    async def write(self, key: Key, resource: Instance, status: InstanceStatus, *, to_the_end: bool = False) -> bool:
        """Writes *status* if it is another than *resource* has. False: it could not be written. Raises what
        *require_lead* does.

        While an earlier write is under way nothing is begun: its end brings another pass. *to_the_end*: waits for both,
        however long the server takes.
        """
        if (earlier := self._under_way.get(key)) and to_the_end:
            await asyncio.wait({earlier})
        if key in self._under_way:
            self._turned_away.add(key)
            return True
        if status == resource.status:
            return True
        task = asyncio.create_task(self._send(key, resource.metadata.uid, status))
        self._under_way[key] = task
        try:
            await asyncio.wait({task}, timeout=None if to_the_end else self._wait_s)
        finally:
            # Also when the pass is cancelled here: the write goes on, and its end is told.
            if not task.done():
                task.add_done_callback(lambda ended: self._end(key, ended))
            else:
                del self._under_way[key]
        return task.result() if task.done() else True

    async def close(self) -> None:
        """Gives up what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, key: Key, task: asyncio.Task[bool]) -> None:
        del self._under_way[key]
        is_old = key in self._turned_away
        self._turned_away.discard(key)
        if task.cancelled():
            return
        if error := task.exception():
            log.error("status not written", resource=str(key), namespace=key.namespace, exc_info=error)
        written = error is None and task.result()
        if is_old or not written:
            self._on_late(key, written)

    async def _send(self, key: Key, uid: str, status: InstanceStatus) -> bool:
        manifest: JSONObject = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            # The uid: a slow pass must not write its slots onto a resource that was made again under the name.
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": msgspec.to_builtins(status),
        }
        try:
            async with self._room:
                self._require_lead()
                answer = await self._client.apply(resource_of(API_VERSION, key.kind), manifest, subresource="status")
        except (NotFound, Conflict):
            return True  # deleted meanwhile, or made again: the watch tells
        except ApiError as error:
            log.warning("status not written", resource=str(key), namespace=key.namespace, error=str(error))
            return False
        self._on_status(answer)
        ready = status.conditions[0]
        log.info("status", resource=str(key), namespace=key.namespace, phase=status.phase, why=ready.message)
        return True
