"""INFO is read as facts."""

from __future__ import annotations

import pytest

from tdredis.redis.facts import find_write_error, parse_info, parse_replication


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
