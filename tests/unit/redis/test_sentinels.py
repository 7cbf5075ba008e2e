"""Rows of SENTINEL MASTERS, as redis-sentinel 7.0.15 wrote them, are read for what they mean."""

from __future__ import annotations

import pytest

from tdredis.redis.sentinels import parse_watch

ROW = {
    "name": "mymaster",
    "ip": "10.0.0.1",
    "port": "6379",
    "quorum": "2",
    "config-epoch": "0",
    "flags": "master",
    "down-after-milliseconds": "5000",
    "failover-timeout": "15000",
    "parallel-syncs": "1",
}


@pytest.mark.parametrize(
    ("ok", "reply", "info", "expected"),
    [
        pytest.param(2139, 49, 0, True, id="it never had the password"),
        pytest.param(3108, 936, 5158, True, id="the password is another since"),
        pytest.param(135138, 593, 135136, True, id="it is another since a moment after it last read INFO"),
        pytest.param(1038, 962, 3088, False, id="too early to say"),
        pytest.param(1030, 1030, 2049, False, id="all is well"),
        pytest.param(9000, 9000, 9500, False, id="the primary is dead or frozen"),
        pytest.param(9000, 100, 800, False, id="it cannot write to its disk, and says so, but answers INFO"),
    ],
)
def test_a_sentinel_is_shut_out_when_the_primary_answers_it_and_refuses(
    ok: int, reply: int, info: int, *, expected: bool
) -> None:
    ages = {"last-ok-ping-reply": str(ok), "last-ping-reply": str(reply), "info-refresh": str(info)}

    assert parse_watch({**ROW, **ages}, (), ()).is_shut_out is expected
