"""Decides how much of what one primary wrote another one never had.

A history is Redis' replication stream: an id, and an offset that grows by every byte of it. Who is promoted begins a
history of its own and remembers where it left the previous one. Source: replication.c, shiftReplicationId.
"""

from __future__ import annotations

from tdredis.redis.facts import Replication


def bytes_alone(one: Replication, other: Replication) -> int | None:
    """Bytes of *one*'s stream beyond the last offset that *other* has too; None: they have no history in common."""
    if one.id and one.id == other.former_id:
        end = other.former_end_bytes
    elif one.former_id and one.former_id == other.id:
        end = one.former_end_bytes
    elif one.former_end_bytes > 0 < other.former_end_bytes and one.former_id == other.former_id:
        end = min(one.former_end_bytes, other.former_end_bytes)
    else:
        return None
    return max(0, one.offset_bytes - (end - 1))
