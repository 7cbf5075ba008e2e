"""Decides how the rows read as a page, with what was measured of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tdredis.healing.catalogue import Row, code_name, code_place, guard_name

Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]  # row -> kind and way -> numbers (bench/healing.py)

_HEAD = """\
# What may break, and what happens then

Made from tdredis/healing by `make generated`; do not edit. A unit test holds it to the code: every rule, guard, reason
and test that is named exists, and every rule and guard of the planner is named here or is not about faults.

"Gap" is the longest time without an acknowledged write of a client that writes without pause; "lost" are writes that
were acknowledged and are not there afterwards. A planned change loses none. A crash may lose what Redis' asynchronous
replication had not sent: it is counted. What a guard holds back is under *held* in `tdredis explain`; all reasons and
guards, and what to do: [night.md](../howto/night.md). `localkube fault` makes faults in a Kubernetes of one process
([localkube.md](localkube.md)). Numbers are from the tests themselves (`python -m bench healing`), with their machine.
"""
_COLUMNS = (
    ("gap_p50_s", "gap p50, s"),
    ("gap_p99_s", "gap p99, s"),
    ("lost_most", "lost, most"),
    ("heal_p50_s", "Ready p50, s"),
    ("heal_p99_s", "Ready p99, s"),
)


def render_page(rows: Sequence[Row], measured: Measured) -> str:
    """*measured* as docs/reference/healing.json has it; {} where nothing was."""
    lines = [_HEAD, "| # | fault | bound | proof |", "|---|---|---|---|"]
    lines += [f"| [{row.number}](#{row.number}) | {row.fault} | {row.bound} | {_proof(row)} |" for row in rows]
    for row in rows:
        lines += ["", *_section(row, measured.get(str(row.number), {}))]
    return "\n".join(lines) + "\n"


def _proof(row: Row) -> str:
    if not row.tests:
        return "not yet"
    count = f"{len(row.tests)} test{'s' if len(row.tests) > 1 else ''}"
    return count + (f"; not yet: {row.missing}" if row.missing else "")


def _section(row: Row, measured: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f'## <a id="{row.number}"></a>{row.number}. {row.fault}'
    yield ""
    yield f"- **must happen**: {row.must}"
    yield f"- **bound**: {row.bound}"
    yield f"- **who does it**: {_list(f'`{code_name(each)}` ({code_place(each)})' for each in row.rules)}"
    yield f"- **held back by**: {_list(f'`{guard_name(each)}`' for each in row.guards) or 'nothing'}"
    for seen in row.seen:
        yield f"- **seen as** `{seen.name}`: “{seen.words}”"
    for command in row.make:
        yield f"- **make it**: `{command}`"
    for test in row.tests:
        file, _, name = test.partition("::")
        yield f"- **test**: [{file}](../../tests/{file}) `{name}`"
    if row.missing or not row.tests:
        yield f"- **not yet**: {row.missing or 'a test that proves it'}"
    if measured:
        yield from _table(measured)


def _list(words: Iterator[str]) -> str:
    return ", ".join(words)


def _table(measured: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    shown = [(key, title) for key, title in _COLUMNS if any(key in each for each in measured.values())]
    yield ""
    yield f"| measured | runs | {' | '.join(title for _, title in shown)} | when, where |"
    yield "|---|---|" + "---|" * (len(shown) + 1)
    for kind, numbers in sorted(measured.items()):
        cells = [str(numbers.get(key, "")) for key, _ in shown]
        yield f"| {kind} | {numbers['runs']} | {' | '.join(cells)} | {numbers['when']}, {numbers['machine']} |"
