"""Faults that any Kubernetes can be made to have: what runs in a pod is ended, or its files are taken away."""

from __future__ import annotations

from redis.crc import key_slot

from tdredis.redis.slots import parse_slots
from tests.chaos.ledger import ByCluster, BySentinel, Door, Ledger
from tests.e2e.reach import linked
from tests.e2e.world import Kube, Obj, Subject


def passwords(manifest: Obj) -> tuple[str, str]:
    """Of Redis itself, and of what clients use."""
    spec = manifest["spec"]
    return spec["secret"], spec.get("proxysecret") or spec["secret"]


async def crash(subject: Subject, pod: str) -> None:
    """The Redis process ends at once: nothing is saved, nothing is sent to replicas any more."""
    resource = await subject.get()
    ip = (await subject.pods())[pod]["status"]["podIP"]
    async with linked(f"{ip}:6379", resource["spec"]["secret"]) as link:
        link.send("SHUTDOWN", "NOSAVE", "NOW", "FORCE")


async def in_container(kube: Kube, subject: Subject, pod: str, script: str) -> None:
    """Runs *script* beside Redis."""
    code, _, err = await kube.kubectl("exec", "-n", subject.namespace, pod, "-c", "redis", "--", "sh", "-c", script)
    assert code == 0, err


def tags_of(resource: Obj) -> tuple[str, ...]:
    """One hash tag for each shard of a RedisCluster, in their order."""
    shards = [parse_slots(ranges) for _, ranges in sorted(resource["status"]["slots"].items())]
    return tuple(next(f"t{n}" for n in range(100_000) if key_slot(f"t{n}".encode()) in slots) for slots in shards)


async def ledgers_of(subject: Subject) -> dict[str, Ledger]:
    """A ledger for every way to the instance, writing into every shard."""
    resource = await subject.get()
    inner, outer = passwords(resource)
    address = resource["status"]["clusterIP"]
    match resource["kind"]:
        case "RedisCluster":
            nodes = Addresses(subject, "redis", 6379)
            await nodes.refresh()
            tags = tags_of(resource)
            return {
                "proxy": Ledger("proxy", Door(address, outer), tags),
                "cluster": Ledger("cluster", ByCluster(nodes, inner), tags),
            }
        case "RedisStandby":
            sentinels = Addresses(subject, "sentinel", 26379)
            await sentinels.refresh()
            return {
                "service": Ledger("service", Door(address, outer)),
                "sentinel": Ledger("sentinel", BySentinel(sentinels, "mymaster", outer)),
            }
        case _:
            return {"service": Ledger("service", Door(address, outer))}


class Addresses:
    """Where the pods of a component are, as of the last `refresh`."""

    def __init__(self, subject: Subject, component: str, port: int) -> None:
        self._subject = subject
        self._component = component
        self._port = port
        self._known: list[str] = []

    def __call__(self) -> list[str]:
        return self._known

    async def refresh(self) -> None:
        pods = (await self._subject.pods(self._component)).values()
        self._known = [f"{pod['status']['podIP']}:{self._port}" for pod in pods if pod["status"].get("podIP")]
