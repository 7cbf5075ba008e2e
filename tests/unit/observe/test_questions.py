"""What processes are asked, as real ones answer it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdredis.execute.run import WHO_AND_WHERE
from tdredis.observe.questions import CLUSTER_NODE, INFO_SECTIONS, REPLICATION_NODE, Questions, sentinel_questions
from tdredis.redis.facts import NodeFacts
from tdredis.redislink.access import OPEN
from tdredis.redislink.link import connect
from tdredis.redislink.pool import Command
from tests.kit.servers import HOST, redis_server

DISTINCT_ERRORS = 100_000


@pytest.mark.parametrize("cluster", [False, True])
async def test_errors_of_clients_make_no_answer_larger(tmp_path: Path, cluster: bool) -> None:
    """INFO as a whole has megabytes then, and takes a tenth of a second of the server's only thread."""
    questions: Questions[NodeFacts] = CLUSTER_NODE if cluster else REPLICATION_NODE
    async with redis_server(tmp_path, cluster=cluster) as (port, _):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)
        before = await link.call_all(questions.commands, timeout_s=5)
        for first in range(0, DISTINCT_ERRORS, 1000):
            commands = [
                ("EVAL", f"return redis.error_reply('E{number} of a script')", 0)
                for number in range(first, first + 1000)
            ]
            await link.call_all(commands, timeout_s=30)
        whole = await link.call("INFO", timeout_s=5)

        after = await link.call_all(questions.commands, timeout_s=5)

        assert isinstance(whole, bytes)
        assert len(whole) > 20 * DISTINCT_ERRORS, "the server keeps an entry for each"
        assert _size(after) < 1.1 * _size(before) + 200
        assert questions.parse(after).keys == 0
        link.close()


def test_info_is_asked_for_one_section_that_is_read_at_a_time() -> None:
    """More than one needs 7.0."""
    asked: list[Command] = [
        command
        for commands in (
            CLUSTER_NODE.commands,
            REPLICATION_NODE.commands,
            sentinel_questions("m").commands,
            WHO_AND_WHERE,
        )
        for command in commands
        if command[0] == "INFO"
    ]

    assert {len(command) for command in asked} == {2}
    assert {str(section) for _, section in asked} <= {*INFO_SECTIONS, "sentinel"}
    assert not {"all", "everything", "errorstats", "commandstats", "latencystats"} & set(INFO_SECTIONS)


def test_nobody_else_asks_for_info_as_a_whole() -> None:
    for path in Path("tdredis").rglob("*.py"):
        found = re.findall(r"\(\"INFO\",?\)", path.read_text())

        assert not found, f"{path}: {found}"


def _size(replies: list[object]) -> int:
    return sum(len(reply) for reply in replies if isinstance(reply, bytes))
