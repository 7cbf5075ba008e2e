"""The table of parameters says what the engines say, and an engine that was never asked is taken for the nearest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tdredis.api.settings import OURS, TWO_NAMES, as_texts, instead_of, values_are_plain
from tdredis.redis.parameter_table import ALIASES, ENGINES, TABLE
from tdredis.redis.parameter_values import database_bytes, wanted_of
from tdredis.redis.parameters import known_by, like, parameter_of
from tests.engines.scratch import ask

# What the former console's editor offered: every entry was set while Redis ran.
OF_THE_EDITOR = (
    *("activerehashing", "appendfsync", "appendonly", "hash-max-ziplist-entries", "hash-max-ziplist-value"),
    *("hll-sparse-max-bytes", "list-compress-depth", "maxmemory-policy", "maxmemory-samples"),
    *("no-appendfsync-on-rewrite", "set-max-intset-entries", "slowlog-log-slower-than", "slowlog-max-len"),
    *("stop-writes-on-bgsave-error", "tcp-keepalive", "timeout", "zset-max-ziplist-entries", "zset-max-ziplist-value"),
)


async def test_the_table_says_what_the_engine_of_this_machine_says(tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    assert program is not None
    engine = await ask(program, tmp_path)
    named = f"{engine.name} {engine.version}"
    assert named in ENGINES, f"run python -m tests.engines.record with {named} among its programs"

    found = {name: parameter_of(named, name) for name in engine.defaults}

    assert {name for name, each in found.items() if each is None} == set()
    assert {name for name, each in found.items() if each and not each.is_live} == engine.restart
    ours = {"bind", "dir", "port"}
    assert {name: each.default for name, each in found.items() if each and name not in ours} == {
        name: value for name, value in engine.defaults.items() if name not in ours
    }
    assert {name: now for name, now in ALIASES.items() if name in engine.defaults and now in engine.defaults} == (
        engine.aliases
    )
    wanted = {name: words for name in engine.restart if (words := wanted_of(named, name))}
    assert wanted == engine.values
    assert database_bytes(frozenset([named])) == pytest.approx(engine.database_bytes, rel=0.1)


@pytest.mark.parametrize("name", OF_THE_EDITOR)
def test_what_the_former_editor_offered_is_live_in_every_engine_that_knows_it(name: str) -> None:
    found = [parameter_of(engine, name) for engine in ENGINES]

    assert all(each is not None and each.is_live for each in found)
    assert instead_of(name) == ""


@pytest.mark.parametrize(
    ("engine", "name", "is_live"),
    [
        ("redis 7.0.15", "io-threads", False),
        ("valkey 8.1.1", "io-threads", False),
        ("valkey 9.1.2", "io-threads", True),
        ("valkey 10.0.0", "io-threads", True),  # the newest that was asked
        ("redis 7.1.0", "maxmemory-clients", True),
        ("redis 5.0.0", "hz", True),  # the oldest that was asked
        ("keydb 6.3.4", "hz", True),
    ],
)
def test_a_class_is_that_of_the_nearest_version(engine: str, name: str, is_live: bool) -> None:
    found = parameter_of(engine, name)

    assert found is not None
    assert found.is_live is is_live


def test_a_default_is_that_of_the_version() -> None:
    before, after = (
        parameter_of("redis 6.2.14", "acl-pubsub-default"),
        parameter_of("redis 7.0.15", "acl-pubsub-default"),
    )
    assert before is not None
    assert after is not None
    assert (before.default, after.default) == ("allchannels", "resetchannels")


def test_what_no_engine_knows_is_told_with_what_was_meant() -> None:
    assert parameter_of("redis 7.0.15", "maxmemory-polcy") is None
    assert like("maxmemory-polcy") == "maxmemory-policy"
    assert like("no-such-thing-at-all") == ""
    assert known_by("cluster-databases") == ("valkey 9.1.2",)


def test_two_names_of_one_parameter_that_users_may_write_are_all_known_to_the_schema() -> None:
    both = {name: now for name, now in ALIASES.items() if not instead_of(name) and not instead_of(now)}

    assert both == dict(TWO_NAMES)
    assert TWO_NAMES["zset-max-ziplist-value"] == "zset-max-listpack-value"


def test_every_parameter_that_is_the_operator_s_has_something_to_write_instead() -> None:
    for ours in OURS:
        for name in ours.names:
            assert instead_of(name) == ours.instead
    assert instead_of("cluster-node-timeout")
    assert not instead_of("cluster-allow-reads-when-down")


def test_the_page_names_every_parameter_and_what_the_operator_keeps_for_itself() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/parameters.md").read_text()
    rows = {cells[1].strip(): cells[2].strip() for line in page.splitlines() if len(cells := line.split("|")) > 5}
    names = {line.split()[0] for line in TABLE.splitlines()}

    assert names == set(rows) - {"parameter", "---"}
    assert {name for name, class_ in rows.items() if class_ == "ours"} == {name for name in names if instead_of(name)}


def test_a_null_that_a_server_kept_names_nothing() -> None:
    assert values_are_plain({"timeout": None, "hz": 20})
    assert as_texts({"timeout": None, "hz": 20}) == {"hz": "20"}
