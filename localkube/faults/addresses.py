"""Which pods exchange their addresses, as happens where a network gives addresses out again at once."""

from __future__ import annotations

from localkube.errors import ApiError
from localkube.faults.menu import BadFault, ExchangeAddresses
from localkube.faults.targets import find_pod
from localkube.kubelet.addresses import AddressBook
from localkube.registry import Obj, Registry


def exchange(registry: Registry, book: AddressBook, fault: ExchangeAddresses) -> None:
    """Deletes both pods; the next ones of their names get each other's address. Raises BadFault."""
    pods = [find_pod(registry, one) for one in (fault.pod, fault.other)]
    first, second = (_address_of(pod) for pod in pods)
    if first == second:
        raise BadFault("these are the same address already: name two pods, neither of them on its node's network")
    for pod, address in zip(pods, (second, first), strict=True):
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        book.promise(key, address)
        try:
            registry.delete("pods", *key, grace_s=fault.grace_s, uid=metadata["uid"])
        except ApiError as error:
            raise BadFault(error.message) from error


def _address_of(pod: Obj) -> str:
    """Raises BadFault."""
    address: str = (pod.get("status") or {}).get("podIP") or ""
    if not address or pod["spec"].get("hostNetwork"):
        raise BadFault(f"pod {pod['metadata']['name']} has no address of its own")
    return address
