"""Decides what a person sees of an instance at a glance: what its status says, and its pods."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from tdredis.cli.output import Data, print_data, render_table
from tdredis.cli.pods import Pod, list_pods
from tdredis.cli.target import get_resource, with_client
from tdredis.kube.client import Client
from tdredis.planning.snapshot import Key


def status(chosen: argparse.Namespace) -> int:
    async def work(client: Client, key: Key) -> tuple[Mapping[str, Any], tuple[Pod, ...]]:
        return await get_resource(client, key), await list_pods(client, key)

    resource, pods = with_client(chosen, work)
    found = describe(resource, pods)
    print_data(found, chosen.output, lambda: render(found))
    return 0


def describe(resource: Mapping[str, Any], pods: tuple[Pod, ...]) -> dict[str, Any]:
    """*resource* as the API server has it; none of its passwords is in the result."""
    seen = resource.get("status") or {}
    kind, metadata, spec = resource["kind"], resource["metadata"], resource["spec"]
    return {
        "resource": f"{kind.lower()}/{metadata['name']}",
        "namespace": metadata["namespace"],
        "phase": seen.get("phase") or "Unknown",
        "paused": bool(spec.get("paused", False)),
        "image": spec.get("image", ""),
        "generation": metadata.get("generation", 0),
        "observedGeneration": seen.get("observedGeneration", 0),
        "conditions": [
            {name: each.get(name, "") for name in ("type", "status", "reason", "message", "lastTransitionTime")}
            for each in seen.get("conditions", ())
        ],
        "addresses": dict(seen.get("addresses") or {}),
        "shards": [dict(each) for each in seen.get("shards", ())],
        "pods": [each.as_data() for each in pods],
    }


def render(found: Mapping[str, Any]) -> str:
    return "\n".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['resource']} in namespace {found['namespace']}: {found['phase']}, {found['image']}"
    if not found["conditions"]:
        yield "  no operator has looked at it yet: does one run, and for this namespace?"
    elif found["observedGeneration"] < found["generation"]:
        yield f"  spec is of generation {found['generation']}, and this speaks of {found['observedGeneration']}"
    for each in found["conditions"]:
        yield f"  {each['type']:<14} {each['status']:<7} {each['reason']}: {each['message']}"
    if found["addresses"]:
        yield ""
        yield render_table(("ADDRESS", "WHERE"), sorted(found["addresses"].items()))
    if found["shards"]:
        rows = [_shard(each) for each in found["shards"]]
        yield ""
        yield render_table(("SHARD", "PRIMARY", "REPLICAS", "SLOTS", "KEYS", "PHASE"), rows)
    if found["pods"]:
        rows = [
            (each["name"], each["role"], each["ready"], each["restarts"], each["node"], each["ip"], each["trouble"])
            for each in found["pods"]
        ]
        yield ""
        yield render_table(("POD", "ROLE", "READY", "RESTARTS", "NODE", "IP", "TROUBLE"), rows)


def _shard(shard: Mapping[str, Data]) -> tuple[Data, ...]:
    keys = shard.get("keys")
    return (
        shard["name"],
        shard.get("primary") or "none",
        f"{shard.get('replicasReady', 0)}/{shard.get('replicasWanted', 0)}",
        shard.get("slots") or "",
        "" if keys is None else f"~{keys}",
        shard.get("phase") or "",
    )
