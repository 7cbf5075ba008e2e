"""Every command that Redis lists, through a real Envoy to three shards, and to a plain server: no answer is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.proxy.outcomes import DIFFERS, KNOWN_DIFFERENCES, REFUSED, SAME
from tests.proxy.record import measure, versions
from tests.proxy.recorded import CommandRecord, load
from tests.proxy.servers import servers

WHOLE = 150  # commands that Envoy serves at least in part; fewer: the comparison compares nothing


def outcomes(commands: Iterable[CommandRecord]) -> dict[str, str]:
    return {each.scene: each.outcome for command in commands for each in command.scenes}


@pytest.mark.parametrize("resp3", [False, True], ids=["RESP2 on 6379", "RESP3 on 6380"])
async def test_a_command_is_answered_as_by_a_plain_server_or_refused_as_the_page_says(
    tmp_path: Path, resp3: bool
) -> None:
    recorded = load()
    async with servers(tmp_path) as running:
        measured = await measure(running, resp3=resp3)
        same_programs = await versions(running) == (recorded.envoy, recorded.engine)

    found, written = outcomes(measured), outcomes(recorded.commands)
    assert {scene for scene, outcome in found.items() if outcome == DIFFERS} == set(KNOWN_DIFFERENCES)
    assert sum(any(each.outcome == SAME for each in command.scenes) for command in measured) > WHOLE
    # Each port has its own version of the protocol, and refuses the other by NOPROTO.
    other = dict.fromkeys(("HELLO 2", "HELLO 2 AUTH default {password}", "HELLO 2 SETNAME any"), REFUSED)
    if resp3:
        written |= {**other, "HELLO 3": SAME}
    known = found.keys() & written.keys()
    assert {scene: found[scene] for scene in known} == {scene: written[scene] for scene in known}
    if same_programs:
        assert found.keys() == written.keys()
