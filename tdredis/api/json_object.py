"""What a JSON object is in our types: without it every room that builds or compares manifests falls back to Any."""

from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = dict[str, JSON]
