"""Who owns which field after a write: server-side apply's merge, conflicts and removals; the tracking of updates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localkube.apply.fields import (
    Schema,
    Tree,
    child_schema,
    compare,
    compare_maps,
    fields_of,
    is_atomic,
    is_member,
    item_element,
    items_by_element,
    meet,
    minus,
    paths_of,
    union,
)
from localkube.errors import ApiError

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}
# Nobody owns what names or times an object.
_UNTRACKED_METADATA = frozenset(
    ("name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink",
     "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields")
)  # fmt: skip


@dataclass(slots=True)
class Owner:
    """One entry of managedFields. Not frozen: several are made on every write, and that costs three times as much."""

    manager: str
    operation: str  # Apply or Update
    api_version: str
    subresource: str
    time: str
    fields: Tree

    @property
    def identity(self) -> tuple[str, str, str]:
        return (self.manager, self.operation, self.subresource)

    def as_entry(self) -> Obj:
        entry = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields,
        }
        return {**entry, "subresource": self.subresource} if self.subresource else entry

    def described(self) -> str:
        text = json.dumps(self.manager)
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}" + (f" at {self.time}" if self.time else "")
        return text


def parse_owners(entries: Sequence[Mapping[str, Any]] | None) -> list[Owner]:
    return [
        Owner(
            one.get("manager", ""),
            one.get("operation", "Update"),
            one.get("apiVersion", ""),
            one.get("subresource", ""),
            one.get("time", ""),
            one["fieldsV1"],
        )
        for one in entries or ()
        if one.get("fieldsV1")
    ]


def build_entries(owners: Sequence[Owner]) -> list[Obj]:
    ordered = sorted(owners, key=lambda one: (one.operation, one.time, one.manager, one.subresource))
    return [one.as_entry() for one in ordered]


def tracked(obj: Obj, *, without: str | None = None, only: str | None = None) -> Obj:
    """What of an object somebody can own."""
    if only is not None:
        return {only: obj[only]} if only in obj else {}
    left = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", without)}
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _UNTRACKED_METADATA}
    if metadata:
        left["metadata"] = metadata
    return left


def track_update(
    schema: Schema,
    old: Obj | None,
    new: Obj,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    now: Callable[[], str],
) -> list[Obj] | None:
    """managedFields after an ordinary write of *new* over *old*; None when it says nothing new."""
    entries = new["metadata"].get("managedFields")
    before = parse_owners(entries)
    changed, removed = _changes(schema, old, new)
    if changed is None and removed is None:
        return None
    owners: list[Owner] = []
    mine: Owner | None = None
    moved = False
    for one in before:
        if one.identity == (manager, "Update", subresource):
            mine = one
            continue
        left = minus(minus(one.fields, changed), removed)
        if left != one.fields:
            moved = True
        if left is not None:
            owners.append(replace(one, fields=left) if left != one.fields else one)
    fields = minus(union(mine.fields if mine else None, changed), removed)
    if fields is not None:
        if mine is not None and fields == mine.fields:
            # Who changes what was theirs already is most writers on most writes.
            if not moved and old is not None and entries is old["metadata"].get("managedFields"):
                return None
            owners.append(mine)
        else:
            owners.append(Owner(manager, "Update", api_version, subresource, now(), fields))
    return build_entries(owners)


def _changes(schema: Schema, old: Obj | None, new: Obj) -> tuple[Tree | None, Tree | None]:
    """What was changed and what removed of all that somebody can own."""
    if old is None:
        return fields_of(schema, tracked(new)) or None, None
    if old["metadata"] == new["metadata"]:
        names = ("apiVersion", "kind", "metadata")
        left = {name: value for name, value in new.items() if name not in names}
        return compare_maps(schema, {name: value for name, value in old.items() if name not in names}, left)
    return compare_maps(schema, tracked(old), tracked(new))


def apply_config(
    schema: Schema,
    live: Obj | None,
    config: Obj,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    force: bool,
    now: str,
    has_status: bool,
) -> tuple[Obj, list[Obj]]:
    """The object after *manager* applied *config*, and its managedFields. Raises ApiError 409 with every conflict."""
    wanted = tracked(config, only="status") if subresource == "status" else tracked(
        config, without="status" if has_status else None
    )  # fmt: skip
    mine_now = fields_of(schema, wanted) or None
    if live is None:
        owner = Owner(manager, "Apply", api_version, subresource, now, mine_now or {})
        return config, [owner.as_entry()] if mine_now else []
    owners = parse_owners(live["metadata"].get("managedFields"))
    if not owners:
        owners = [Owner("before-first-apply", "Update", api_version, "", now, fields_of(schema, tracked(live)))]
    identity = (manager, "Apply", subresource)
    mine = next((one for one in owners if one.identity == identity), None)
    others = [one for one in owners if one.identity != identity]
    merged: Obj = merge(schema, live, wanted)
    changed, _ = compare(schema, tracked(live), tracked(merged))
    conflicts = [(one, both) for one in others if (both := meet(one.fields, changed)) is not None]
    if conflicts and not force:
        # What `kubectl apply` itself once set the old way it may set again: its annotation says what that was.
        known = _last_applied_fields(schema, live) if manager == "kubectl" else None
        conflicts = [(one, left) for one, both in conflicts if (left := minus(both, known)) is not None]
        if conflicts:
            raise _conflict_error(conflicts)
    others = [replace(one, fields=left) for one in others if (left := minus(one.fields, changed)) is not None]
    dropped = minus(mine.fields, mine_now) if mine else None
    if dropped is not None:
        others_own: Tree | None = None
        for one in others:
            others_own = union(others_own, one.fields)
        gone = minus(dropped, others_own)
        if gone is not None:
            merged = _without(schema, merged, gone, union(others_own, mine_now) or {})
    if mine_now is not None:
        time = mine.time if mine is not None and mine.fields == mine_now else now
        others.append(Owner(manager, "Apply", api_version, subresource, time, mine_now))
    return merged, build_entries(others)


_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _last_applied_fields(schema: Schema, live: Obj) -> Tree | None:
    text = (live["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        config = json.loads(text) if text else None
    except ValueError:
        return None
    return fields_of(schema, tracked(config)) or None if isinstance(config, dict) else None


def _conflict_error(conflicts: Sequence[tuple[Owner, Tree]]) -> ApiError:
    found = [(owner, path) for owner, both in conflicts for path in paths_of(both)]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner.described()}", "field": path}
        for owner, path in found
    ]
    if len(found) == 1:
        owner, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {owner.described()}: {path}"
    else:
        lines: list[str] = []
        for owner, both in sorted(conflicts, key=lambda one: one[0].described()):
            lines += [f"conflicts with {owner.described()}:", *(f"- {path}" for path in paths_of(both))]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def merge(schema: Schema, live: Any, wanted: Any) -> Any:
    """*wanted* over *live*: maps by name, lists by key where the schema says so, all else replaced."""
    if type(live) is not type(wanted) or is_atomic(schema, wanted):
        return wanted
    if isinstance(wanted, dict):
        merged = dict(live)
        for name, value in wanted.items():
            merged[name] = merge(child_schema(schema, name), live[name], value) if name in live else value
        return merged
    items: Schema = schema.get("items") or _NOTHING
    ours, theirs = items_by_element(schema, wanted), items_by_element(schema, live)
    # The applied order holds among applied items; what others own stays ahead of what comes new.
    live_order, applied_order = list(theirs), list(ours)
    placed: set[str] = set()
    result: list[Any] = []
    while live_order or applied_order:
        first = live_order[0] if live_order else None
        if first is not None and first not in ours:
            result.append(theirs[live_order.pop(0)])
        elif first is not None and first in placed:
            live_order.pop(0)
        else:
            element = applied_order.pop(0)
            placed.add(element)
            result.append(merge(items, theirs[element], ours[element]) if element in theirs else ours[element])
    return result


def _without(schema: Schema, value: Any, gone: Tree, owned: Tree) -> Any:
    """*value* without the members of *gone*; what holds something of *owned* stays, whoever once made it."""
    if isinstance(value, dict) and not is_atomic(schema, value):
        kept: Obj = {}
        for name, one in value.items():
            element = f"f:{name}"
            if element not in gone:
                kept[name] = one
                continue
            left = _after_removal(child_schema(schema, name), one, gone[element], owned.get(element))
            if left is not _GONE:
                kept[name] = left
        return kept
    if isinstance(value, list):
        items: Schema = schema.get("items") or _NOTHING
        kept_items = []
        for one in value:
            element = item_element(schema, one)
            left = one if element not in gone else _after_removal(items, one, gone[element], owned.get(element))
            if left is not _GONE:
                kept_items.append(left)
        return kept_items
    return value


_GONE = object()


def _after_removal(schema: Schema, value: Any, gone: Tree, owned: Tree | None) -> Any:
    if owned is None and is_member(gone):
        return _GONE
    if not gone:
        return value
    left = _without(schema, value, gone, owned or {})
    # What became empty by the removal goes with it.
    return _GONE if not left and owned is None else left
