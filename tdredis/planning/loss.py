"""Decides whether data was there that nobody has any more: then nothing is started empty because all are empty, and a
sentence says what was there and what to type.

Two things tell of earlier data: the record (status.shards[].keys: about how many keys the primary had), and what a
start script says that it found and could not use. Pods on emptyDirs that are all new, made within moments of each
other, were lost together, and with them, by the choice of emptyDir, what they had: those start empty by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tdredis.api.instance import Instance, InstanceSpec, ShardStatus
from tdredis.api.settings import as_texts
from tdredis.manifests.data_scripts import LOST_DATA
from tdredis.planning.snapshot import PodFacts
from tdredis.redis.facts import NodeFacts

BEGIN_ANEW = "cache.tongdun.net/begin-anew"
TOGETHER_S = 15.0  # pods that were all lost at once are made again within it
ROUGHLY = 4  # a record of keys is good until there are so many times more or fewer: status does not follow every key


def about(previous: int | None, keys: int) -> int:
    """What the record says where there are *keys*: the previous number while it is roughly so, else the first digit."""
    if previous and keys and previous <= ROUGHLY * keys and keys <= ROUGHLY * previous:
        return previous
    return int(str(keys)[0] + "0" * (len(str(keys)) - 1))


def wants_to_begin_anew(instance: Instance) -> bool:
    """Its owner has said so, of this generation, and it was not done yet."""
    asked = instance.metadata.annotations.get(BEGIN_ANEW, "")
    return asked == str(instance.metadata.generation) and asked != instance.status.begun_anew


def used_up(instance: Instance, *, is_lost: bool) -> str:
    """status.begunAnew: the annotation that has served, or would have; it must be removed before it can serve again."""
    asked = instance.metadata.annotations.get(BEGIN_ANEW, "")
    if not asked or asked == instance.status.begun_anew:
        return asked
    return asked if asked == str(instance.metadata.generation) and not is_lost else ""


def lost_data(
    instance: Instance,
    line: ShardStatus | None,
    *,
    name: str,
    nodes: Mapping[str, NodeFacts],
    pods: Sequence[PodFacts],
    was_there: bool,
) -> str:
    """What was there that none of *nodes* has, and what to do about it; "": nothing was, or it is known to be gone.
    *instance* has the effective values: where data was, no edit of spec changes.

    *nodes* are the processes of a standby, or of the shard *name*; all answered, and none has data. *line* is what
    status last said of them; *was_there*: it knew them at all. *pods* are theirs.
    """
    if is_unkept(instance.spec):
        return ""
    told = [f"{pod}: {node.lost}" for pod, node in sorted(nodes.items()) if node.lost.startswith(LOST_DATA)]
    keys = line.keys if line else None
    is_recorded = was_there and keys != 0
    if not told and (not is_recorded or (not instance.spec.storage_class and _were_lost_together(pods))):
        return ""
    what = f"about {keys} keys" if keys else "data"
    found = f" ({'; '.join(told)})" if told else ""
    return (
        f"{name} had {what}, and no process has any of it{found}: the instance is not started empty. Restore the data"
        f" (volumes, files that were set aside), or give it up: {command_to_begin_anew(instance)}"
    )


def command_to_begin_anew(instance: Instance) -> str:
    """What to type to give up data that was lost."""
    begun = instance.status.begun_anew
    again = "remove the annotation, and then " if begun and begun == str(instance.metadata.generation) else ""
    return (
        f"{again}kubectl annotate {instance.KIND.lower()} {instance.name} -n {instance.namespace}"
        f" {BEGIN_ANEW}={instance.metadata.generation} --overwrite"
    )


def is_unkept(spec: InstanceSpec) -> bool:
    """Its owner wants nothing to be written to disk: that nothing is there after a restart is as it should be."""
    config = as_texts(spec.config)
    return config.get("appendonly", "yes").lower() == "no" and config.get("save", "") in ("", '""')


def _were_lost_together(pods: Sequence[PodFacts]) -> bool:
    created = [pod.created for pod in pods]
    return not created or max(created) - min(created) <= TOGETHER_S
