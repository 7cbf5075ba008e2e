"""What every object is now, and who hears of a change: the store, with a real API server's rules for each write."""

from __future__ import annotations

import asyncio
import datetime
import functools
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from localkube import errors
from localkube.apply.managed import apply_config, track_update
from localkube.errors import ApiError
from localkube.resources import ResourceTable, ResourceType
from localkube.schema.admission import admit_object, schema_of, without_nulls
from localkube.schema.crd import CLEANUP_FINALIZER, CustomResource, parse_crd
from localkube.schema.resizing import resized_spec
from localkube.schema.structural import Schema
from localkube.selectors import Predicate, parse_selector

Obj = dict[str, Any]  # a JSON object as stored. Never mutate what you were given: others hold the very same object
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Handler = Callable[["Event"], None]
Admission = Callable[[Obj, Obj | None], Obj]
Check = Callable[[Obj, Obj | None, str | None], None]
Objs = list[Obj]
EMPTY: Mapping[str, Any] = {}
# Of the built-in types, these hold JSON of others' making, in which null may mean something.
_KEEPS_NULLS = frozenset(("controllerrevisions.apps", "customresourcedefinitions.apiextensions.k8s.io"))
# What changes the intent of an object, and with it its generation.
_INTENT = (None, "resize")

# Watchers that fall further behind than this many events of one resource get 410 and list again, as on a real server.
HISTORY_EVENTS = 5_000
# As in a cluster that has lived: what clients call "from the very beginning" is long forgotten.
FIRST_VERSION = 1000
# So many events are handed out before other work of the loop gets its turn.
EVENTS_PER_TURN = 500

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


@dataclass(slots=True)
class Event:
    """One change. *old* is what was stored before, None for ADDED. DELETED carries the deletion's resourceVersion."""

    type: EventType
    object: Obj
    old: Obj | None = None
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def encoded(self) -> bytes:
        """The object as JSON, made once for the writer's answer, the journal and all watchers."""
        if self._encoded is None:
            self._encoded = _encoder.encode(self.object)
        return self._encoded

    @property
    def version(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])


Events = list[Event]


def copy_of(obj: Obj) -> Obj:
    """A deep copy of plain JSON data (several times faster than copy.deepcopy)."""
    copied: Obj = _decoder.decode(_encoder.encode(obj))
    return copied


def _own_copy(rtype: ResourceType, obj: Obj, subresource: str | None = None) -> Obj:
    """What is to be stored of *obj*: nobody else holds it, and where null counts as absent there is none."""
    raw = _encoder.encode(obj)
    copied: Obj = _decoder.decode(raw)
    # Hardly any object says null: to look for the word costs less than to look at every value.
    if b"null" in raw and subresource in (None, "resize") and not rtype.custom and rtype.key not in _KEEPS_NULLS:
        copied = without_nulls(copied)
    return copied


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def time_text(moment: datetime.datetime) -> str:
    return _text_of_second(int(moment.timestamp()))


@functools.lru_cache(maxsize=16)
def _text_of_second(second: int) -> str:
    # Asked several times on every write, and most of them fall into the same second.
    return datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class _Subscription:
    resource: str
    handler: Handler
    after: int  # place in the outbox from which on it hears
    live: bool = True


@dataclass(frozen=True, slots=True)
class Preconditions:
    uid: str | None = None
    resource_version: str | None = None


