"""How long `kubectl-tdredis` takes to start, against `python -c pass` of the same run: the wheel's own script, for
which a person waits each time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

BUDGET = 4.0  # times `python -c pass`
SCRIPT = Path(sys.executable).with_name("kubectl-tdredis")
PASS = (sys.executable, "-c", "pass")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="of each, one after the other (default: %(default)s)")
    runs: int = parser.parse_args(arguments).runs
    commands = {"pass": PASS, "version": (str(SCRIPT), "--version"), "help": (str(SCRIPT), "--help")}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        # In turns, so that what else the machine does hits all alike.
        for name, command in commands.items():
            taken[name].append(_run(command))
    medians = {name: statistics.median(each) for name, each in taken.items()}
    ratio = max(medians.values()) / medians["pass"]
    line = {f"{name}_ms": round(1000 * median, 1) for name, median in medians.items()}
    print(json.dumps({"bench": "startup", "runs": runs, **line, "ratio": round(ratio, 2), "budget": BUDGET}))
    return 0 if ratio <= BUDGET else 1


def _run(command: Sequence[str]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun
