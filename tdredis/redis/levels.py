"""Decides how many bytes each shard is to hold in the end: all the same, as far as single slots and room allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest

from tdredis.redis.loads import ShardLoad


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """rat-2 before rat-10."""
    return tuple((int(word), "") if word.isdigit() else (-1, word) for word in name.split("-"))


def find_levels(staying: Sequence[ShardLoad], leaving: Iterable[ShardLoad] = ()) -> dict[str, int]:
    """For each of *staying* its level, in bytes: they get what *leaving* hold. A slot larger than what each would have
    has its shard to itself, and is no reason why the others should differ; who has room for less gets that.
    """
    everybody = [*staying, *leaving]
    rest = sum(shard.size_bytes for shard in everybody)
    free = {shard.name: shard for shard in staying}
    most = {shard.name: _most(shard, rest) for shard in staying}
    found: dict[str, int] = {}
    for size, _, owner in _largest(everybody, len(staying)):
        if not free or size * len(free) <= rest:
            break
        home = owner if owner in free else _home(size, free, most)
        if home is None:
            continue  # nobody has room for it: it stays where it is
        found[home] = size
        rest -= size
        del free[home]
    for number, name in enumerate(sorted(free, key=lambda name: (most[name], natural(name)))):
        found[name] = min(most[name], rest // (len(free) - number))
        rest -= found[name]
    return found


def _most(shard: ShardLoad, total: int) -> int:
    return total if shard.room_bytes is None else shard.size_bytes + shard.room_bytes


def _largest(shards: Iterable[ShardLoad], count: int) -> list[tuple[int, int, str]]:
    """Bytes, number and owner of the *count* largest slots; of those alike the lowest first."""
    return nlargest(
        count, ((load.size_bytes, -slot, shard.name) for shard in shards for slot, load in shard.slots.items())
    )


def _home(size: int, free: Mapping[str, ShardLoad], most: Mapping[str, int]) -> str | None:
    """Who holds least, of those that have room."""
    able = [name for name in free if most[name] >= size]
    return min(able, key=lambda name: (free[name].size_bytes, natural(name)), default=None)
