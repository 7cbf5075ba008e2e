"""Measures every command through the proxy and writes docs/reference/proxy-commands.json, and the page made of it.

`python -m tests.proxy.record` (`make proxy-commands`): after a change of Envoy, of its configuration, or of Redis.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.kit.containers import OUTER, connected
from tests.proxy.outcomes import ANSWER_S, Comparison, Outcome, compare, list_commands
from tests.proxy.page import render
from tests.proxy.recorded import PAGE, RECORD, CommandRecord, Record, SceneRecord
from tests.proxy.servers import Servers, servers

ENVOY_PROGRAM = str(Path(sys.executable).parent / "envoy")


async def measure(running: Servers, *, resp3: bool) -> tuple[CommandRecord, ...]:
    plain = await connected(running.plain, OUTER)
    try:
        groups = await list_commands(plain)
        outcomes = await compare(Comparison(running, plain, resp3=resp3), sorted(groups))
    finally:
        plain.close()
    return to_records(groups, outcomes)


def to_records(groups: Mapping[str, str], outcomes: Mapping[str, tuple[Outcome, ...]]) -> tuple[CommandRecord, ...]:
    return tuple(
        CommandRecord(command=name, group=group, scenes=tuple(map(_to_record, outcomes[name])))
        for name, group in sorted(groups.items(), key=lambda pair: (pair[1], pair[0]))
    )


def _to_record(outcome: Outcome) -> SceneRecord:
    error = outcome.words if outcome.verdict == "refused" else ""
    return SceneRecord(
        scene=outcome.scene.text,
        outcome=outcome.verdict,
        across=outcome.scene.across,
        # Addresses and what was said are of this run.
        error=re.sub(r"(MOVED) .*|(unknown command) .*", r"\1\2", error),
        refused_by_both=outcome.verdict == "same" and not outcome.tells,
    )


async def versions(running: Servers) -> tuple[str, str]:
    plain = await connected(running.plain, OUTER)
    info = str(await plain.call("INFO", "server", timeout_s=ANSWER_S))
    plain.close()
    found = re.search(r"redis_version:([\d.]+)", info)
    process = await asyncio.create_subprocess_exec(ENVOY_PROGRAM, "--version", stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), timeout=30)
    envoy = re.search(r"/(\d+\.\d+\.\d+)/", said.decode())
    assert found, info
    assert envoy, said
    return envoy[1], found[1]


async def record() -> Record:
    with tempfile.TemporaryDirectory() as folder:
        async with servers(Path(folder)) as running:
            envoy, engine = await versions(running)
            return Record(envoy=envoy, engine=engine, commands=await measure(running, resp3=False))


def main() -> None:
    found = asyncio.run(record())
    RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    PAGE.write_text(render(found))


if __name__ == "__main__":
    main()
