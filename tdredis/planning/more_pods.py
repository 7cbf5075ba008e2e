"""Decides how a StatefulSet is told to have one more pod than spec says, or no more: a step of its own."""

from __future__ import annotations

from collections.abc import Iterable

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.manifests.drift import stamp
from tdredis.planning.earlier import with_earlier
from tdredis.planning.objects import ref_of, with_claims_as_made
from tdredis.planning.rolling import Ask
from tdredis.planning.sizing import behind_the_pods, find_lag
from tdredis.planning.snapshot import Ref, Snapshot
from tdredis.planning.steps import Apply
from tdredis.planning.surplus import one_more


def ask_for_surplus(snapshot: Snapshot, instance: Instance, children: Iterable[JSONObject], ask: Ask) -> Apply:
    """*children*: the objects of *instance* as spec has them; the StatefulSet of *ask* is among them."""
    ref = Ref("StatefulSet", ask.shard)
    ours = [each for each in children if ref_of(each) == ref]
    (made,) = behind_the_pods(snapshot, ours, find_lag(snapshot, instance))
    made = with_claims_as_made(snapshot, made)
    made = with_earlier(snapshot, one_more(made) if ask.more else made)
    return Apply(ref=ref, manifest=stamp(made), why=ask.why)
