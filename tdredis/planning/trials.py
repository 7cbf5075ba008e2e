"""Decides whether an address for outside may be given out: not one that was seen to lead elsewhere, or nowhere.

Whoever is told of such an address never finds the process again: a replica that reconnects would be out of sync for
ever. One that cannot be tried from where the operator runs is told apart: nothing is known of it.
"""

from __future__ import annotations

from tdredis.planning.identity import place_name
from tdredis.planning.plan import Hold
from tdredis.planning.snapshot import Snapshot
from tdredis.redis.facts import Announced

SETTLES_S = 5.0  # a new Service takes a moment to lead anywhere


def may_be_announced(snapshot: Snapshot, pod: str, wanted: Announced) -> Hold | bool:
    """False: not yet, it is being tried."""
    if snapshot.resource.spec.outside.verify == "off":
        return True
    trial = snapshot.trials.get(place_name(wanted.host, wanted.port))
    if trial is None:
        return False
    if trial.verdict == "leads":
        return True
    if trial.for_s < SETTLES_S:
        return False
    what = f"{pod} is not announced at {place_name(wanted.host, wanted.port)}: {trial.words}"
    if trial.verdict == "untried":
        why = (
            f"{what}, so that nothing is known of it. Let the operator reach it; or, if pods do reach it and the"
            " operator cannot, write outside.verify: off"
        )
        return Hold(guard="announced_addresses_can_be_tried", about="spec", why=why)
    return Hold(guard="announced_addresses_lead_to_pods", about="spec", why=f"{what}. Correct vip, or what forwards it")
