"""How much one primary wrote that another never had."""

from __future__ import annotations

import pytest

from tdredis.redis.facts import Replication
from tdredis.redis.histories import bytes_alone


def primary(history: str, offset: int, former: str = "0", end: int = -1) -> Replication:
    return Replication(role="master", offset_bytes=offset, id=history, former_id=former, former_end_bytes=end)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # The other was promoted when both had 100 bytes; this one went on to 150.
        (primary("a", 150), primary("b", 400, "a", 101), 50),
        (primary("a", 100), primary("b", 400, "a", 101), 0),
        # It was promoted itself (by hand), at 100.
        (primary("b", 130, "a", 101), primary("a", 400), 30),
        # Both were promoted out of the same one.
        (primary("b", 130, "a", 101), primary("c", 400, "a", 91), 40),
        # Two failovers later nobody remembers.
        (primary("a", 150), primary("c", 400, "b", 301), None),
        # Two that never followed anybody.
        (primary("a", 150, "0" * 40), primary("b", 100, "0" * 40), None),
    ],
)
def test_what_was_written_alone_is_counted_from_where_histories_part(
    one: Replication, other: Replication, expected: int | None
) -> None:
    assert bytes_alone(one, other) == expected
