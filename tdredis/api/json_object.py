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


def objects_at(owner: JSONObject, key: str) -> list[JSONObject]:
    """The objects of the list that *owner* has under *key*. Raises TypeError where there is no list of objects."""
    found = owner.get(key)
    if not isinstance(found, list):
        raise TypeError(f"{key} is {type(found).__name__}, not a list")
    return [_as_object(each, key) for each in found]


def _as_object(found: JSON, key: str) -> JSONObject:
    if not isinstance(found, dict):
        raise TypeError(f"{key} has a {type(found).__name__}, not an object")
    return found
