"""What the operator itself may suffer: two that believe they lead, a clock that jumps, an API server that is slow.

The rows are those of docs/reference/healing.md.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tdredis.kube.client import Client
from tests.e2e.faults import another_primary, crash, proving
from tests.e2e.test_faults import BOTH, Manifest
from tests.e2e.world import Kube, Operator, Subject, eventually, standby

# ---- row 21: two operators believe they lead


async def is_stopped(operator: Operator) -> bool:
    """SIGSTOP has reached it."""
    assert operator.process is not None
    status = Path(f"/proc/{operator.process.pid}/stat").read_text()  # noqa: ASYNC240 procfs does not block
    return status.rpartition(")")[2].split()[0] == "T"


async def until_said(operator: Operator, words: str, *, times: int = 1) -> None:
    async def said() -> bool:
        return operator.log.read_text().count(f'"{words}"') >= times

    await eventually(said, f"the operator says {words!r}")


@BOTH
@pytest.mark.parametrize("instant", ["planned", "asked"])
async def test_an_operator_that_was_stopped_in_a_failover_and_goes_on_when_another_leads_does_nothing(
    kube: Kube, client: Client, namespace: str, manifest: Manifest, instant: str
) -> None:
    """The step that it would take up again is by then the worst there is: a failover away from a primary that is well."""
    program = (sys.executable, str(Path(__file__).with_name("stopping_operator.py")), instant)
    async with Operator(kube, namespace, program=program) as stale:
        subject = await Subject.create(client, manifest(namespace))
        await subject.until_ready()
        first = await subject.primary()
        async with Operator(kube, namespace, identity="operator-1") as leader:
            await crash(subject, first)
            await eventually(lambda: is_stopped(stale), "the operator is stopped in the middle of its plan")
            await until_said(leader, "leading")
            if manifest is standby:  # the Sentinels were as quick; in a cluster the old one is back before the timeout
                await another_primary(subject, first)
                await subject.until_ready()
                await crash(subject, second := await subject.primary())
                await another_primary(subject, second)
            await subject.until_ready()
            assert await subject.primary() == first

            async with proving(21, subject=subject, gap_s=0, planned=True):
                assert stale.process is not None
                stale.process.send_signal(signal.SIGCONT)
                await until_said(stale, "pass ended")
                await until_said(stale, "lost the lead")

            assert await subject.primary() == first
            assert await stale.metrics("tdredis_leads") == {"tdredis_leads": 0.0}
            assert await leader.metrics("tdredis_leads") == {"tdredis_leads": 1.0}
