"""Decides to which pods a Service can lead at all: those whose address is of the family of its own, IPv4 or IPv6."""

from __future__ import annotations

from collections.abc import Sequence

from tdredis.manifests.endpoints import Target
from tdredis.planning.plan import Hold
from tdredis.planning.sentences import list_names


def targets_of_family(service: str, address: str, targets: Sequence[Target]) -> tuple[list[Target], tuple[Hold, ...]]:
    """Guard: *service*, which has *address*, and its pods have addresses of one family. The others are left out: a
    slice has one family, and the API server would refuse it as a whole, in each pass again.
    """
    ipv6 = ":" in address
    fitting = [target for target in targets if (":" in target.ip) is ipv6]
    others = [target.pod for target in targets if (":" in target.ip) is not ipv6]
    if not others:
        return fitting, ()
    ours, theirs = ("IPv6", "IPv4") if ipv6 else ("IPv4", "IPv6")
    why = (
        f"Service {service} has an {ours} address and cannot lead to pods with {theirs} ones: {list_names(others)}."
        " Give Services and pods of this Kubernetes the same first family, then delete the Service: it is recreated"
    )
    return fitting, (Hold(guard="service_and_pods_share_a_family", why=why),)
