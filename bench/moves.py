"""What a plan of slots costs: `python -m bench moves`, a JSON line for each change of the number of shards.

plan_s: CPU seconds of one plan, from what each slot holds to who gives which to whom; ratio: that by what sorting all
slots by bytes once takes. Keys are spread over slots by Zipf's law, or there are none. moves: pairs of shards between
which slots go.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Collection

from tdredis.redis.loads import ShardLoad, SlotLoad
from tdredis.redis.moves import NoRoom, plan_moves
from tdredis.redis.slots import SLOT_COUNT, even_split

CHANGES = ((3, 4), (50, 60), (100, 200), (500, 1000), (1000, 999), (1000, 500))
KEYS = 200_000
KEY_BYTES = 100


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench moves", description=__doc__)
    parser.add_argument("--keys", type=int, nargs="*", default=[0, KEYS])
    chosen = parser.parse_args(arguments)
    for before, after in CHANGES:
        for keys in chosen.keys:
            print(json.dumps(_measure(before, after, keys)), flush=True)
    return 0


def shards_of(before: int, after: int, keys: int) -> tuple[list[ShardLoad], frozenset[str]]:
    """*before* shards that have all slots, and new ones without any if *after* is more; who leaves, if it is less."""
    ranks = list(range(1, SLOT_COUNT + 1))
    random.Random(before).shuffle(ranks)  # noqa: S311 a simulation
    common = keys / sum(1 / rank for rank in ranks)
    loads = {slot: round(common / rank) for slot, rank in enumerate(ranks)}
    owned: list[Collection[int]] = [*map(list, even_split(before)), *[()] * (after - before)]
    shards = [
        ShardLoad(
            name=f"rat-{number}",
            slots={slot: SlotLoad(keys=loads[slot], size_bytes=loads[slot] * KEY_BYTES) for slot in slots},
            used_bytes=sum(loads[slot] * KEY_BYTES for slot in slots),
        )
        for number, slots in enumerate(owned)
    ]
    return shards, frozenset(f"rat-{number}" for number in range(after, before))


def _measure(before: int, after: int, keys: int) -> dict[str, object]:
    shards, leaving = shards_of(before, after, keys)
    started = time.process_time()
    moves = plan_moves(shards, leaving)
    plan_s = time.process_time() - started
    assert not isinstance(moves, NoRoom), moves.why
    started = time.process_time()
    sorted((load.size_bytes, slot) for shard in shards for slot, load in shard.slots.items())
    sort_s = time.process_time() - started
    return {
        "bench": "moves",
        "shards": [before, after],
        "keys": keys,
        "plan_s": round(plan_s, 3),
        "ratio": round(plan_s / sort_s, 1),
        "moves": len(moves),
    }
