"""What a tag tells of an engine, and which way back it forbids."""

from __future__ import annotations

import pytest

from tdredis.redis.engines import Engine, cannot_read, engine_of

REDIS_7 = Engine("redis", 7, 0)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("redis:7.0", REDIS_7),
        ("redis:7.0.15", REDIS_7),
        ("redis:7.0.15-alpine3.19", REDIS_7),
        ("redis:v7.0", REDIS_7),
        ("docker.io/library/redis:7.0-bookworm", REDIS_7),
        ("harbor.example:5000/cache/redis:7.0.15-td2", REDIS_7),
        ("harbor.example:5000/cache/td-redis:7.0.15", REDIS_7),
        ("redis:7.0@sha256:0123", REDIS_7),
        ("redis:7", Engine("redis", 7, None)),
        ("redis:8-alpine", Engine("redis", 8, None)),
        ("bitnami/redis-cluster:6.2.14", Engine("redis", 6, 2)),
        ("valkey/valkey:8.1-alpine", Engine("valkey", 8, 1)),
        ("valkey/valkey:9", Engine("valkey", 9, None)),
        ("redis", None),
        ("redis:latest", None),
        ("redis:alpine", None),
        ("redis:bookworm", None),
        ("redis@sha256:0123", None),
        ("harbor.example:7000/redis", None),
        ("redis:20240115", None),
        ("tongduncloud/redis-cluster:0.2", None),
        ("tongduncloud/redis-standby:1.0", None),
        ("valkey/valkey:1.9.0", None),
        ("redis:2.8", Engine("redis", 2, 8)),
        ("oliver006/redis_exporter:v1.45", None),
        ("eqalpha/keydb:6.3", None),
        ("memcached:1.6", None),
        ("prediservice:7.0", None),
        ("", None),
    ],
)
def test_what_an_image_runs(image: str, expected: Engine | None) -> None:
    assert engine_of(image) == expected


@pytest.mark.parametrize(
    ("old", "new", "held"),
    [
        ("redis:7.0", "redis:6.2", True),
        ("redis:7.0.15-alpine", "redis:6.2.14-alpine", True),
        ("redis:7", "redis:6", True),
        ("redis:7.2", "redis:7.0", True),
        ("redis:7.4", "redis:7.2", True),
        ("redis:8", "redis:7", True),
        ("redis:8.0", "redis:7", True),
        ("redis:8.0", "redis:7.2", True),
        ("redis:8.6", "redis:8.2", True),
        ("redis:8.6", "redis:7.4", True),
        ("redis:6.0", "redis:5.0", False),
        ("redis:6.2", "redis:6.0", False),
        ("redis:7.0.15", "redis:7.0.2", False),
        ("redis:8.0", "redis:7.4", False),
        ("redis:8.2", "redis:8.0", False),
        ("redis:7", "redis:7.2", False),
        ("redis:7.4", "redis:7", False),
        ("redis:6.2", "redis:7.0", False),
        ("redis:7.0", "redis:8", False),
        ("valkey/valkey:9.0", "valkey/valkey:8.1", True),
        ("valkey/valkey:9", "valkey/valkey:8", True),
        ("valkey/valkey:9.1", "valkey/valkey:9.0", False),
        ("valkey/valkey:8.1", "valkey/valkey:8.0", False),
        ("valkey/valkey:8.0", "valkey/valkey:7.2", False),
        ("redis:7.4", "valkey/valkey:8.1", True),
        ("redis:8", "valkey/valkey:9", True),
        ("redis:7.2", "valkey/valkey:8.1", False),
        ("redis:7.0", "valkey/valkey:9", False),
        ("redis:7", "valkey/valkey:8", False),
        ("valkey/valkey:9", "redis:8.6", True),
        ("valkey/valkey:8.1", "redis:7.2", False),
        ("valkey/valkey:8.1", "redis:7.0", True),
        ("valkey/valkey:8", "redis:6", True),
    ],
)
def test_which_way_is_held(old: str, new: str, held: bool) -> None:
    before, after = engine_of(old), engine_of(new)
    assert before is not None
    assert after is not None

    assert cannot_read(after, before) is held


def test_an_engine_is_named_as_people_do() -> None:
    assert [str(engine_of(image)) for image in ("redis:7.0.15", "valkey/valkey:9")] == ["Redis 7.0", "Valkey 9"]
