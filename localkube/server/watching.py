"""Which changes one watcher is sent, in which order, until its time is over."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from localkube.registry import Event, Obj, Registry
from localkube.server.tables import Table, partial_metadata
from localkube.server.target import Target

Matches = Callable[[Mapping[str, Any]], bool]

# A watcher that does not read: beyond this the stream is cut, and the client resumes or lists again.
BACKLOG_BYTES = 64 * 1024 * 1024
BOOKMARK_EVERY_S = 60.0
# The loop may ring a timer this much early.
CLOCK_SLACK_S = 0.001


class WatchStream:
    """Collects what one watcher is to hear; `run` writes it. One write carries everything that is due."""

    def __init__(
        self,
        registry: Registry,
        target: Target,
        matches: Matches | None,
        *,
        bookmarks: bool,
        table: Table | None,
        metadata_only: bool = False,
        disturb: Callable[[], float | None] | None = None,
    ) -> None:
        """*disturb*, asked at each change: seconds to hold it back, or None: this watcher never hears of it."""
        self._registry = registry
        self._target = target
        self._matches = matches
        self._bookmarks = bookmarks
        self._table = table
        self._metadata_only = metadata_only
        # The stored encoding serves every watcher that wants the storage version as it is.
        self._as_stored = table is None and not metadata_only and target.version == target.rtype.version
        self._disturb = disturb
        self._late: deque[tuple[float, bytes]] = deque()  # held back until then
        self._due: list[bytes] = []
        self._due_bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def begin(self, since: int | None, *, initial_end: bool = False) -> None:
        """Starts hearing. *since* None: everything that exists comes first, as ADDED. Raises ApiError 410."""
        key = self._target.rtype.key
        if since is None:
            for obj in self._registry.list(key, self._target.namespace):
                self._send(Event("ADDED", obj))
            if initial_end:
                self._send_bookmark({"k8s.io/initial-events-end": "true"})
        else:
            for event in self._registry.events_since(key, since):
                self._hear(event)
        self._unsubscribe = self._registry.subscribe(key, self._hear, replay=False)

    def release(self) -> None:
        """What is held back is due now."""
        while self._late:
            self._put(self._late.popleft()[1])

    def end(self) -> None:
        self._ended = True
        self._unsubscribe()
        self._wake.set()

    async def run(self, response: web.StreamResponse, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        next_bookmark = loop.time() + BOOKMARK_EVERY_S
        try:
            while not self._ended or self._due:
                if self._due:
                    frames, self._due, self._due_bytes = b"".join(self._due), [], 0
                    await response.write(frames)
                    continue
                now = loop.time()
                if now >= deadline:
                    break
                if self._bookmarks and now >= next_bookmark:
                    next_bookmark = now + BOOKMARK_EVERY_S
                    self._send_bookmark({})
                    continue
                self._wake.clear()
                timer = loop.call_at(min(deadline, next_bookmark), self._wake.set)
                await self._wake.wait()
                timer.cancel()
            if self._bookmarks and not self._ended:
                self._send_bookmark({})
                await response.write(b"".join(self._due))
        finally:
            self.end()

    def _hear(self, event: Event) -> None:
        namespace = self._target.namespace
        if namespace is not None and event.object["metadata"].get("namespace") != namespace:
            return
        if self._matches is not None:
            now_matches = self._matches(event.object) and event.type != "DELETED"
            before = event.old is not None and self._matches(event.old)
            if not now_matches and not before:
                return
            if not now_matches and event.type != "DELETED" and event.old is not None:
                # It left the selection: for this watcher it is gone, as it last saw it.
                version = event.object["metadata"]["resourceVersion"]
                last = {**event.old, "metadata": {**event.old["metadata"], "resourceVersion": version}}
                event = Event("DELETED", last)
            elif now_matches and not before:
                event = Event("ADDED", event.object) if event.type != "ADDED" else event
        self._send(event, live=True)

    def _send(self, event: Event, *, live: bool = False) -> None:
        if (
            self._matches is not None
            and event.old is None
            and event.type == "ADDED"
            and not self._matches(event.object)
        ):
            return
        held_s = 0.0
        if live and self._disturb is not None:
            delay_s = self._disturb()
            if delay_s is None:
                return
            held_s = delay_s
        encoded = event.encoded if self._as_stored else self._encode(event.object)
        self._push(b'{"type":"' + event.type.encode() + b'","object":' + encoded + b"}\n", held_s)

    def _encode(self, obj: Obj) -> bytes:
        if self._metadata_only:
            return msgspec.json.encode(partial_metadata(obj))
        if self._target.version != self._target.rtype.version:
            obj = {**obj, "apiVersion": self._target.api_version}
        return msgspec.json.encode(self._table.of([obj], {}) if self._table else obj)

    def _send_bookmark(self, annotations: dict[str, str]) -> None:
        metadata: Obj = {"resourceVersion": str(self._registry.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        named = {"kind": self._target.rtype.kind, "apiVersion": self._target.api_version, "metadata": metadata}
        obj = partial_metadata(named) if self._metadata_only else named
        shown = self._table.of([], metadata) if self._table else obj
        self._push(b'{"type":"BOOKMARK","object":' + msgspec.json.encode(shown) + b"}\n")

    def _push(self, frame: bytes, held_s: float = 0.0) -> None:
        if not held_s and not self._late:
            self._put(frame)
            return
        # Nothing overtakes what is held back: a bookmark before it would make the watcher skip it.
        loop = asyncio.get_running_loop()
        due = max(loop.time() + held_s, self._late[-1][0] if self._late else 0.0)
        self._late.append((due, frame))
        loop.call_at(due, self._ripen)

    def _ripen(self) -> None:
        now = asyncio.get_running_loop().time() + CLOCK_SLACK_S
        while self._late and self._late[0][0] <= now and not self._ended:
            self._put(self._late.popleft()[1])

    def _put(self, frame: bytes) -> None:
        self._due.append(frame)
        self._due_bytes += len(frame)
        self._wake.set()
        if self._due_bytes > BACKLOG_BYTES:
            self._due.clear()
            self.end()


def watch_timeout_s(asked: str | None) -> float:
    """As on a real server: half an hour to an hour unless asked otherwise, so that not all watchers return at once."""
    if asked and asked.isdigit() and int(asked) > 0:
        return float(asked)
    return 1800 * (1 + random.random())  # noqa: S311 - spreads load, guards nothing
