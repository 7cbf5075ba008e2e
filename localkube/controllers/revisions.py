"""Decides whether two templates are the same, and the short hash in the names and labels of what is made from them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

# No vowels and none of 0, 1, 3: a hash must not spell a word nor be misread (the alphabet of the real server).
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def hash_template(template: dict[str, Any], collisions: int = 0) -> str:
    """Ten letters that depend on the template's content only, not on the order of its keys."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":")) + (f"#{collisions}" if collisions else "")
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def without_label(template: dict[str, Any], label: str) -> dict[str, Any]:
    """*template* without one label: what the owner wrote, before a controller marked its copy."""
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != label}
    metadata.pop("labels", None)
    if labels:
        metadata["labels"] = labels
    return {**template, "metadata": metadata}
