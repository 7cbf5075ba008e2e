"""What the rows of docs/reference/healing.md do, as their tests measure it: `python -m bench healing [FILE...]`.

FILE: lines of JSON that tests wrote where TDREDIS_HEALING said. --runs N: has the tests of the rows run N times first.
What was measured replaces what docs/reference/healing.json had of the same row and way; the rest stays. Then
`make generated` writes the page. p99 is the nearest rank, which is the slowest run of up to 100.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NUMBERS = ROOT / "docs/reference/healing.json"
TESTS = ("tests/e2e/test_faults*.py", "tests/e2e/test_memory.py", "tests/e2e/test_write_policy.py")
RUN_S = 3600.0  # of one run over all tests
Numbers = dict[str, dict[str, dict[str, Any]]]  # row -> kind and way -> numbers


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench healing", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--only", metavar="NAMES", help="pytest's -k, for --runs")
    parser.add_argument("--machine", default=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    chosen = parser.parse_args(arguments)
    lines = [line for file in chosen.files for line in file.read_text().splitlines()]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bench-healing-") as folder:
        file = Path(folder) / "measured"
        for _ in range(chosen.runs):
            failed += _run_tests(file, chosen.only)
        lines += file.read_text().splitlines() if file.exists() else []
    found = condense(
        [json.loads(line) for line in lines], machine=chosen.machine, when=datetime.now(UTC).date().isoformat()
    )
    known: Numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    merged = {row: {**known.get(row, {}), **found.get(row, {})} for row in sorted({*known, *found}, key=int)}
    NUMBERS.write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n")
    print(json.dumps({"bench": "healing", "lines": len(lines), "rows": sorted(map(int, found)), "runs_failed": failed}))
    return 1 if failed else 0


def _run_tests(file: Path, only: str | None) -> int:
    """1: some test failed; what the others measured counts all the same."""
    tests = [str(path) for pattern in TESTS for path in sorted(ROOT.glob(pattern))]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests, *(("-k", only) if only else ())]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TDREDIS_HEALING": str(file)}, check=False, timeout=RUN_S
    )
    return 1 if done.returncode else 0


def condense(lines: Iterable[Mapping[str, Any]], *, machine: str, when: str) -> Numbers:
    """Numbers of every row and kind over all its *lines*, as tests/e2e/faults.py records them."""
    grouped: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        grouped[line["row"], line["kind"]].append(line)
    found: Numbers = {}
    for (row, kind), runs in sorted(grouped.items()):
        numbers: dict[str, Any] = {"runs": len(runs), "machine": machine, "when": when}
        for name in ("gap_s", "heal_s"):
            if values := [run[name] for run in runs if run.get(name) is not None]:
                part = name.removesuffix("_s")
                numbers[f"{part}_p50_s"] = round(statistics.median(values), 2)
                numbers[f"{part}_p99_s"] = round(_p99(values), 2)
        if losses := [run["lost"] for run in runs if run.get("lost") is not None]:
            numbers["lost_most"] = max(losses)
        found.setdefault(str(row), {})[kind] = numbers
    return found


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
