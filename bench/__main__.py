"""The front door of the benchmarks: which one to run, and that its last line is JSON."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> int:
    known = sorted(
        one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if not one.name.startswith("_")
    )
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=known, help="which benchmark")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own; --help names them")
    asked = parser.parse_args()
    # Every benchmark is a module with `main(arguments) -> exit code`, whose last line is what it measured, as JSON.
    code: int = importlib.import_module(f"bench.{asked.name}").main(asked.arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
