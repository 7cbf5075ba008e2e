"""What a JSON object is in our types: without it every room that builds or compares manifests falls back to Any."""

from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = dict[str, JSON]


def object_at(owner: JSONObject, key: str) -> JSONObject:
    """The object that *owner* has under *key*. Raises TypeError where there is none."""
    found = owner.get(key)
    if not isinstance(found, dict):
        raise TypeError(f"{key} is {type(found).__name__}, not an object")
    return found