class Registry:
    """All methods are synchronous, on the loop's thread. Handlers run soon after a write, in order, never inside it."""

    def __init__(self, *, now: Callable[[], datetime.datetime] = utc_now) -> None:
        self.types = ResourceTable()
        self.customs: dict[str, CustomResource] = {}  # what CRDs define, by the key of the resource
        self.now = now
        self.version = FIRST_VERSION  # the last resourceVersion given out
        self._objects: dict[str, dict[str, dict[str, Obj]]] = {}
        self._history: dict[str, deque[Event]] = {}
        self._forgotten: dict[str, int] = {}  # up to and including this resourceVersion, events of a resource are gone
        self._subscriptions: dict[str, list[_Subscription]] = {}
        self._outbox: deque[tuple[int, str, Event, _Subscription | None]] = deque()
        self._sent = 0  # how many events ever went into the outbox
        self._drain_is_due = False
        self._admissions: dict[str, list[Admission]] = {}
        self._checks: dict[str, list[Check]] = {}
        self._sinks: list[Callable[[str, Event], None]] = []
        self._last: Event | None = None

    # ---- reading

    def get(self, resource: str, namespace: str | None, name: str) -> Obj:
        found = self.find(resource, namespace, name)
        if found is None:
            self.types.get(resource)
            raise errors.not_found(resource, name)
        return found

    def find(self, resource: str, namespace: str | None, name: str) -> Obj | None:
        spaces = self._objects.get(resource)
        if spaces is None:
            return None
        return spaces.get(namespace or "", EMPTY).get(name)

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: str | Mapping[str, str] | None = None,
    ) -> Objs:
        """Objects of one namespace, or of all with None, sorted. *labels*: selector text, or labels to equal."""
        self.types.get(resource)
        spaces = self._objects.get(resource, {})
        names = sorted(spaces) if namespace is None else [namespace]
        found = [space[name] for one in names if (space := spaces.get(one)) for name in sorted(space)]
        if not labels:
            return found
        matches = parse_selector(labels) if isinstance(labels, str) else _equal_labels(labels)
        return [obj for obj in found if matches(obj["metadata"].get("labels") or EMPTY)]

    def encoded(self, obj: Obj) -> bytes:
        """*obj*, as it was returned here, as JSON. After its write, the text that watchers and the journal get too."""
        last = self._last
        return last.encoded if last is not None and last.object is obj else _encoder.encode(obj)

    # ---- writing

    def create(self, resource: str, obj: Obj, *, manager: str = "localkube", dry_run: bool = False) -> Obj:
        """Returns the object as stored. Raises ApiError 409 AlreadyExists, 404 for its namespace, 422 Invalid."""
        rtype = self.types.get(resource)
        return self._create(rtype, _own_copy(rtype, obj), manager, dry_run)

    def _create(self, rtype: ResourceType, new: Obj, manager: str, dry_run: bool, entries: Objs | None = None) -> Obj:
        resource = rtype.key
        custom = self.customs.get(resource)
        if custom is not None and custom.terminating:
            message = "create not allowed while custom resource definition is terminating"
            raise ApiError(405, "MethodNotAllowed", message, {})
        metadata = new.setdefault("metadata", {})
        new["apiVersion"], new["kind"] = rtype.api_version, rtype.kind
        namespace = self._namespace_for_create(rtype, metadata)
        self._name_for_create(rtype, metadata, namespace)
        if metadata.pop("resourceVersion", None) not in (None, ""):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        for server_owned in (
            "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "managedFields",
        ):  # fmt: skip
            metadata.pop(server_owned, None)
        metadata["uid"] = _new_uid()
        metadata["creationTimestamp"] = self._now_text()
        if rtype.has_status and rtype.custom:
            new.pop("status", None)
        if rtype.tracks_generation or rtype.custom:
            metadata["generation"] = 1
        new = self._admit(rtype, new, None)
        if self.find(resource, namespace, metadata["name"]) is not None:
            raise errors.already_exists(resource, metadata["name"])
        for check in self._checks.get(resource, ()):
            check(new, None, None)
        if entries is None:
            entries = self._tracked(rtype, None, new, manager, None)
        if entries:
            new["metadata"]["managedFields"] = entries
        if not dry_run:
            self._commit(rtype, "ADDED", new, None)
        return new

    def update(
        self,
        resource: str,
        obj: Obj,
        *,
        subresource: str | None = None,
        manager: str = "localkube",
        dry_run: bool = False,
        owned_as: str | None = None,
    ) -> Obj:
        """Replaces an object; with metadata.resourceVersion only that version, else 409. No change, no write."""
        rtype = self.types.get(resource)
        given: Obj = obj.get("metadata") or {}
        name: str = given.get("name") or ""
        old = self.get(resource, given.get("namespace") if rtype.namespaced else None, name)
        before = old["metadata"]
        if given.get("uid") not in (None, "", before["uid"]):
            raise errors.conflict(
                resource,
                name,
                f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {before['uid']}",
            )
        if given.get("resourceVersion") not in (None, "", before["resourceVersion"]):
            raise errors.stale(resource, name)
        new = self._changed(rtype, old, _own_copy(rtype, obj, subresource), subresource)
        entries = self._tracked(rtype, old, new, manager, owned_as or subresource)
        if entries is not None:
            new["metadata"] = {**new["metadata"], "managedFields": entries}
        return self._replace(rtype, old, new, dry_run=dry_run)

    def apply(
        self,
        resource: str,
        config: Obj,
        *,
        manager: str,
        force: bool = False,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> tuple[Obj, bool]:
        """Server-side apply: the object as it then is, and whether it was created. Raises ApiError 409 on conflicts."""
        rtype = self.types.get(resource)
        metadata: Obj = config["metadata"]
        if metadata.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        name: str = metadata.get("name") or ""
        old = self.find(resource, metadata.get("namespace") if rtype.namespaced else None, name)
        if old is None and subresource is not None:
            raise errors.not_found(resource, name)
        if old is not None:
            if metadata.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
                raise errors.stale(resource, name)
            check_same_uid(rtype, metadata, old)
        elif metadata.get("uid"):
            why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
            raise errors.conflict(resource, name, why)
        elif metadata.get("resourceVersion"):
            raise errors.conflict(resource, name, "the applied configuration names a version, but there is no object")
        merged, entries = apply_config(
            self.schema_of(rtype) or EMPTY,
            old,
            copy_of(config) if rtype.custom else without_nulls(copy_of(config)),
            manager=manager,
            api_version=rtype.api_version,
            subresource=subresource or "",
            force=force,
            now=self._now_text(),
            has_status=rtype.has_status,
        )
        if old is None:
            return self._create(rtype, merged, manager, dry_run, entries), True
        merged = {**merged, "metadata": {**merged["metadata"], "managedFields": entries}}
        new = self._changed(rtype, old, _own_copy(rtype, merged, subresource), subresource)
        new["metadata"] = {**new["metadata"], "managedFields": entries}
        return self._replace(rtype, old, new, dry_run=dry_run), False

    def _tracked(
        self, rtype: ResourceType, old: Obj | None, new: Obj, manager: str, subresource: str | None
    ) -> Objs | None:
        return track_update(
            self.schema_of(rtype) or EMPTY,
            old,
            new,
            manager=manager,
            api_version=rtype.api_version,
            subresource=subresource or "",
            now=self._now_text,
        )

    def schema_of(self, rtype: ResourceType, version: str | None = None) -> Schema | None:
        custom = self.customs.get(rtype.key)
        return schema_of(rtype, custom, version)

    def _replace(self, rtype: ResourceType, old: Obj, new: Obj, *, dry_run: bool) -> Obj:
        if new == old:
            return old
        if dry_run:
            return new
        if _is_over(new):
            self._remove(rtype, new, old)
            return new
        self._commit(rtype, "MODIFIED", new, old)
        return new

    def delete(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        *,
        propagation: str | None = None,
        grace_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> Obj:
        """Removes the object, or marks it when a finalizer or a grace period holds it. Returns it as it then is."""
        rtype = self.types.get(resource)
        old = self.get(resource, namespace, name)
        metadata: Obj = dict(old["metadata"])
        _check_preconditions(resource, metadata, Preconditions(uid, resource_version))
        finalizers = _finalizers_after_delete(metadata.get("finalizers") or [], propagation)
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        grace = _grace_s(resource, old, grace_s)
        if "deletionTimestamp" in metadata:
            # A second delete may shorten the wait, never lengthen it.
            grace = min(grace, metadata.get("deletionGracePeriodSeconds") or 0)
        if "deletionTimestamp" not in metadata or grace < (metadata.get("deletionGracePeriodSeconds") or 0):
            metadata["deletionTimestamp"] = time_text(self.now() + datetime.timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata:
                metadata["generation"] += 1
        new: Obj = {**old, "metadata": metadata}
        if resource == "namespaces":
            new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
        if new == old or dry_run:
            return new
        if _is_over(new):
            self._remove(rtype, new, old)
            return new
        self._commit(rtype, "MODIFIED", new, old)
        return new

    def admit(self, resource: str, admission: Admission) -> None:
        """*admission(new, old)* returns what to store, or refuses by an ApiError.

        *new* is a private copy but for an update of status; *old* is None on create.
        """
        self._admissions.setdefault(resource, []).append(admission)

    def check(self, resource: str, check: Check) -> None:
        """*check(new, old, subresource)* refuses by an ApiError what is otherwise valid. It must change nothing."""
        self._checks.setdefault(resource, []).append(check)

    # ---- hearing of changes

    def subscribe(self, resource: str, handler: Handler, *, replay: bool = True) -> Callable[[], None]:
        """Calls *handler* for each later change, after what exists now as ADDED if *replay*. Returns what ends it."""
        subscription = _Subscription(resource, handler, self._sent)
        self._subscriptions.setdefault(resource, []).append(subscription)
        if replay:
            for obj in self.list(resource):
                self._outbox.append((self._sent, resource, Event("ADDED", obj), subscription))
            self._schedule_drain()

        def unsubscribe() -> None:
            if subscription.live:
                subscription.live = False
                self._subscriptions[resource].remove(subscription)

        return unsubscribe

    def events_since(self, resource: str, version: int) -> Events:
        """Changes after *version*, oldest first. Raises ApiError 410 when some of them are forgotten."""
        oldest = self._forgotten.get(resource, FIRST_VERSION)
        if version < oldest or version > self.version:
            # A version from the future is one of an earlier life of this server: only a new list can help.
            raise ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")
        history = self._history.get(resource, ())
        missed: Events = []
        for event in reversed(history):
            if event.version <= version:
                break
            missed.append(event)
        missed.reverse()
        return missed

    def on_commit(self, sink: Callable[[str, Event], None]) -> None:
        """*sink(resource, event)* is called inside every write, before anybody hears of it: the journal's hook."""
        self._sinks.append(sink)

    def compact(self) -> None:
        """Forgets all history, so that every resumed watch must list again."""
        for resource, history in self._history.items():
            history.clear()
            self._forgotten[resource] = self.version

    def restore(self, resource: str, obj: Obj) -> None:
        """Puts back an object as a journal remembers it, without telling anybody. Its history is forgotten."""
        metadata = obj["metadata"]
        spaces = self._objects.setdefault(resource, {})
        spaces.setdefault(metadata.get("namespace", ""), {})[metadata["name"]] = obj
        if resource == "customresourcedefinitions.apiextensions.k8s.io":
            custom = parse_crd(obj)
            self.customs[custom.rtype.key] = custom
            self.types.add(custom.rtype)

    def restore_version(self, resource: str, version: int) -> None:
        self.version = max(self.version, version)
        self._forgotten[resource] = max(self._forgotten.get(resource, FIRST_VERSION), version)

    def everything(self) -> Iterator[tuple[str, int, Obj | None]]:
        """Each object with its resource and version, and for each resource the last version that its history knows."""
        for resource, spaces in self._objects.items():
            for space in spaces.values():
                for obj in space.values():
                    yield resource, int(obj["metadata"]["resourceVersion"]), obj
            history = self._history.get(resource)
            yield resource, history[-1].version if history else self._forgotten.get(resource, FIRST_VERSION), None

    # ---- inside

    def _namespace_for_create(self, rtype: ResourceType, metadata: Obj) -> str:
        if not rtype.namespaced:
            metadata.pop("namespace", None)
            return ""
        namespace: str = metadata.get("namespace") or ""
        if not namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        home = self.find("namespaces", None, namespace)
        if home is None:
            raise errors.not_found("namespaces", namespace)
        if "deletionTimestamp" in home["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise errors.forbidden(rtype.key, metadata.get("name", ""), why, causes=[cause])
        return namespace

    def _name_for_create(self, rtype: ResourceType, metadata: Obj, namespace: str) -> None:
        if metadata.get("name"):
            return
        prefix = metadata.get("generateName")
        if not prefix:
            missing = errors.required_value("metadata.name", "name or generateName is required")
            raise errors.invalid(rtype.group, rtype.kind, "", [missing])
        taken = self._objects.get(rtype.key, {}).get(namespace, EMPTY)
        name = _generated_name(prefix)
        while name in taken:
            name = _generated_name(prefix)
        metadata["name"] = name

    def _changed(self, rtype: ResourceType, old: Obj, obj: Obj, subresource: str | None) -> Obj:
        """The object to store for an update: what the caller may not change is taken from *old*."""
        match subresource:
            case None:
                new = obj
                new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
                new["metadata"] = _metadata_after_update(rtype, old, new["metadata"])
                if rtype.has_status:
                    new.pop("status", None)
                    if "status" in old:
                        new["status"] = old["status"]
            case "status":
                if not rtype.has_status:
                    raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
                new = dict(old)
                new.pop("status", None)
                if obj.get("status") is not None:
                    new["status"] = obj["status"]
            case "finalize":
                new = {**old, "spec": {**(old.get("spec") or {}), **(obj.get("spec") or {})}}
            case "resize":
                new = {**old, "spec": resized_spec(old["spec"], obj.get("spec") or {})}
            case other:
                raise errors.not_implemented(f"updates of subresource {other!r} of {rtype.key}")
        new = self._admit(rtype, new, old, subresource)
        if subresource in _INTENT and "generation" in old["metadata"] and _intent(rtype, new) != _intent(rtype, old):
            new["metadata"] = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
        for check in self._checks.get(rtype.key, ()):
            check(new, old, subresource)
        return new

    def _admit(self, rtype: ResourceType, new: Obj, old: Obj | None, subresource: str | None = None) -> Obj:
        admissions = self._admissions.get(rtype.key, ())
        custom = self.customs.get(rtype.key)
        return admit_object(rtype, custom, new, old, subresource=subresource, admissions=admissions, now=self._now_text)

    def _now_text(self) -> str:
        return time_text(self.now())

    def _remove(self, rtype: ResourceType, new: Obj, old: Obj) -> None:
        self._commit(rtype, "DELETED", new, old)

    def _commit(self, rtype: ResourceType, event_type: EventType, new: Obj, old: Obj | None) -> None:
        self.version += 1
        metadata = new["metadata"]
        if old is not None and metadata is old["metadata"]:
            new["metadata"] = metadata = dict(metadata)
        metadata["resourceVersion"] = str(self.version)
        key = rtype.key
        space = self._space(key, metadata.get("namespace", ""))
        if event_type == "DELETED":
            space.pop(metadata["name"], None)
        else:
            space[metadata["name"]] = new
        event = Event(event_type, new, old)
        self._last = event
        for sink in self._sinks:
            sink(key, event)
        history = self._history.get(key)
        if history is None:
            history = self._history[key] = deque()
        history.append(event)
        if len(history) > HISTORY_EVENTS:
            self._forgotten[key] = history.popleft().version
        self._sent += 1
        if self._subscriptions.get(key):
            self._outbox.append((self._sent, key, event, None))
            self._schedule_drain()
        if rtype.custom or key == "customresourcedefinitions.apiextensions.k8s.io":
            self._follow_definition(rtype, event)

    def _space(self, key: str, namespace: str) -> dict[str, Obj]:
        spaces = self._objects.get(key)
        if spaces is None:
            spaces = self._objects[key] = {}
        space = spaces.get(namespace)
        if space is None:
            space = spaces[namespace] = {}
        return space

    def _follow_definition(self, rtype: ResourceType, event: Event) -> None:
        """A definition makes its resource known; deleting it deletes its objects, and it goes with the last of them."""
        if rtype.custom:
            custom = self.customs[rtype.key]
            if custom.terminating and event.type == "DELETED" and not self.list(rtype.key):
                self._finish_definition(custom.crd)
            return
        custom = parse_crd(event.object)
        key = custom.rtype.key
        if event.type == "DELETED":
            self.customs.pop(key, None)
            self.types.remove(key)
            return
        was_terminating = key in self.customs and self.customs[key].terminating
        self.customs[key] = custom
        self.types.add(custom.rtype)
        if custom.terminating and not was_terminating:
            for obj in self.list(key):
                self.delete(key, obj["metadata"].get("namespace"), obj["metadata"]["name"])
            # Whoever deleted the last object has finished the definition already, and the resource is gone with it.
            if key in self.customs and not self.list(key):
                self._finish_definition(custom.crd)

    def _finish_definition(self, name: str) -> None:
        crds = "customresourcedefinitions.apiextensions.k8s.io"
        crd = self.find(crds, None, name)
        if crd is None:
            return
        left = [one for one in crd["metadata"].get("finalizers") or () if one != CLEANUP_FINALIZER]
        self.update(crds, {**crd, "metadata": {**crd["metadata"], "finalizers": left}})

    def _schedule_drain(self) -> None:
        if self._drain_is_due or not self._outbox:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # before the loop runs, what is due waits in the outbox for the first write inside it
        self._drain_is_due = True
        loop.call_soon(self._drain, loop)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self._drain_is_due = False
        for _ in range(min(len(self._outbox), EVENTS_PER_TURN)):
            place, resource, event, only = self._outbox.popleft()
            if only is not None:
                if only.live:
                    _call(loop, only.handler, event)
                continue
            for subscription in tuple(self._subscriptions.get(resource, ())):
                if subscription.live and place > subscription.after:
                    _call(loop, subscription.handler, event)
        self._schedule_drain()


def _call(loop: asyncio.AbstractEventLoop, handler: Handler, event: Event) -> None:
    try:
        handler(event)
    except Exception as error:  # noqa: BLE001 - one subscriber's bug must not keep the event from the others
        loop.call_exception_handler({"message": f"a subscriber failed on {event.type}", "exception": error})


def _equal_labels(wanted: Mapping[str, str]) -> Predicate:
    return lambda labels: all(labels.get(key) == value for key, value in wanted.items())


def check_same_uid(rtype: ResourceType, given: Obj, old: Obj) -> None:
    """A patch that names the object it is for is for no other of that name. Raises ApiError 422."""
    if given.get("uid") not in (None, "", old["metadata"]["uid"]):
        wrong = errors.invalid_value("metadata.uid", given["uid"], "field is immutable")
        raise errors.invalid(rtype.group, rtype.kind, old["metadata"]["name"], [wrong])


def _new_uid() -> str:
    """A random UUID (RFC 9562, version 4), as `uuid.uuid4` makes them, without a system call for each."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{random.choice('89ab')}{digits[17:20]}-{digits[20:]}"  # noqa: S311 - a name, not a secret


def _generated_name(prefix: str) -> str:
    # The real server's alphabet: no vowels, no look-alikes; 63 characters in all.
    suffix = "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))  # noqa: S311 - a name, not a secret
    return prefix[:58] + suffix


def _metadata_after_update(rtype: ResourceType, old: Obj, given: Obj) -> Obj:
    before = old["metadata"]
    metadata = dict(given)
    metadata.pop("selfLink", None)
    for owned in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
                  "resourceVersion", "generateName", "namespace"):  # fmt: skip
        if owned in before:
            metadata[owned] = before[owned]
        else:
            metadata.pop(owned, None)
    owners = before.get("managedFields")
    if owners is not None and metadata.get("managedFields", owners) == owners:
        # The very list of before: whoever asks whether it changed sees at once that it did not.
        metadata["managedFields"] = owners
    for empty_is_absent in ("labels", "annotations", "finalizers", "ownerReferences"):
        if empty_is_absent in metadata and not metadata[empty_is_absent]:
            del metadata[empty_is_absent]
    if "deletionTimestamp" not in before:
        return metadata
    added = sorted(set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ()))
    if added:
        listed = ", ".join(f'"{one}"' for one in added)
        why = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
        )
        raise errors.invalid(
            rtype.group, rtype.kind, before["name"], [errors.forbidden_field("metadata.finalizers", why)]
        )
    return metadata


def _intent(rtype: ResourceType, obj: Obj) -> object:
    """What a new generation stands for: everything but metadata and status. A pod's node is nobody's wish."""
    if rtype.key == "pods":
        return {name: value for name, value in obj["spec"].items() if name != "nodeName"}
    if not rtype.custom and "spec" in obj:
        return obj["spec"]
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _check_preconditions(resource: str, metadata: Obj, wanted: Preconditions) -> None:
    if wanted.uid is not None and wanted.uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {metadata['uid']}"
        raise errors.conflict(resource, metadata["name"], why)
    if wanted.resource_version is not None and wanted.resource_version != metadata["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {wanted.resource_version}, "
            f"ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise errors.conflict(resource, metadata["name"], why)


def _finalizers_after_delete(finalizers: Iterable[str], propagation: str | None) -> list[str]:
    kept = list(finalizers)
    if propagation is None:
        return kept
    kept = [one for one in kept if one not in ("orphan", "foregroundDeletion")]
    match propagation:
        case "Orphan":
            kept.append("orphan")
        case "Foreground":
            kept.append("foregroundDeletion")
        case "Background":
            pass
        case other:
            raise errors.bad_request(f"invalid propagation policy: {other}")
    return kept


def _grace_s(resource: str, obj: Obj, asked: int | None) -> int:
    """How long the kubelet may take: only a pod that is bound and not over has anything to stop."""
    if resource != "pods":
        return 0
    spec = obj.get("spec") or EMPTY
    if not spec.get("nodeName") or (obj.get("status") or EMPTY).get("phase") in ("Succeeded", "Failed"):
        return 0
    if asked is None:
        default: int = spec.get("terminationGracePeriodSeconds", 30)
        return default
    return max(asked, 1) if asked < 0 else asked


def _is_over(obj: Obj) -> bool:
    """Marked for deletion, and nothing holds it any longer."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
        return False
    return not (obj["kind"] == "Namespace" and (obj.get("spec") or EMPTY).get("finalizers"))
