"""A rollout window opens and closes by the clock of its zone; an expression that names no time is said to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tdredis.api.kinds import parse
from tdredis.api.redisstandby import RedisStandby
from tdredis.api.rollout import RolloutWindow, opens_at
from tdredis.api.validation import problems


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("cron", "minutes", "zone", "now", "opens"),
    [
        ("0 2 * * *", 60, "UTC", "2027-01-15T01:59:59", "2027-01-15T02:00:00"),
        ("0 2 * * *", 60, "UTC", "2027-01-15T02:00:00", None),
        ("0 2 * * *", 60, "UTC", "2027-01-15T02:59:59", None),
        ("0 2 * * *", 60, "UTC", "2027-01-15T03:00:00", "2027-01-16T02:00:00"),
        ("30 23 * * *", 90, "UTC", "2027-01-15T00:59:00", None),
        ("30 23 * * *", 90, "UTC", "2027-01-15T01:00:00", "2027-01-15T23:30:00"),
        ("0 2 * * SUN", 60, "UTC", "2027-01-15T02:30:00", "2027-01-17T02:00:00"),
        ("0 2 * * sun", 60, "UTC", "2027-01-15T02:30:00", "2027-01-17T02:00:00"),
        ("*/10 * * * *", 10, "UTC", "2027-01-15T02:35:10", None),
        ("0 2 * * *", 60, "Asia/Shanghai", "2027-01-15T02:30:00", "2027-01-15T18:00:00"),
        ("0 2 * * *", 60, "Asia/Shanghai", "2027-01-15T18:30:00", None),
        # The clock goes from 02:00 to 03:00: what was to open in between opens when it has.
        ("30 2 * * *", 60, "Europe/Paris", "2027-03-28T00:30:00", "2027-03-28T01:00:00"),
        ("0 2 * * *", 60, "Europe/Paris", "2027-07-01T00:30:00", None),
        ("0 2 29 2 *", 60, "UTC", "2027-01-15T00:00:00", "2028-02-29T02:00:00"),
    ],
)
def test_it_opens(cron: str, minutes: int, zone: str, now: str, opens: str | None) -> None:
    window = RolloutWindow(cron=cron, minutes=minutes, time_zone=zone)

    assert opens_at(window, at(now)) == (None if opens is None else at(opens))


def standby(**window: object) -> RedisStandby:
    metadata = {"name": "redis-standby-tom", "namespace": "ns", "uid": "u"}
    texts = dict.fromkeys(("dc", "env", "realname", "secret", "storageclass", "vip"), "")
    rollout = {"window": {"cron": "0 2 * * *", "minutes": 60, **window}}
    images = {"image": "redis:7.0", "sentinelimage": "redis:7.0", "monitorimage": "exporter:1"}
    spec = {"app": "tom", "capacity": 64, "netmode": "ClusterIP", **texts, **images, "rollout": rollout}
    return parse(RedisStandby, {"metadata": metadata, "spec": spec})


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/5 0-6,22 1 JAN MON-FRI", "0 0 L * *", "0 0 * * 5#2"])
def test_what_names_a_time_is_accepted(cron: str) -> None:
    assert problems(standby(cron=cron)) == ()


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"cron": "0 25 * * *"}, "spec.rollout.window.cron: it names no time"),
        ({"cron": "0 2 30 2 *"}, "spec.rollout.window.cron: it names no time"),
        ({"cron": "0 2 * * FOO"}, "spec.rollout.window.cron: it names no time"),
        ({"cron": "0 2 * *"}, "spec.rollout.window.cron: write five fields"),
        ({"cron": "0 0 2 * * *"}, "spec.rollout.window.cron: write five fields"),
        ({"cron": "@daily"}, "spec.rollout.window.cron: write five fields"),
        ({"cron": ""}, "spec.rollout.window.cron: write five fields"),
        ({"timeZone": "Europe/Nowhere"}, "spec.rollout.window.timeZone: no such time zone is known"),
        ({"timeZone": "Europe"}, "spec.rollout.window.timeZone: no such time zone is known"),
        ({"timeZone": "../etc/passwd"}, "spec.rollout.window.timeZone: write a name"),
        ({"minutes": 0}, "spec.rollout.window.minutes: 0 is too small"),
    ],
)
def test_what_does_not_is_said(window: dict[str, object], words: str) -> None:
    assert any(each.startswith(words) for each in problems(standby(**window))), problems(standby(**window))
