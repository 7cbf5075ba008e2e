"""Which fields a value has, and sets of them: the trees of `metadata.managedFields` (FieldsV1) and their algebra.

A tree maps path elements to trees: `f:name` a field, `k:{"name":"a"}` a list item by key, `v:"x"` a set's member.
An empty tree is a member; an inner tree that is itself a member holds `.`. None is the empty set.
Facts: Kubernetes documentation "Server-Side Apply", and the structured-merge-diff format of FieldsV1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Tree = dict[str, Any]
_NOTHING: Schema = {}


def child_schema(schema: Schema, name: str) -> Schema:
    found = (schema.get("properties") or _NOTHING).get(name)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else _NOTHING


def is_atomic(schema: Schema, value: Any) -> bool:
    """Whether a value is owned as a whole: scalars, atomic maps, and lists that are neither sets nor maps."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") == "atomic"
    if isinstance(value, list):
        return schema.get("x-kubernetes-list-type") not in ("map", "set")
    return True


def item_element(schema: Schema, item: Any) -> str:
    """The path element of one item of a list that is a map or a set."""
    if schema.get("x-kubernetes-list-type") == "set":
        return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True)
    properties = (schema.get("items") or _NOTHING).get("properties") or _NOTHING
    keys = {}
    for key in schema.get("x-kubernetes-list-map-keys") or ():
        value = item.get(key) if isinstance(item, dict) else None
        keys[key] = properties.get(key, _NOTHING).get("default") if value is None else value
    return "k:" + json.dumps(keys, separators=(",", ":"), sort_keys=True)


def items_by_element(schema: Schema, items: list[Any]) -> dict[str, Any]:
    return {item_element(schema, one): one for one in items}


def fields_of(schema: Schema, value: Any) -> Tree:
    """All that *value* has. A member for each leaf, and for each list item and its keys."""
    if is_atomic(schema, value) or not value:
        return {}
    if isinstance(value, dict):
        # Most values are scalars: they are leaves whatever their schema says.
        return {
            f"f:{name}": fields_of(child_schema(schema, name), one) if isinstance(one, dict | list) else {}
            for name, one in value.items()
        }
    items: Schema = schema.get("items") or _NOTHING
    tree: Tree = {}
    for one in value:
        element = item_element(schema, one)
        tree[element] = {".": {}, **fields_of(items, one)} if element.startswith("k:") else {}
    return tree


def union(one: Tree | None, other: Tree | None) -> Tree | None:
    if one is None or other is None:
        return other if one is None else one
    if not one or not other:
        inner = one or other
        return {".": {}, **inner} if inner else {}
    merged = dict(one)
    for element, sub in other.items():
        merged[element] = union(one[element], sub) if element in one else sub
    return merged


def is_member(tree: Tree | None) -> bool:
    return tree is not None and (not tree or "." in tree)


def minus(one: Tree | None, other: Tree | None) -> Tree | None:
    """Members of *one* that are not members of *other*."""
    if one is None or other is None:
        return one
    if not one:
        return None if is_member(other) else {}
    left: Tree = {}
    for element, sub in one.items():
        if element == ".":
            if not is_member(other):
                left["."] = {}
        elif element in other:
            rest = minus(sub, other[element])
            if rest is not None:
                left[element] = rest
        else:
            left[element] = sub
    return _normal(left)


def meet(one: Tree | None, other: Tree | None) -> Tree | None:
    """Members of both."""
    if one is None or other is None:
        return None
    if not one or not other:
        return {} if is_member(one) and is_member(other) else None
    common: Tree = {}
    for element, sub in one.items():
        if element == ".":
            if is_member(other):
                common["."] = {}
        elif element in other:
            both = meet(sub, other[element])
            if both is not None:
                common[element] = both
    return _normal(common)


def _normal(tree: Tree) -> Tree | None:
    if not tree:
        return None
    return {} if tree.keys() == {"."} else tree


def compare(schema: Schema, old: Any, new: Any) -> tuple[Tree | None, Tree | None]:
    """Fields added or modified from *old* to *new*, and fields removed."""
    if old == new and type(old) is type(new):
        return None, None
    granular = type(old) is type(new) and not is_atomic(schema, new) and isinstance(new, dict | list)
    if not granular:
        return fields_of(schema, new) or {}, None
    if isinstance(new, dict):
        return compare_maps(schema, old, new)
    return _compare_lists(schema.get("items") or _NOTHING, items_by_element(schema, old), items_by_element(schema, new))


def compare_maps(schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Tree | None, Tree | None]:
    """`compare` of two maps that are not owned as a whole."""
    changed: Tree = {}
    removed: Tree = {}
    for name, value in new.items():
        if name not in old:
            changed[f"f:{name}"] = fields_of(child_schema(schema, name), value)
        elif old[name] is not value:
            sub_changed, sub_removed = compare(child_schema(schema, name), old[name], value)
            if sub_changed is not None:
                changed[f"f:{name}"] = sub_changed
            if sub_removed is not None:
                removed[f"f:{name}"] = sub_removed
    for name, value in old.items():
        if name not in new:
            # The node itself is gone, not only its leaves: whoever owned it as a whole owns nothing any more.
            removed[f"f:{name}"] = {".": {}, **fields_of(child_schema(schema, name), value)}
    return _normal(changed), _normal(removed)


def _compare_lists(items: Schema, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Tree | None, Tree | None]:
    changed: Tree = {}
    removed: Tree = {}
    for element, value in new.items():
        if element not in old:
            changed[element] = _whole(items, element, value)
            continue
        sub_changed, sub_removed = compare(items, old[element], value)
        if sub_changed is not None:
            changed[element] = sub_changed
        if sub_removed is not None:
            removed[element] = sub_removed
    for element, value in old.items():
        if element not in new:
            removed[element] = {".": {}, **_whole(items, element, value)}
    return _normal(changed), _normal(removed)


def _whole(schema: Schema, element: str, value: Any) -> Tree:
    if element.startswith("v:"):
        return {}
    tree = fields_of(schema, value)
    return {".": {}, **tree} if element.startswith("k:") else tree


def paths_of(tree: Tree, prefix: str = "") -> Iterator[str]:
    """The members as people read them: `.spec.containers[name="a"].image`."""
    if is_member(tree) and prefix:
        yield prefix
    for element, sub in sorted(tree.items()):
        if element != ".":
            yield from paths_of(sub, prefix + element_text(element))


def element_text(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "v:":
        return f"[={text}]"
    keys = ",".join(f"{name}={json.dumps(value)}" for name, value in json.loads(text).items())
    return f"[{keys}]"
