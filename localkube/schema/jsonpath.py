"""Which values the JSONPath of a printer column or scale subresource picks; only the forms that CRDs use."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z0-9_-]+(?:\\\.[A-Za-z0-9_-]+)*)
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | \[(?P<index>-?\d+)\]
      | (?P<every>\[\*\]|\.\*)
      | \[\?\(\s*@\.(?P<field>[A-Za-z0-9_.-]+)\s*==\s*["'](?P<wanted>[^"']*)["']\s*\)\]""",
    re.VERBOSE,
)


def find_values(path: str, obj: Any) -> list[Any]:
    """Values at *path*, none if absent. Raises ValueError for a path that this cannot read."""
    found = [obj]
    at = 0
    text = path.strip().removeprefix("$")
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"JSONPath {path!r} is not understood from {text[at:]!r} on")
        found = [value for one in found for value in _take(step, one)]
        at = step.end()
    return found


def _take(step: re.Match[str], value: Any) -> list[Any]:
    if name := step["name"] or step["quoted"]:
        name = name.replace("\\.", ".")
        return [value[name]] if isinstance(value, dict) and name in value else []
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    if step["every"]:
        return list(value) if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    if not isinstance(value, list):
        return []
    return [one for one in value if find_values("." + step["field"], one) == [step["wanted"]]]
