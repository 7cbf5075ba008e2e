"""What a chaos run may show: which lost writes a crash explains, and for how long an edit may stop them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SENT_S: Final = 1.0  # what was acknowledged so long before a crash has reached the replicas
GAP_S: Final = 5.0  # an edit stops writes for one second at most; a busy machine may add four
START_S: Final = 20.0  # a standalone with a volume may stop while its pod starts; on a busy machine
CRASHES: Final = frozenset(
    (
        *(
            "kill_redis",
            "freeze_redis",
            "cut_off_redis",
            "drop_packets",
            "delay_packets",
            "fail_node",
            "partition_node",
        ),
        *("lose_memory", "exchange_addresses", "break_append_only_file", "tear_nodes_conf", "slow_script"),
        "hang_request",
    )
)  # a primary may go without its last writes: replication is asynchronous
EVERYBODYS: Final = frozenset(("fail_node", "partition_node", "exchange_addresses"))  # not of one resource alone
OF_CONTROL: Final = frozenset(
    ("kill_operator", "stop_api", "refuse_requests", "delay_watches", "forget_history", "hang_request")
)  # nobody sees, or does, what is to be done


@dataclass(frozen=True, slots=True)
class Happening:
    """A fault, or an edit, of a resource of *kind*. Times are monotonic seconds; at *until* all was well again."""

    what: str
    kind: str
    is_edit: bool
    began: float
    until: float
    gaps_s: Mapping[str, float]  # by way


def unexplained(missing: Mapping[str, Collection[float]], happenings: Sequence[Happening]) -> Iterator[str]:
    """Sentences on lost writes that no crash explains. *missing*: when they were acknowledged, by "kind/way"."""
    for name, times in missing.items():
        kind = name.partition("/")[0]
        crashes = [each for each in happenings if each.what in CRASHES and _concerns(each, kind)]
        for when in sorted(times):
            if any(each.began - SENT_S <= when <= each.until for each in crashes):
                continue
            beside = sorted({each.what for each in happenings if each.began - SENT_S <= when <= each.until})
            yield f"{name} lost a write beside {', '.join(beside) or 'nothing'}, and nobody had crashed"


def too_long(happenings: Sequence[Happening]) -> Iterator[str]:
    """Sentences on edits that stopped writes for longer than they may, with no fault beside them."""
    for edit in happenings:
        if not is_judged(edit, happenings):
            continue
        bound_s = START_S if edit.kind == "RedisStandalone" else GAP_S
        for name, gap_s in edit.gaps_s.items():
            if gap_s > bound_s:
                yield f"{edit.what} stopped writes of {name} for {gap_s:.1f} s, beside no fault"


def is_judged(edit: Happening, happenings: Sequence[Happening]) -> bool:
    """Whether it is an edit, and its gaps are its own."""
    return edit.is_edit and not any(_disturbs(each, edit) for each in happenings if not each.is_edit)


def _disturbs(fault: Happening, edit: Happening) -> bool:
    concerned = _concerns(fault, edit.kind) or fault.what in OF_CONTROL
    return concerned and fault.began - SENT_S <= edit.until and edit.began <= fault.until + SENT_S


def _concerns(fault: Happening, kind: str) -> bool:
    return fault.kind == kind or fault.what in EVERYBODYS
