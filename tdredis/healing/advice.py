"""Decides what is told of a reason or guard: what it means, what the operator does about it, and what a person can do.

Meaning and what to do are those of docs/howto/night.md, which is written by hand; `make generated` reads its tables
into advice.json beside this file, because a wheel has no docs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from tdredis.healing.catalogue import Row, guard_name
from tdredis.healing.rows import ROWS

REASONS: Final = "Reasons of conditions and events"
GUARDS: Final = "Guards"
_ROW: Final = re.compile(r"^\| ([A-Za-z_, ]+) \| (.+) \|$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
_HEADS: Final = frozenset(("reason", "guard"))

# Of reasons that no row of the catalogue has: nothing broke, or Kubernetes says it in words of its own.
_OPERATOR: Final[Mapping[str, str]] = {
    "ErrImagePull": "pods that never ran are recreated as soon as spec names another image; others one by one",
    "ImagePullBackOff": "as for ErrImagePull",
    "CrashLoopBackOff": "the kubelet starts it again; where an edit of spec did it, no other pod is recreated, and"
    " after rollout.progressDeadlineSeconds pods are made as before (rollout.rollback: auto)",
    "PodsMissing": "the StatefulSets are there and ask for them; nothing is decided that needs them",
    "ClaimStays": "nothing: a claim's finalizers are its owner's",
    "PodStays": "nothing: a pod is not removed by force while its process may live. Its primary is replaced when its"
    " death is proven",
    "PodsNotReady": "it waits for them, and begins no change of its own",
    "NoFreeConnections": "it asks again in each pass, and takes the process for neither dead nor empty",
    "DataUnusable": "unusable files are kept aside, and the pod copies the data from whoever has it",
    "FilesRepaired": "it has repaired them already",
    "LastCopyLeaves": "the container waits for a replica to be in sync, and evictions are refused meanwhile",
    "ShardHasTwoOwners": "who has no key begins anew; where both have keys it waits for a person",
    "ClusterStateFail": "it heals what it finds (slots without an owner, nodes that do not know each other)",
    "PausedBySpec": "it looks and reports, and changes nothing",
    "Paused": "it looks and reports, and changes nothing",
    "SpecInvalid": "nothing is begun; an instance that holds data is healed all the same",
    "Rolling": "pods are recreated one by one, the next when the one before has all of the data",
    "Migrating": "slots are moved between shards while clients write, at the pace that nodes bear",
    "Growing": "volumes are asked to grow, and the StatefulSets are made anew around their pods",
    "Scaling": "pods are made, or go one by one when nothing depends on them any more",
    "PassFailed": "it tries again, and does nothing else for this resource",
    "Unreadable": "nothing until the resource can be read",
    "AsSpecified": "nothing: all of spec is carried out",
    "Ready": "nothing: all is well",
}
_HOLDS: Final = "what the guard forbids is not done until it says otherwise; everything else goes on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """*name*: a reason or guard. *faults*: rows of the catalogue that it is a sign of."""

    name: str
    kind: str  # reason, guard
    means: str
    operator: str
    you: str
    faults: tuple[str, ...] = ()


def parse_advice(page: str) -> dict[str, dict[str, list[str]]]:
    """The tables of docs/howto/night.md: by "reasons" and "guards", by name, its meaning and what to do ("" where the
    table has no such column). Raises ValueError for a row of another shape.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for key, heading in (("reasons", REASONS), ("guards", GUARDS)):
        part = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        rows: dict[str, list[str]] = {}
        for names, rest in _ROW.findall(part):
            cells = [_plain(cell) for cell in re.split(r"(?<!\\) \| ", rest)]
            if len(cells) > 2:
                raise ValueError(f"the row of {names} has {len(cells) + 1} cells")
            rows |= {name: [*cells, ""][:2] for name in names.split(", ") if name not in _HEADS}
        found[key] = rows
    return found


def render_advice(page: str) -> str:
    """advice.json, of the page."""
    return json.dumps(parse_advice(page), indent=1, ensure_ascii=False) + "\n"


def advise(name: str) -> Advice | None:
    """Of a reason of a condition or event, a finding's reason, or a guard; None: nothing is known by that name."""
    return _all().get(name)


def all_advice() -> tuple[Advice, ...]:
    """In the order of the page."""
    return tuple(_all().values())


@cache
def _all() -> Mapping[str, Advice]:
    told = json.loads(files("tdredis.healing").joinpath("advice.json").read_text())
    found = {name: _of_reason(name, *cells) for name, cells in told["reasons"].items()}
    return found | {name: _of_guard(name, *cells) for name, cells in told["guards"].items()}


def _of_reason(name: str, means: str, you: str) -> Advice:
    rows = [row for row in ROWS if any(seen.name == name for seen in row.seen)]
    does = _OPERATOR.get(name) or "; ".join(dict.fromkeys(row.must for row in rows))
    return Advice(name=name, kind="reason", means=means, operator=does, you=you, faults=tuple(_faults(rows)))


def _of_guard(name: str, means: str, you: str) -> Advice:
    rows = [row for row in ROWS if any(guard_name(guard) == name for guard in row.guards)]
    does = you or "wait: it ends by itself, or the sentence says what to do"
    return Advice(name=name, kind="guard", means=means, operator=_HOLDS, you=does, faults=tuple(_faults(rows)))


def _faults(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        yield f"{row.number}. {row.fault}"


def _plain(cell: str) -> str:
    """Without marks of Markdown; a link to a page is its name in docs/howto."""
    text = _LINK.sub(lambda found: found[1] if found[1].endswith(".md") else f"{found[1]} ({found[2]})", cell)
    return text.replace("\\|", "|").replace("`", "").strip()
