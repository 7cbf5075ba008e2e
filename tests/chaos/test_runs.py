"""A minute of chaos for each seed that is kept, and for a few others: nothing that must hold is broken, all heal."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
MINUTES = 1
DEADLINE_S = 600
OF_OLD = sorted(path for path in SEEDS.iterdir() if path.suffix == ".json")
WHAT = [*(("--replay", str(path)) for path in OF_OLD), *(("--seed", str(seed)) for seed in (1, 2, 3))]


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(2 * DEADLINE_S)
@pytest.mark.parametrize("what", WHAT, ids=lambda words: Path(words[1]).stem)
async def test_a_minute_of_chaos_breaks_nothing_that_must_hold(what: tuple[str, str], tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "chaos", *what, "--minutes", str(MINUTES), "--logs", str(tmp_path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    verdict = json.loads(out.decode().splitlines()[-1])

    assert (verdict["invariants_broken"], verdict["all_ready"], process.returncode) == ([], True, 0), verdict
