"""What the cluster looks like right now, without asking: LIST once, then WATCH, for every resource that we read."""

import asyncio
import random
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import (
    ApiError,
    Gone,
    ServerUnavailable,
    TooManyRequests,
    WatchSilent,
    parse_error,
)
from tdredis.kube.objects import Bytes, Meta, Stored, parse_identity
from tdredis.kube.resources import Resource
from tdredis.kube.store import Key, Store
from tdredis.kube.versions import is_older, version_of

T = TypeVar("T", bound=Stored)

# What a parser or an index function may raise about an object that is not as we expect it.
UNDECODABLE = (msgspec.MsgspecError, ValueError, TypeError, LookupError)
_FAILURES_BEFORE_RELIST = 3
_UNANSWERED = ("Unreachable", "DeadlineExceeded", "WatchEnded")  # reasons after which history can simply be resumed

log = structlog.get_logger(__name__)


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


_FRAME = msgspec.json.Decoder(_Frame)


class Cache(Generic[T]):
    """A live copy of one resource. Run `run()` as a task; read the rest from the same loop.

    `on_change(old, new)` is called once for every change, in order: (None, new) appeared, (old, new) changed, (old,
    None) vanished, also for what vanished while nobody watched. It must not block; what it raises ends `run`.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        parse: Callable[[Bytes], T],
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        index: Callable[[T], Hashable | None] | None = None,
        on_change: Callable[[T | None, T | None], None] | None = None,
        on_event: Callable[[Resource, str], None] | None = None,
        watch_timeout_s: tuple[int, int] = (300, 600),
        silence_s: float = 100.0,
        backoff_first_s: float = 0.25,
        backoff_most_s: float = 5.0,  # a dozen caches may ask that often; the return of the server must not be missed
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`index` None for an object: it is in no index.

        `on_event(resource, type)`: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR, LISTED, STALE, UNDECODABLE, for metrics.
        `silence_s` is longer than the minute in which a server sends a bookmark.
        """
        self.resource = resource
        # As logs and metrics name it: of one resource there may be two caches.
        self.name = f"{resource} of {field_selector}" if field_selector else str(resource)
        self.synced = asyncio.Event()
        self.last_contact: float | None = None  # monotonic seconds; None: never heard of the server
        self.last_error: ApiError | None = None  # None: the list or watch under way has not failed
        self.undecodable: dict[Key, str] = {}  # of which the last good state is kept, and why not the newest
        self._client = client
        self._parse = parse
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._metadata_only = metadata_only
        self._on_change = on_change
        self._on_event = on_event
        self._watch_timeout_s = watch_timeout_s
        self._silence_s = silence_s
        self._backoff_first_s = backoff_first_s
        self._backoff_most_s = backoff_most_s
        self._monotonic = monotonic
        self._chance = chance
        self._store: Store[T] = Store(index)
        self._resource_version: str | None = None  # where a watch goes on; None: list first
        self._failures = 0  # in a row: a frame that was understood, or a watch that ended in order, ends the row

    # ---- reading

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[T]:
        """By namespace and name."""
        return iter(self.all())

    def get(self, namespace: str, name: str) -> T | None:
        return self._store.get((namespace, name))

    def all(self) -> tuple[T, ...]:
        return self._store.all()

    def by_index(self, key: Hashable) -> tuple[T, ...]:
        """By namespace and name; () if nothing has this key. The same tuple while nothing of it changes."""
        return self._store.by_index(key)

    def silent_for_s(self) -> float | None:
        """Seconds since the server was last heard of; None: never."""
        return None if self.last_contact is None else self._monotonic() - self.last_contact

    # ---- writing

    def learn(self, answer: JSONObject) -> None:
        """Takes what the server answered to a write of ours: the next pass must not do again what the watch is slow to
        tell. What the watch is already past is left to it: the object may have vanished since.
        """
        text = msgspec.Raw(msgspec.json.encode(answer))
        place = self._resource_version
        version = version_of(text)
        if place is not None and place.isdecimal() and version.isdecimal() and int(version) > int(place):
            self._take(text, resume=False)

    # ---- following

    async def run(self) -> None:
        """Follows the resource until cancelled, whatever the server does meanwhile."""
        while True:
            try:
                await self._watch(self._resource_version or await self._list())
                self._failures = 0
            except WatchSilent as error:
                # A server without bookmarks, or a connection that died without a word: asking again tells which.
                log.debug("watch idle, reopened", resource=str(self.resource), error=str(error))
            except Gone as error:
                # Routine: our place in history was compacted away. Only the first relist comes at once.
                self._resource_version = None
                self._note(error, log.debug)
                if self._failures > 1:
                    await asyncio.sleep(self._wait_s(error))
            except ApiError as error:
                # The first of a row is news, the rest is the same outage.
                self._note(error, log.debug if self._failures else log.warning)
                if self._failures >= _FAILURES_BEFORE_RELIST and error.reason not in _UNANSWERED:
                    # Frees us from an answer that cannot be read and comes again at the same place.
                    self._resource_version = None
                await asyncio.sleep(self._wait_s(error))

    async def _list(self) -> str:
        """The version from which to watch."""
        texts, resource_version = await self._client.list_raw(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            on_page=self._heard,
        )
        self._count("LISTED")
        listed: set[Key] = set()
        for text in texts:
            key = self._take(text, listed=True)
            if key is not None:
                listed.add(key)
        for key in [key for key in self._store.names() if key not in listed]:
            self._remove(key)
        for key in [key for key in self.undecodable if key not in listed]:
            del self.undecodable[key]
        self._resource_version = resource_version
        self._answered()
        self.synced.set()
        return resource_version

    async def _watch(self, resource_version: str) -> None:
        shortest_s, longest_s = self._watch_timeout_s
        started_at = self._monotonic()
        frames = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=resource_version,
            timeout_s=int(shortest_s + (longest_s - shortest_s) * self._chance()),
            silence_s=self._silence_s,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            on_open=self._answered,
        )
        heard = 0
        async with aclosing(frames):
            async for text in frames:
                self._heard()
                self._frame(text)
                self._failures = 0
                heard += 1
        self._heard()
        if not heard and self._monotonic() - started_at < 1.0:
            # A server, or a proxy before it, that ends every watch at once would otherwise be asked without a pause.
            raise ServerUnavailable(0, "WatchEnded", f"{self.resource}: the watch ended at once")

    def _frame(self, text: bytes) -> None:
        try:
            frame = _FRAME.decode(text)
        except msgspec.DecodeError as error:
            raise ServerUnavailable(
                0, "NotKubernetes", f"{self.resource}: a frame that is no event: {error}"
            ) from error
        match frame.type:
            case "ADDED" | "MODIFIED":
                self._count(frame.type)
                self._take(frame.object)
            case "DELETED":
                self._count(frame.type)
                self._deleted(frame.object)
            case "BOOKMARK":
                self._count(frame.type)
                self._resume_from(version_of(frame.object))
            case "ERROR":
                self._count(frame.type)
                raise parse_error(0, frame.object)
            case _:
                raise ServerUnavailable(0, "NotKubernetes", f"{self.resource}: a frame of type {frame.type!r}")

    def _take(self, text: msgspec.Raw, *, listed: bool = False, resume: bool = True) -> Key | None:
        """Stores one object; returns its key, or None if not even its name could be read.

        *resume* False: the watch has not come as far as this object, and must not go on behind it.
        """
        resume = resume and not listed
        try:
            new = self._parse(text)
            place = self._store.place_of(new)
        except UNDECODABLE as error:
            return self._not_decoded(text, error, resume=resume)
        metadata = new.metadata
        if resume:
            self._resume_from(metadata.resource_version)
        key = metadata.key
        old = self._store.get(key)
        if old is not None and old.metadata.uid == metadata.uid:
            if old.metadata.resource_version == metadata.resource_version:
                self.undecodable.pop(key, None)
                return key
            # A list is a quorum read and right even where it goes backwards (etcd restored from a backup).
            if not listed and is_older(metadata, old.metadata):
                self._count("STALE")
                return key
        self.undecodable.pop(key, None)
        self._store.put(new, place)
        self._changed(old, new)
        return key

    def _deleted(self, text: msgspec.Raw) -> None:
        try:
            metadata = parse_identity(text)
        except UNDECODABLE as error:
            self._not_decoded(text, error, resume=True)
            return
        self._resume_from(metadata.resource_version)
        self.undecodable.pop(metadata.key, None)
        old = self._store.get(metadata.key)
        if old is None:
            return
        if old.metadata.uid != metadata.uid or is_older(metadata, old.metadata):
            self._count("STALE")
            return
        self._remove(metadata.key)

    def _not_decoded(self, text: msgspec.Raw, error: Exception, *, resume: bool) -> Key | None:
        self._count("UNDECODABLE")
        try:
            who = parse_identity(text)
        except UNDECODABLE:
            # Even so the watch goes on behind it: resuming before it would bring it back for ever.
            if resume:
                self._resume_from(version_of(text))
            who = Meta(name="")
        else:
            if resume:
                self._resume_from(who.resource_version)
            self.undecodable[who.key] = str(error)
        log.error(
            "object does not decode",
            resource=str(self.resource),
            namespace=who.namespace,
            name=who.name,
            error=str(error),
        )
        return who.key if who.name else None

    def _remove(self, key: Key) -> None:
        self._changed(self._store.remove(key), None)

    def _changed(self, old: T | None, new: T | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)

    # ---- keeping contact

    def _heard(self) -> None:
        self.last_contact = self._monotonic()

    def _resume_from(self, resource_version: str) -> None:
        if resource_version:
            self._resource_version = resource_version

    def _answered(self) -> None:
        """The server took the question. The row of failures goes on: a 410 at the start of every watch would spin."""
        self._heard()
        error = self.last_error
        if error is not None and not isinstance(error, Gone) and error.reason != "WatchEnded":
            log.info("watch re-established", resource=str(self.resource), failures=self._failures)
        self.last_error = None

    def _note(self, error: ApiError, say: Callable[..., object]) -> None:
        self._failures += 1
        self.last_error = error
        say("watch interrupted", resource=str(self.resource), error=str(error), failures=self._failures)

    def _wait_s(self, error: ApiError) -> float:
        wait_s = min(self._backoff_most_s, self._backoff_first_s * 2.0 ** min(self._failures - 1, 16))
        # Half to one and a half: a dozen caches of a hundred operators do not come back in the same instant.
        wait_s *= 0.5 + self._chance()
        asked_s = error.retry_after_s if isinstance(error, TooManyRequests | ServerUnavailable) else None
        return max(wait_s, (asked_s or 0.0) * (1.0 + self._chance() / 4))

    def _count(self, type_: str) -> None:
        if self._on_event is not None:
            self._on_event(self.resource, type_)


class Following(Protocol):
    """A cache of whatever type."""

    @property
    def resource(self) -> Resource: ...
    @property
    def synced(self) -> asyncio.Event: ...
    @property
    def last_error(self) -> ApiError | None: ...


async def wait_synced(caches: Iterable[Following], deadline_s: float | None = None) -> None:
    """Waits until every cache has listed once. Raises TimeoutError that names those that did not, and why."""
    waited = tuple(caches)
    try:
        async with asyncio.timeout(deadline_s):
            for cache in waited:
                await cache.synced.wait()
    except TimeoutError as error:
        late = {str(cache.resource): str(cache.last_error) for cache in waited if not cache.synced.is_set()}
        raise TimeoutError(f"not synced: {late}") from error
