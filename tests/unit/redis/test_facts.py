"""INFO is read as facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._answers import CLUSTER_INFO, INFO
from tdredis.redis import facts
from tdredis.redis.facts import find_write_error, parse_info, parse_node_facts, parse_node_info, parse_replication

PRIMARY = (
    "role:master\r\nconnected_slaves:2\r\nmin_slaves_good_slaves:1\r\n"
    "slave0:ip=10.0.0.2,port=6379,state=online,offset=7,lag=0\r\n"
    "slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=1\r\n"
)
REPLICA = (
    "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n"
    "master_sync_in_progress:1\r\nmaster_link_down_since_seconds:9\r\nslave_repl_offset:7\r\nslave_priority:100\r\n"
)


@pytest.mark.parametrize("host", ["10.0.0.7", "fd00::7"])
def test_a_primary_names_its_replicas(host: str) -> None:
    line = f"slave0:ip={host},port=6379,state=online,offset=14,lag=0"
    info = f"# Replication\r\nrole:master\r\nconnected_slaves:1\r\n{line}\r\n"

    assert parse_replication(parse_info(info)).replicas == {(host, 6379)}


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("master_link_status:up", None),
        ("master_link_status:down\r\nmaster_link_down_since_seconds:7", 7),
        ("master_link_status:down\r\nmaster_link_down_since_seconds:-1", 300),
    ],
    ids=["up", "down", "never up"],
)
def test_a_replica_says_for_how_long_it_is_not_in_sync(link: str, expected: int | None) -> None:
    text = f"uptime_in_seconds:300\r\nrole:slave\r\nmaster_host:10.0.0.7\r\nmaster_port:6379\r\n{link}\r\n"

    assert parse_replication(parse_info(text)).link_down_s == expected


def test_a_replica_that_is_sent_its_first_copy_is_not_online_yet() -> None:
    lines = (
        "role:master",
        "min_slaves_good_slaves:1",
        "slave0:ip=10.0.0.7,port=6379,state=online,offset=14,lag=0",
        "slave1:ip=10.0.0.8,port=6379,state=send_bulk,offset=0,lag=0",
    )

    found = parse_replication(parse_info("\n".join(lines)))

    assert found.online == {("10.0.0.7", 6379)}
    assert (found.in_reach, len(found.replicas)) == (1, 2)


@pytest.mark.parametrize(
    ("info", "save", "error"),
    [
        ({"aof_enabled": "1", "aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok"}, "", ""),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, "", "aof_last_write_status:err"),
        ({"aof_enabled": "0", "aof_last_write_status": "err"}, "", ""),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, "", ""),
        ({"aof_enabled": "0", "rdb_last_bgsave_status": "err"}, "3600 1 300 100", "rdb_last_bgsave_status:err"),
        ({}, "", ""),
    ],
)
def test_why_a_primary_refuses_writes_for_its_disk(info: dict[str, str], save: str, error: str) -> None:
    assert find_write_error(info, save) == error


@given(
    role=st.sampled_from([PRIMARY, REPLICA]),
    numbers=st.lists(st.integers(0, 2**40), min_size=5, max_size=5),
    policy=st.sampled_from(["noeviction", "allkeys-lru"]),
    saves=st.sampled_from(["", "3600 1"]),
    errors=st.sets(st.sampled_from(["aof_enabled:0", "aof_last_write_status:ok", "rdb_last_bgsave_status:ok"])),
)
def test_facts_are_those_of_all_fields_though_few_are_read(
    role: str, numbers: list[int], policy: str, saves: str, errors: set[str]
) -> None:
    used, most, uptime, offset, backlog = numbers
    text = INFO.format(
        run_id="a" * 40,
        used_memory=used,
        maxmemory=most,
        uptime=uptime,
        offset_name="master_repl_offset",
        offset=offset,
        backlog=backlog,
        role=role,
    ).replace("allkeys-lru", policy)
    for field in errors:
        name, _, value = field.partition(":")
        text = text.replace(field, f"{name}:{ {'0': '1', 'ok': 'err'}[value] }")

    with pytest.MonkeyPatch.context() as patch:
        few = parse_node_facts(text, None, None, {"save": saves})
        patch.setattr(facts, "parse_node_info", parse_info)
        every = parse_node_facts(text, None, None, {"save": saves})

    assert few == every
    assert (few.used_memory_bytes, few.uptime_s, few.replication.offset_bytes) == (used, uptime, _offset(role, offset))


def _offset(role: str, written: int) -> int:
    return written if role == PRIMARY else 7


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_field_is_read_by_its_whole_name_and_in_the_first_line_too(end: str) -> None:
    info = parse_node_info(
        end.join(("role:master", "xmaxmemory:1", "maxmemory:2", "maxmemory_human:3", "db12:keys=4", ""))
    )

    assert info == {"role": "master", "maxmemory": "2", "db12": "keys=4"}


def test_what_cluster_info_counts_of_messages_is_no_sign_of_change() -> None:
    def told(sent: int, known: int) -> tuple[str, ...]:
        text = CLUSTER_INFO.format(nodes=known, size=3, epoch=2)
        text = text.replace("messages_sent:0", f"messages_sent:{sent}").replace("exceeded:0", f"exceeded:{sent}")
        return parse_node_facts(INFO.format_map(_Anything()), None, text, {}).cluster_counts

    assert told(sent=1, known=6) == told(sent=2, known=6)
    assert told(sent=1, known=6) != told(sent=1, known=7)


class _Anything(dict[str, object]):
    def __missing__(self, name: str) -> object:
        return {"role": PRIMARY, "offset_name": "master_repl_offset"}.get(name, 1)


@pytest.mark.parametrize(
    ("persistence", "save", "said"),
    [
        ("aof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0", "", (True, False, False)),
        ("aof_enabled:1\r\naof_rewrite_in_progress:1\r\naof_rewrite_scheduled:0", "", (True, True, False)),
        ("aof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:1", "", (True, True, False)),
        ("aof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0", "60 1", (False, False, True)),
        ("loading:0", None, (None, False, None)),
    ],
)
def test_what_a_process_writes_to_its_disk(
    persistence: str, save: str | None, said: tuple[bool | None, bool, bool | None]
) -> None:
    text = (
        f"redis_version:7.0.15\r\nuptime_in_seconds:1\r\nused_memory:1\r\nmaxmemory:0\r\nrole:master\r\n{persistence}"
    )

    found = parse_node_facts(text, None, None, {} if save is None else {"save": save})

    assert (found.is_logged, found.log_begins, found.saves) == said
