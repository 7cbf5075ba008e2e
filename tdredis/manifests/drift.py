"""Decides whether a live object says what we want of it: the path of the first field that does not, or nothing.

What the server adds (defaults, allocated addresses, other people's labels) is no drift; a list must have our length.
"""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import msgspec

from tdredis.api.json_object import JSON, JSONObject, object_at

# Source: Kubernetes API conventions, "Quantity".
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
}
DIGEST = "cache.tongdun.net/manifest"
# Fields of a pod's spec that the server drops when they say 0 or false, because that means the same as nothing. Others
# it keeps. Source: k8s.io/api/core/v1, omitempty on a field that is no pointer.
_DROPPED_AT_ZERO = frozenset(("hostPort", "initialDelaySeconds", "readOnly", "stdin", "stdinOnce", "tty"))
_QUANTITIES_BELOW = ("requests", "limits", "capacity", "sizeLimit")


def difference(desired: JSONObject, live: JSONObject) -> str | None:
    """Path such as ``spec.template.spec.containers[0].image`` that *live* lacks of *desired*; None: none."""
    wanted = {name: part for name, part in desired.items() if name not in ("apiVersion", "kind")}
    return _differs(wanted, live, "")


def _differs(desired: JSON, live: JSON, path: str) -> str | None:
    match desired:
        case dict():
            return _dict_differs(desired, live, path)
        case list():
            return _list_differs(desired, live, path)
        case _:
            return None if _equal(desired, live, path) else path.removeprefix(".")


def _dict_differs(desired: JSONObject, live: JSON, path: str) -> str | None:
    if not isinstance(live, dict):
        # The server drops empty maps, {} and absent mean the same to it.
        return None if live is None and not desired else path.removeprefix(".")
    for name, value in desired.items():
        if found := _differs(value, live.get(name), f"{path}.{name}"):
            return found
    return None


def _list_differs(desired: list[JSON], live: JSON, path: str) -> str | None:
    if not isinstance(live, list):
        return None if live is None and not desired else path.removeprefix(".")
    if len(desired) != len(live):
        return path.removeprefix(".")
    for index, (want, have) in enumerate(zip(desired, live, strict=True)):
        if found := _differs(want, have, f"{path}[{index}]"):
            return found
    return None


def _equal(desired: JSON, live: JSON, path: str) -> bool:
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return True
    if live is None:
        # A field that says nothing is dropped on the way. false is kept: absent may mean true.
        return desired in ("", None) or (not desired and path.rpartition(".")[2] in _DROPPED_AT_ZERO)
    if any(f".{word}." in f"{path}." for word in _QUANTITIES_BELOW):
        wanted, found = parse_quantity(desired), parse_quantity(live)
        return wanted is not None and wanted == found
    return False


def parse_quantity(value: JSON) -> Decimal | None:
    """``"1500m"``, ``"64Gi"``, ``2`` as a number; None: it is no quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _parse_quantity(str(value))


@lru_cache(maxsize=1024)
def _parse_quantity(text: str) -> Decimal | None:
    number = text.rstrip("numkMGTPi")
    factor = _SUFFIXES.get(text[len(number) :])
    try:
        return None if factor is None else Decimal(number) * factor
    except InvalidOperation:
        return None


def stamp(manifest: JSONObject) -> JSONObject:
    """*manifest* with a digest of itself as an annotation: a field that is no longer wanted differs by it too.

    Values of a Secret stay out of the digest, or it would be a thing to guess passwords with; its keys are in.
    """
    told = {**manifest, "data": sorted(_keys(manifest.get("data")))} if manifest.get("kind") == "Secret" else manifest
    digest = hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]
    metadata = object_at(manifest, "metadata")
    annotations = metadata.get("annotations")
    both = {**(annotations if isinstance(annotations, dict) else {}), DIGEST: digest}
    return {**manifest, "metadata": {**metadata, "annotations": both}}


def _keys(data: JSON) -> list[str]:
    return list(data) if isinstance(data, dict) else []


def encode_data(texts: dict[str, str]) -> dict[str, JSON]:
    """A Secret's texts as its `data` wants them. Not stringData: nobody owns what that wrote."""
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
