"""A value is known again in the form in which an engine answers it, and no other value is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdredis.redis.settings import Answers, Refusal, same_value
from tdredis.redislink.access import OPEN
from tdredis.redislink.link import connect
from tests.kit.containers import config
from tests.kit.servers import HOST, redis_server

# As users write them; the engine is asked how it answers.
WRITTEN = [
    ("maxmemory-policy", "noeviction"),
    ("notify-keyspace-events", "KEA"),
    ("notify-keyspace-events", "Elg"),
    ("notify-keyspace-events", ""),
    ("timeout", "300"),
    ("maxclients", "500"),
    ("client-output-buffer-limit", "replica 256mb 64mb 60"),
    ("client-output-buffer-limit", "normal 1kb 0 0 slave 1g 512m 10 pubsub 32mb 8mb 60"),
    ("save", ""),
    ("save", "900 1 300 10"),
    ("save", "900 1"),
    ("appendonly", "no"),
    ("appendonly", "YES"),
    ("repl-backlog-size", "1gb"),
    ("auto-aof-rewrite-min-size", "64m"),
    ("client-query-buffer-limit", "2000k"),
    ("latency-tracking-info-percentiles", "50 99 99.9"),
]


@pytest.mark.parametrize(("name", "wanted"), WRITTEN)
async def test_a_real_engine_s_own_form_is_known(tmp_path: Path, name: str, wanted: str) -> None:
    async with redis_server(tmp_path) as (port, _):
        link = await connect(HOST, port, access=OPEN, timeout_s=5)
        before = await config(link, name)
        assert await link.call("CONFIG", "SET", name, wanted, timeout_s=5) == b"OK"
        after = await config(link, name)
        link.close()

    assert same_value(name, after, wanted)
    assert after == before or not same_value(name, before, wanted)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("timeout", "300", "30"),
        ("maxmemory-clients", "1073741824", "1g"),
        ("save", "900 1", ""),
        ("save", "", "900 1"),
        ("save", "900 1 300 10", "900 1"),
        ("appendonly", "yes", "no"),
        ("notify-keyspace-events", "AKE", "KE"),
        ("client-output-buffer-limit", "normal 0 0 0 slave 1 1 1 pubsub 1 1 1", "replica 2 1 1"),
        ("client-output-buffer-limit", "normal 0 0 0 slave 1 1 1 pubsub 1 1 1", "nonsense"),
        ("proc-title-template", "Abc", "abc"),
    ],
)
def test_another_value_is_not(name: str, value: str, wanted: str) -> None:
    assert not same_value(name, value, wanted)


def test_a_form_that_an_engine_gave_a_value_is_learnt_for_that_engine() -> None:
    answers = Answers(forms={("redis 7.0.15", "x", "odd"): frozenset({"even"})})

    assert answers.has("redis 7.0.15", "x", "even", "odd")
    assert not answers.has("redis 8.0.2", "x", "even", "odd")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config", True),
        ("ERR Unsupported CONFIG parameter: databases", True),
        ("ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config", True),
        ("ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed", False),
    ],
)
def test_what_cannot_be_changed_while_it_runs_is_told_from_a_bad_value(words: str, expected: bool) -> None:
    assert Refusal(words, is_due=False).needs_restart is expected
