"""INFO is read as facts."""

from __future__ import annotations

import pytest

from tdredis.redis.facts import parse_info, parse_replication


@pytest.mark.parametrize("host", ["10.0.0.7", "fd00::7"])
def test_a_primary_names_its_replicas(host: str) -> None:
    line = f"slave0:ip={host},port=6379,state=online,offset=14,lag=0"
    info = f"# Replication\r\nrole:master\r\nconnected_slaves:1\r\n{line}\r\n"

    assert parse_replication(parse_info(info)).replicas == {(host, 6379)}
