"""What an object becomes by a JSON patch or a JSON merge patch (RFC 6902, RFC 7386)."""

from __future__ import annotations

from typing import Any

from localkube.errors import ApiError, bad_request
from localkube.registry import Obj, copy_of


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386. Neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Obj, operations: Any) -> Obj:
    """RFC 6902. Raises ApiError 400 for a malformed patch, 422 for one that does not apply."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise bad_request("json patch must be a list of operations")
    root: Any = copy_of(target)
    for operation in operations:
        root = _run(root, operation)
    if not isinstance(root, dict):
        raise _inapplicable("the result is not an object")
    return root


def _inapplicable(why: str) -> ApiError:
    # The message is a real server's, which does not say why; the cause does.
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", message, {"causes": [{"message": why}]})


def _run(root: Any, operation: Obj) -> Any:
    kind, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise bad_request("json patch operation without a path")
    match kind:
        case "add" | "replace":
            if "value" not in operation:
                raise bad_request(f"json patch operation {kind} without a value")
            return _put(root, path, operation["value"], replace=kind == "replace")
        case "remove":
            return _take(root, path)[0]
        case "move":
            root, value = _take(root, operation["from"])
            return _put(root, path, value, replace=False)
        case "copy":
            return _put(root, path, copy_of({"v": _look(root, operation["from"])})["v"], replace=False)
        case "test":
            try:
                same = _look(root, path) == operation.get("value")
            except ApiError:
                same = operation.get("value") is None
            if not same:
                raise _inapplicable(f"testing path {path} failed: value differs")
            return root
        case other:
            raise bad_request(f"unexpected json patch operation kind: {other}")


def _steps(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise bad_request(f"json patch path {path!r} does not start with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _child(parent: Any, step: str, path: str) -> Any:
    if isinstance(parent, dict) and step in parent:
        return parent[step]
    if isinstance(parent, list) and step.isdigit() and int(step) < len(parent):
        return parent[int(step)]
    raise _inapplicable(f"doc is missing path: {path}: missing value")


def _look(root: Any, path: str) -> Any:
    for step in _steps(path):
        root = _child(root, step, path)
    return root


def _parent(root: Any, path: str) -> tuple[Any, str]:
    *above, last = _steps(path)
    for step in above:
        root = _child(root, step, path)
    return root, last


def _put(root: Any, path: str, value: Any, *, replace: bool) -> Any:
    if path == "":
        return value
    parent, last = _parent(root, path)
    if replace:
        _child(parent, last, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else int(last) if last.isdigit() else -1
        if not 0 <= index <= len(parent):
            raise _inapplicable(f"invalid index {last} at {path}")
        if replace:
            parent[index] = value
        else:
            parent.insert(index, value)
    else:
        raise _inapplicable(f"doc is missing path: {path}")
    return root


def _take(root: Any, path: str) -> tuple[Any, Any]:
    parent, last = _parent(root, path)
    value = _child(parent, last, path)
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[int(last)]
    return root, value
